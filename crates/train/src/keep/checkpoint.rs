//! The files of a checkpoint, as they are written and as they are read back.

use super::State;
use crate::TrainError;
use bonfire_checkpoint::{Files, Weights};
use burn::optim::ModuleOptimizer;
use burn_pack::{Reader, Writer};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};

pub(crate) const STATE: &str = "state.json";
/// The file of a checkpoint that holds the model's weights.
pub const WEIGHTS: &str = "weights.safetensors";
pub(crate) const OPTIMIZER: &str = "optimizer.bpk";
pub(crate) const AVERAGE: &str = "average.safetensors";
pub(crate) const GRADIENT: &str = "gradient.safetensors";

/// A checkpoint that was read, to continue from.
pub(crate) struct Checkpoint {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) files: Files,
    /// A line for each newer checkpoint that is damaged.
    pub(crate) warnings: Vec<String>,
}

impl Checkpoint {
    /// The state of training.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub(crate) fn state(&self) -> Result<State, TrainError> {
        let bytes = self.files.get(STATE).ok_or_else(|| self.unfit(STATE, "no such file"))?;
        serde_json::from_slice(bytes).map_err(|error| self.unfit("a training state in state.json", error))
    }

    /// The tensors of a file, where there is such a file.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn weights(&self, file: &str) -> Result<Option<Weights>, TrainError> {
        let Some(bytes) = self.files.get(file) else { return Ok(None) };
        Ok(Some(Weights::from_safetensors(bytes, &self.path.join(file))?))
    }

    /// The optimizer's file.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn optimizer(&self) -> Result<Vec<u8>, TrainError> {
        self.files.get(OPTIMIZER).cloned().ok_or_else(|| self.unfit(OPTIMIZER, "no such file"))
    }

    /// The error that this checkpoint does not fit the run.
    pub(crate) fn unfit(&self, expected: &str, found: impl ToString) -> TrainError {
        let (name, expected) = (self.path.display().to_string(), expected.to_string());
        TrainError::Resume { name, expected, found: found.to_string() }
    }
}

/// The tensors of a checkpoint, on the host.
pub(crate) struct Tensors<'a> {
    pub(crate) weights: Weights,
    pub(crate) average: Option<Weights>,
    pub(crate) gradient: Option<Weights>,
    pub(crate) optimizer: &'a ModuleOptimizer,
}

impl Tensors<'_> {
    /// The files of a checkpoint in `folder`.
    ///
    /// # Errors
    /// When a file's content cannot be made.
    pub(crate) fn files(&self, state: &State, folder: &Path) -> Result<Files, TrainError> {
        let mut files = Files::new();
        let weights = [
            (WEIGHTS, Some(&self.weights)),
            (AVERAGE, self.average.as_ref()),
            (GRADIENT, self.gradient.as_ref()),
        ];
        for (name, weights) in weights {
            if let Some(weights) = weights {
                files.insert(name.into(), weights.to_safetensors(&folder.join(name))?);
            }
        }
        files.insert(OPTIMIZER.into(), optimizer_file(self.optimizer, &folder.join(OPTIMIZER))?);
        let state = serde_json::to_vec_pretty(state).expect("a state is plain numbers and strings");
        files.insert(STATE.into(), state);
        Ok(files)
    }
}

/// Burn's optimizer file with its tensors in the order of their names. Burn writes them in the order of a
/// hash map, and the same state shall give the same file.
fn optimizer_file(optimizer: &ModuleOptimizer, path: &Path) -> Result<Vec<u8>, TrainError> {
    let unwritable = |error: &dyn Display| TrainError::Resume {
        name: path.display().to_string(),
        expected: "optimizer state that can be written".into(),
        found: error.to_string(),
    };
    let bytes = optimizer.into_bytes().map_err(|error| unwritable(&error))?;
    let sorted = || -> Result<Vec<u8>, burn_pack::Error> {
        let reader = Reader::from_bytes(bytes)?;
        let (scalars, paths) = (reader.scalars().clone(), reader.metadata().clone());
        let mut tensors = BTreeMap::new();
        for tensor in reader.into_tensors()? {
            let (name, dtype, shape, id, bytes) = tensor.into_parts()?;
            tensors.insert(name.clone(), burn_pack::Tensor::new(name, dtype, shape, id, bytes));
        }
        let mut writer = Writer::new(tensors.into_values().collect());
        for (name, value) in scalars {
            writer = writer.with_scalar(&name, value);
        }
        for (id, path) in paths {
            writer = writer.with_metadata(&id, &path);
        }
        Ok(writer.into_bytes()?.to_vec())
    };
    sorted().map_err(|error| unwritable(&error))
}
