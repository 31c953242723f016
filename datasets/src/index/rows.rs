//! The rows of one shard, a row a part, as Arrow columns.

use crate::DataError;
use crate::shard::{Entry, Part};
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
        // Counted from 0 in each shard.
        Field::new("sample", DataType::UInt32, false),
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
        let (mut offset, mut length) = (UInt64Builder::new(), UInt64Builder::new());
        let (mut key, mut class, mut extension) =
            (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
        for (number, entry) in entries.iter().enumerate() {
            for part in &entry.parts {
                sample.append_value(number as u32);
                key.append_value(&entry.key);
                class.append_option(entry.class());
                extension.append_value(&part.extension);
                offset.append_value(part.offset);
                length.append_value(part.length);
                crc32.append_value(part.crc32);
            }
        }
        Rows {
            sample: sample.finish(),
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
            key: batch.column(1).as_string().clone(),
            class: batch.column(2).as_string().clone(),
            extension: batch.column(3).as_string().clone(),
            offset: batch.column(4).as_primitive::<UInt64Type>().clone(),
            length: batch.column(5).as_primitive::<UInt64Type>().clone(),
            crc32: batch.column(6).as_primitive::<UInt32Type>().clone(),
        };
        let ascending =
            rows.sample.values().windows(2).all(|pair| pair[0] == pair[1] || pair[0] + 1 == pair[1]);
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
        self.sample.values().last().map_or(0, |last| u64::from(*last) + 1)
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> u64 {
        self.batch().get_array_memory_size() as u64
    }

    /// The rows of sample `number`.
    fn of_sample(&self, number: u64) -> Range<usize> {
        let samples = self.sample.values();
        let begin = samples.partition_point(|&sample| u64::from(sample) < number);
        let end = begin + samples[begin..].partition_point(|&sample| u64::from(sample) == number);
        begin..end
    }

    /// Whether sample `number` has a part of an extension; its place then.
    pub(crate) fn part(&self, number: u64, extensions: &[&str]) -> Option<Place> {
        let rows = self.of_sample(number);
        let row = extensions
            .iter()
            .find_map(|wanted| rows.clone().find(|&row| self.extension.value(row) == *wanted))?;
        let offset = self.offset.value(row);
        Some(Place { bytes: offset..offset + self.length.value(row), crc32: self.crc32.value(row) })
    }

    /// The common name of a sample's parts.
    pub(crate) fn key(&self, number: u64) -> &str {
        self.key.value(self.of_sample(number).start)
    }

    /// What a sample shows.
    pub(crate) fn class(&self, number: u64) -> Option<&str> {
        let row = self.of_sample(number).start;
        (!self.class.is_null(row)).then(|| self.class.value(row))
    }

    /// A sample with all its parts.
    pub(crate) fn entry(&self, number: u64) -> Entry {
        let part = |row: usize| Part {
            extension: self.extension.value(row).to_string(),
            offset: self.offset.value(row),
            length: self.length.value(row),
            crc32: self.crc32.value(row),
        };
        Entry {
            key: self.key(number).to_string(),
            class: self.class(number).map(str::to_string),
            parts: self.of_sample(number).map(part).collect(),
        }
    }
}

/// Where a part lies, and what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub bytes: Range<u64>,
    pub crc32: u32,
}
