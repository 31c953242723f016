//! Errors of runs: the place, the expected and the found.

use bonfire_checkpoint::CheckpointError;
use bonfire_contract::LoadError;
use bonfire_datasets::DataError;
use bonfire_device::DeviceError;
use bonfire_recipe::RecipeError;
use bonfire_train::TrainError;
use std::error::Error;
use std::path::Path;

/// An error of a run: of beginning it, going on with it, or asking it. Its message is one line.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The recipe.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A batch of the data.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A file of the run folder, or weights from elsewhere.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Training or evaluation.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// Something else than was expected of a run or a file.
    #[error("{place}: expected {expected}, found {found}")]
    Unexpected {
        /// The run folder or file.
        place: String,
        /// The thing that should have been there.
        expected: String,
        /// The thing that was there.
        found: String,
    },
    /// An argument out of its bounds, or none where one is needed.
    #[error("{field}: expected {expected}, found {found}")]
    Argument {
        /// The field or parameter.
        field: &'static str,
        /// The values that it may have.
        expected: String,
        /// The value that it had.
        found: String,
    },
    /// The file system refused.
    #[error("{path}: {cause}")]
    Io {
        /// The file or folder.
        path: String,
        /// The system's refusal. A part of the message, so no `source()`, which a chain of errors would print
        /// a second time.
        cause: std::io::Error,
    },
    /// An error that every rank of a job ends with, for rank 0 to tell.
    #[error(transparent)]
    OfAll(Box<RunError>),
}

impl RunError {
    /// [`RunError::Unexpected`] from anything that prints.
    pub(crate) fn unexpected(place: impl ToString, expected: impl ToString, found: impl ToString) -> Self {
        RunError::Unexpected {
            place: place.to_string(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    /// [`RunError::Argument`] from anything that prints.
    pub(crate) fn argument(field: &'static str, expected: impl ToString, found: impl ToString) -> Self {
        RunError::Argument { field, expected: expected.to_string(), found: found.to_string() }
    }

    /// An error of the file system on `path`.
    pub(crate) fn io(path: &Path) -> impl Fn(std::io::Error) -> Self + use<> {
        let path = path.display().to_string();
        move |cause| RunError::Io { path: path.clone(), cause }
    }

    /// True where every rank of the job ends with this error.
    pub fn is_known_to_all(&self) -> bool {
        matches!(self, RunError::OfAll(_))
    }

    /// The error and its causes, joined by colons.
    pub(crate) fn line(&self) -> String {
        let (mut line, mut cause) = (self.to_string(), self.source());
        while let Some(error) = cause {
            line += &format!(": {error}");
            cause = error.source();
        }
        line
    }
}
