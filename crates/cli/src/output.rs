//! Files that are written a piece at a time.

use anyhow::{Context, Result};
use bonfire_contract::files::Replacement;
use std::fs::File;
use std::io::{self, BufWriter, IntoInnerError, Write};
use std::path::{Path, PathBuf};

/// A file that takes its name when it is whole: until then, and after a mistake, what was there stays.
pub struct OutputFile {
    path: PathBuf,
    writer: Writer,
}

enum Writer {
    /// A file, written beside the one that it replaces.
    Beside(BufWriter<Replacement>),
    /// A pipe or a device.
    Through(BufWriter<File>),
}

impl OutputFile {
    /// Begins a file.
    ///
    /// # Errors
    /// When its folder cannot be written to.
    pub fn create(path: &Path) -> Result<Self> {
        let writer = if path.exists() && !path.is_file() {
            File::options().write(true).open(path).map(|file| Writer::Through(BufWriter::new(file)))
        } else {
            // Several programs may write to one file: the last to finish has it.
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let beside = format!(".{name}.{}.tmp", std::process::id());
            Replacement::create(path, beside).map(|file| Writer::Beside(BufWriter::new(file)))
        };
        Ok(OutputFile { path: path.to_path_buf(), writer: writer.with_context(|| refused(path))? })
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// When the rest of it cannot be written.
    pub fn finish(self) -> Result<()> {
        let finished = match self.writer {
            Writer::Beside(writer) => {
                writer.into_inner().map_err(IntoInnerError::into_error).and_then(Replacement::finish)
            }
            Writer::Through(mut writer) => writer.flush(),
        };
        finished.with_context(|| refused(&self.path))
    }
}

fn refused(path: &Path) -> String {
    format!("{}: expected a file to write, found it refused", path.display())
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.writer {
            Writer::Beside(writer) => writer.write(bytes),
            Writer::Through(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.writer {
            Writer::Beside(writer) => writer.flush(),
            Writer::Through(writer) => writer.flush(),
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
