//! All blocks of one file, to be read once by several threads: nothing is kept of where they lie.

use super::entry::File;
use super::format::Format;
use super::read::{ReadBlocks, ReadOptions};
use super::shard::{Block, Shard};
use crate::DataError;
use crate::source::Object;
use crate::source::packing::Compression;
use std::sync::Arc;

/// A file that is opened for its blocks, and their places.
pub(crate) type OpenedBlocks = (Arc<dyn ReadBlocks>, Vec<Block>);

/// The blocks of a file whose bytes are not packed and, where they are text, UTF-8; `None` where it has no
/// record.
///
/// # Errors
/// When it cannot be read, or is not of the format.
pub(crate) fn open_blocks(
    object: &Object,
    format: Format,
    options: &ReadOptions<'_>,
) -> Result<Option<OpenedBlocks>, DataError> {
    let stat = object.stat()?;
    let (dialect, sheet) = (options.dialect, options.sheet);
    let file = File { object, stat: &stat, dialect, decoding: None, sheet };
    let (compression, entries) = format.records().entries(&file)?;
    if compression != Compression::None {
        return Err(DataError::source(object.uri(), "a file of text", "a packed file within a packed file"));
    }
    let mut blocks: Vec<Block> = Vec::new();
    for entry in entries {
        let part = &entry.parts[0];
        let bytes = part.offset..part.offset + part.length;
        let records = u64::from(entry.records);
        match blocks.last_mut() {
            Some(block) if block.bytes == bytes => block.records += records,
            last => {
                let first = last.map_or(0, |block| block.first + block.records);
                blocks.push(Block { first, records, line: entry.line, bytes, crc32: part.crc32 });
            }
        }
    }
    let Some(first) = blocks.first().cloned() else { return Ok(None) };
    let shard = Shard { object: object.clone(), size: stat.size, unpacked: object.clone(), first };
    Ok(Some((format.reader(object.uri())?.open(shard, options)?, blocks)))
}
