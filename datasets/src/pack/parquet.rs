//! Shards of pictures as Parquet, in Hugging Face's layout, with row groups of equal size.
//!
//! ```text
//! image: struct { bytes: binary, path: string }, label: string (absent where there are no classes)
//! ```

use super::plan::{Planned, Report};
use crate::DataError;
use crate::records::parquet::footer;
use crate::source::{self, Object, Writer, one_line};
use arrow_array::{ArrayRef, BinaryArray, RecordBatch, StringArray, StructArray};
use arrow_schema::{DataType, Field, Fields, Schema};
use bonfire_contract::mix;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use std::sync::Arc;

/// Bytes of a row group: what is read together.
pub(super) const GROUP_BYTES: u64 = 8 << 20;

/// The key of the footer that says by which plan a shard was written.
const KEY: &str = "bonfire.plan";

/// The mark in the footer of a shard that was written by `plan`.
pub(super) fn planned(plan: u64) -> KeyValue {
    KeyValue::new(KEY.to_string(), format!("{plan:016x}"))
}

/// True where a whole shard of that plan is there.
pub(super) fn is_planned(object: &Object, plan: u64) -> bool {
    let found = object.stat().and_then(|stat| footer(object, stat.size));
    found.is_ok_and(|(metadata, _)| {
        let pairs = metadata.file_metadata().key_value_metadata();
        pairs.is_some_and(|pairs| pairs.contains(&planned(plan)))
    })
}

/// Writes a shard; false when it was there.
pub(super) fn write(uri: &str, samples: &[Planned], report: Report<'_>) -> Result<bool, DataError> {
    let object = Object::create(uri)?;
    let text = |hash: u64, text: &str| text.bytes().fold(hash, |hash, byte| mix(hash, u64::from(byte)));
    let plan = samples.iter().fold(1, |hash, sample| text(mix(hash, sample.size), &sample.key));
    if is_planned(&object, plan) {
        return Ok(false);
    }
    object.remove_unfinished()?;
    let refused = |error: ParquetError| DataError::source(uri, "a place to write to", one_line(error));
    let properties = WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(None)
        .set_key_value_metadata(Some(vec![planned(plan)]))
        .build();
    let image = Fields::from(vec![
        Field::new("bytes", DataType::Binary, true),
        Field::new("path", DataType::Utf8, true),
    ]);
    let classed = samples.iter().any(|sample| sample.class.is_some());
    let mut fields = vec![Field::new("image", DataType::Struct(image.clone()), true)];
    fields.extend(classed.then(|| Field::new("label", DataType::Utf8, true)));
    let schema = Arc::new(Schema::new(fields));
    let writer = Writer::new(object.clone());
    let mut writer = ArrowWriter::try_new(writer, schema.clone(), Some(properties)).map_err(refused)?;
    let bytes: u64 = samples.iter().map(|sample| sample.size).sum();
    let groups = bytes.div_ceil(GROUP_BYTES).max(1) as usize;
    for group in samples.chunks(samples.len().div_ceil(groups).max(1)) {
        let pictures = group.iter().map(|sample| sample.read(report)).collect::<Result<Vec<_>, _>>()?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(BinaryArray::from_iter_values(pictures)),
            Arc::new(StringArray::from_iter_values(group.iter().map(|sample| source::name(&sample.uri)))),
        ];
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(StructArray::new(image.clone(), columns, None))];
        let labels = || group.iter().map(|sample| sample.class.as_deref()).collect::<StringArray>();
        arrays.extend(classed.then(|| Arc::new(labels()) as ArrayRef));
        let batch = RecordBatch::try_new(schema.clone(), arrays)
            .map_err(|error| DataError::source(uri, "columns of one length", one_line(error)))?;
        writer.write(&batch).map_err(refused)?;
        writer.flush().map_err(refused)?;
    }
    writer.into_inner().map_err(refused)?.finish()?;
    Ok(true)
}
