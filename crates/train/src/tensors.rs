//! The tensors of a checkpoint, and the files that hold them.

use crate::TrainError;
use bonfire_checkpoint::{Files, Weights};
use burn::optim::ModuleOptimizer;
use burn_pack::{Reader, Writer};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::hash::{DefaultHasher, Hasher};
use std::path::Path;

pub(crate) const STATE: &str = "state.json";
pub(crate) const WEIGHTS: &str = "weights.safetensors";
pub(crate) const OPTIMIZER: &str = "optimizer.bpk";
pub(crate) const AVERAGE: &str = "average.safetensors";
pub(crate) const GRADIENT: &str = "gradient.safetensors";

/// Tells files apart.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// The tensors of a checkpoint, on the host.
pub(crate) struct Tensors<'a> {
    pub(crate) weights: Weights,
    pub(crate) average: Option<Weights>,
    pub(crate) gradient: Option<Weights>,
    pub(crate) optimizer: &'a ModuleOptimizer,
}

impl Tensors<'_> {
    /// The files of a checkpoint in `folder`, but for its state.
    pub(crate) fn files(&self, folder: &Path) -> Result<Files, TrainError> {
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
        Ok(files)
    }
}

/// Burn's optimizer file with its tensors in the order of their names: Burn writes them in that of a
/// hash map, and the same state shall be the same file.
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
