//! Files of text cut into blocks where one record ends and the next begins.
//!
//! ```text
//! header \n | row \n row \n ... row \n | row \n ...        a block is at least BLOCK bytes, and its last
//!           └─ block 0 ────────────────┴─ block 1          row ends it; a quoted line break is no end
//! ```

use super::entry::{Entry, Member};
use crate::DataError;
use crc32fast::hash;

/// Bytes of a block: what one request fetches. In tests a small file has many.
pub(crate) const BLOCK: u64 = if cfg!(test) { 256 } else { 1 << 20 };

/// Bytes of the longest record; a quote that never closes would otherwise make one of all that follows.
pub(super) const LONGEST_RECORD: u64 = 64 << 20;

/// Blocks as they are cut.
pub(super) struct Cutter<T> {
    /// The name of the format.
    extension: &'static str,
    /// The byte and the line that the block under way begins on.
    pub begin: u64,
    pub line: u64,
    /// The records of the block under way.
    pub records: u32,
    take: T,
}

impl<T: FnMut(Entry) -> Result<(), DataError>> Cutter<T> {
    /// Cuts a file from its first byte on.
    pub(super) fn new(extension: &'static str, take: T) -> Self {
        Cutter { extension, begin: 0, line: 1, records: 0, take }
    }

    /// Hands out the block that `bytes` are; the next one begins behind it, on `next_line`.
    pub(super) fn cut(&mut self, bytes: &[u8], next_line: u64) -> Result<(), DataError> {
        let length = bytes.len() as u64;
        let extension = self.extension.to_string();
        let part = Member { extension, offset: self.begin, length, crc32: hash(bytes) };
        let entry = Entry {
            key: String::new(),
            records: self.records,
            line: self.line,
            class: None,
            parts: vec![part],
        };
        (self.begin, self.line, self.records) = (self.begin + length, next_line, 0);
        (self.take)(entry)
    }
}
