//! Files that are replaced whole: a reader, or a crash, sees the old content or the new and nothing else.
//!
//! ```text
//! folder/.writing-NAME   written, flushed to the disk
//! folder/NAME            takes the name, which replaces what was there; the folder's entry is flushed
//! ```

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Replaces the content of `path`. A crash at any instant leaves the old file or the new one, whole. One
/// process may write to a path at a time.
///
/// # Errors
/// When the file system refuses; the old file is untouched then, and nothing is left beside it.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = OsString::from(".writing-");
    beside.push(path.file_name().unwrap_or_default());
    let mut file = Replacement::create(path, beside)?;
    file.write_all(bytes)?;
    file.finish()
}

/// A file that is written beside the place that it will take. Dropped before it is finished, it is removed
/// and the place stays as it was.
#[derive(Debug)]
pub struct Replacement {
    path: PathBuf,
    /// The place where it is written; none once it has taken its own.
    beside: Option<PathBuf>,
    file: File,
}

impl Replacement {
    /// Begins a file for `path` under the name `beside` in the same folder. What a killed process left under
    /// that name is overwritten: processes that may write to a path at the same time need different names.
    ///
    /// # Errors
    /// When the folder is missing or cannot be written to.
    pub fn create(path: &Path, beside: impl Into<OsString>) -> io::Result<Self> {
        let beside = path.with_file_name(beside.into());
        let file = File::create(&beside)?;
        Ok(Replacement { path: path.to_path_buf(), beside: Some(beside), file })
    }

    /// The file under way.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Takes its place once its content is on the disk, and waits until its name is, too.
    ///
    /// # Errors
    /// When the file system refuses; the old file is untouched then.
    pub fn finish(self) -> io::Result<()> {
        self.file.sync_all()?;
        let path = self.path.clone();
        self.finish_unflushed()?;
        flush_folder(path.parent().unwrap_or(Path::new(".")))
    }

    /// Takes its place at once: for content that can be made again and is checked when it is read, as a crash
    /// of the machine may leave a part of it.
    ///
    /// # Errors
    /// When the file system refuses; the old file is untouched then.
    pub fn finish_unflushed(mut self) -> io::Result<()> {
        if let Some(beside) = &self.beside {
            fs::rename(beside, &self.path)?;
        }
        self.beside = None;
        Ok(())
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            // Best effort: the error that is reported is the one that mattered.
            let _ = fs::remove_file(beside);
        }
    }
}

/// Waits until the entries of a folder (creations, renames, removals) are on the disk.
///
/// # Errors
/// When the file system refuses.
pub fn flush_folder(path: &Path) -> io::Result<()> {
    // A bare file name has an empty parent, which names no folder.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    // Windows cannot open a folder for flushing, and keeps its entries in a journal anyway.
    if cfg!(unix) {
        File::open(path)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_replaced_never_written_into_and_nothing_is_left_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        replace(&path, b"old").unwrap();
        // Another name for the old file: writing into it would show here.
        let old = folder.path().join("old");
        fs::hard_link(&path, &old).unwrap();
        fs::write(folder.path().join(".writing-file"), "what a kill left, longer than the file").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!((fs::read(&path).unwrap(), fs::read(&old).unwrap()), (b"new".to_vec(), b"old".to_vec()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_refusal_keeps_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        // A folder that is not empty cannot be replaced by a file.
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), b"kept").unwrap();
        assert!(replace(&path, b"new").is_err());
        assert_eq!(fs::read(path.join("inside")).unwrap(), b"kept");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(replace(&folder.path().join("missing/file"), b"new").is_err());
    }

    #[test]
    fn a_file_that_is_not_finished_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        let mut file = Replacement::create(&path, ".half").unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
