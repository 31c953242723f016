//! PyTorch's files, `torch.save`'s.
//!
//! ```text
//! zip, since PyTorch 1.6:    NAME/data.pkl      a pickle that describes the tensors
//!                            NAME/data/0, 1, …  their storages: numbers, little-endian
//!                            NAME/byteorder     `little`
//! older ones, tar and plain pickles:            by the crate of Burn's own store
//! ```

use crate::pickle::{self, Described};
use crate::{CheckpointError, Weights};
use burn::tensor::{DType, TensorData};
use pytorch_reader::{DType as TorchType, PytorchReader, Tensor as TorchTensor};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use zip::ZipArchive;

/// The beginning of a zip archive.
pub(crate) const ZIP: &[u8] = b"PK\x03\x04";

/// Bytes that a pickle may have.
const LARGEST_PICKLE: u64 = 100 << 20;

/// A PyTorch file, whose tensors are read when they are asked for.
pub(crate) enum TorchFile {
    Zip {
        path: PathBuf,
        /// The folder within the archive, with the separator.
        root: String,
        tensors: BTreeMap<String, Described>,
    },
    Older(BTreeMap<String, TorchTensor>),
}

const EXPECTED: &str = "weights as PyTorch or safetensors write them";

impl TorchFile {
    /// Opens a file and reads its description.
    ///
    /// # Errors
    /// When it cannot be read, is none of PyTorch's, or describes no tensor.
    pub(crate) fn open(path: &Path, is_zip: bool) -> Result<Self, CheckpointError> {
        let malformed = |error: &dyn std::fmt::Display| CheckpointError::malformed(path, EXPECTED, error);
        if !is_zip {
            let reader = PytorchReader::new(path).map_err(|error| malformed(&error))?;
            return Ok(TorchFile::Older(reader.into_tensors().into_iter().collect()));
        }
        let mut archive = archive(path)?;
        let names = archive.file_names().filter_map(Result::ok).map(|name| name.into_owned());
        let names: Vec<String> = names.collect();
        let pickle = names.iter().find(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
        let Some(pickle) = pickle else {
            let first = names.first().map_or("nothing", String::as_str);
            return Err(malformed(&format!("a zip archive without a data.pkl, of {first} …")));
        };
        let root = pickle.strip_suffix("data.pkl").unwrap_or_default().to_string();
        if names.contains(&format!("{root}byteorder")) {
            let order = entry(&mut archive, path, &format!("{root}byteorder"), 16)?;
            if order.trim_ascii() != b"little" {
                return Err(malformed(&"numbers whose first byte is the highest"));
            }
        }
        let bytes = entry(&mut archive, path, pickle, LARGEST_PICKLE)?;
        let tensors = pickle::tensors(&bytes)
            .map_err(|expected| malformed(&format!("a pickle that lacks {expected}")))?;
        Ok(TorchFile::Zip { path: path.to_path_buf(), root, tensors })
    }

    /// The tensors' names and shapes, of the types that weights and counters have.
    pub(crate) fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        match self {
            TorchFile::Zip { tensors, .. } => {
                let numbers = tensors.iter().filter(|(_, tensor)| type_of(&tensor.kind).is_some());
                numbers.map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect()
            }
            TorchFile::Older(tensors) => {
                let numbers = tensors.iter().filter(|(_, tensor)| of_older(tensor.dtype()).is_some());
                numbers.map(|(name, tensor)| (name.clone(), tensor.shape().to_vec())).collect()
            }
        }
    }

    /// The tensors of these names, under the names beside them.
    ///
    /// # Errors
    /// When a storage is missing or too short.
    pub(crate) fn read(&self, path: &Path, names: &[(&str, &str)]) -> Result<Weights, CheckpointError> {
        let mut weights = Weights::default();
        match self {
            TorchFile::Zip { path: file, root, tensors } => {
                let mut archive = archive(file)?;
                for (name, ours) in names {
                    let Some(tensor) = tensors.get(*name) else { continue };
                    weights.insert(*ours, numbers(&mut archive, path, root, name, tensor)?);
                }
            }
            TorchFile::Older(tensors) => {
                for (name, ours) in names {
                    let Some((tensor, dtype)) =
                        tensors.get(*name).and_then(|tensor| Some((tensor, of_older(tensor.dtype())?)))
                    else {
                        continue;
                    };
                    let bytes =
                        tensor.read().map_err(|error| CheckpointError::malformed(path, EXPECTED, error))?;
                    weights.insert(*ours, TensorData::from_bytes_vec(bytes, tensor.shape().to_vec(), dtype));
                }
            }
        }
        Ok(weights)
    }
}

fn archive(path: &Path) -> Result<ZipArchive<File>, CheckpointError> {
    let file = File::open(path).map_err(CheckpointError::io("read", path))?;
    ZipArchive::new(file).map_err(|error| CheckpointError::malformed(path, EXPECTED, error))
}

/// The bytes of an entry, `most` of them at the most.
fn entry(
    archive: &mut ZipArchive<File>,
    path: &Path,
    name: &str,
    most: u64,
) -> Result<Vec<u8>, CheckpointError> {
    let malformed = |found: String| CheckpointError::malformed(path, EXPECTED, found);
    let entry = archive.by_name(name).map_err(|error| malformed(format!("{name}: {error}")))?;
    if entry.size() > most {
        return Err(malformed(format!("{name} of {} bytes, where at most {most} are taken", entry.size())));
    }
    let mut bytes = Vec::new();
    entry.take(most).read_to_end(&mut bytes).map_err(|error| malformed(format!("{name}: {error}")))?;
    Ok(bytes)
}

/// The numbers of a tensor, row after row.
fn numbers(
    archive: &mut ZipArchive<File>,
    path: &Path,
    root: &str,
    name: &str,
    tensor: &Described,
) -> Result<TensorData, CheckpointError> {
    let Described { storage, kind, offset, shape, strides } = tensor;
    let wrong = |found: String| CheckpointError::Tensor {
        path: path.to_path_buf(),
        tensor: name.to_string(),
        expected: format!("the numbers of shape {shape:?}"),
        found,
    };
    let dtype = type_of(kind).ok_or_else(|| wrong(format!("a {kind}")))?;
    let size = dtype.size();
    let entry_name = format!("{root}data/{storage}");
    let held = archive.by_name(&entry_name).map_err(|error| wrong(format!("{entry_name}: {error}")))?.size();
    // A tensor that repeats its storage is no weight, and could be of any size.
    let count = shape.iter().try_fold(1usize, |count, side| count.checked_mul(*side));
    let last = shape.iter().zip(strides).try_fold(*offset, |last, (side, stride)| {
        last.checked_add(side.saturating_sub(1).checked_mul(*stride)?)
    });
    let fits = |numbers: usize| numbers.checked_mul(size).is_some_and(|bytes| bytes as u64 <= held);
    let (Some(count), Some(last)) = (count, last) else { return Err(wrong("sizes beyond any file".into())) };
    if !fits(count) || count > 0 && !fits(last.saturating_add(1)) {
        return Err(wrong(format!("a storage of {held} bytes")));
    }
    let bytes = entry(archive, path, &entry_name, held)?;
    if count > 0 && bytes.len() < (last + 1) * size {
        return Err(wrong(format!("a storage of {} bytes", bytes.len())));
    }
    let rows = if count == 0 {
        Vec::new()
    } else if is_row_after_row(shape, strides) {
        bytes[offset * size..(offset + count) * size].to_vec()
    } else {
        let mut rows = Vec::with_capacity(count * size);
        for number in 0..count {
            let (mut left, mut at) = (number, *offset);
            for (side, stride) in shape.iter().zip(strides).rev() {
                at += left % side * stride;
                left /= side;
            }
            rows.extend_from_slice(&bytes[at * size..(at + 1) * size]);
        }
        rows
    };
    Ok(TensorData::from_bytes_vec(rows, shape.clone(), dtype))
}

fn is_row_after_row(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(strides).rev().all(|(side, stride)| {
        let fits = *side == 1 || *stride == expected;
        expected *= side;
        fits
    })
}

/// The type of a storage's numbers. A tensor of any other type is no weight.
fn type_of(kind: &str) -> Option<DType> {
    Some(match kind {
        "DoubleStorage" | "float64" => DType::F64,
        "FloatStorage" | "float32" => DType::F32,
        "HalfStorage" | "float16" => DType::F16,
        "BFloat16Storage" | "bfloat16" => DType::BF16,
        "LongStorage" | "int64" => DType::I64,
        "IntStorage" | "int32" => DType::I32,
        _ => return None,
    })
}

fn of_older(dtype: TorchType) -> Option<DType> {
    Some(match dtype {
        TorchType::F64 => DType::F64,
        TorchType::F32 => DType::F32,
        TorchType::F16 => DType::F16,
        TorchType::BF16 => DType::BF16,
        TorchType::I64 => DType::I64,
        TorchType::I32 => DType::I32,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
    }

    #[test]
    fn a_training_checkpoint_is_read_whatever_lies_beside_the_tensors() {
        let path = golden("training.pth");
        let file = TorchFile::open(&path, true).unwrap();
        let names: Vec<String> = file.shapes().into_keys().collect();
        // `golden/make.py` says what else is in the file. A tensor of complex numbers is no weight.
        let expected = [
            "optimizer.state.0.exp_avg",
            "optimizer.state.0.step",
            "state_dict.module._orig_mod.bn.num_batches_tracked",
            "state_dict.module._orig_mod.bn.weight",
            "state_dict.module._orig_mod.fc.weight",
            "state_dict_ema._orig_mod.module.bn.num_batches_tracked",
            "state_dict_ema._orig_mod.module.bn.weight",
            "state_dict_ema._orig_mod.module.fc.weight",
            "tracker.best",
        ];
        assert_eq!(names, expected);
        let names = [(expected[3], "a"), (expected[4], "b")];
        let weights = file.read(&path, &names).unwrap();
        let values = |name: &str| weights.get(name).unwrap().as_slice::<f32>().unwrap().to_vec();
        assert_eq!(values("a"), [0.0, 1.0]);
        assert_eq!(values("b"), [2.0, 5.0, 3.0, 6.0, 4.0, 7.0], "by its strides");
    }

    #[test]
    fn a_module_has_the_names_of_its_state() {
        let path = golden("module.pth");
        let file = TorchFile::open(&path, true).unwrap();
        assert_eq!(
            file.shapes().into_iter().collect::<Vec<_>>(),
            [("bn.weight".to_string(), vec![2]), ("fc.weight".to_string(), vec![3, 2])]
        );
    }

    #[test]
    fn a_storage_that_is_too_short_is_an_error() {
        let path = golden("module.pth");
        let mut archive = archive(&path).unwrap();
        let mut refused = |offset, shape: &[usize], strides: &[usize]| {
            let tensor = Described {
                storage: "0".into(),
                kind: "FloatStorage".into(),
                offset,
                shape: shape.to_vec(),
                strides: strides.to_vec(),
            };
            numbers(&mut archive, &path, "module/", "bn.weight", &tensor).is_err()
        };
        assert!(!refused(0, &[2], &[1]));
        assert!(refused(1, &[2], &[1]));
        assert!(refused(0, &[1 << 40], &[0]));
        assert!(refused(usize::MAX, &[2], &[1]));
        assert!(refused(0, &[usize::MAX, usize::MAX], &[usize::MAX, 1]));
    }
}
