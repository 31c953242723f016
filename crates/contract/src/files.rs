//! Files that are replaced whole: a reader, or a crash, sees the old content or the new and nothing else.
//!
//! ```text
//! folder/.writing-NAME   written, flushed to the disk
//! folder/NAME            takes the name, which replaces what was there; the folder's entry is flushed
//! ```
//!
//! As with `cp`, a symbolic link stays one and the file that it names is replaced; what is there and no file,
//! a device or a pipe, is written into; a folder is refused.
//!
//! [`read_text`] reads what should be short, whatever is there: a device has no end.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Reads a file of text of at most `most` bytes.
///
/// # Errors
/// When the file system refuses, there is no file but a folder, a device or a pipe, the text is longer, or it is
/// no UTF-8.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    // Nobody may write to a pipe that is opened.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no file"));
    }
    text_of(File::open(path)?, most)
}

/// As [`read_text`], of whatever is read.
///
/// # Errors
/// When reading fails, the text is longer, or it is no UTF-8.
pub fn text_of(reader: impl Read, most: u64) -> io::Result<String> {
    let mut text = String::new();
    let read = reader.take(most.saturating_add(1)).read_to_string(&mut text)?;
    match read as u64 > most {
        true => Err(io::Error::new(io::ErrorKind::InvalidData, format!("more than {most} bytes"))),
        false => Ok(text),
    }
}

/// True for what is there and is neither a file nor a folder, a link to it included.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

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
/// and the place stays as it was. A device or a pipe is written into as it is.
#[derive(Debug)]
pub struct Replacement {
    path: PathBuf,
    /// The place where it is written; none once it has taken its own, and of a device or a pipe.
    beside: Option<PathBuf>,
    file: File,
}

impl Replacement {
    /// Begins a file for `path` under the name `beside` in the same folder. What a killed process left under
    /// that name is overwritten: processes that may write to a path at the same time need different names.
    ///
    /// # Errors
    /// When the folder is missing or cannot be written to, or `path` is a folder or a link to nothing.
    pub fn create(path: &Path, beside: impl Into<OsString>) -> io::Result<Self> {
        let found = fs::symlink_metadata(path);
        let path = match &found {
            // A pipe behind a link may have no path of its own: `/dev/stdout`.
            Ok(found) if found.is_symlink() && !is_special(path) => fs::canonicalize(path)?,
            _ => path.to_path_buf(),
        };
        let found = found.and_then(|_| fs::metadata(&path));
        match found {
            Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(found) if !found.is_file() => {
                let file = File::options().write(true).open(&path)?;
                Ok(Replacement { path, beside: None, file })
            }
            found => {
                let beside = path.with_file_name(beside.into());
                let file = File::create(&beside)?;
                let replacement = Replacement { path, beside: Some(beside), file };
                // As a file that is written into keeps them.
                if let Ok(found) = found {
                    replacement.file.set_permissions(found.permissions())?;
                }
                Ok(replacement)
            }
        }
    }

    /// As [`Replacement::create`], under a name of this process's own, so that of several processes that write
    /// to one path the last to finish has it. What killed processes left there under such names is removed.
    ///
    /// # Errors
    /// As [`Replacement::create`].
    pub fn create_of_process(path: &Path) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let replacement = Self::create(path, format!(".{name}.{}{OF_PROCESS}", std::process::id()))?;
        if let Some(own) = &replacement.beside {
            // Held for as long as the process lives, where the file system has locks.
            let _ = replacement.file.try_lock();
            sweep(own, &format!(".{name}."));
        }
        Ok(replacement)
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
        if self.beside.is_none() {
            // A device or a pipe has no place to take, and may know no flush.
            return Ok(());
        }
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

/// The end of a name of [`Replacement::create_of_process`].
const OF_PROCESS: &str = ".tmp";

/// Removes the files beside `own` whose names begin as given, and whose processes have ended: their locks are
/// free. It is done as far as it can be: what stays is in nobody's way.
fn sweep(own: &Path, beginning: &str) {
    let folder = match own.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let process = name.to_str().and_then(|name| name.strip_prefix(beginning)?.strip_suffix(OF_PROCESS));
        let is_one =
            process.is_some_and(|process| !process.is_empty() && process.bytes().all(|b| b.is_ascii_digit()));
        if is_one
            && Some(name.as_os_str()) != own.file_name()
            && entry.file_type().is_ok_and(|kind| kind.is_file())
        {
            let free = File::options().write(true).open(&path).is_ok_and(|file| file.try_lock().is_ok());
            if free {
                let _ = fs::remove_file(path);
            }
        }
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
    fn what_should_be_short_is_read_to_its_limit_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_text(&path, 5).unwrap(), "12345");
        assert_eq!(read_text(&path, 4).unwrap_err().to_string(), "more than 4 bytes");
        if cfg!(unix) {
            assert_eq!(read_text(Path::new("/dev/zero"), 1000).unwrap_err().to_string(), "no file");
            let endless = text_of(File::open("/dev/zero").unwrap(), 1000).unwrap_err();
            assert_eq!(endless.to_string(), "more than 1000 bytes");
        }
    }

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
    fn what_killed_processes_left_is_swept_and_what_others_write_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        let (left, held, others) = (".x.jsonl.4000001.tmp", ".x.jsonl.4000002.tmp", ".x.jsonl.notes.tmp");
        for name in [left, held, others] {
            fs::write(folder.path().join(name), "half").unwrap();
        }
        let holder = File::open(folder.path().join(held)).unwrap();
        holder.lock().unwrap();
        let mut file = Replacement::create_of_process(&path).unwrap();
        file.write_all(b"new").unwrap();
        file.finish().unwrap();
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [held, others, "x.jsonl"]);
    }

    #[test]
    #[cfg(unix)]
    fn links_stay_links_and_what_is_no_file_is_written_into_or_refused() {
        use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("elsewhere")).unwrap();
        fs::write(at("elsewhere/file"), "old").unwrap();
        fs::set_permissions(at("elsewhere/file"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("elsewhere/file", at("link")).unwrap();
        replace(&at("link"), b"new").unwrap();
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        assert_eq!(fs::read(at("elsewhere/file")).unwrap(), b"new");
        assert_eq!(fs::metadata(at("elsewhere/file")).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(at("elsewhere")).unwrap().count(), 1);
        symlink("nowhere", at("dangling")).unwrap();
        assert!(replace(&at("dangling"), b"new").is_err());
        assert!(!at("nowhere").exists());
        let error = replace(&at("elsewhere"), b"new").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        symlink("elsewhere", at("folder")).unwrap();
        assert!(replace(&at("folder"), b"new").is_err());
        replace(Path::new("/dev/null"), b"gone").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        symlink("/dev/null", at("null")).unwrap();
        replace(&at("null"), b"gone").unwrap();
        assert!(fs::symlink_metadata(at("null")).unwrap().is_symlink());
        assert!(replace(Path::new("/dev/full"), b"gone").is_err());
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
