//! Parquet, read where it lies: the footer first, then the wanted columns of one row group after the other.

mod footer;
mod group;
mod guard;
mod pictures;

pub(crate) use footer::{arrow, footer};
pub(crate) use group::group_reader;
pub(crate) use guard::guarded;

use super::batches::{Columns, Rows};
use super::entry::{Entries, File, Records};
use super::read::{ReadBlocks, ReadOptions, ReadRecords, TakeFound};
use super::shard::{Block, Shard};
use crate::DataError;
use crate::source::packing::Compression;
use crate::source::{Object, one_line};
use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use bytes::Bytes;
use guard::damaged;
use pictures::{PictureColumns, pictures};
use std::sync::Arc;

/// The format.
pub(super) struct ParquetRecords;

impl Records for ParquetRecords {
    fn entries(&self, file: &File<'_>) -> Result<Entries, DataError> {
        Ok((Compression::None, pictures::entries(file.object, file.stat)?))
    }
}

impl ReadRecords for ParquetRecords {
    fn read(
        &self,
        uri: &str,
        bytes: Bytes,
        options: &ReadOptions<'_>,
        take: TakeFound<'_>,
    ) -> Result<(), DataError> {
        guarded(uri, || {
            let metadata = ArrowReaderMetadata::load(&bytes, Default::default());
            let metadata = metadata.map_err(|error| damaged(uri, &error))?;
            let columns = Columns::of(uri, metadata.schema(), options)?;
            let mask = mask(&columns, &metadata);
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, metadata);
            let reader = builder.with_projection(mask).with_batch_size(columns.frame_rows).build();
            let reader = reader.map_err(|error| damaged(uri, &error))?;
            let mut rows = Rows { uri, columns, options, row: 1 };
            hand_out(reader, &mut rows, take)?;
            rows.hand_out_none(1, take)
        })
    }

    /// The fetched columns of a row group are held.
    fn pieces(&self, uri: &str, options: &ReadOptions<'_>, take: TakeFound<'_>) -> Result<(), DataError> {
        guarded(uri, || {
            let object = Object::open(uri)?;
            let metadata = arrow(&object, footer(&object, object.stat()?.size)?.0)?;
            let columns = Columns::of(uri, metadata.schema(), options)?;
            let (mask, frame_rows) = (mask(&columns, &metadata), columns.frame_rows);
            let mut rows = Rows { uri, columns, options, row: 1 };
            for group in 0..metadata.metadata().num_row_groups() {
                let reader = group_reader(&object, &metadata, group, mask.clone(), frame_rows)?;
                hand_out(reader, &mut rows, take)?;
            }
            Ok(())
        })
    }

    fn open(&self, shard: Shard, _: &ReadOptions<'_>) -> Result<Arc<dyn ReadBlocks>, DataError> {
        let (metadata, crc32) = footer(&shard.object, shard.size)?;
        shard.first.check(shard.uri(), crc32)?;
        let metadata = arrow(&shard.object, metadata)?;
        Ok(Arc::new(ParquetBlocks { shard, metadata }))
    }

    fn is_typed(&self) -> bool {
        true
    }

    fn has_checksums(&self) -> bool {
        false
    }
}

/// The wanted columns, alone to be decoded.
fn mask(columns: &Columns, metadata: &ArrowReaderMetadata) -> ProjectionMask {
    ProjectionMask::roots(metadata.parquet_schema(), columns.at().iter().copied())
}

/// Hands the rows of a reader to `take`.
///
/// # Errors
/// `take`'s own, and when a batch cannot be decoded.
fn hand_out(
    reader: ParquetRecordBatchReader,
    rows: &mut Rows<'_>,
    take: TakeFound<'_>,
) -> Result<(), DataError> {
    for batch in reader {
        rows.hand_out(&batch.map_err(|error| damaged(rows.uri, &error))?, take)?;
    }
    Ok(())
}

/// The row groups of an indexed file.
#[derive(Debug)]
struct ParquetBlocks {
    shard: Shard,
    metadata: ArrowReaderMetadata,
}

impl ParquetBlocks {
    /// The number of the row group that a block is.
    ///
    /// # Errors
    /// When there is none.
    fn group(&self, block: &Block) -> Result<usize, DataError> {
        let groups = self.metadata.metadata().row_groups();
        let mut first = 0;
        for (group, rows) in groups.iter().map(|group| group.num_rows()).enumerate() {
            if rows > 0 && first == block.first {
                return Ok(group);
            }
            first += rows as u64;
        }
        let place = format!("row {}", block.line);
        Err(DataError::malformed(self.shard.uri(), place, "a row group that begins there", "none"))
    }
}

impl ReadBlocks for ParquetBlocks {
    fn shard(&self) -> &Shard {
        &self.shard
    }

    /// Only the wanted columns are fetched.
    fn read(&self, block: &Block, options: &ReadOptions<'_>, take: TakeFound<'_>) -> Result<(), DataError> {
        let (uri, metadata) = (self.shard.uri(), &self.metadata);
        guarded(uri, || {
            let group = self.group(block)?;
            let columns = Columns::of(uri, metadata.schema(), options)?;
            let mask = mask(&columns, metadata);
            let reader = group_reader(&self.shard.object, metadata, group, mask, columns.frame_rows)?;
            let mut rows = Rows { uri, columns, options, row: block.line };
            hand_out(reader, &mut rows, take)?;
            rows.hand_out_none(block.line, take)?;
            match rows.row - block.line {
                found if found == block.records => Ok(()),
                found => Err(damaged(uri, &format!("{found} rows in row group {group}"))),
            }
        })
    }

    /// Decodes all columns.
    fn verify(&self, block: &Block, _: &mut dyn FnMut(DataError)) -> Result<(), DataError> {
        const BATCH_ROWS: usize = 8192;
        let (object, uri) = (&self.shard.object, self.shard.uri());
        guarded(uri, || {
            let group = self.group(block)?;
            for batch in group_reader(object, &self.metadata, group, ProjectionMask::all(), BATCH_ROWS)? {
                batch.map_err(|error| {
                    let place = format!("row group {group} (row {})", block.line);
                    DataError::malformed(uri, place, "a whole Parquet file", one_line(error))
                })?;
            }
            Ok(())
        })
    }

    fn are_pictures(&self) -> bool {
        PictureColumns::of(self.metadata.schema()).is_some()
    }

    fn pictures(&self, block: &Block) -> Result<Vec<Option<Bytes>>, DataError> {
        pictures(&self.shard.object, &self.metadata, self.group(block)?, block.records as usize)
    }
}

#[cfg(test)]
mod tests;
