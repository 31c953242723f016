//! The rows of one shard, a row a part, as Arrow columns.

use crate::DataError;
use crate::records::{Block, Entry, Member};
use arrow_array::builder::{StringBuilder, UInt32Builder, UInt64Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt32Array, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

/// The columns of the sidecar.
pub(super) static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        // The first sample that the row is about, counted from 0 in each shard.
        Field::new("sample", DataType::UInt32, false),
        // 1, or how many samples the block of the row has.
        Field::new("records", DataType::UInt32, false),
        Field::new("line", DataType::UInt64, false),
        Field::new("key", DataType::Utf8, false),
        Field::new("class", DataType::Utf8, true),
        Field::new("extension", DataType::Utf8, false),
        Field::new("offset", DataType::UInt64, false),
        Field::new("length", DataType::UInt64, false),
        Field::new("crc32", DataType::UInt32, false),
    ]))
});

/// A shard's samples and their parts.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    sample: UInt32Array,
    records: UInt32Array,
    line: UInt64Array,
    key: StringArray,
    class: StringArray,
    extension: StringArray,
    offset: UInt64Array,
    length: UInt64Array,
    crc32: UInt32Array,
}

impl Rows {
    /// Columns out of entries.
    pub(super) fn of(entries: &[Entry]) -> Self {
        let (mut sample, mut crc32) = (UInt32Builder::new(), UInt32Builder::new());
        let (mut records, mut line) = (UInt32Builder::new(), UInt64Builder::new());
        let (mut offset, mut length) = (UInt64Builder::new(), UInt64Builder::new());
        let (mut key, mut class, mut extension) =
            (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
        let mut number = 0;
        for entry in entries {
            for part in &entry.parts {
                sample.append_value(number);
                records.append_value(entry.records);
                line.append_value(entry.line);
                key.append_value(&entry.key);
                class.append_option(entry.class());
                extension.append_value(&part.extension);
                offset.append_value(part.offset);
                length.append_value(part.length);
                crc32.append_value(part.crc32);
            }
            number += entry.records;
        }
        Rows {
            sample: sample.finish(),
            records: records.finish(),
            line: line.finish(),
            key: key.finish(),
            class: class.finish(),
            extension: extension.finish(),
            offset: offset.finish(),
            length: length.finish(),
            crc32: crc32.finish(),
        }
    }

    /// Columns as they are read; `uri` names the sidecar in errors.
    pub(super) fn from_batch(uri: &str, batch: &RecordBatch) -> Result<Self, DataError> {
        if batch.schema().fields() != SCHEMA.fields() {
            return Err(DataError::malformed(uri, "schema", "the columns of an index", "others"));
        }
        let rows = Rows {
            sample: batch.column(0).as_primitive::<UInt32Type>().clone(),
            records: batch.column(1).as_primitive::<UInt32Type>().clone(),
            line: batch.column(2).as_primitive::<UInt64Type>().clone(),
            key: batch.column(3).as_string().clone(),
            class: batch.column(4).as_string().clone(),
            extension: batch.column(5).as_string().clone(),
            offset: batch.column(6).as_primitive::<UInt64Type>().clone(),
            length: batch.column(7).as_primitive::<UInt64Type>().clone(),
            crc32: batch.column(8).as_primitive::<UInt32Type>().clone(),
        };
        let samples = rows.sample.values();
        let ascending = samples.windows(2).zip(rows.records.values()).all(|(pair, &records)| {
            pair[0] == pair[1] || pair[0].checked_add(records) == Some(pair[1]) && records > 0
        });
        let ends = rows.offset.values().iter().zip(rows.length.values());
        let possible = ends.into_iter().all(|(offset, length)| offset.checked_add(*length).is_some());
        match ascending && possible && rows.sample.values().first().is_none_or(|first| *first == 0) {
            true => Ok(rows),
            false => Err(DataError::malformed(uri, "rows", "samples in ascending order", "others")),
        }
    }

    pub(super) fn batch(&self) -> RecordBatch {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.sample.clone()),
            Arc::new(self.records.clone()),
            Arc::new(self.line.clone()),
            Arc::new(self.key.clone()),
            Arc::new(self.class.clone()),
            Arc::new(self.extension.clone()),
            Arc::new(self.offset.clone()),
            Arc::new(self.length.clone()),
            Arc::new(self.crc32.clone()),
        ];
        RecordBatch::try_new(SCHEMA.clone(), columns).expect("columns of the schema, equally long")
    }

    /// Samples.
    pub(crate) fn len(&self) -> u64 {
        let last = self.sample.values().last().zip(self.records.values().last());
        last.map_or(0, |(&sample, &records)| u64::from(sample) + u64::from(records))
    }

    /// Rows: the parts of all samples.
    pub(super) fn parts(&self) -> usize {
        self.sample.len()
    }

    /// The first sample that a row is about.
    pub(super) fn sample(&self, row: usize) -> u64 {
        u64::from(self.sample.value(row))
    }

    /// The bytes of a row's part.
    pub(super) fn bytes_of(&self, row: usize) -> Range<u64> {
        let offset = self.offset.value(row);
        offset..offset + self.length.value(row)
    }

    /// The checksum of a row's part.
    pub(super) fn crc32(&self, row: usize) -> u32 {
        self.crc32.value(row)
    }

    /// The extension of a row's part.
    pub(super) fn extension(&self, row: usize) -> &str {
        self.extension.value(row)
    }

    /// The class of the sample of a row.
    pub(super) fn row_class(&self, row: usize) -> Option<&str> {
        (!self.class.is_null(row)).then(|| self.class.value(row))
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> u64 {
        self.batch().get_array_memory_size() as u64
    }

    /// The rows of sample `number`, or the row of the block that it is in.
    fn of_sample(&self, number: u64) -> Range<usize> {
        let samples = self.sample.values();
        let end = samples.partition_point(|&sample| u64::from(sample) <= number);
        let first = end.checked_sub(1).map_or(0, |last| samples[last]);
        samples.partition_point(|&sample| sample < first)..end
    }

    /// Every sample's class, or every block's, with the samples that have it.
    pub(super) fn classes(&self) -> impl Iterator<Item = (Option<&str>, u64)> {
        let samples = self.sample.values();
        let first = |row: usize| row == 0 || samples[row - 1] != samples[row];
        (0..samples.len())
            .filter(move |&row| first(row))
            .map(|row| (self.row_class(row), u64::from(self.records.value(row))))
    }

    /// Runs of rows with the same bytes: the blocks that can be read alone, in the shard's order.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        for row in 0..self.sample.len() {
            let bytes = self.bytes_of(row);
            let records = u64::from(self.records.value(row));
            match blocks.last_mut() {
                Some(block) if block.bytes == bytes => block.records += records,
                _ => blocks.push(Block {
                    first: u64::from(self.sample.value(row)),
                    records,
                    line: self.line.value(row),
                    bytes,
                    crc32: self.crc32.value(row),
                }),
            }
        }
        blocks
    }

    /// The common name of a sample's parts.
    pub(crate) fn key(&self, number: u64) -> &str {
        self.key.value(self.of_sample(number).start)
    }

    /// A sample with all its parts.
    pub(crate) fn entry(&self, number: u64) -> Entry {
        let part = |row: usize| Member {
            extension: self.extension.value(row).to_string(),
            offset: self.offset.value(row),
            length: self.length.value(row),
            crc32: self.crc32.value(row),
        };
        let row = self.of_sample(number).start;
        Entry {
            key: self.key(number).to_string(),
            records: self.records.value(row),
            line: self.line.value(row),
            class: self.row_class(row).map(str::to_string),
            parts: self.of_sample(number).map(part).collect(),
        }
    }
}
