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
//! Aizman, Maltby and Breuel, "High performance I/O for large scale deep learning", 2019
//! (WebDataset).

mod compression;
mod members;
mod pack;
mod set;

pub(crate) use compression::{Compression, reader};
pub(crate) use members::scan;
pub use pack::{Pack, Packed, pack};

pub(crate) use set::ShardSet;

/// Whether a URI's name ends as a tar shard's does.
pub fn is_shards(uri: &str) -> bool {
    const ENDINGS: [&str; 6] = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.zstd", ".tzst"];
    let name = uri.to_ascii_lowercase();
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// One sample of a shard, as the index keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The members' common name, folders included.
    pub key: String,
    /// What its `cls` or `json` part, or else its folder, says that it shows.
    pub class: Option<String>,
    /// Its members, in the shard's order.
    pub parts: Vec<Part>,
}

/// One member of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What follows the first dot of its name, in lower case.
    pub extension: String,
    /// The byte of the (unpacked) shard where its content begins.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// CRC-32 (IEEE) of its content.
    pub crc32: u32,
}

#[cfg(test)]
pub(crate) mod tests {
    pub(crate) use super::members::tests::tar;
}
