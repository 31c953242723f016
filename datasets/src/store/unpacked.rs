//! Local copies of the shards that had to be unpacked or decoded.

use crate::DataError;
use crate::index::Index;
use crate::records::{Content, Decoding};
use crate::source::packing::{self, Compression};
use crate::source::{Object, cache, copies, is_of_transfer, one_line};
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The places of the unpacked copies of a set's packed shards.
#[derive(Debug, Default)]
pub(crate) struct Unpacked {
    /// The lock of a shard is held while it is unpacked, so that it is once.
    copies: Mutex<HashMap<usize, Arc<Mutex<Option<Object>>>>>,
    /// Held while a damaged copy is made anew.
    mending: Mutex<()>,
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
        let copy = copies::copy(&path, |copy| unpack(object, decoding, copy))?;
        Ok(unpacked.insert(copy).clone())
    }

    /// Reads from a shard. Where that is not whole and was of an unpacked copy, the copy may be damaged where the
    /// shard is not: it is made anew, once. What comes may still not be whole.
    ///
    /// # Errors
    /// `read`'s own.
    pub(crate) fn reading<T>(
        &self,
        index: &Index,
        shard: usize,
        is_whole: impl Fn(&T) -> bool,
        mut read: impl FnMut() -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        let uri = index.object(shard).uri();
        let found = read()?;
        if is_whole(&found) || self.object(index, shard)?.uri() == uri {
            return Ok(found);
        }
        // One at a time: whoever comes later finds the new copy.
        let _one = self.mending.lock().unwrap_or_else(PoisonError::into_inner);
        let again = read()?;
        let copy = self.object(index, shard)?;
        if is_whole(&again) || copy.uri() == uri {
            return Ok(again);
        }
        log::warn!("{}: a damaged copy of {uri}; it is made anew", copy.uri());
        copies::discard(Path::new(copy.uri()))?;
        self.copies.lock().unwrap_or_else(PoisonError::into_inner).remove(&shard);
        read()
    }
}

/// Unpacks a shard; text becomes UTF-8.
fn unpack(
    object: &Object,
    decoding: Option<(Decoding, Content)>,
    copy: &mut dyn Write,
) -> Result<(), DataError> {
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
    io::copy(&mut unpacked, copy).map_err(refused)?;
    Ok(())
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
            let object = Object::open(&path("x.zst")).unwrap();
            copies::copy(Path::new(&path(to)), |copy| unpack(&object, None, copy)).map(drop)
        };
        unpacked(&packed, "whole").unwrap();
        let damage = unpacked(&packed[..packed.len() / 2], "half").unwrap_err();
        assert!(!damage.is_unreachable(), "{damage}");
        let refused = unpacked(&packed, "x.zst/below").unwrap_err();
        assert!(refused.is_unreachable(), "{refused}");
        assert!(is_of_transfer(&io::Error::from_raw_os_error(5)));
    }
}
