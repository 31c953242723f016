//! The footer of a file, read before anything else of it.

use crate::DataError;
use crate::source::{Object, one_line};
use ::parquet::arrow::arrow_reader::ArrowReaderMetadata;
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};
use std::sync::Arc;

/// Bytes at the end that are read first: most footers whole.
const TAIL: u64 = 64 << 10;

/// Bytes that a Parquet file ends with: `[length of the footer: u32 le] [PAR1]`.
const END: u64 = 8;

/// The metadata of a file of `size` bytes, and the checksum of its footer.
///
/// # Errors
/// When the bytes cannot be read, or are no whole Parquet file.
pub(crate) fn footer(object: &Object, size: u64) -> Result<(ParquetMetaData, u32), DataError> {
    let mut reader = ParquetMetaDataReader::new();
    let mut tail = TAIL.min(size);
    let malformed =
        |found: String| DataError::malformed(object.uri(), "footer", "a whole Parquet file", found);
    loop {
        let bytes = object.range(size - tail..size)?;
        match reader.try_parse_sized(&bytes, size) {
            Ok(()) => {
                let metadata = reader.finish().map_err(|error| malformed(one_line(error)))?;
                // Parquet's reader takes places for granted, and panics where they are negative.
                let lies_within = |column: &ColumnChunkMetaData| {
                    let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
                    let end = start.checked_add(column.compressed_size());
                    start >= 0 && column.compressed_size() >= 0 && end.is_some_and(|end| end as u64 <= size)
                };
                if !metadata.row_groups().iter().flat_map(|group| group.columns()).all(lies_within) {
                    return Err(malformed("columns outside of the file".to_string()));
                }
                let end = &bytes[bytes.len() - END as usize..];
                let length = u32::from_le_bytes([end[0], end[1], end[2], end[3]]) as usize;
                let footer = &bytes[bytes.len().saturating_sub(length + END as usize)..];
                return Ok((metadata, crc32fast::hash(footer)));
            }
            Err(ParquetError::NeedMoreData(needed)) if needed as u64 > tail && needed as u64 <= size => {
                tail = needed as u64;
            }
            Err(error) => return Err(malformed(one_line(error))),
        }
    }
}

/// The metadata with the Arrow types of its columns.
///
/// # Errors
/// When Arrow has no such types.
pub(crate) fn arrow(object: &Object, metadata: ParquetMetaData) -> Result<ArrowReaderMetadata, DataError> {
    ArrowReaderMetadata::try_new(Arc::new(metadata), Default::default()).map_err(|error| {
        DataError::malformed(object.uri(), "footer", "columns that Arrow knows", one_line(error))
    })
}
