//! The entries of a file, which the index keeps: where its samples lie, or its blocks of consecutive ones.

use super::dialect::Dialect;
use super::encoding::{Content, Decoding};
use super::sniff;
use crate::DataError;
use crate::source::packing::{self, Compression};
use crate::source::{Object, Stat};
use std::io::Read;

/// One sample of a shard, or a block of consecutive ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The members' common name, folders included; empty for a block.
    pub key: String,
    /// Samples: 1, or the records of a block.
    pub records: u32,
    /// The line (in Parquet: the row) that a block begins on, counted from 1; 0 for a sample of a tar.
    pub line: u64,
    /// The class that its `cls` or `json` member names, or else its folder.
    pub class: Option<String>,
    /// Its members, in the shard's order; one for a block.
    pub parts: Vec<Member>,
}

/// One member of a sample, or the bytes of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The letters behind the first dot of its name, in lower case; the format of a block.
    pub extension: String,
    /// The byte of the (unpacked) shard where its content begins.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// CRC-32 (IEEE) of its content; of a Parquet block, of the shard's footer.
    pub crc32: u32,
}

impl Entry {
    /// The class of the sample: by its label, or else by its folder.
    pub(crate) fn class(&self) -> Option<&str> {
        self.class.as_deref().or_else(|| folder(&self.key))
    }
}

/// The class of a sample without a label: the folder that its key lies in.
fn folder(key: &str) -> Option<&str> {
    let (folders, _) = key.rsplit_once('/')?;
    Some(folders.rsplit('/').next().unwrap_or(folders))
}

/// A file whose entries are looked for.
pub(crate) struct File<'a> {
    pub object: &'a Object,
    pub stat: &'a Stat,
    /// The cut of a CSV's lines; other formats do not need it.
    pub dialect: Dialect,
    /// The sheet of a workbook, where it is not the first; other formats have none.
    pub sheet: Option<&'a str>,
    /// The encoding of a file of text; none where its bytes are decoded already.
    pub decoding: Option<Decoding>,
}

/// The packing of a file, and its samples or its blocks.
pub(crate) type Entries = (Compression, Vec<Entry>);

/// A format of files.
pub(crate) trait Records: Sync {
    /// Finds the samples of a file, or its blocks.
    ///
    /// # Errors
    /// When the file cannot be read, or is not of the format.
    fn entries(&self, file: &File<'_>) -> Result<Entries, DataError>;
}

/// The taker of each entry of a file.
pub(super) type TakeEntry<'a> = &'a mut dyn FnMut(Entry) -> Result<(), DataError>;

/// The entries that `scan` finds in the unpacked bytes of a file, whose URI it is told.
///
/// # Errors
/// `scan`'s own, and when the file cannot be read.
pub(super) fn scanned(
    file: &File<'_>,
    scan: impl FnOnce(&str, Box<dyn Read + Send>, TakeEntry<'_>) -> Result<(), DataError>,
) -> Result<Entries, DataError> {
    let uri = file.object.uri();
    let (compression, unpacked) = packing::open(file.object)?;
    let mut entries = Vec::new();
    scan(uri, unpacked, &mut |entry| {
        entries.push(entry);
        Ok(())
    })?;
    Ok((compression, entries))
}

/// As [`scanned`], of a file of text, of which `scan` sees UTF-8.
///
/// # Errors
/// As [`scanned`], and when the file is no text.
pub(super) fn scanned_text(
    file: &File<'_>,
    content: Content,
    scan: impl FnOnce(&str, Box<dyn Read + Send>, TakeEntry<'_>) -> Result<(), DataError>,
) -> Result<Entries, DataError> {
    scanned(file, |uri, unpacked, take| {
        let unpacked = sniff::text(uri, unpacked)?;
        match file.decoding {
            Some(decoding) => scan(uri, decoding.reader(uri, unpacked, content, true)?.1, take),
            None => scan(uri, unpacked, take),
        }
    })
}
