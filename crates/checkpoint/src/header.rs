//! The header of a safetensors file.
//!
//! ```text
//! [header length: u64 le] [header: JSON of types, shapes and places] [numbers]
//! ```

use crate::CheckpointError;
use crate::tensors::{Located, Source, Storages};
use crate::weights::to_burn_type;
use safetensors::tensor::Metadata;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, SeekFrom};
use std::path::Path;

/// Bytes of the longest header, as safetensors has it.
pub(crate) const LONGEST_HEADER: u64 = 100_000_000;

/// The header's JSON; the rest of the file is not read.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn json(file: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let mut header = Vec::new();
    file.take(u64::from_le_bytes(length).min(LONGEST_HEADER)).read_to_end(&mut header)?;
    Ok(header)
}

/// The tensors that a file of `size` bytes describes, and where they lie. Every byte behind the header belongs to
/// one tensor.
///
/// # Errors
/// When it is no whole safetensors file, or has numbers of a type that Burn lacks.
pub(crate) fn read(
    mut source: Box<dyn Source>,
    size: u64,
    path: &Path,
) -> Result<(BTreeMap<String, Located>, Storages), CheckpointError> {
    let malformed =
        |found: &dyn std::fmt::Display| CheckpointError::malformed(path, "a safetensors file", found);
    let mut length = [0; 8];
    if size < 8 {
        return Err(malformed(&format!("{size} bytes")));
    }
    source.read_exact(&mut length).map_err(CheckpointError::io("read", path))?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST_HEADER || length > size - 8 {
        return Err(malformed(&format!("a header of {length} bytes in a file of {size}")));
    }
    source.seek(SeekFrom::Start(0)).map_err(CheckpointError::io("read", path))?;
    let header = json(&mut source).map_err(CheckpointError::io("read", path))?;
    // Reading it also checks that the tensors lie one behind the other, and are as large as their shapes.
    let metadata: Metadata = serde_json::from_slice(&header).map_err(|error| malformed(&error))?;
    drop(header);
    let (start, described) = (8 + length, metadata.data_len() as u64);
    if described != size - start {
        return Err(malformed(&format!(
            "{} bytes of numbers, where its header has {described}",
            size - start
        )));
    }
    let (mut tensors, mut places) = (BTreeMap::new(), HashMap::new());
    for (name, info) in metadata.tensors() {
        let dtype = to_burn_type(info.dtype).ok_or_else(|| CheckpointError::Tensor {
            path: path.to_path_buf(),
            tensor: name.clone(),
            expected: "numbers of a plain type".into(),
            found: format!("{:?}", info.dtype),
        })?;
        let (from, to) = info.data_offsets;
        let shape = info.shape.clone();
        places.insert(name.clone(), (start + from as u64, (to - from) as u64));
        let mut strides = vec![1usize; shape.len()];
        for axis in (1..shape.len()).rev() {
            // A tensor without numbers may have any sides beside the one of 0.
            strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
        }
        let storage = name.clone();
        tensors.insert(name, Located { storage, dtype, offset: 0, shape, strides });
    }
    Ok((tensors, Storages::Places { file: source, places }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// The answer to a file with this header and so many bytes of numbers.
    fn said(header: &str, numbers: usize) -> String {
        let length = (header.len() as u64).to_le_bytes();
        said_of([&length[..], header.as_bytes(), &vec![0; numbers]].concat())
    }

    fn said_of(bytes: Vec<u8>) -> String {
        let (size, path) = (bytes.len() as u64, Path::new("x"));
        match read(Box::new(Cursor::new(bytes)), size, path) {
            Ok((tensors, _)) => format!("{} tensors", tensors.len()),
            Err(error) => error.to_string(),
        }
    }

    fn tensor(name: &str, shape: &str, from: u64, to: u64) -> String {
        format!("\"{name}\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[{from},{to}]}}")
    }

    #[test]
    fn tensors_that_are_not_in_the_file_are_errors() {
        let (a, b) = (tensor("a", "[2]", 0, 8), tensor("b", "[1]", 8, 12));
        let both = format!("{{{a},{b}}}");
        assert_eq!(said(&both, 12), "2 tensors");
        assert_eq!(
            said(&both, 11),
            "x: expected a safetensors file, found 11 bytes of numbers, where its header has 12"
        );
        for strange in [
            // Overlapping, with a gap, beyond the end, backwards, of other sizes than their shapes.
            format!("{{{a},{}}}", tensor("b", "[1]", 4, 8)),
            format!("{{{a},{}}}", tensor("b", "[0]", 12, 12)),
            format!("{{{}}}", tensor("a", "[4]", 0, 16)),
            format!("{{{}}}", tensor("a", "[3]", 12, 0)),
            format!("{{{}}}", tensor("a", "[1]", 0, 12)),
            format!("{{{}}}", tensor("a", "[4611686018427387904,4]", 0, 12)),
            format!("{{{}}}", tensor("a", "[18446744073709551615]", 0, 12)),
            format!("{{{}}}", tensor("a", "[-3]", 0, 12)),
            "[1]".into(),
        ] {
            let said = said(&strange, 12);
            assert!(said.starts_with("x: expected a safetensors file, found "), "{strange}: {said}");
        }
        assert_eq!(said_of(vec![0; 7]), "x: expected a safetensors file, found 7 bytes");
        assert_eq!(
            said_of([&u64::MAX.to_le_bytes()[..], b"{}"].concat()),
            "x: expected a safetensors file, found a header of 18446744073709551615 bytes in a file of 10"
        );
    }
}
