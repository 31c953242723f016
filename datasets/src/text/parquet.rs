//! Texts and labels out of the columns of a Parquet file.

use super::reader::{Reader, Take};
use crate::DataError;
use crate::index::Block;
use crate::records::nearest;
use crate::records::parquet::{
    Wanted, read_bytes, read_group as read_rows, read_object as read_file, strings,
};
use crate::store::Source;
use arrow_array::RecordBatch;
use arrow_schema::Fields;
use bytes::Bytes;

/// Rows decoded at a time.
const BATCH_ROWS: usize = 1024;

/// Hands each text of a file to `take`, or why it cannot be read.
///
/// # Errors
/// `take`'s own, when the bytes are no whole Parquet file, and when a column is absent or of another type.
pub(super) fn read(bytes: Bytes, reader: &Reader<'_>, take: Take<'_>) -> Result<(), DataError> {
    read_bytes(reader.uri, bytes, &mut |fields| wanted(fields, reader), &mut |row, batch| {
        texts(reader, &batch, row, take)
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
    let (object, metadata, group) = source.row_group(shard, block)?;
    let place = (group, block.line);
    read_rows(object, &metadata, place, &mut |fields| wanted(fields, reader), &mut |row, batch| {
        texts(reader, &batch, row, take)
    })
}

/// As [`read`], of a file that is read where it lies, a row group at a time.
///
/// # Errors
/// As [`read`].
pub(super) fn read_object(reader: &Reader<'_>, take: Take<'_>) -> Result<(), DataError> {
    read_file(reader.uri, &mut |fields| wanted(fields, reader), &mut |row, batch| {
        texts(reader, &batch, row, take)
    })
}

/// The columns of the text and, where it is asked for, of the label.
fn wanted(fields: &Fields, reader: &Reader<'_>) -> Result<Wanted, DataError> {
    let column = |key: &str, name: &String| {
        fields.iter().position(|field| field.name() == name).ok_or_else(|| {
            let names: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
            let expected = format!("a column of {} ({})", reader.uri, nearest(&names, name));
            DataError::config(key, expected, format!("`{name}`"))
        })
    };
    let mut columns = vec![column("text_column", &reader.config.text_column)?];
    if reader.labelled {
        columns.push(column("label_column", &reader.config.label_column)?);
    }
    Ok(Wanted { columns, batch_rows: BATCH_ROWS })
}

/// Hands the texts of some rows to `take`; the first is row `first_row` of the file.
fn texts(reader: &Reader<'_>, batch: &RecordBatch, first_row: u64, take: Take<'_>) -> Result<(), DataError> {
    let config = reader.config;
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
    for (row, (text, label)) in (first_row..).zip(texts.into_iter().zip(labels)) {
        take(reader.record("row", row, text.as_deref(), label.as_deref()))?;
    }
    Ok(())
}
