//! PyTorch's files, `torch.save`'s.
//!
//! ```text
//! zip, since PyTorch 1.6:    NAME/data.pkl      a pickle that describes the tensors
//!                            NAME/data/0, 1, …  their storages: numbers, little-endian
//!                            NAME/byteorder     `little`
//! older ones:                see `older`
//! ```

mod older;

pub(crate) use older::read as read_older;

use crate::CheckpointError;
use crate::pickle::{self, Described};
use crate::tensors::{EXPECTED, Located, Source, Storages, entry_of};
use burn::tensor::DType;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use zip::ZipArchive;

/// Bytes that a pickle may have.
const LARGEST_PICKLE: u64 = 100 << 20;

/// The tensors that a zip describes, and its storages.
///
/// # Errors
/// When it is no whole zip, or none of PyTorch's.
pub(crate) fn read_zip(
    source: Box<dyn Source>,
    path: &Path,
) -> Result<(BTreeMap<String, Located>, Storages), CheckpointError> {
    let malformed = |error: &dyn std::fmt::Display| CheckpointError::malformed(path, EXPECTED, error);
    let mut archive = ZipArchive::new(source).map_err(|error| malformed(&error))?;
    let names = archive.file_names().filter_map(Result::ok).map(|name| name.into_owned());
    let names: Vec<String> = names.collect();
    let pickle = names.iter().find(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
    let Some(pickle) = pickle else {
        let first = names.first().map_or("nothing", String::as_str);
        return Err(malformed(&format!("a zip archive without a data.pkl, of {first} …")));
    };
    let root = pickle.strip_suffix("data.pkl").unwrap_or_default().to_string();
    if names.contains(&format!("{root}byteorder")) {
        let order =
            entry(&mut archive, &format!("{root}byteorder"), 16).map_err(|found| malformed(&found))?;
        if order.trim_ascii() != b"little" {
            return Err(malformed(&BIG_ENDIAN));
        }
    }
    let bytes = entry(&mut archive, pickle, LARGEST_PICKLE).map_err(|found| malformed(&found))?;
    let described = pickle::run(&bytes, &BTreeMap::new()).and_then(|(pickle, _)| pickle.tensors());
    let described = described.map_err(|expected| malformed(&format!("a pickle that lacks {expected}")))?;
    Ok((located(described), Storages::Zip { archive, root }))
}

const BIG_ENDIAN: &str = "numbers whose first byte is the highest";

/// The bytes of an entry, `most` of them at the most.
///
/// # Errors
/// In words, when there is no such entry, or it is larger or damaged.
fn entry(archive: &mut ZipArchive<Box<dyn Source>>, name: &str, most: u64) -> Result<Vec<u8>, String> {
    let (entry, size) = entry_of(archive, name)?;
    if size > most {
        return Err(format!("{name} of {size} bytes, where at most {most} are taken"));
    }
    let mut bytes = Vec::new();
    // One more than it may have, so that its checksum is compared at its end.
    entry.take(most + 1).read_to_end(&mut bytes).map_err(|error| format!("{name}: {error}"))?;
    if bytes.len() as u64 != size {
        return Err(format!("{name} of {} bytes, where the archive says {size}", bytes.len()));
    }
    Ok(bytes)
}

/// The tensors of the types that weights and counters have.
fn located(described: BTreeMap<String, Described>) -> BTreeMap<String, Located> {
    let located = described.into_iter().filter_map(|(name, tensor)| {
        let Described { storage, kind, offset, shape, strides } = tensor;
        Some((name, Located { storage, dtype: type_of(&kind)?, offset, shape, strides }))
    });
    located.collect()
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

#[cfg(test)]
mod tests {
    use crate::tensors::TensorFile;
    use burn::tensor::TensorData;
    use std::collections::BTreeMap;
    use std::io::Cursor;
    use std::path::{Path, PathBuf};

    fn golden(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
    }

    fn shapes(file: &TensorFile) -> Vec<(String, Vec<usize>)> {
        file.tensors().iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect()
    }

    /// The numbers of tensors.
    fn read(file: &TensorFile, names: &[&str]) -> Result<BTreeMap<String, Vec<f32>>, String> {
        let mut read = BTreeMap::new();
        let mut take = |number: usize, data: TensorData| {
            read.insert(names[number].to_string(), data.convert::<f32>().as_slice::<f32>().unwrap().to_vec());
            Ok(())
        };
        file.read(names, Path::new("x"), &mut take).map_err(|error| error.to_string())?;
        Ok(read)
    }

    // `golden/make.py` says what else is in the file. A tensor of complex numbers is no weight.
    const TRAINING: [&str; 9] = [
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

    #[test]
    fn a_training_checkpoint_is_read_whatever_lies_beside_the_tensors() {
        for name in ["training.pth", "stored.pth", "stream.pth"] {
            let file = TensorFile::open(&golden(name)).unwrap();
            let names: Vec<&str> = file.tensors().keys().map(String::as_str).collect();
            assert_eq!(names, TRAINING, "{name}");
            let read = read(&file, &TRAINING).unwrap();
            assert_eq!(read[TRAINING[0]], [0.5, 0.25]);
            assert_eq!(read[TRAINING[2]], [7.0]);
            assert_eq!(read[TRAINING[3]], [0.0, 1.0]);
            assert_eq!(read[TRAINING[4]], [2.0, 5.0, 3.0, 6.0, 4.0, 7.0], "by its strides");
            assert_eq!(read[TRAINING[8]], [9.0]);
        }
    }

    #[test]
    fn the_oldest_files_are_tars() {
        let file = TensorFile::open(&golden("tar.pth")).unwrap();
        let names = ["bn.num_batches_tracked", "bn.weight", "fc.weight"];
        assert_eq!(file.tensors().keys().collect::<Vec<_>>(), names);
        let read = read(&file, &names).unwrap();
        assert_eq!(read[names[0]], [7.0]);
        assert_eq!(read[names[1]], [0.0, 1.0]);
        assert_eq!(read[names[2]], [2.0, 5.0, 3.0, 6.0, 4.0, 7.0]);
        // A tar with holes, which would be filled with any number of zeros.
        let whole = std::fs::read(golden("tar.pth")).unwrap();
        let storages = whole.windows(9).position(|name| name == b"storages\0").unwrap();
        let mut holes = whole.clone();
        holes[storages + 156] = b'S';
        let error = TensorFile::read_description(Box::new(Cursor::new(holes)), false, Path::new("x"));
        let error = error.map(drop).unwrap_err().to_string();
        assert!(error.ends_with("found \"storages\" in a tar, an entry of the kind 'S'"), "{error}");
    }

    #[test]
    fn a_module_has_the_names_of_its_state() {
        let file = TensorFile::open(&golden("module.pth")).unwrap();
        assert_eq!(
            shapes(&file),
            [("bn.weight".to_string(), vec![2]), ("fc.weight".to_string(), vec![3, 2])]
        );
    }

    #[test]
    fn a_damaged_storage_is_an_error() {
        let whole = std::fs::read(golden("stored.pth")).unwrap();
        let number = whole.windows(4).position(|bytes| bytes == 13f32.to_le_bytes()).unwrap();
        let mut damaged = whole.clone();
        damaged[number + 1] ^= 0x10;
        let open = |bytes: &[u8]| {
            TensorFile::read_description(Box::new(Cursor::new(bytes.to_vec())), false, Path::new("x"))
                .unwrap()
        };
        assert_eq!(read(&open(&whole), &[TRAINING[7]]).unwrap()[TRAINING[7]][2], 13.0);
        let error = read(&open(&damaged), &[TRAINING[7]]).unwrap_err();
        let expected = format!("x: tensor `{}`: expected the numbers of shape [3, 2], found", TRAINING[7]);
        assert!(error.starts_with(&expected) && error.contains("checksum"), "{error}");
    }
}
