//! The sidecar's file: Parquet, a row group for each shard that has samples.

use super::rows::{Rows, SCHEMA};
use super::{Classes, Indexed};
use crate::source::{self, Object, Stat, one_line};
use crate::{DataError, bounds};
use bytes::{Buf, Bytes};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, KeyValue, ParquetMetaDataReader};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{ChunkReader, Length};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::sync::Arc;

/// The key of the footer under which [`Head`] is kept.
const KEY: &str = "bonfire.index";
const VERSION: u64 = 1;

/// Bytes at the end that are read first: most footers whole.
const TAIL: u64 = 64 << 10;

/// What the footer holds beside Parquet's own.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    version: u64,
    shards: Vec<Indexed>,
    /// Names and counts; absent when there were too many to be classes.
    classes: Option<Vec<(Option<String>, u64)>>,
}

/// A sidecar, opened.
#[derive(Debug)]
pub(crate) struct Sidecar {
    object: Object,
    metadata: ArrowReaderMetadata,
    shards: Vec<Indexed>,
    classes: Option<Classes>,
    /// The row group of each shard; none for one without samples.
    groups: Vec<Option<usize>>,
}

impl Sidecar {
    /// Reads the footer.
    pub(crate) fn open(object: Object) -> Result<Self, DataError> {
        let size = object.stat()?.size;
        let uri = object.uri().to_string();
        let malformed = |found: String| DataError::malformed(&uri, "footer", "an index of shards", found);
        let mut reader = ParquetMetaDataReader::new();
        let mut tail = TAIL.min(size);
        let metadata = loop {
            let bytes = object.range(size - tail..size)?;
            match reader.try_parse_sized(&bytes, size) {
                Ok(()) => break reader.finish().map_err(|error| malformed(one_line(error)))?,
                Err(ParquetError::NeedMoreData(needed)) if needed as u64 > tail && needed as u64 <= size => {
                    tail = needed as u64;
                }
                Err(error) => return Err(malformed(one_line(error))),
            }
        };
        // Parquet's reader takes places for granted, and panics where they are negative.
        let lies_within = |column: &ColumnChunkMetaData| {
            let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            let end = start.checked_add(column.compressed_size());
            start >= 0 && column.compressed_size() >= 0 && end.is_some_and(|end| end as u64 <= size)
        };
        if !metadata.row_groups().iter().flat_map(|group| group.columns()).all(lies_within) {
            return Err(malformed("columns outside of the file".to_string()));
        }
        let pairs = metadata.file_metadata().key_value_metadata();
        let head = pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == KEY));
        let Some(head) = head.and_then(|head| head.value.as_deref()) else {
            return Err(malformed("another Parquet file".to_string()));
        };
        let head: Head = serde_json::from_str(head).map_err(|error| malformed(one_line(error)))?;
        if head.version != VERSION {
            return Err(malformed(format!("version {}", head.version)));
        }
        let mut filled = 0..metadata.num_row_groups();
        let groups: Vec<Option<usize>> =
            head.shards.iter().map(|shard| if shard.samples > 0 { filled.next() } else { None }).collect();
        let missing =
            head.shards.iter().zip(&groups).any(|(shard, group)| shard.samples > 0 && group.is_none());
        if missing || !filled.is_empty() {
            return Err(malformed("another number of row groups than shards".to_string()));
        }
        let metadata = ArrowReaderMetadata::try_new(Arc::new(metadata), Default::default())
            .map_err(|error| malformed(one_line(error)))?;
        let classes = head.classes.map(|classes| classes.into_iter().collect());
        Ok(Sidecar { object, metadata, shards: head.shards, classes, groups })
    }

    pub(super) fn uri(&self) -> &str {
        self.object.uri()
    }

    pub(crate) fn shards(&self) -> &[Indexed] {
        &self.shards
    }

    pub(super) fn classes(&self) -> Option<&Classes> {
        self.classes.as_ref()
    }

    /// Whether it is the index of these shards as they are now.
    pub(super) fn fits(&self, objects: &[Object], stats: &[Stat]) -> bool {
        self.shards.len() == objects.len()
            && self.shards.iter().zip(objects).zip(stats).all(|((shard, object), stat)| {
                shard.name == source::name(object.uri()) && shard.stat.allows(stat)
            })
    }

    /// The rows of shard number `shard`, in one request.
    pub(crate) fn rows(&self, shard: usize) -> Result<Rows, DataError> {
        let Some(group) = self.groups[shard] else { return Ok(Rows::of(&[])) };
        let malformed = |found: String| {
            let place = format!("row group {group} (shard {})", self.shards[shard].name);
            DataError::malformed(self.uri(), place, "the rows of a shard", found)
        };
        let columns = self.metadata.metadata().row_group(group).columns().iter();
        let ranges = columns.map(|column| column.byte_range());
        let (begin, end) = ranges.fold((u64::MAX, 0), |(begin, end), (start, length)| {
            (begin.min(start), end.max(start.saturating_add(length)))
        });
        if begin >= end {
            return Err(malformed("no bytes".to_string()));
        }
        let bytes = self.object.range(begin..end)?;
        let slab = Slab { begin, bytes };
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(slab, self.metadata.clone());
        let reader = builder.with_row_groups(vec![group]).with_batch_size(usize::MAX >> 1).build();
        let batch = reader.map_err(|error| malformed(one_line(error)))?.next();
        let batch = batch.ok_or_else(|| malformed("none".to_string()))?;
        let rows = Rows::from_batch(self.uri(), &batch.map_err(|error| malformed(one_line(error)))?)?;
        match rows.len() == self.shards[shard].samples {
            true => Ok(rows),
            false => {
                Err(malformed(format!("{} samples instead of {}", rows.len(), self.shards[shard].samples)))
            }
        }
    }
}

/// Part of a file, at its place.
struct Slab {
    begin: u64,
    bytes: Bytes,
}

impl Length for Slab {
    fn len(&self) -> u64 {
        self.begin + self.bytes.len() as u64
    }
}

impl ChunkReader for Slab {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        let length = self.len().saturating_sub(start) as usize;
        Ok(self.get_bytes(start, length)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let at = start.checked_sub(self.begin).and_then(|at| usize::try_from(at).ok());
        let range = at.and_then(|at| Some(at..at.checked_add(length)?));
        match range.filter(|range| range.end <= self.bytes.len()) {
            Some(range) => Ok(self.bytes.slice(range)),
            None => Err(ParquetError::EOF(format!("{length} bytes at {start} lie outside of the row group"))),
        }
    }
}

/// A sidecar under way; shards come in their order.
pub(super) struct SidecarWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
    shards: Vec<Indexed>,
    classes: Option<Classes>,
}

impl<W: Write + Send> SidecarWriter<W> {
    pub(super) fn new(writer: W) -> Result<Self, ParquetError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            // Rows are only ever looked up by their number: what Parquet would skip by is not needed.
            .set_statistics_enabled(EnabledStatistics::None)
            .set_offset_index_disabled(true)
            .set_max_row_group_row_count(None)
            .build();
        let writer = ArrowWriter::try_new(writer, SCHEMA.clone(), Some(properties))?;
        Ok(SidecarWriter { writer, shards: Vec::new(), classes: Some(Classes::new()) })
    }

    pub(super) fn append(&mut self, shard: Indexed, rows: &Rows) -> Result<(), ParquetError> {
        if shard.samples > 0 {
            self.writer.write(&rows.batch())?;
            self.writer.flush()?;
        }
        for number in 0..rows.len() {
            let Some(classes) = &mut self.classes else { break };
            *classes.entry(rows.class(number).map(str::to_string)).or_default() += 1;
            if classes.len() > bounds::MOST_CLASSES + 1 {
                self.classes = None;
            }
        }
        self.shards.push(shard);
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<W, ParquetError> {
        let classes = self.classes.map(|classes| classes.into_iter().collect());
        let head = Head { version: VERSION, shards: self.shards, classes };
        let head = serde_json::to_string(&head).expect("names and numbers");
        self.writer.append_key_value_metadata(KeyValue::new(KEY.to_string(), head));
        self.writer.into_inner()
    }
}
