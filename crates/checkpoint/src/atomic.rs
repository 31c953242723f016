//! Files of a run folder that are on the disk, whole, once they are written.

use crate::CheckpointError;
use bonfire_contract::files;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Replaces the content of `path`, as [`files::replace`] does: a crash at any instant leaves the old file or
/// the new one, whole.
///
/// # Errors
/// When the file system refuses; the old file is untouched then.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    files::replace(path, bytes).map_err(CheckpointError::io("write", path))
}

/// Writes a file and waits until it is on the disk.
pub(crate) fn write_through(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    let mut file = File::create(path).map_err(CheckpointError::io("create", path))?;
    file.write_all(bytes).map_err(CheckpointError::io("write", path))?;
    file.sync_all().map_err(CheckpointError::io("flush", path))
}

/// Waits until the entries of a folder (creations, renames, removals) are on the disk.
pub(crate) fn sync_folder(path: &Path) -> Result<(), CheckpointError> {
    files::flush_folder(path).map_err(CheckpointError::io("flush", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

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
