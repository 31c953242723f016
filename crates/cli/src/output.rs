//! Files that are written a piece at a time.

use anyhow::{Context, Result};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file that takes its name when it is whole: until then, and after a mistake, what was there stays.
pub struct OutputFile {
    path: PathBuf,
    /// The path that is written to; none once the file has its name, and none for a pipe or a device.
    beside: Option<PathBuf>,
    file: BufWriter<File>,
}

impl OutputFile {
    /// Begins a file.
    ///
    /// # Errors
    /// When its folder cannot be written to.
    pub fn create(path: &Path) -> Result<Self> {
        if path.exists() && !path.is_file() {
            let file = File::options().write(true).open(path).with_context(|| refused(path))?;
            return Ok(OutputFile { path: path.to_path_buf(), beside: None, file: BufWriter::new(file) });
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let beside = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
        let file = File::create(&beside).with_context(|| refused(path))?;
        Ok(OutputFile { path: path.to_path_buf(), beside: Some(beside), file: BufWriter::new(file) })
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When what is left to write cannot be written.
    pub fn finish(mut self) -> Result<()> {
        self.file.flush().with_context(|| refused(&self.path))?;
        if let Some(beside) = &self.beside {
            self.file.get_ref().sync_all().with_context(|| refused(&self.path))?;
            std::fs::rename(beside, &self.path).with_context(|| refused(&self.path))?;
        }
        self.beside = None;
        Ok(())
    }
}

fn refused(path: &Path) -> String {
    format!("{}: expected a file to write, found it refused", path.display())
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            let _ = std::fs::remove_file(beside);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_finished_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.jsonl");
        std::fs::write(&path, "old").unwrap();
        let mut file = OutputFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        let mut file = OutputFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        file.finish().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            let mut nowhere = OutputFile::create(Path::new("/dev/null")).unwrap();
            nowhere.write_all(b"gone").unwrap();
            nowhere.finish().unwrap();
            assert!(!Path::new("/dev/null").is_file());
        }
        let error = OutputFile::create(&folder.path().join("gone/x")).err().unwrap();
        assert!(error.to_string().ends_with("expected a file to write, found it refused"), "{error}");
    }
}
