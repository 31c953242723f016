//! Files that are written a piece at a time.

use anyhow::{Context, Result};
use bonfire_contract::files::Replacement;
use std::io::{self, BufWriter, IntoInnerError, Write};
use std::path::{Path, PathBuf};

/// A file that takes its name when it is whole: until then, and after a mistake, what was there stays.
pub struct OutputFile {
    path: PathBuf,
    writer: BufWriter<Replacement>,
}

impl OutputFile {
    /// Begins a file.
    ///
    /// # Errors
    /// When its folder cannot be written to.
    pub fn create(path: &Path) -> Result<Self> {
        let file = Replacement::create_of_process(path).with_context(|| refused(path))?;
        Ok(OutputFile { path: path.to_path_buf(), writer: BufWriter::new(file) })
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When the rest of it cannot be written.
    pub fn finish(self) -> Result<()> {
        let written = self.writer.into_inner().map_err(IntoInnerError::into_error);
        written.and_then(Replacement::finish).with_context(|| refused(&self.path))
    }
}

fn refused(path: &Path) -> String {
    format!("{}: expected a file to write, found it refused", path.display())
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes).map_err(|error| named(&self.path, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush().map_err(|error| named(&self.path, error))
    }
}

/// The error with the file that it is of.
fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
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
            let error =
                OutputFile::create(Path::new("/dev/full")).unwrap().write_all(&[0; 1 << 16]).unwrap_err();
            assert!(error.to_string().starts_with("/dev/full: "), "{error}");
        }
        let error = OutputFile::create(&folder.path().join("gone/x")).err().unwrap();
        assert!(error.to_string().ends_with("expected a file to write, found it refused"), "{error}");
    }
}
