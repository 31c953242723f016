//! Local copies of the shards that had to be unpacked.

use crate::DataError;
use crate::index::Index;
use crate::source::packing::{self, Compression};
use crate::source::{Object, Writer, cache, is_of_transfer, one_line};
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// The places of the unpacked copies of a set's packed shards.
#[derive(Debug, Default)]
pub(crate) struct Unpacked {
    /// The lock of a shard is held while it is unpacked, so that it is once.
    copies: Mutex<HashMap<usize, Arc<Mutex<Option<Object>>>>>,
}

impl Unpacked {
    /// The file that a shard's index has places in: the shard, or its unpacked copy.
    ///
    /// # Errors
    /// When the shard cannot be unpacked, or the local cache not be written to.
    pub(crate) fn object(&self, index: &Index, shard: usize) -> Result<Object, DataError> {
        let object = index.object(shard);
        let indexed = index.indexed(shard);
        if indexed.compression == Compression::None {
            return Ok(object.clone());
        }
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = copies.entry(shard).or_default().clone();
        drop(copies);
        let mut unpacked = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(unpacked) = &*unpacked {
            return Ok(unpacked.clone());
        }
        let version = format!("{} {} {}", object.uri(), indexed.stat.size, indexed.stat.version);
        let path = cache::path("unpacked", &version, &format!("{}.unpacked", indexed.name));
        let path = path.display().to_string();
        let copy = match Object::open(&path) {
            Ok(copy) => copy,
            Err(_) => unpack(object, &path)?,
        };
        Ok(unpacked.insert(copy).clone())
    }
}

/// Unpacks a shard to a local file, which appears whole.
fn unpack(object: &Object, path: &str) -> Result<Object, DataError> {
    let copy = Object::create(path)?;
    let mut writer = Writer::new(copy.clone());
    let refused = |error: io::Error| {
        let (place, expected) = ("packed stream", "one that unpacks to a local file");
        match is_of_transfer(&error) {
            true => DataError::unreachable(format!("{}, {place}", object.uri()), expected, one_line(error)),
            false => DataError::malformed(object.uri(), place, expected, one_line(error)),
        }
    };
    let (_, mut unpacked) = packing::open(object)?;
    io::copy(&mut unpacked, &mut writer).map_err(refused)?;
    writer.finish()?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn damage_is_told_from_a_place_that_cannot_be_reached() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let packed = zstd::encode_all(&b"what was packed".repeat(100)[..], 1).unwrap();
        let unpacked = |packed: &[u8], to: &str| {
            fs::write(path("x.zst"), packed).unwrap();
            unpack(&Object::open(&path("x.zst")).unwrap(), &path(to)).map(drop)
        };
        unpacked(&packed, "whole").unwrap();
        let damage = unpacked(&packed[..packed.len() / 2], "half").unwrap_err();
        assert!(!damage.is_unreachable(), "{damage}");
        let refused = unpacked(&packed, "x.zst/below").unwrap_err();
        assert!(refused.is_unreachable(), "{refused}");
        assert!(is_of_transfer(&io::Error::from_raw_os_error(5)));
    }
}
