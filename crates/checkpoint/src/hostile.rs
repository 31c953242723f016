//! The readers of bytes that anybody may have written, one function each, for `fuzz/` and `tests/mutations.rs`.
//! Each must answer for any bytes, with what they hold or an error, and never panic.

use crate::tensors::TensorFile;
use crate::{CheckpointError, store, weights};
use std::io::Cursor;
use std::path::Path;

/// Bytes of numbers that are read of a file.
const MOST: usize = 64 << 20;

/// Reads a file of PyTorch's, its description and then its tensors as a model of their shapes would; their bytes.
///
/// # Errors
/// When it is no whole one.
pub fn torch(bytes: &[u8]) -> Result<usize, CheckpointError> {
    tensors(bytes, false, Path::new("x.pth"))
}

/// Reads a safetensors file, its header and then its tensors as a model of their shapes would, and the step that
/// it states; their bytes.
///
/// # Errors
/// When it is no whole one.
pub fn safetensors(bytes: &[u8]) -> Result<usize, CheckpointError> {
    let path = Path::new("x.safetensors");
    weights::stated_step(&mut Cursor::new(bytes), path)?;
    tensors(bytes, true, path)
}

/// Reads a checkpoint's list of files; how many there are.
///
/// # Errors
/// When it is none.
pub fn manifest(bytes: &[u8]) -> Result<usize, CheckpointError> {
    store::listed(bytes, Path::new("manifest.json"))
}

fn tensors(bytes: &[u8], named: bool, path: &Path) -> Result<usize, CheckpointError> {
    let file = TensorFile::read_description(Box::new(Cursor::new(bytes.to_vec())), named, path)?;
    let (mut left, mut names) = (MOST, Vec::new());
    for (name, tensor) in file.tensors() {
        let size = tensor.shape.iter().try_fold(tensor.dtype.size(), |size, side| size.checked_mul(*side));
        // Sizes beyond any file are refused without a look at the storage.
        let size = size.unwrap_or(0);
        if size <= left {
            left -= size;
            names.push(name.as_str());
        }
    }
    let mut read = 0;
    file.read(&names, path, &mut |_, data| {
        read += data.as_bytes().len();
        Ok(())
    })?;
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Reader = fn(&[u8]) -> Result<usize, CheckpointError>;

    #[test]
    fn the_corpus_of_fuzzing_is_answered() {
        let readers: [(&str, Reader); 3] =
            [("torch", torch), ("safetensors", safetensors), ("manifest", manifest)];
        for (name, read) in readers {
            let folder = format!("{}/../../fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
            let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            for path in files {
                let found = read(&std::fs::read(&path).unwrap());
                assert!(found.as_ref().is_ok_and(|found| *found > 0), "{}: {found:?}", path.display());
            }
        }
    }
}
