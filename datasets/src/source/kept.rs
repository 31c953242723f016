//! Bytes that were read across a network, kept on this machine up to a number of bytes:
//! `$BONFIRE_CACHE_LIMIT`, as `200GB`; nothing is kept without it.
//!
//! ```text
//! $BONFIRE_CACHE/ranges/
//!   lock  size                  held while room is made; the bytes of all entries
//!   3f/3f07…c2                  an entry, what one request brought:
//!     [key length: u32 be] [payload length: u64 be] [crc32 of the payload: u32 be] [key] [payload]
//!   3f/.writing-…               an entry under way, renamed when it is whole
//! ```
//!
//! A key names the object, its version and the range, so nothing in here is ever out of date. An entry's time
//! of change is when it was last used; the ones that were not for longest make room. Any number of processes
//! may share the folder: room is made under the lock, entries appear by a rename, and one that is removed
//! stays readable for whoever has opened it. An entry that is not what its checksum says counts as none.
//! A full disk, or a folder that cannot be written to, is told of once, and reading goes on without
//! keeping.

use super::cache;
use crate::{DataError, parse_size};
use bonfire_contract::files::Replacement;
use bonfire_contract::mix;
use bytes::Bytes;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// The variable that bounds it.
const LIMIT: &str = "BONFIRE_CACHE_LIMIT";

/// Bytes of an entry before its key.
const HEAD: usize = 4 + 8 + 4;

/// The name of an entry under way.
const WRITING: &str = ".writing-";

/// An entry that has been under way for longer was left by a process that died.
const ABANDONED: Duration = Duration::from_secs(3600);

/// The cache of a folder.
#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    /// Bytes of all entries together.
    limit: u64,
    /// True where nothing can be put any more.
    closed: AtomicBool,
    /// Tells this process's entries under way apart.
    next: AtomicU64,
}

impl Kept {
    /// The cache that the environment asks for.
    ///
    /// # Errors
    /// When its limit is no size.
    pub(super) fn of_this_machine() -> Result<Option<&'static Self>, DataError> {
        static KEPT: OnceLock<Result<Option<Kept>, String>> = OnceLock::new();
        let kept = KEPT.get_or_init(|| match std::env::var(LIMIT).ok().filter(|limit| !limit.is_empty()) {
            None => Ok(None),
            Some(limit) => {
                let kept = Kept::new(cache::folder("ranges"), parse_size(&limit)?);
                // A limit that was lowered holds for what is there already; where nothing is, this fails.
                let _ = kept.reserve(0);
                Ok(Some(kept))
            }
        });
        match kept {
            Ok(kept) => Ok(kept.as_ref()),
            Err(wrong) => Err(DataError::unreachable(LIMIT, "a size such as 200GB", wrong)),
        }
    }

    /// Keeps at most `limit` bytes in `folder`.
    fn new(folder: PathBuf, limit: u64) -> Self {
        Kept { folder, limit, closed: AtomicBool::new(false), next: AtomicU64::new(0) }
    }

    /// The bytes that were put under `key`, whole and undamaged.
    pub(super) fn get(&self, key: &str) -> Option<Bytes> {
        let path = self.path(key);
        let entry = Bytes::from(fs::read(&path).ok()?);
        let Some(payload) = payload(&entry, key) else {
            // Two processes may find it: the second removal has nothing to remove.
            let _ = fs::remove_file(&path);
            return None;
        };
        // Where this fails the entry goes earlier than it should.
        let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(payload)
    }

    /// Keeps `bytes` under `key`, if there is room or room can be made.
    pub(super) fn put(&self, key: &str, bytes: &Bytes) {
        let size = (HEAD + key.len() + bytes.len()) as u64;
        if size > self.limit || self.closed.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.try_put(key, bytes, size)
            && !self.closed.swap(true, Ordering::Relaxed)
        {
            let folder = self.folder.display();
            log::warn!("{folder}: expected room for {size} bytes, found {error}; going on without keeping");
        }
    }

    fn try_put(&self, key: &str, bytes: &Bytes, size: u64) -> io::Result<()> {
        let path = self.path(key);
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder)?;
        if path.exists() {
            return Ok(());
        }
        let mut entry = self.begin(&path, size)?;
        write(&mut entry, key, bytes)?;
        // An entry has a checksum: one that a crash of the machine leaves in part counts as none.
        entry.finish_unflushed()
    }

    /// Counts an entry of `size` bytes in, after what was used longest ago has made room for it, and makes
    /// its file that long, so that others who make room count it whole.
    fn begin(&self, path: &Path, size: u64) -> io::Result<Replacement> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let _lock = self.reserve(size)?;
        let entry = Replacement::create(path, format!("{WRITING}{}-{number}", std::process::id()))?;
        entry.file().set_len(size)?;
        Ok(entry)
    }

    /// Counts `size` more bytes in, with room made for them; others wait while the lock that is given lives.
    fn reserve(&self, size: u64) -> io::Result<File> {
        let lock = File::create(self.folder.join("lock"))?;
        lock.lock()?;
        let count = self.folder.join("size");
        let counted = fs::read_to_string(&count).ok().and_then(|text| text.trim().parse::<u64>().ok());
        let total = match counted {
            Some(total) if total.saturating_add(size) <= self.limit => total,
            // What a killed process had counted in but not written is found out here, too.
            _ => self.make_room(size)?,
        };
        fs::write(count, (total + size).to_string())?;
        Ok(lock)
    }

    /// Removes entries until `size` more bytes leave a tenth of the limit free, so that this is done rarely;
    /// the bytes that are left.
    fn make_room(&self, size: u64) -> io::Result<u64> {
        let mut entries = Vec::new();
        for folder in fs::read_dir(&self.folder)? {
            let folder = folder?.path();
            if !folder.is_dir() {
                continue;
            }
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                // Damaged ones are removed without the lock: one may be gone.
                let Ok(metadata) = entry.metadata() else { continue };
                let used = metadata.modified()?;
                let writing = entry.file_name().to_string_lossy().starts_with(WRITING);
                if writing && used.elapsed().is_ok_and(|age| age > ABANDONED) {
                    fs::remove_file(entry.path())?;
                } else {
                    entries.push((writing, used, metadata.len(), entry.path()));
                }
            }
        }
        // Those under way come last, and stay.
        entries.sort_unstable_by_key(|entry| (entry.0, entry.1));
        let mut total: u64 = entries.iter().map(|entry| entry.2).sum();
        let most = (self.limit - self.limit / 10).max(size) - size;
        for (_, _, bytes, path) in entries.into_iter().take_while(|entry| !entry.0) {
            if total <= most {
                break;
            }
            // Somebody else may have found it damaged meanwhile.
            let _ = fs::remove_file(path);
            total -= bytes;
        }
        Ok(total)
    }

    /// The path of the entry of `key`: two hashes in a row make names that do not meet by chance.
    fn path(&self, key: &str) -> PathBuf {
        let hash = |seed| key.bytes().fold(seed, |hash, byte| mix(hash, u64::from(byte)));
        let name = format!("{:016x}{:016x}", hash(0), hash(1));
        self.folder.join(&name[..2]).join(name)
    }
}

fn write(file: &mut Replacement, key: &str, bytes: &[u8]) -> io::Result<()> {
    file.write_all(&(key.len() as u32).to_be_bytes())?;
    file.write_all(&(bytes.len() as u64).to_be_bytes())?;
    file.write_all(&crc32fast::hash(bytes).to_be_bytes())?;
    file.write_all(key.as_bytes())?;
    file.write_all(bytes)
}

/// The payload of an entry, if it is the one of `key` and undamaged.
fn payload(entry: &Bytes, key: &str) -> Option<Bytes> {
    let (key_length, rest) = entry.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<8>()?;
    let (crc32, rest) = rest.split_first_chunk::<4>()?;
    let (found, rest) = rest.split_at_checked(u32::from_be_bytes(*key_length) as usize)?;
    let whole = found == key.as_bytes()
        && rest.len() as u64 == u64::from_be_bytes(*length)
        && crc32fast::hash(rest) == u32::from_be_bytes(*crc32);
    whole.then(|| entry.slice(entry.len() - rest.len()..))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(folder: &Path) -> Vec<PathBuf> {
        let folders =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
        folders.flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())).collect()
    }

    fn bytes(folder: &Path) -> u64 {
        entries(folder).iter().map(|path| path.metadata().unwrap().len()).sum()
    }

    fn content(number: u64) -> Bytes {
        (0..1000).map(|at| mix(number, at) as u8).collect()
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path().into(), 5_200);
        for number in 0..5 {
            kept.put(&format!("key {number}"), &content(number));
        }
        assert_eq!(kept.get("key 0"), Some(content(0)));
        kept.put("key 5", &content(5));
        assert!(bytes(folder.path()) <= 5_200);
        assert_eq!((kept.get("key 0"), kept.get("key 1")), (Some(content(0)), None));
        assert_eq!(kept.get("key 5"), Some(content(5)));
        // Larger than all of it: not kept, and nothing has to go for it.
        let before = entries(folder.path()).len();
        kept.put("large", &Bytes::from(vec![0; 6_000]));
        assert_eq!((kept.get("large"), entries(folder.path()).len()), (None, before));
    }

    #[test]
    fn a_damaged_entry_counts_as_none_and_is_put_anew() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path().into(), 1 << 20);
        for damage in 0..4 {
            kept.put("key", &content(1));
            assert_eq!(kept.get("key"), Some(content(1)));
            let path = &entries(folder.path())[0];
            let mut entry = fs::read(path).unwrap();
            match damage {
                0 => entry[500] ^= 1,
                1 => entry.truncate(700),
                2 => entry.clear(),
                _ => entry[17] ^= 1,
            }
            fs::write(path, entry).unwrap();
            assert_eq!(kept.get("key"), None);
            assert_eq!(entries(folder.path()).len(), 0);
        }
    }

    #[test]
    fn many_at_once_stay_within_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                // One each, as other processes have.
                let kept = Kept::new(folder.path().into(), 20_000);
                scope.spawn(move || {
                    for round in 0..100 {
                        let number = mix(thread, round) % 60;
                        let key = format!("key {number}");
                        match kept.get(&key) {
                            Some(found) => assert_eq!(found, content(number)),
                            None => kept.put(&key, &content(number)),
                        }
                    }
                });
            }
        });
        assert!(bytes(folder.path()) <= 20_000, "{}", bytes(folder.path()));
        assert!(entries(folder.path()).len() > 10);
    }

    #[test]
    fn what_killed_processes_left_is_found_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path().into(), 5_200);
        kept.put("key", &content(1));
        let abandoned = folder.path().join("00/.writing-1-1");
        fs::create_dir_all(abandoned.parent().unwrap()).unwrap();
        fs::write(&abandoned, vec![0; 4_000]).unwrap();
        let long_ago = SystemTime::now() - 2 * ABANDONED;
        File::options().write(true).open(&abandoned).unwrap().set_modified(long_ago).unwrap();
        // More was counted in than was ever written.
        fs::write(folder.path().join("size"), "5100").unwrap();
        kept.put("other", &content(2));
        assert!(!abandoned.exists());
        assert_eq!((kept.get("key"), kept.get("other")), (Some(content(1)), Some(content(2))));
        assert_eq!(fs::read_to_string(folder.path().join("size")).unwrap(), bytes(folder.path()).to_string());
    }

    #[test]
    fn a_place_that_cannot_be_written_to_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let kept = Kept::new(folder.path().join("file/below"), 1 << 20);
        kept.put("key", &content(1));
        assert!(kept.closed.load(Ordering::Relaxed));
        assert_eq!(kept.get("key"), None);
    }
}
