//! Checkpoints: folders that appear whole, carry a checksum of every file, and are pruned.
//!
//! ```text
//! checkpoints/
//!   step-000001200/       written as .writing-step-000001200, flushed, renamed
//!     manifest.json       {"files": {"weights.safetensors": {"bytes": 4216, "crc32": "1b8c23f0"}, …}}
//!     weights.safetensors
//!     …
//!   step-000001200-1/     a second one at the same step: an interruption within the step after it
//!   .damaged-step-0000…/  one that a resume could not read; never read or counted again
//! ```

use crate::CheckpointError;
use crate::atomic::{sync_folder, write_through};
use bonfire_contract::files;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The files of a checkpoint by name.
pub type Files = BTreeMap<String, Vec<u8>>;

const MANIFEST: &str = "manifest.json";
/// Bytes that a list of files may have.
const LONGEST_MANIFEST: u64 = 16 << 20;
const WRITING: &str = ".writing-";
const REMOVING: &str = ".removing-";
const DAMAGED: &str = ".damaged-";

/// A checkpoint read back and verified.
#[derive(Debug)]
pub struct Loaded {
    /// The checkpoint's name, such as `step-000001200`.
    pub name: String,
    /// The checkpoint's files.
    pub files: Files,
    /// One line for each newer checkpoint that is damaged and was passed over.
    pub warnings: Vec<String>,
}

/// The checkpoints of one run.
#[derive(Clone, Debug)]
pub struct CheckpointStore {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    files: BTreeMap<String, Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    bytes: u64,
    crc32: String,
}

impl CheckpointStore {
    /// The checkpoints in `folder`, which need not exist yet.
    pub fn new(folder: PathBuf) -> Self {
        CheckpointStore { folder }
    }

    /// The folder of the checkpoint `name`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Removes the leftovers of killed writers. Only the run's one writer may call it.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn clean(&self) -> Result<(), CheckpointError> {
        for name in self.entries()? {
            if name.starts_with(WRITING) || name.starts_with(REMOVING) {
                let path = self.path(&name);
                fs::remove_dir_all(&path).map_err(CheckpointError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// The names of the checkpoints, oldest first.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn names(&self) -> Result<Vec<String>, CheckpointError> {
        let mut names: Vec<_> =
            self.entries()?.into_iter().filter_map(|name| Some((parse(&name)?, name))).collect();
        names.sort();
        Ok(names.into_iter().map(|(_, name)| name).collect())
    }

    /// The step of the newest checkpoint; none where there is no checkpoint.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn newest_step(&self) -> Result<Option<u64>, CheckpointError> {
        Ok(self.names()?.last().and_then(|name| parse(name)).map(|(step, _)| step))
    }

    /// A name for a new checkpoint at `step`, newer than every other at that step.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn next_name(&self, step: u64) -> Result<String, CheckpointError> {
        let last = self.names()?.iter().filter_map(|name| parse(name)).rfind(|&(at, _)| at == step);
        Ok(match last {
            None => format!("step-{step:09}"),
            Some((_, part)) => format!("step-{step:09}-{}", part + 1),
        })
    }

    /// Writes a checkpoint. It is whole and on the disk when this returns.
    ///
    /// # Errors
    /// When the file system refuses. The half-written checkpoint is removed then, and the others are
    /// untouched.
    pub fn save(&self, name: &str, files: &Files) -> Result<(), CheckpointError> {
        // Not the folders above it: a run folder that was deleted does not come back with checkpoints alone.
        match fs::create_dir(&self.folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(CheckpointError::io("create", &self.folder)(error));
            }
            _ => {}
        }
        let beside = self.folder.join(format!("{WRITING}{name}"));
        let written = self.write(&beside, name, files);
        if written.is_err() {
            // Best effort: the error that is reported is the one that mattered.
            let _ = fs::remove_dir_all(&beside);
        }
        written
    }

    fn write(&self, beside: &Path, name: &str, files: &Files) -> Result<(), CheckpointError> {
        fs::create_dir(beside).map_err(CheckpointError::io("create", beside))?;
        let mut manifest = Manifest { files: BTreeMap::new() };
        for (file, bytes) in files {
            write_through(&beside.join(file), bytes)?;
            manifest.files.insert(file.clone(), Entry::of(bytes));
        }
        let text = serde_json::to_string_pretty(&manifest).expect("a manifest is plain strings and numbers");
        write_through(&beside.join(MANIFEST), text.as_bytes())?;
        sync_folder(beside)?;
        let path = self.path(name);
        fs::rename(beside, &path).map_err(CheckpointError::io("rename to", &path))?;
        sync_folder(&self.folder)
    }

    /// Reads a checkpoint and verifies the length and checksum of every file.
    ///
    /// # Errors
    /// When a file is missing, or its content differs from the one written.
    pub fn load(&self, name: &str) -> Result<Files, CheckpointError> {
        let folder = self.path(name);
        let read = |file: &str| {
            let path = folder.join(file);
            fs::read(&path).map_err(CheckpointError::io("read", &path))
        };
        let path = folder.join(MANIFEST);
        let manifest =
            files::read_text(&path, LONGEST_MANIFEST).map_err(CheckpointError::io("read", &path))?;
        let manifest = Manifest::read(manifest.as_bytes(), &path)?;
        let mut files = Files::new();
        for (file, expected) in manifest.files {
            let path = folder.join(&file);
            let found = fs::metadata(&path).map_err(CheckpointError::io("read", &path))?;
            if !found.is_file() || found.len() != expected.bytes {
                let found = if found.is_file() { format!("{} bytes", found.len()) } else { "no file".into() };
                return Err(CheckpointError::malformed(&path, expected, found));
            }
            let bytes = read(&file)?;
            let found = Entry::of(&bytes);
            if found.bytes != expected.bytes || found.crc32 != expected.crc32 {
                return Err(CheckpointError::malformed(&folder.join(&file), expected, found));
            }
            files.insert(file, bytes);
        }
        Ok(files)
    }

    /// The newest intact checkpoint; `None` if there is none at all.
    ///
    /// # Errors
    /// When there are checkpoints and all of them are damaged.
    pub fn load_newest(&self) -> Result<Option<Loaded>, CheckpointError> {
        let names = self.names()?;
        let mut warnings = Vec::new();
        for name in names.iter().rev() {
            match self.load(name) {
                Ok(files) => return Ok(Some(Loaded { name: name.clone(), files, warnings })),
                Err(error) => warnings.push(error.to_string()),
            }
        }
        match warnings.into_iter().next() {
            None => Ok(None),
            Some(newest) => {
                Err(CheckpointError::NoneIntact { path: self.folder.clone(), count: names.len(), newest })
            }
        }
    }

    /// Renames every checkpoint newer than `loaded`, the one that a resumed run continues from. The damaged
    /// ones are then neither read again nor counted as the newest. Only the run's one writer may call it.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn set_aside_newer(&self, loaded: &str) -> Result<(), CheckpointError> {
        for name in self.names()?.iter().rev().take_while(|name| *name != loaded) {
            let (path, aside) = (self.path(name), self.folder.join(format!("{DAMAGED}{name}")));
            if aside.exists() {
                fs::remove_dir_all(&aside).map_err(CheckpointError::io("remove", &aside))?;
            }
            fs::rename(&path, &aside).map_err(CheckpointError::io("set aside", &path))?;
        }
        Ok(())
    }

    /// Removes all but the newest `keep` checkpoints and those named in `spared`, such as the one just saved
    /// and the best.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn prune(&self, keep: usize, spared: &[&str]) -> Result<(), CheckpointError> {
        let names = self.names()?;
        let surplus = names.len().saturating_sub(keep);
        for name in names[..surplus].iter().filter(|name| !spared.contains(&name.as_str())) {
            self.remove(name)?;
        }
        Ok(())
    }

    /// Removes a checkpoint. A crash on the way never leaves half of one under its name.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn remove(&self, name: &str) -> Result<(), CheckpointError> {
        let (path, doomed) = (self.path(name), self.folder.join(format!("{REMOVING}{name}")));
        fs::rename(&path, &doomed).map_err(CheckpointError::io("remove", &path))?;
        fs::remove_dir_all(&doomed).map_err(CheckpointError::io("remove", &doomed))
    }

    fn entries(&self) -> Result<Vec<String>, CheckpointError> {
        if !self.folder.exists() {
            return Ok(Vec::new());
        }
        let failed = |error| CheckpointError::io("list", &self.folder)(error);
        fs::read_dir(&self.folder)
            .map_err(failed)?
            .map(|entry| Ok(entry.map_err(failed)?.file_name().to_string_lossy().into_owned()))
            .collect()
    }
}

/// The number of files that a checkpoint's list names; `path` is the list's own.
///
/// # Errors
/// When it is no such list, or names anything but files of its folder.
pub(crate) fn listed(bytes: &[u8], path: &Path) -> Result<usize, CheckpointError> {
    Ok(Manifest::read(bytes, path)?.files.len())
}

impl Manifest {
    fn read(bytes: &[u8], path: &Path) -> Result<Self, CheckpointError> {
        let manifest: Manifest = serde_json::from_slice(bytes)
            .map_err(|error| CheckpointError::malformed(path, "a list of files with checksums", error))?;
        // A list that names anything else was not written by a training: what it names, be it a device or a
        // file of another folder, is not touched.
        let is_within = |file: &String| Path::new(file).file_name() == Some(OsStr::new(file));
        match manifest.files.keys().find(|file| !is_within(file)) {
            None => Ok(manifest),
            Some(file) => {
                Err(CheckpointError::malformed(path, "names of files in this folder", format!("{file:?}")))
            }
        }
    }
}

/// The step and the part in a checkpoint's name; `None` for any other name.
fn parse(name: &str) -> Option<(u64, u64)> {
    let rest = name.strip_prefix("step-")?;
    match rest.split_once('-') {
        None => Some((rest.parse().ok()?, 0)),
        Some((step, part)) => Some((step.parse().ok()?, part.parse().ok()?)),
    }
}

impl Entry {
    fn of(bytes: &[u8]) -> Self {
        Entry { bytes: bytes.len() as u64, crc32: format!("{:08x}", crc32fast::hash(bytes)) }
    }
}

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes with crc32 {}", self.bytes, self.crc32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn files(content: &[u8]) -> Files {
        Files::from([("state.json".to_string(), content.to_vec()), ("weights".to_string(), vec![7; 1000])])
    }

    fn store() -> (tempfile::TempDir, CheckpointStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = CheckpointStore::new(folder.path().join("checkpoints"));
        (folder, store)
    }

    fn save(store: &CheckpointStore, step: u64) -> String {
        let name = store.next_name(step).unwrap();
        store.save(&name, &files(step.to_string().as_bytes())).unwrap();
        name
    }

    #[test]
    fn names_order_by_step_then_by_part() {
        let (_folder, store) = store();
        assert!(store.load_newest().unwrap().is_none());
        for step in [9, 10, 10, 10, 2_000_000_000_000] {
            save(&store, step);
        }
        let expected = [
            "step-000000009",
            "step-000000010",
            "step-000000010-1",
            "step-000000010-2",
            "step-2000000000000",
        ];
        assert_eq!(store.names().unwrap(), expected);
        assert_eq!(store.load_newest().unwrap().unwrap().files, files(b"2000000000000"));
    }

    #[test]
    fn the_last_and_the_best_survive_pruning() {
        let (_folder, store) = store();
        let best = save(&store, 1);
        for step in 2..=6 {
            save(&store, step);
        }
        store.prune(2, &[&best]).unwrap();
        assert_eq!(store.names().unwrap(), ["step-000000001", "step-000000005", "step-000000006"]);
    }

    #[test]
    fn damage_falls_back_and_is_told() {
        let (_folder, store) = store();
        for step in 1..=3 {
            save(&store, step);
        }
        // The damage: one bit of a file, a file cut short, a manifest cut short, a missing file.
        let weights = store.path("step-000000003").join("weights");
        let mut bytes = fs::read(&weights).unwrap();
        bytes[500] ^= 1;
        fs::write(&weights, &bytes).unwrap();
        let loaded = store.load_newest().unwrap().unwrap();
        assert_eq!(loaded.name, "step-000000002");
        assert_eq!(loaded.warnings.len(), 1);
        assert!(loaded.warnings[0].contains("crc32"), "{:?}", loaded.warnings);

        fs::write(store.path("step-000000002").join("state.json"), b"").unwrap();
        assert_eq!(store.load_newest().unwrap().unwrap().name, "step-000000001");

        fs::write(store.path("step-000000001").join(MANIFEST), b"{").unwrap();
        let error = store.load_newest().unwrap_err().to_string();
        assert!(error.contains("found 3 damaged") && error.contains("weights"), "{error}");
        fs::remove_file(store.path("step-000000001").join(MANIFEST)).unwrap();
        assert!(store.load_newest().is_err());
    }

    #[test]
    fn damaged_newer_checkpoints_are_set_aside_and_never_displace_an_intact_one() {
        let (_folder, store) = store();
        for step in 1..=4 {
            save(&store, step);
        }
        let damage = |name: &str| fs::write(store.path(name).join("weights"), b"half").unwrap();
        for _ in 0..2 {
            damage("step-000000003");
            damage("step-000000004");
            let loaded = store.load_newest().unwrap().unwrap();
            assert_eq!((loaded.name.as_str(), loaded.warnings.len()), ("step-000000002", 2));
            store.set_aside_newer(&loaded.name).unwrap();
            assert_eq!(store.names().unwrap(), ["step-000000001", "step-000000002"]);
            assert!(store.path(".damaged-step-000000004").is_dir());
            // The second time round, the names of the set-aside checkpoints are taken.
            save(&store, 3);
            save(&store, 4);
        }
        let saved = save(&store, 2);
        store.prune(2, &[&saved]).unwrap();
        assert_eq!(store.names().unwrap(), ["step-000000002-1", "step-000000003", "step-000000004"]);
    }

    #[test]
    fn leftovers_of_killed_writers_are_never_read_and_then_removed() {
        let (_folder, store) = store();
        save(&store, 1);
        for name in [".writing-step-000000002", ".removing-step-000000000"] {
            fs::create_dir(store.path(name)).unwrap();
            fs::write(store.path(name).join("weights"), b"half").unwrap();
        }
        assert_eq!(store.names().unwrap(), ["step-000000001"]);
        store.clean().unwrap();
        assert_eq!(store.entries().unwrap(), ["step-000000001"]);
    }

    #[test]
    fn a_refused_save_leaves_the_others_and_no_litter() {
        let (_folder, store) = store();
        save(&store, 1);
        // A file name with a separator cannot be created: its folder does not exist.
        let broken = Files::from([("nowhere/weights".to_string(), vec![0])]);
        assert!(store.save("step-000000002", &broken).is_err());
        assert_eq!(store.entries().unwrap(), ["step-000000001"]);
    }

    /// Skipped where the process has no right to mount a small disk.
    #[test]
    fn a_full_disk_is_one_line_and_keeps_the_earlier_checkpoints() {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(folder.path())
            .output();
        if !mount.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: no right to mount a tmpfs");
            return;
        }
        let store = CheckpointStore::new(folder.path().join("checkpoints"));
        save(&store, 1);
        let large = Files::from([("weights".to_string(), vec![1; 200_000])]);
        let error = store.save("step-000000002", &large).unwrap_err().to_string();
        let entries = store.entries().unwrap();
        let intact = store.load_newest().unwrap().unwrap().files == files(b"1");
        assert!(Command::new("umount").arg(folder.path()).status().unwrap().success());
        assert!(error.contains("No space left") && error.lines().count() == 1, "{error}");
        assert_eq!(entries, ["step-000000001"]);
        assert!(intact);
    }
}
