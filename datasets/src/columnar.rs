//! Parquet read where it lies: the footer first, then the wanted columns of one row group.

use crate::DataError;
use crate::source::{Object, one_line};
use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_schema::DataType;
use bytes::{Buf, Bytes};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// Bytes at the end that are read first: most footers whole.
const TAIL: u64 = 64 << 10;

/// Bytes that a Parquet file ends with: `[length of the footer: u32 le] [PAR1]`.
const END: u64 = 8;

/// What a file's footer says, and its checksum.
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

/// The bytes that the columns of a row group lie within, those that `wanted` says of.
fn column_ranges(
    metadata: &ArrowReaderMetadata,
    group: usize,
    wanted: impl Fn(usize) -> bool,
) -> Vec<Range<u64>> {
    let columns = metadata.metadata().row_group(group).columns().iter().enumerate();
    columns
        .filter(|(leaf, _)| wanted(*leaf))
        .map(|(_, column)| column.byte_range())
        .map(|(start, length)| start..start.saturating_add(length))
        .collect()
}

/// Where a row group lies; empty where it has no column.
pub(crate) fn group_range(metadata: &ArrowReaderMetadata, group: usize) -> Range<u64> {
    let ranges = column_ranges(metadata, group, |_| true);
    let begin = ranges.iter().map(|range| range.start).min().unwrap_or(0);
    begin..ranges.iter().map(|range| range.end).max().unwrap_or(begin)
}

/// The rows of a row group, only the columns of `mask` fetched; neighbouring ones in one request.
///
/// # Errors
/// When the bytes cannot be read.
pub(crate) fn group_reader(
    object: &Object,
    metadata: &ArrowReaderMetadata,
    group: usize,
    mask: ProjectionMask,
    batch_rows: usize,
) -> Result<ParquetRecordBatchReader, DataError> {
    let ranges = column_ranges(metadata, group, |leaf| mask.leaf_included(leaf));
    let fetched = object.ranges(&ranges)?;
    let slabs = Slabs(ranges.iter().map(|range| range.start).zip(fetched).collect());
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(slabs, metadata.clone());
    let reader =
        builder.with_row_groups(vec![group]).with_projection(mask).with_batch_size(batch_rows.max(1)).build();
    reader.map_err(|error| {
        let place = format!("row group {group}");
        DataError::malformed(object.uri(), place, "a whole Parquet file", one_line(error))
    })
}

/// Runs what decodes pages. The crate panics on some damage within them (of 60.1.0: "Decoder for dict
/// should have been set"); nothing outlives the decoding but its result, so unwinding leaves nothing
/// half done.
///
/// # Errors
/// `decode`'s own; a panic is the error of damaged pages.
pub(crate) fn guarded<T>(uri: &str, decode: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
    std::panic::catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(DataError::source(uri, "a whole Parquet file", "damaged pages")))
}

/// The arrow side of a footer.
pub(crate) fn arrow(object: &Object, metadata: ParquetMetaData) -> Result<ArrowReaderMetadata, DataError> {
    ArrowReaderMetadata::try_new(Arc::new(metadata), Default::default()).map_err(|error| {
        DataError::malformed(object.uri(), "footer", "columns that Arrow knows", one_line(error))
    })
}

/// The values of an array as text; `None` for a type that is neither text nor a label.
pub(crate) fn strings(array: &dyn Array) -> Option<Vec<Option<String>>> {
    macro_rules! whole {
        ($type:ty) => {
            array.as_primitive::<$type>().iter().map(|value| value.map(|value| value.to_string())).collect()
        };
    }
    let owned = |value: Option<&str>| value.map(String::from);
    Some(match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().iter().map(owned).collect(),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().map(owned).collect(),
        DataType::Utf8View => array.as_string_view().iter().map(owned).collect(),
        DataType::Boolean => {
            array.as_boolean().iter().map(|value| value.map(|value| value.to_string())).collect()
        }
        DataType::Int8 => whole!(Int8Type),
        DataType::Int16 => whole!(Int16Type),
        DataType::Int32 => whole!(Int32Type),
        DataType::Int64 => whole!(Int64Type),
        DataType::UInt8 => whole!(UInt8Type),
        DataType::UInt16 => whole!(UInt16Type),
        DataType::UInt32 => whole!(UInt32Type),
        DataType::UInt64 => whole!(UInt64Type),
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            if dictionary.values().is_empty() {
                return Some(vec![None; array.len()]);
            }
            let values = strings(dictionary.values())?;
            let keys = dictionary.normalized_keys();
            let value = |(row, &key): (usize, &usize)| {
                if array.is_null(row) { None } else { values.get(key).cloned().flatten() }
            };
            keys.iter().enumerate().map(value).collect()
        }
        _ => return None,
    })
}

/// Parts of a file, each at its place.
struct Slabs(Vec<(u64, Bytes)>);

impl Length for Slabs {
    fn len(&self) -> u64 {
        self.0.iter().map(|(begin, bytes)| begin + bytes.len() as u64).max().unwrap_or(0)
    }
}

impl Slabs {
    /// What is there from `start` on.
    fn from(&self, start: u64) -> Option<Bytes> {
        self.0.iter().find_map(|(begin, bytes)| {
            let at = usize::try_from(start.checked_sub(*begin)?).ok()?;
            (at < bytes.len()).then(|| bytes.slice(at..))
        })
    }
}

impl ChunkReader for Slabs {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(self.from(start).unwrap_or_default().reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        match self.from(start).unwrap_or_default() {
            bytes if bytes.len() >= length => Ok(bytes.slice(..length)),
            _ => Err(ParquetError::EOF(format!("{length} bytes at {start} lie outside of the row group"))),
        }
    }
}
