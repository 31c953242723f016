//! Local copies of the shards that had to be unpacked or decoded.

use crate::DataError;
use crate::index::Index;
use crate::records::{Content, Decoding};
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
        let (indexed, layout) = (index.indexed(shard), index.layout());
        let (packed, content) = (indexed.compression != Compression::None, layout.format().content());
        if !packed && content.is_none() {
            return Ok(object.clone());
        }
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = copies.entry(shard).or_default().clone();
        drop(copies);
        let mut unpacked = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(unpacked) = &*unpacked {
            return Ok(unpacked.clone());
        }
        let decoding = content.map(|content| (layout.decoding(), content));
        if let Some((decoding, content)) = decoding.filter(|_| !packed)
            && !decoding.changes(object, indexed.stat.size, content)?
        {
            return Ok(unpacked.insert(object.clone()).clone());
        }
        let mut version = format!("{} {} {}", object.uri(), indexed.stat.size, indexed.stat.version);
        if layout.decoding() != Decoding::default() {
            version += &format!(" {:?}", layout.decoding());
        }
        let path = cache::path("unpacked", &version, &format!("{}.unpacked", indexed.name));
        let path = path.display().to_string();
        let copy = match Object::open(&path) {
            Ok(copy) => copy,
            Err(_) => unpack(object, decoding, &path)?,
        };
        Ok(unpacked.insert(copy).clone())
    }
}

/// Unpacks a shard to a local file, which appears whole; text becomes UTF-8.
fn unpack(object: &Object, decoding: Option<(Decoding, Content)>, path: &str) -> Result<Object, DataError> {
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
    if let Some((decoding, content)) = decoding {
        unpacked = decoding.reader(object.uri(), unpacked, content, false)?.1;
    }
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
            unpack(&Object::open(&path("x.zst")).unwrap(), None, &path(to)).map(drop)
        };
        unpacked(&packed, "whole").unwrap();
        let damage = unpacked(&packed[..packed.len() / 2], "half").unwrap_err();
        assert!(!damage.is_unreachable(), "{damage}");
        let refused = unpacked(&packed, "x.zst/below").unwrap_err();
        assert!(refused.is_unreachable(), "{refused}");
        assert!(is_of_transfer(&io::Error::from_raw_os_error(5)));
    }
}
