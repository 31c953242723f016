//! Errors of a run folder. Each says the path, the expected content and the content found.

use std::io;
use std::path::{Path, PathBuf};

/// An error of writing or reading a run folder. Its message is one line.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system refused: a full disk, a missing file, no permission.
    #[error("{path}: cannot {action}: {cause}")]
    Io {
        /// The attempted operation, as a verb: `write`, `read`, `rename`.
        action: &'static str,
        /// The file or folder it was tried on.
        path: PathBuf,
        /// The system's error. It is part of the message and not of `source()`, so that a chain of errors
        /// prints it once.
        cause: io::Error,
    },
    /// The folder of a new run holds a run already.
    #[error(
        "{path}: expected no run here, found one; continue it with --resume, or name another folder with --run"
    )]
    Exists {
        /// The run folder.
        path: PathBuf,
    },
    /// The folder holds something else than a run.
    #[error("{path}: expected a run folder, found {found}")]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// The folder's actual content, in words.
        found: String,
    },
    /// The folder of a run went away while the run was written to it.
    #[error("{path}: expected the folder of this run, found {found}")]
    Vanished {
        /// The run folder.
        path: PathBuf,
        /// What became of it, and of the run, in words.
        found: String,
    },
    /// Another process is writing to the run.
    #[error("{path}: expected to be the only writer, found another process at work on this run")]
    Busy {
        /// The run folder.
        path: PathBuf,
    },
    /// The run folder was written by another version of Bonfire.
    #[error("{path}: expected run folder format {expected}, found {found}")]
    Version {
        /// The run's `run.json`.
        path: PathBuf,
        /// The format this version reads and writes.
        expected: u64,
        /// The format that the file states.
        found: String,
    },
    /// The file's content does not fit its name.
    #[error("{path}: expected {}, found {}", one_line(expected), one_line(found))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The content the file should have.
        expected: String,
        /// The content the file has.
        found: String,
    },
    /// A tensor does not fit the model.
    #[error("{path}: tensor `{}`: expected {expected}, found {}", one_line(tensor), one_line(found))]
    Tensor {
        /// The safetensors file.
        path: PathBuf,
        /// The tensor's path in the module.
        tensor: String,
        /// The model's shape, or `no such tensor`.
        expected: String,
        /// The file's shape, or `none`.
        found: String,
    },
    /// Every checkpoint of the run is damaged.
    #[error("{path}: expected an intact checkpoint, found {count} damaged: {newest}")]
    NoneIntact {
        /// The folder of checkpoints.
        path: PathBuf,
        /// The number of checkpoints.
        count: usize,
        /// The error of the newest checkpoint.
        newest: String,
    },
}

/// A text of a file in a message: names of tensors may hold anything.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

impl CheckpointError {
    /// Turns an error of the file system into one that names the operation and its path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CheckpointError {
        let path = path.to_path_buf();
        move |cause| CheckpointError::Io { action, path, cause }
    }

    pub(crate) fn malformed(path: &Path, expected: impl ToString, found: impl ToString) -> CheckpointError {
        CheckpointError::Malformed {
            path: path.to_path_buf(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    #[test]
    fn a_chain_of_errors_states_a_cause_once() {
        let error = CheckpointError::io("write", Path::new("run"))(io::Error::other("no space"));
        assert_eq!(error.to_string(), "run: cannot write: no space");
        assert!(error.source().is_none());
    }

    #[test]
    fn a_name_with_breaks_stays_on_one_line() {
        let error = CheckpointError::malformed(Path::new("x"), "`a`", "`b\n\u{1b}[31mc`").to_string();
        assert_eq!(error, "x: expected `a`, found `b\u{fffd}\u{fffd}[31mc`");
    }
}
