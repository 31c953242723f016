//! Parquet, read where it lies: the footer first, then the wanted columns of one row group after the other.
//!
//! Three ways lead to the rows, and to nothing but [`RecordBatch`]es: all of a file in memory, one row group
//! of a file that is indexed, and all row groups of a file one after the other.

mod footer;
mod group;
mod guard;
mod pictures;
mod strings;

pub(crate) use footer::{arrow, footer};
pub(crate) use group::group_reader;
pub(crate) use guard::{damaged, guarded};
pub(crate) use pictures::{PictureColumns, pictures};
pub(crate) use strings::strings;

use super::dialect::Dialect;
use super::entry::{Entry, Records};
use crate::DataError;
use crate::source::packing::Compression;
use crate::source::{Object, Stat};
use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use arrow_array::RecordBatch;
use arrow_schema::Fields;
use bytes::Bytes;

/// The format.
pub(super) struct ParquetRecords;

impl Records for ParquetRecords {
    fn entries(
        &self,
        object: &Object,
        stat: &Stat,
        _: Dialect,
    ) -> Result<(Compression, Vec<Entry>), DataError> {
        Ok((Compression::None, pictures::entries(object, stat)?))
    }
}

/// The taker of some rows, and of the number of the first of them in the file, counted from 1.
pub(crate) type TakeRows<'a> = &'a mut dyn FnMut(u64, RecordBatch) -> Result<(), DataError>;

/// The columns of a file to decode, by their numbers in it, and how many rows at a time.
pub(crate) struct Wanted {
    pub columns: Vec<usize>,
    pub batch_rows: usize,
}

impl Wanted {
    fn mask(&self, metadata: &ArrowReaderMetadata) -> ProjectionMask {
        ProjectionMask::roots(metadata.parquet_schema(), self.columns.iter().copied())
    }
}

/// Hands the rows of a file in memory to `take`, only the columns that `choose` picks.
///
/// # Errors
/// `choose`'s and `take`'s own, and when the bytes are no whole Parquet file.
pub(crate) fn read_bytes(
    uri: &str,
    bytes: Bytes,
    choose: &mut dyn FnMut(&Fields) -> Result<Wanted, DataError>,
    take: TakeRows<'_>,
) -> Result<(), DataError> {
    guarded(uri, || {
        let metadata = ArrowReaderMetadata::load(&bytes, Default::default());
        let metadata = metadata.map_err(|error| damaged(uri, &error))?;
        let wanted = choose(metadata.schema().fields())?;
        let mask = wanted.mask(&metadata);
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, metadata);
        let reader = builder.with_projection(mask).with_batch_size(wanted.batch_rows).build();
        let mut row = 1;
        for batch in reader.map_err(|error| damaged(uri, &error))? {
            let batch = batch.map_err(|error| damaged(uri, &error))?;
            let rows = batch.num_rows() as u64;
            take(row, batch)?;
            row += rows;
        }
        Ok(())
    })
}

/// As [`read_bytes`], of one row group, of which only the wanted columns are fetched. Its first row is
/// `first_row`.
///
/// # Errors
/// As [`read_bytes`].
pub(crate) fn read_group(
    object: &Object,
    metadata: &ArrowReaderMetadata,
    (group, first_row): (usize, u64),
    choose: &mut dyn FnMut(&Fields) -> Result<Wanted, DataError>,
    take: TakeRows<'_>,
) -> Result<(), DataError> {
    guarded(object.uri(), || {
        let wanted = choose(metadata.schema().fields())?;
        rows_of_group(object, metadata, (group, first_row), &wanted, take)
    })
}

/// As [`read_bytes`], of a file that is read where it lies, a row group at a time.
///
/// # Errors
/// As [`read_bytes`].
pub(crate) fn read_object(
    uri: &str,
    choose: &mut dyn FnMut(&Fields) -> Result<Wanted, DataError>,
    take: TakeRows<'_>,
) -> Result<(), DataError> {
    guarded(uri, || {
        let object = Object::open(uri)?;
        let metadata = arrow(&object, footer(&object, object.stat()?.size)?.0)?;
        let wanted = choose(metadata.schema().fields())?;
        let mut row = 1;
        for (group, rows) in metadata.metadata().row_groups().iter().map(|group| group.num_rows()).enumerate()
        {
            rows_of_group(&object, &metadata, (group, row), &wanted, take)?;
            row += rows as u64;
        }
        Ok(())
    })
}

fn rows_of_group(
    object: &Object,
    metadata: &ArrowReaderMetadata,
    (group, first_row): (usize, u64),
    wanted: &Wanted,
    take: TakeRows<'_>,
) -> Result<(), DataError> {
    let mut row = first_row;
    for batch in group_reader(object, metadata, group, wanted.mask(metadata), wanted.batch_rows)? {
        let batch = batch.map_err(|error| damaged(object.uri(), &error))?;
        let rows = batch.num_rows() as u64;
        take(row, batch)?;
        row += rows;
    }
    Ok(())
}
