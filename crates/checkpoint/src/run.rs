//! The names inside a run folder, and who may write there.

use crate::atomic::sync_folder;
use crate::{CheckpointError, CheckpointStore, write_atomically};
use bonfire_contract::files;
use serde_json::{Value, json};
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The layout that this version reads and writes.
const FORMAT: u64 = 1;

/// The treatment of a run that is already in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Return an error: nothing is ever overwritten.
    Refuse,
    /// Continue the run; a folder without a run gets a new one.
    Resume,
}

/// A folder that holds one training run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// The file that the run's only writer has locked, where the file system has locks. The system releases
    /// the lock when the process dies.
    lock: Option<Arc<File>>,
}

/// Where the folder of a run is that a process writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// At its path.
    Here,
    /// At another path: it was renamed.
    Moved(PathBuf),
    /// Nowhere that the system tells: it was deleted, or another folder is at its path.
    Gone,
}

impl RunFolder {
    /// Creates the folder of a run, or continues the run in it, and becomes its only writer.
    ///
    /// # Errors
    /// [`CheckpointError::Exists`] when the folder holds a run and `existing` is `Refuse`, `NotARun` when it
    /// holds other files, `Version` when the run is of another format, `Busy` when another process writes to
    /// it, `Io` when the file system refuses.
    pub fn create(path: impl AsRef<Path>, existing: Existing) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        let marker = path.join("run.json");
        if marker.exists() {
            if existing == Existing::Refuse {
                return Err(CheckpointError::Exists { path: path.to_path_buf() });
            }
            check_format(&marker)?;
        } else {
            fs::create_dir_all(path).map_err(CheckpointError::io("create", path))?;
            // Hidden names are ignored: a writer killed before its first file leaves only those.
            if let Some(name) = first_visible(path)? {
                let found = format!("`{name}` and no run.json");
                return Err(CheckpointError::NotARun { path: path.to_path_buf(), found });
            }
        }
        let lock = lock(path)?;
        let run = RunFolder { path: path.to_path_buf(), lock: Some(lock) };
        fs::create_dir_all(run.checkpoints()).map_err(CheckpointError::io("create", &run.checkpoints()))?;
        if !marker.exists() {
            let text =
                json!({ "format": FORMAT, "written_by": concat!("bonfire ", env!("CARGO_PKG_VERSION")) });
            write_atomically(&marker, format!("{text:#}\n").as_bytes())?;
            sync_folder(path.parent().unwrap_or(Path::new(".")))?;
        }
        Ok(run)
    }

    /// Opens a run for reading.
    ///
    /// # Errors
    /// When the folder holds no run of this version's format.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        let marker = path.join("run.json");
        if !marker.exists() {
            let found = if path.is_dir() {
                "a folder without run.json"
            } else if path.exists() {
                "a file"
            } else {
                "nothing"
            };
            return Err(CheckpointError::NotARun { path: path.to_path_buf(), found: found.into() });
        }
        check_format(&marker)?;
        Ok(RunFolder { path: path.to_path_buf(), lock: None })
    }

    /// The folder itself; schemas (`labels.json`, `vocabulary.json`, `columns.json`) lie here.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the folder is now, by the file that its writer locked there. Of a run that is open for reading
    /// alone, and on a system without identities of files, it is taken to be at its path.
    pub fn whereabouts(&self) -> Whereabouts {
        let Some(lock) = &self.lock else { return Whereabouts::Here };
        match place::is_at(lock, &self.path.join(LOCK)) {
            true => Whereabouts::Here,
            false => place::of(lock)
                .and_then(|path| Some(Whereabouts::Moved(path.parent()?.to_path_buf())))
                .unwrap_or(Whereabouts::Gone),
        }
    }

    /// The resolved recipe.
    pub fn recipe(&self) -> PathBuf {
        self.path.join("recipe.toml")
    }

    /// The training log, one JSON record a line.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// The weights that training chose.
    pub fn model(&self) -> PathBuf {
        self.path.join("model.safetensors")
    }

    /// True where the weights that training chose are there.
    ///
    /// # Errors
    /// When something else bears their name: a folder, a device, or a link to nothing.
    pub fn has_model(&self) -> Result<bool, CheckpointError> {
        let path = self.model();
        match (fs::symlink_metadata(&path), fs::metadata(&path)) {
            (Err(error), _) if error.kind() == ErrorKind::NotFound => Ok(false),
            (_, Ok(found)) if found.is_file() => Ok(true),
            (_, Ok(found)) => {
                let found = if found.is_dir() { "a folder" } else { "a device or a pipe" };
                Err(CheckpointError::malformed(&path, "a file of weights", found))
            }
            (_, Err(error)) => Err(CheckpointError::io("read", &path)(error)),
        }
    }

    /// The page of evaluation results, as HTML.
    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// The folder of checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// The run's checkpoints.
    pub fn checkpoint_store(&self) -> CheckpointStore {
        CheckpointStore::new(self.checkpoints())
    }
}

/// Refuses a run of another format.
fn check_format(marker: &Path) -> Result<(), CheckpointError> {
    let text = files::read_text(marker, 1 << 20).map_err(CheckpointError::io("read", marker))?;
    let value: Value =
        serde_json::from_str(&text).map_err(|error| CheckpointError::malformed(marker, "JSON", error))?;
    match value.get("format") {
        Some(format) if format.as_u64() == Some(FORMAT) => Ok(()),
        found => Err(CheckpointError::Version {
            path: marker.to_path_buf(),
            expected: FORMAT,
            found: found.map_or("none".to_string(), Value::to_string),
        }),
    }
}

/// The name of an entry that a user put into the folder, if any.
fn first_visible(path: &Path) -> Result<Option<String>, CheckpointError> {
    let entries = fs::read_dir(path).map_err(CheckpointError::io("list", path))?;
    for entry in entries {
        let name =
            entry.map_err(CheckpointError::io("list", path))?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && name != "checkpoints" {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

const LOCK: &str = ".lock";

/// Locks the folder for its only writer, where the file system has locks.
fn lock(path: &Path) -> Result<Arc<File>, CheckpointError> {
    let name = path.join(LOCK);
    let file = File::create(&name).map_err(CheckpointError::io("create", &name))?;
    match file.try_lock() {
        Ok(()) => Ok(Arc::new(file)),
        Err(TryLockError::WouldBlock) => Err(CheckpointError::Busy { path: path.to_path_buf() }),
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(Arc::new(file)),
        Err(TryLockError::Error(error)) => Err(CheckpointError::io("lock", &name)(error)),
    }
}

/// Where an open file is.
#[cfg(unix)]
mod place {
    use std::fs::{File, metadata, read_link};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, PathBuf};

    /// True where the file at `path` is `file` itself.
    pub(super) fn is_at(file: &File, path: &Path) -> bool {
        let identity =
            |found: std::io::Result<std::fs::Metadata>| Some((found.as_ref().ok()?.dev(), found.ok()?.ino()));
        let expected = identity(file.metadata());
        expected.is_some() && identity(metadata(path)) == expected
    }

    /// The path of `file`, as Linux tells it.
    pub(super) fn of(file: &File) -> Option<PathBuf> {
        let path = read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
        is_at(file, &path).then_some(path)
    }
}

#[cfg(not(unix))]
mod place {
    use std::fs::File;
    use std::path::{Path, PathBuf};

    pub(super) fn is_at(_file: &File, path: &Path) -> bool {
        path.exists()
    }

    pub(super) fn of(_file: &File) -> Option<PathBuf> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_run_is_refused_unless_it_is_resumed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        drop(RunFolder::create(&path, Existing::Refuse).unwrap());
        let error = RunFolder::create(&path, Existing::Refuse).unwrap_err().to_string();
        assert!(error.contains("--resume") && error.contains("--run"), "{error}");
        RunFolder::create(&path, Existing::Resume).unwrap();
        RunFolder::open(&path).unwrap();
    }

    #[test]
    fn a_second_writer_is_refused_while_the_first_lives() {
        let folder = tempfile::tempdir().unwrap();
        let first = RunFolder::create(folder.path(), Existing::Resume).unwrap();
        let second = RunFolder::create(folder.path(), Existing::Resume);
        assert!(matches!(second, Err(CheckpointError::Busy { .. })));
        drop(first);
        RunFolder::create(folder.path(), Existing::Resume).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn a_writer_knows_where_its_folder_has_gone() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("run"), folder.path().join("moved"));
        let run = RunFolder::create(&path, Existing::Refuse).unwrap();
        assert_eq!(run.whereabouts(), Whereabouts::Here);
        fs::rename(&path, &moved).unwrap();
        // Another run at the same path is another run.
        let other = RunFolder::create(&path, Existing::Refuse).unwrap();
        let elsewhere =
            if cfg!(target_os = "linux") { Whereabouts::Moved(moved.clone()) } else { Whereabouts::Gone };
        assert_eq!((run.whereabouts(), other.whereabouts()), (elsewhere, Whereabouts::Here));
        fs::remove_dir_all(&moved).unwrap();
        assert_eq!(run.whereabouts(), Whereabouts::Gone);
        assert_eq!(RunFolder::open(&path).unwrap().whereabouts(), Whereabouts::Here);
    }

    #[test]
    fn another_version_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("run.json"), r#"{"format": 2}"#).unwrap();
        let error = RunFolder::open(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("expected run folder format 1, found 2"), "{error}");
        let error = RunFolder::create(folder.path(), Existing::Resume).unwrap_err().to_string();
        assert!(error.contains("found 2"), "{error}");
        fs::write(folder.path().join("run.json"), "{").unwrap();
        assert!(RunFolder::open(folder.path()).is_err());
    }

    #[test]
    fn a_folder_of_other_files_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.tex"), "years of work").unwrap();
        for existing in [Existing::Refuse, Existing::Resume] {
            let error = RunFolder::create(folder.path(), existing).unwrap_err().to_string();
            assert!(error.contains("thesis.tex"), "{error}");
        }
        assert!(
            RunFolder::open(folder.path().join("nowhere")).unwrap_err().to_string().contains("found nothing")
        );
    }
}
