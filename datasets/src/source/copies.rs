//! Copies on this machine of what had to be unpacked, beside what was known of each when it was made.
//!
//! ```text
//! $BONFIRE_CACHE/unpacked/
//!   HASH-NAME          the copy, which appears whole
//!   HASH-NAME.stamp    [size] [time of its last change, nanoseconds] [crc32]
//! ```
//!
//! A copy that is of another size than its stamp says, or was changed since and has another checksum, is thrown
//! away and made anew. One without a stamp was left by a process that ended before it was sure of the copy.

use super::{Object, Writer};
use crate::DataError;
use bonfire_contract::files;
use crc32fast::Hasher;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The copy at `path`, made by `fill` where there is no whole one.
///
/// # Errors
/// `fill`'s own, and when the place cannot be written to.
pub(crate) fn copy(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), DataError>,
) -> Result<Object, DataError> {
    let uri = path.display().to_string();
    if is_whole(path) {
        return Object::open(&uri);
    }
    if path.exists() && stamped(path).is_some() {
        log::warn!("{uri}: a copy that is not what it was when it was made; it is made anew");
    }
    // The old copy stays until the new one takes its place: other processes may be about to open it.
    let copy = Object::create(&uri)?;
    let mut summed = Summed { writer: Writer::new(copy.clone()), hasher: Hasher::new() };
    fill(&mut summed)?;
    let crc32 = summed.hasher.finalize();
    summed.writer.finish()?;
    if let Err(error) = stamp(path, crc32) {
        log::warn!("{uri}: a copy without a stamp, which is made anew the next time: {error}");
    }
    Ok(copy)
}

/// Has a copy made anew when it is asked for next.
///
/// # Errors
/// When its stamp cannot be removed.
pub(crate) fn discard(path: &Path) -> Result<(), DataError> {
    match fs::remove_file(stamp_path(path)) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(DataError::unreachable(path.display(), "a folder that can be written to", error))
        }
        _ => Ok(()),
    }
}

/// True where a copy is what it was when it was made.
fn is_whole(path: &Path) -> bool {
    let Some([size, changed, crc32]) = stamped(path) else { return false };
    match facts(path) {
        Ok(now) if now == [size, changed] => true,
        // Touched, or moved to another disk: its bytes decide.
        Ok([now, _]) if now == size => {
            let same = checksum(path).is_ok_and(|sum| u128::from(sum) == crc32);
            same && stamp(path, crc32 as u32).is_ok()
        }
        _ => false,
    }
}

fn stamp_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".stamp");
    name.into()
}

fn stamped(path: &Path) -> Option<[u128; 3]> {
    let text = fs::read_to_string(stamp_path(path)).ok()?;
    let numbers: Vec<u128> = text.split_whitespace().map(|part| part.parse().ok()).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

fn stamp(path: &Path, crc32: u32) -> io::Result<()> {
    let [size, changed] = facts(path)?;
    files::replace(&stamp_path(path), format!("{size} {changed} {crc32}").as_bytes())
}

/// The size of a file, and the time of its last change.
fn facts(path: &Path) -> io::Result<[u128; 2]> {
    let metadata = fs::metadata(path)?;
    let changed = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok([metadata.len().into(), changed.as_nanos()])
}

fn checksum(path: &Path) -> io::Result<u32> {
    let (mut file, mut hasher, mut buffer) = (File::open(path)?, Hasher::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// Sums up what is written.
struct Summed {
    writer: Writer,
    hasher: Hasher,
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn a_copy_that_is_not_what_it_was_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/x.csv");
        let mut made = 0;
        let mut copied = || {
            let object = copy(&path, |writer| {
                made += 1;
                writer.write_all(b"a,b\n1,2\n").map_err(|error| DataError::source("x", "a writer", error))
            });
            assert_eq!(&object.unwrap().read().unwrap()[..], b"a,b\n1,2\n");
            made
        };
        assert_eq!((copied(), copied()), (1, 1));
        // Touched, and the same.
        let touch = || File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH);
        touch().unwrap();
        assert_eq!((copied(), copied()), (1, 1));
        // Changed, cut, without a stamp, with one that is none.
        fs::write(&path, b"a,b\n1,3\n").unwrap();
        assert_eq!((copied(), copied()), (2, 2));
        fs::write(&path, b"a,b\n1").unwrap();
        assert_eq!((copied(), copied()), (3, 3));
        fs::remove_file(stamp_path(&path)).unwrap();
        assert_eq!((copied(), copied()), (4, 4));
        fs::write(stamp_path(&path), b"8 x").unwrap();
        assert_eq!((copied(), copied()), (5, 5));
    }

    #[test]
    fn a_copy_that_cannot_be_filled_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        let filled = copy(&path, |writer| {
            let _ = writer.write_all(b"half");
            Err(DataError::source("x", "a whole file", "half"))
        });
        assert!(filled.is_err() && !path.exists());
    }
}
