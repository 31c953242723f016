//! The columns of one row group, fetched where they lie.

use crate::DataError;
use crate::source::{Object, one_line};
use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use ::parquet::errors::{ParquetError, Result as ParquetResult};
use ::parquet::file::reader::{ChunkReader, Length};
use bytes::{Buf, Bytes};
use std::ops::Range;

/// The bytes that the wanted columns of a row group lie within.
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

/// The bytes that a row group lies within; empty where it has no column.
pub(super) fn group_range(metadata: &ArrowReaderMetadata, group: usize) -> Range<u64> {
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

/// Some stretches of a file's bytes, each with the byte it begins at.
struct Slabs(Vec<(u64, Bytes)>);

impl Length for Slabs {
    fn len(&self) -> u64 {
        self.0.iter().map(|(begin, bytes)| begin + bytes.len() as u64).max().unwrap_or(0)
    }
}

impl Slabs {
    /// The bytes from `start` on, to the end of their stretch.
    fn from(&self, start: u64) -> Option<Bytes> {
        self.0.iter().find_map(|(begin, bytes)| {
            let at = usize::try_from(start.checked_sub(*begin)?).ok()?;
            (at < bytes.len()).then(|| bytes.slice(at..))
        })
    }
}

impl ChunkReader for Slabs {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(self.from(start).unwrap_or_default().reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        match self.from(start).unwrap_or_default() {
            bytes if bytes.len() >= length => Ok(bytes.slice(..length)),
            _ => Err(ParquetError::EOF(format!("{length} bytes at {start} lie outside of the row group"))),
        }
    }
}
