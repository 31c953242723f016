//! Writing a file so that a reader, or a crash, sees the old content or the new and nothing else.

use crate::CheckpointError;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// Replaces the content of `path`: writes beside it, flushes to the disk, renames, and flushes the
/// folder's entry. A crash at any instant leaves the old file or the new one, whole.
///
/// # Errors
/// When the file system refuses; the old file is untouched then.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    let mut name = OsString::from(".writing-");
    name.push(path.file_name().unwrap_or_default());
    let beside = path.with_file_name(name);
    let written = write_through(&beside, bytes).and_then(|()| {
        fs::rename(&beside, path).map_err(CheckpointError::io("rename to", path))?;
        sync_folder(path.parent().unwrap_or(Path::new(".")))
    });
    if written.is_err() {
        // Best effort: the error that is reported is the one that mattered.
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Writes a file and waits until it is on the disk.
pub(crate) fn write_through(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    let mut file = File::create(path).map_err(CheckpointError::io("create", path))?;
    file.write_all(bytes).map_err(CheckpointError::io("write", path))?;
    file.sync_all().map_err(CheckpointError::io("flush", path))
}

/// Waits until the entries of a folder (creations, renames, removals) are on the disk.
pub(crate) fn sync_folder(path: &Path) -> Result<(), CheckpointError> {
    // A bare file name has an empty parent, which names no folder.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    // Windows cannot open a folder for flushing, and keeps its entries in a journal anyway.
    if cfg!(unix) {
        let folder = File::open(path).map_err(CheckpointError::io("open", path))?;
        folder.sync_all().map_err(CheckpointError::io("flush", path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_content_and_leaves_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_refusal_names_the_place_and_keeps_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        // A folder that is not empty cannot be replaced by a file.
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), b"kept").unwrap();
        let error = write_atomically(&path, b"new").unwrap_err().to_string();
        assert!(error.contains("taken") && error.lines().count() == 1, "{error}");
        assert_eq!(fs::read(path.join("inside")).unwrap(), b"kept");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
