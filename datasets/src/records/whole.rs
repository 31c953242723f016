//! Files that are read whole, as nothing within them says where a part begins: the file is one block.

use super::encoding::Content;
use super::entry::{Entries, Entry, File, Member, TakeEntry, scanned, scanned_text};
use super::read::{ReadBlocks, ReadOptions, ReadRecords, TakeFound};
use super::shard::{Block, Shard};
use crate::DataError;
use crate::memory::Growth;
use crate::source::{Object, one_line, packing};
use bytes::Bytes;
use std::fmt;
use std::io::Read;

/// Bytes of the largest file, unpacked.
const LARGEST: u64 = if cfg!(test) { 1 << 20 } else { 256 << 20 };

/// The one entry of a file, which is text where it has a `content`, of as many records as `count` finds; none
/// of a file without records.
///
/// # Errors
/// `count`'s own, and when the file cannot be read or is too large.
pub(super) fn entries(
    file: &File<'_>,
    extension: &str,
    content: Option<Content>,
    count: impl FnOnce(&str, Bytes) -> Result<u64, DataError>,
) -> Result<Entries, DataError> {
    let scan = |uri: &str, unpacked: Box<dyn Read + Send>, take: TakeEntry<'_>| {
        let bytes = all(uri, unpacked)?;
        let (length, crc32) = (bytes.len() as u64, crc32fast::hash(&bytes));
        let Some(records) = u32::try_from(count(uri, bytes)?).ok().filter(|&records| records > 0) else {
            return Ok(());
        };
        let part = Member { extension: extension.to_string(), offset: 0, length, crc32 };
        take(Entry { key: String::new(), records, line: 1, class: None, parts: vec![part] })
    };
    match content {
        Some(content) => scanned_text(file, content, scan),
        None => scanned(file, scan),
    }
}

/// The unpacked bytes of a file.
///
/// # Errors
/// When it cannot be read or is too large.
pub(super) fn bytes(uri: &str) -> Result<Bytes, DataError> {
    all(uri, packing::open(&Object::open(uri)?)?.1)
}

/// All bytes of a file.
///
/// # Errors
/// When they cannot be read or are too many.
pub(super) fn all(uri: &str, unpacked: impl Read) -> Result<Bytes, DataError> {
    let (mut bytes, growth) = (Vec::new(), Growth::begin());
    growth
        .fill(
            uri,
            unpacked.take(LARGEST + 1),
            &mut bytes,
            "its format is read whole (CSV and Parquet are not)",
        )
        .map_err(|error| DataError::source(uri, "a readable file", one_line(error)))??;
    check_size(uri, bytes.len() as u64)?;
    Ok(bytes.into())
}

/// Refuses a file that is too large to be read whole.
///
/// # Errors
/// When it is.
pub(super) fn check_size(uri: &str, bytes: u64) -> Result<(), DataError> {
    match bytes > LARGEST {
        true => {
            let expected = format!(
                "at most {} MiB of a format that is read whole (CSV and Parquet are not)",
                LARGEST >> 20
            );
            Err(DataError::source(uri, expected, "more"))
        }
        false => Ok(()),
    }
}

/// The block that an indexed file is.
pub(super) struct WholeFile {
    pub shard: Shard,
    pub reader: &'static dyn ReadRecords,
}

impl fmt::Debug for WholeFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WholeFile").field("shard", &self.shard).finish_non_exhaustive()
    }
}

impl ReadBlocks for WholeFile {
    fn shard(&self) -> &Shard {
        &self.shard
    }

    fn read(&self, block: &Block, options: &ReadOptions<'_>, take: TakeFound<'_>) -> Result<(), DataError> {
        let bytes = self.shard.fetch(block)?;
        self.reader.read(self.shard.uri(), bytes, options, take)
    }
}
