//! Weights that other libraries have written: torchvision's and timm's, as PyTorch's own files or
//! safetensors.
//!
//! ```text
//! .pth .pt .bin      a pickle in a zip, or the older formats, by the crate of Burn's own store
//! .safetensors       [header length: u64 le] [header: JSON] [numbers]
//! ```
//!
//! A file's tensors are matched with the module's by name. A list of [`Key`]s gives each tensor's name on
//! both sides and tells whether its rows and columns change places.

use crate::{CheckpointError, Weights};
use burn::tensor::{DType, TensorData};
use pytorch_reader::{DType as TorchType, PytorchReader};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A tensor's name in the module and in another library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The tensor's path in the module, `stages.0.1.convolutions.0.norm.gamma`.
    pub path: String,
    /// The tensor's name in the other library, `layer1.1.bn1.weight`.
    pub name: String,
    /// The tensor's shape in the other library.
    pub shape: Vec<usize>,
    /// True if the other library keeps the transpose of the module's matrix.
    pub transposed: bool,
}

/// A tensor of a published file that was left out because its shape is not the model's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The tensor's name in the file.
    pub name: String,
    /// The tensor's shape in the model.
    pub expected: Vec<usize>,
    /// The tensor's shape in the file.
    pub found: Vec<usize>,
}

/// Prefixes that training scripts put before the names of all of a model's tensors.
const WRAPPERS: [&str; 5] = ["state_dict.", "model_state_dict.", "model.", "module.", "weights."];

/// Counters of batch normalisation, which only PyTorch keeps.
const COUNTER: &str = "num_batches_tracked";

impl Weights {
    /// The tensors of a file under the names it gives them, without a prefix that all of them share with a
    /// training script's wrapper.
    ///
    /// # Errors
    /// When the file cannot be read, or is neither safetensors nor PyTorch's.
    pub fn published(path: &Path) -> Result<Self, CheckpointError> {
        let is_safetensors = path.extension().is_some_and(|ending| ending == "safetensors");
        let mut weights = if is_safetensors {
            let bytes = fs::read(path).map_err(CheckpointError::io("read", path))?;
            Weights::from_safetensors(&bytes, path)?
        } else {
            of_pytorch(path)?
        };
        while let Some(wrapper) = WRAPPERS.into_iter().find(|wrapper| {
            let mut names = weights.iter().map(|(name, _)| name).peekable();
            names.peek().is_some() && names.all(|name| name.starts_with(wrapper))
        }) {
            weights = weights.renamed(|name| name[wrapper.len()..].to_string());
        }
        Ok(weights)
    }

    /// The same tensors under the names that `rename` gives.
    fn renamed(self, rename: impl Fn(&str) -> String) -> Self {
        let mut renamed = Weights::default();
        for (name, data) in self.iter() {
            renamed.insert(rename(name), data.clone());
        }
        renamed
    }

    /// Published weights under the module's own paths, in single precision. A tensor below the module's path
    /// `head` whose shape in the file is not the model's is taken from `own`, the module's weights, and
    /// returned as [`Replaced`]. `path` names the file in errors.
    ///
    /// # Errors
    /// When a tensor is missing, unknown to `keys`, or of another shape; also when `own` lacks a tensor of
    /// the head.
    pub fn translated(
        &self,
        keys: &[Key],
        own: &Weights,
        head: &str,
        path: &Path,
    ) -> Result<(Self, Vec<Replaced>), CheckpointError> {
        let wrong = |tensor: &str, expected: String, found: String| CheckpointError::Tensor {
            path: path.to_path_buf(),
            tensor: tensor.to_string(),
            expected,
            found,
        };
        let (mut weights, mut replaced) = (Weights::default(), Vec::new());
        let mut left: BTreeMap<&str, &TensorData> =
            self.iter().filter(|(name, _)| !name.ends_with(COUNTER)).collect();
        for key in keys {
            let shape = || format!("shape {:?}", key.shape);
            let Some(data) = left.remove(key.name.as_str()) else {
                return Err(wrong(&key.name, shape(), "none".into()));
            };
            if data.shape().as_slice() == key.shape {
                let data = data.clone().convert::<f32>();
                weights.insert(&key.path, if key.transposed { transposed(&data, path)? } else { data });
                continue;
            }
            let found = data.shape().to_vec();
            let in_head = key.path.strip_prefix(head).is_some_and(|rest| rest.starts_with('.'));
            let Some(own) = own.get(&key.path).filter(|_| in_head) else {
                return Err(wrong(&key.name, shape(), format!("shape {found:?}")));
            };
            weights.insert(&key.path, own.clone());
            replaced.push(Replaced { name: key.name.clone(), expected: key.shape.clone(), found });
        }
        match left.pop_first() {
            None => Ok((weights, replaced)),
            Some((name, data)) => {
                let found = format!("one of shape {:?}", data.shape().as_slice());
                Err(wrong(name, "no such tensor in the model".into(), found))
            }
        }
    }

    /// A module's weights under the names of another library. `path` names the file in errors.
    ///
    /// # Errors
    /// When a tensor of `keys` is missing.
    pub fn for_publication(&self, keys: &[Key], path: &Path) -> Result<Self, CheckpointError> {
        let mut weights = Weights::default();
        for key in keys {
            let data = self.get(&key.path).ok_or_else(|| CheckpointError::Tensor {
                path: path.to_path_buf(),
                tensor: key.path.clone(),
                expected: format!("shape {:?}", key.shape),
                found: "none".into(),
            })?;
            weights.insert(&key.name, if key.transposed { transposed(data, path)? } else { data.clone() });
        }
        Ok(weights)
    }
}

/// The transpose of a matrix of single precision.
fn transposed(data: &TensorData, path: &Path) -> Result<TensorData, CheckpointError> {
    let values = data.as_slice::<f32>().map_err(|error| {
        CheckpointError::malformed(path, "numbers of single precision", format!("{error:?}"))
    })?;
    let [rows, columns] = data.shape().as_slice() else {
        return Err(CheckpointError::malformed(path, "a matrix", format!("shape {:?}", data.shape())));
    };
    let turned: Vec<f32> =
        (0..*columns).flat_map(|column| (0..*rows).map(move |row| values[row * columns + column])).collect();
    Ok(TensorData::new(turned, [*columns, *rows]))
}

fn of_pytorch(path: &Path) -> Result<Weights, CheckpointError> {
    // Opened first, so that a missing file is not reported as a malformed one.
    fs::File::open(path).map_err(CheckpointError::io("read", path))?;
    let expected = "weights as PyTorch or safetensors write them";
    let reader =
        PytorchReader::new(path).map_err(|error| CheckpointError::malformed(path, expected, error))?;
    let mut weights = Weights::default();
    for (name, tensor) in reader.into_tensors() {
        let dtype = match tensor.dtype() {
            TorchType::F64 => DType::F64,
            TorchType::F32 => DType::F32,
            TorchType::F16 => DType::F16,
            TorchType::BF16 => DType::BF16,
            TorchType::I64 => DType::I64,
            TorchType::I32 => DType::I32,
            // A tensor of any other type is no weight.
            _ => continue,
        };
        let shape = tensor.shape().to_vec();
        let bytes = tensor.read().map_err(|error| CheckpointError::malformed(path, expected, error))?;
        weights.insert(name, TensorData::from_bytes_vec(bytes, shape, dtype));
    }
    match weights.iter().count() {
        0 => Err(CheckpointError::malformed(path, expected, "no tensor")),
        _ => Ok(weights),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str, name: &str, shape: &[usize], transposed: bool) -> Key {
        Key { path: path.into(), name: name.into(), shape: shape.to_vec(), transposed }
    }

    fn data(shape: &[usize]) -> TensorData {
        let values: Vec<f32> = (0..shape.iter().product()).map(|at: usize| at as f32).collect();
        TensorData::new(values, shape.to_vec())
    }

    fn keys() -> Vec<Key> {
        vec![key("stem.gamma", "bn.weight", &[2], false), key("head.weight", "fc.weight", &[3, 2], true)]
    }

    fn file(names: &[(&str, &[usize])]) -> Weights {
        let mut weights = Weights::default();
        for (name, shape) in names {
            weights.insert(*name, data(shape));
        }
        weights
    }

    #[test]
    fn names_and_rows_change_and_change_back() {
        let (path, own) = (Path::new("x.pth"), Weights::default());
        let theirs = file(&[("bn.weight", &[2]), ("fc.weight", &[3, 2]), ("bn.num_batches_tracked", &[1])]);
        let (ours, replaced) = theirs.translated(&keys(), &own, "head", path).unwrap();
        assert!(replaced.is_empty());
        let head = ours.get("head.weight").unwrap();
        assert_eq!(head.shape().as_slice(), [2, 3]);
        assert_eq!(head.as_slice::<f32>().unwrap(), [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
        let back = ours.for_publication(&keys(), path).unwrap();
        assert_eq!(back.get("fc.weight"), theirs.get("fc.weight"));
        assert_eq!(back.iter().count(), 2);
    }

    #[test]
    fn a_head_of_another_size_is_replaced_and_nothing_else() {
        let path = Path::new("x.pth");
        let mut own = Weights::default();
        own.insert("head.weight", data(&[2, 3]));
        let other = file(&[("bn.weight", &[2]), ("fc.weight", &[7, 2])]);
        let (weights, replaced) = other.translated(&keys(), &own, "head", path).unwrap();
        assert_eq!(weights.get("head.weight"), own.get("head.weight"));
        let expected = Replaced { name: "fc.weight".into(), expected: vec![3, 2], found: vec![7, 2] };
        assert_eq!(replaced, [expected]);
        let message = |weights: Weights| {
            weights.translated(&keys(), &own, "head", path).map(drop).unwrap_err().to_string()
        };
        let misshaped = message(file(&[("bn.weight", &[5]), ("fc.weight", &[3, 2])]));
        assert!(misshaped.contains("bn.weight") && misshaped.contains("[2]") && misshaped.contains("[5]"));
        assert!(message(file(&[("bn.weight", &[2])])).contains("fc.weight"));
        let extra = message(file(&[("bn.weight", &[2]), ("fc.weight", &[3, 2]), ("fc.bias", &[3])]));
        assert!(extra.contains("fc.bias") && extra.contains("no such tensor in the model"), "{extra}");
    }

    #[test]
    fn wrappers_are_taken_off_and_strange_files_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let wrapped = file(&[("state_dict.module.a.b", &[2]), ("state_dict.module.c", &[1])]);
        fs::write(&path, wrapped.to_safetensors(&path).unwrap()).unwrap();
        let names: Vec<String> =
            Weights::published(&path).unwrap().iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["a.b", "c"]);
        let strange = folder.path().join("x.pth");
        fs::write(&strange, b"just some text").unwrap();
        let error = Weights::published(&strange).unwrap_err().to_string();
        assert!(error.contains("x.pth") && error.contains("PyTorch"), "{error}");
        assert!(Weights::published(&folder.path().join("none.pth")).is_err());
    }
}
