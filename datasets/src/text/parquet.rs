//! Texts and labels out of the columns of a Parquet file.

use super::reader::{Reader, Take};
use crate::DataError;
use crate::blocks::Source;
use crate::columnar::{self, guarded, strings};
use crate::index::Block;
use crate::source::{Object, one_line};
use crate::table::schema::nearest;
use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, Fields};
use bytes::Bytes;

/// Rows decoded at a time.
const BATCH_ROWS: usize = 1024;

/// Hands each text of a file to `take`, or why it cannot be read.
///
/// # Errors
/// `take`'s own, when the bytes are no whole Parquet file, and when a column is absent or of another type.
pub(super) fn read(bytes: Bytes, reader: &Reader<'_>, take: Take<'_>) -> Result<(), DataError> {
    guarded(reader.uri, || {
        let damaged = |error: &dyn std::fmt::Display| damaged(reader.uri, error);
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|error| damaged(&error))?;
        let roots = roots(builder.schema().fields(), reader)?;
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        let batches = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build();
        rows(reader, batches.map_err(|error| damaged(&error))?, 1, take)
    })
}

/// As [`read`], of one row group, of which only the two columns are fetched.
///
/// # Errors
/// As [`read`].
pub(super) fn read_group(
    source: &Source,
    shard: usize,
    block: &Block,
    reader: &Reader<'_>,
    take: Take<'_>,
) -> Result<(), DataError> {
    guarded(reader.uri, || {
        let (object, metadata, group) = source.row_group(shard, block)?;
        let roots = roots(metadata.schema().fields(), reader)?;
        let mask = ProjectionMask::roots(metadata.parquet_schema(), roots);
        let batches = columnar::group_reader(object, &metadata, group, mask, BATCH_ROWS)?;
        rows(reader, batches, block.line, take)
    })
}

/// As [`read`], of a file that is read where it lies, a row group at a time.
///
/// # Errors
/// As [`read`].
pub(super) fn read_object(reader: &Reader<'_>, take: Take<'_>) -> Result<(), DataError> {
    guarded(reader.uri, || {
        let object = Object::open(reader.uri)?;
        let metadata = columnar::arrow(&object, columnar::footer(&object, object.stat()?.size)?.0)?;
        let roots = roots(metadata.schema().fields(), reader)?;
        let mut row = 1;
        for (number, group) in metadata.metadata().row_groups().iter().enumerate() {
            let mask = ProjectionMask::roots(metadata.parquet_schema(), roots.iter().copied());
            let batches = columnar::group_reader(&object, &metadata, number, mask, BATCH_ROWS)?;
            rows(reader, batches, row, take)?;
            row += group.num_rows() as u64;
        }
        Ok(())
    })
}

fn damaged(uri: &str, error: &dyn std::fmt::Display) -> DataError {
    DataError::source(uri, "a whole Parquet file", one_line(error))
}

/// The columns of the text and, where it is asked for, of the label.
fn roots(fields: &Fields, reader: &Reader<'_>) -> Result<Vec<usize>, DataError> {
    let column = |key: &str, name: &String| {
        fields.iter().position(|field| field.name() == name).ok_or_else(|| {
            let names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
            let expected = format!("a column of {} ({})", reader.uri, nearest(&names, name));
            DataError::config(key, expected, format!("`{name}`"))
        })
    };
    let mut roots = vec![column("text_column", &reader.config.text_column)?];
    if reader.labelled {
        roots.push(column("label_column", &reader.config.label_column)?);
    }
    Ok(roots)
}

fn rows(
    reader: &Reader<'_>,
    batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
    first_row: u64,
    take: Take<'_>,
) -> Result<(), DataError> {
    let (config, mut row) = (reader.config, first_row);
    for batch in batches {
        let batch = batch.map_err(|error| damaged(reader.uri, &error))?;
        let column = |name: &str| -> Result<Vec<Option<String>>, DataError> {
            let array = batch.column_by_name(name);
            let strings = array.and_then(|array| strings(array));
            strings.ok_or_else(|| {
                let expected = "text, whole numbers or truth values";
                let found = array.map_or("none".to_string(), |array| array.data_type().to_string());
                DataError::malformed(reader.uri, format!("column `{name}`"), expected, found)
            })
        };
        let texts = column(&config.text_column)?;
        let labels = if reader.labelled { column(&config.label_column)? } else { vec![None; texts.len()] };
        for (text, label) in texts.into_iter().zip(labels) {
            take(reader.record("row", row, text.as_deref(), label.as_deref()))?;
            row += 1;
        }
    }
    Ok(())
}
