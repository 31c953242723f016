//! A file of records that is indexed, and the places of its blocks.

use crate::DataError;
use crate::source::Object;
use bytes::Bytes;
use std::ops::Range;

/// Consecutive records of a shard that are read together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// The number of its first record within the shard.
    pub first: u64,
    pub records: u64,
    /// The line or row that it begins on, counted from 1.
    pub line: u64,
    pub bytes: Range<u64>,
    /// CRC-32 of its bytes; in Parquet, of the shard's footer.
    pub crc32: u32,
}

impl Block {
    /// Compares a checksum of the block, which is in the shard `uri`, with the one of the index.
    ///
    /// # Errors
    /// When they differ.
    pub(crate) fn check(&self, uri: &str, crc32: u32) -> Result<(), DataError> {
        if crc32 == self.crc32 {
            return Ok(());
        }
        let place = format!("block at line {} (byte {})", self.line, self.bytes.start);
        let expected = format!(
            "the checksum {:08x} of the index (`bonfire data index` reads a changed shard anew)",
            self.crc32
        );
        Err(DataError::malformed(uri, place, expected, format!("{crc32:08x}")))
    }
}

/// An indexed file.
#[derive(Clone, Debug)]
pub(crate) struct Shard {
    /// The file as it is stored; errors name it.
    pub object: Object,
    /// Its bytes, as they are stored.
    pub size: u64,
    /// The blocks' bytes: the file, or an unpacked copy of it.
    pub unpacked: Object,
    /// The first of its blocks.
    pub first: Block,
}

impl Shard {
    pub(crate) fn uri(&self) -> &str {
        self.object.uri()
    }

    /// The bytes of a block.
    ///
    /// # Errors
    /// When they cannot be read, or are not those that were indexed.
    pub(super) fn fetch(&self, block: &Block) -> Result<Bytes, DataError> {
        let bytes = self.unpacked.range(block.bytes.clone())?;
        block.check(self.uri(), crc32fast::hash(&bytes))?;
        Ok(bytes)
    }

    /// The bytes before the first block or, where there are none, that block.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn head(&self) -> Result<Bytes, DataError> {
        let Range { start, end } = self.first.bytes;
        self.unpacked.range(0..if start > 0 { start } else { end })
    }
}
