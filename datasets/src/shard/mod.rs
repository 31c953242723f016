//! Tar shards in WebDataset's layout: many samples in one file, so that a bucket is asked for few
//! large objects instead of millions of small ones.
//!
//! ```text
//! train-00000.tar
//!   cat/0001.jpg  cat/0001.cls     one sample, `cat/0001`: consecutive members of one name up to the
//!   dog/0007.jpg  dog/0007.json    first dot of the file's name; what follows it names the part
//! ```
//!
//! Plain tar is read by byte ranges through the [`index`](crate::index). Inside gzip or zstd there
//! are no ranges: such a shard is unpacked once, into the local cache, when it is first needed.
//!
//! CSV, JSONL, Parquet and plain text are shards, too: of records, which are read by blocks of consecutive
//! ones ([`Format`]).
//!
//! Aizman, Maltby and Breuel, "High performance I/O for large scale deep learning", 2019
//! (WebDataset).

mod compression;
mod convert;
mod format;
mod members;
mod pack;
mod parquet;
mod pictures;
mod plan;
mod records;
mod set;
mod unpacked;

pub(crate) use compression::{Compression, reader};
pub use convert::{Convert, convert};
pub use format::Format;
pub(crate) use members::scan;
pub use pack::{Packed, pack};
pub(crate) use pictures::{PictureDecoder, entries as parquet_entries};
pub use plan::Pack;
pub(crate) use records::{BLOCK, scan_csv, scan_jsonl, scan_text};
pub(crate) use set::{Found, ShardSet};
pub(crate) use unpacked::Unpacked;

use crate::source;

/// Whether a URI's name ends as that of shards of pictures does: tar, or Parquet.
pub(crate) fn holds_pictures(uri: &str) -> bool {
    let name = source::unpacked_name(uri);
    is_shards(uri) || name.ends_with(".parquet") || name.ends_with(".pq")
}

/// Whether a URI's name ends as a tar shard's does.
pub fn is_shards(uri: &str) -> bool {
    without_ending(uri).len() < uri.len()
}

/// A URI without the ending of a tar shard, where it has one.
pub(crate) fn without_ending(uri: &str) -> &str {
    const ENDINGS: [&str; 6] = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.zstd", ".tzst"];
    let name = uri.to_ascii_lowercase();
    let ending = ENDINGS.iter().find(|ending| name.ends_with(*ending));
    &uri[..uri.len() - ending.map_or(0, |ending| ending.len())]
}

/// One sample of a shard, or a block of consecutive ones, as the index keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The members' common name, folders included; empty for a block.
    pub key: String,
    /// Samples: 1, or the records of a block.
    pub records: u32,
    /// The line (in Parquet: the row) that a block begins on, counted from 1; 0 for a sample of a tar.
    pub line: u64,
    /// What its `cls` or `json` part, or else its folder, says that it shows.
    pub class: Option<String>,
    /// Its members, in the shard's order; one for a block.
    pub parts: Vec<Part>,
}

/// One member of a sample, or the bytes of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What follows the first dot of its name, in lower case; the format of a block.
    pub extension: String,
    /// The byte of the (unpacked) shard where its content begins.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// CRC-32 (IEEE) of its content; of a Parquet block, that of the shard's footer.
    pub crc32: u32,
}

#[cfg(test)]
pub(crate) mod tests {
    pub(crate) use super::members::tests::tar;
}
