//! The sidecar's file: Parquet, a row group for each shard that has samples.

use super::rows::{Rows, SCHEMA};
use super::{Classes, Indexed};
use crate::records::{Layout, parquet as columnar};
use crate::source::{self, Object, Stat, one_line};
use crate::{DataError, bounds};
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, KeyValue, ParquetMetaData, RowGroupMetaData,
};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnDescPtr;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

/// The key of the footer under which [`Head`] is kept.
const KEY: &str = "bonfire.index";
const VERSION: u64 = 2;

/// The content of the footer beside Parquet's own.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    version: u64,
    format: Layout,
    shards: Vec<Indexed>,
    /// Names and counts; absent when there were too many to be classes.
    classes: Option<Vec<(Option<String>, u64)>>,
}

/// A sidecar, opened.
#[derive(Debug)]
pub(crate) struct Sidecar {
    object: Object,
    file: FileMetaData,
    schema: SchemaRef,
    /// The rows of each row group, and its columns, one group after the other.
    rows: Vec<i64>,
    chunks: Vec<Chunk>,
    layout: Layout,
    shards: Vec<Indexed>,
    classes: Option<Classes>,
    /// Each class's number among those of `classes`.
    class_numbers: HashMap<String, usize>,
    /// The row group of each shard; none for one without samples.
    groups: Vec<Option<usize>>,
}

/// The part of the footer that reading a column of a row group takes; the footer's own form is several times
/// as large.
#[derive(Debug)]
struct Chunk {
    values: i64,
    compression: Compression,
    compressed: i64,
    uncompressed: i64,
    pages: i64,
    dictionary: Option<i64>,
}

impl Chunk {
    fn of(column: &ColumnChunkMetaData) -> Self {
        Chunk {
            values: column.num_values(),
            compression: column.compression(),
            compressed: column.compressed_size(),
            uncompressed: column.uncompressed_size(),
            pages: column.data_page_offset(),
            dictionary: column.dictionary_page_offset(),
        }
    }

    fn column(&self, described: ColumnDescPtr) -> Result<ColumnChunkMetaData, ParquetError> {
        ColumnChunkMetaData::builder(described)
            .set_num_values(self.values)
            .set_compression(self.compression)
            .set_total_compressed_size(self.compressed)
            .set_total_uncompressed_size(self.uncompressed)
            .set_data_page_offset(self.pages)
            .set_dictionary_page_offset(self.dictionary)
            .build()
    }
}

impl Sidecar {
    /// Reads the footer.
    pub(crate) fn open(object: Object) -> Result<Self, DataError> {
        let size = object.stat()?.size;
        let uri = object.uri().to_string();
        let malformed = |found: String| DataError::malformed(&uri, "footer", "an index of shards", found);
        let (metadata, _) = columnar::footer(&object, size)?;
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
        let columns = metadata.row_groups().iter().flat_map(|group| group.columns());
        let chunks = columns.map(Chunk::of).collect();
        let rows = metadata.row_groups().iter().map(|group| group.num_rows()).collect();
        let file = metadata.file_metadata();
        let described = file.schema_descr_ptr();
        let file = FileMetaData::new(file.version(), file.num_rows(), None, None, described, None);
        let schema = columnar::arrow(&object, metadata)?.schema().clone();
        let classes: Option<Classes> = head.classes.map(|classes| classes.into_iter().collect());
        let named = classes.iter().flat_map(|classes| classes.keys().flatten());
        let class_numbers = named.enumerate().map(|(number, class)| (class.clone(), number)).collect();
        let (layout, shards) = (head.format, head.shards);
        Ok(Sidecar { object, file, schema, rows, chunks, layout, shards, classes, class_numbers, groups })
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

    /// The number of a class among the named [`classes`](Self::classes), in their order.
    pub(super) fn class_number(&self, class: &str) -> Option<usize> {
        self.class_numbers.get(class).copied()
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// True where it is the index of these shards as they are now.
    pub(super) fn fits(&self, layout: &Layout, objects: &[Object], stats: &[Stat]) -> bool {
        self.layout == *layout
            && self.shards.len() == objects.len()
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
        let (metadata, rows) = self.row_group(group).map_err(|error| malformed(one_line(error)))?;
        // Arrays of the batch's size are made before it is read: one for the whole file would be held for
        // each shard.
        let mut reader = columnar::group_reader(&self.object, &metadata, 0, ProjectionMask::all(), rows)?;
        let batch = columnar::guarded(self.uri(), || {
            let batch = reader.next().ok_or_else(|| malformed("none".to_string()))?;
            batch.map_err(|error| malformed(one_line(error)))
        })?;
        let rows = Rows::from_batch(self.uri(), &batch)?;
        match rows.len() == self.shards[shard].samples {
            true => Ok(rows),
            false => {
                Err(malformed(format!("{} samples instead of {}", rows.len(), self.shards[shard].samples)))
            }
        }
    }

    /// The metadata of a file that has this row group alone, and its rows.
    fn row_group(&self, group: usize) -> Result<(ArrowReaderMetadata, usize), ParquetError> {
        let described = self.file.schema_descr_ptr();
        let leaves = described.num_columns();
        let chunks = self.chunks.iter().skip(group * leaves).zip(described.columns());
        let columns = chunks.map(|(chunk, column)| chunk.column(column.clone()));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let rows = self.rows.get(group).copied().unwrap_or(0);
        let group = RowGroupMetaData::builder(described).set_num_rows(rows).set_column_metadata(columns);
        let metadata = ParquetMetaData::new(self.file.clone(), vec![group.build()?]);
        let options = ArrowReaderOptions::new().with_schema(self.schema.clone());
        Ok((ArrowReaderMetadata::try_new(Arc::new(metadata), options)?, usize::try_from(rows).unwrap_or(0)))
    }
}

/// A sidecar under way; shards come in their order.
pub(super) struct SidecarWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
    layout: Layout,
    shards: Vec<Indexed>,
    classes: Option<Classes>,
}

impl<W: Write + Send> SidecarWriter<W> {
    pub(super) fn new(writer: W, layout: Layout) -> Result<Self, ParquetError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            // Rows are only ever looked up by their number: what Parquet would skip by is not needed.
            .set_statistics_enabled(EnabledStatistics::None)
            .set_offset_index_disabled(true)
            .set_max_row_group_row_count(None)
            .build();
        let writer = ArrowWriter::try_new(writer, SCHEMA.clone(), Some(properties))?;
        Ok(SidecarWriter { writer, layout, shards: Vec::new(), classes: Some(Classes::new()) })
    }

    pub(super) fn append(&mut self, shard: Indexed, rows: &Rows) -> Result<(), ParquetError> {
        if shard.samples > 0 {
            self.writer.write(&rows.batch())?;
            self.writer.flush()?;
        }
        for (class, samples) in rows.classes() {
            let Some(classes) = &mut self.classes else { break };
            *classes.entry(class.map(str::to_string)).or_default() += samples;
            if classes.len() > bounds::MOST_CLASSES + 1 {
                self.classes = None;
            }
        }
        self.shards.push(shard);
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<W, ParquetError> {
        let classes = self.classes.map(|classes| classes.into_iter().collect());
        let head = Head { version: VERSION, format: self.layout, shards: self.shards, classes };
        let head = serde_json::to_string(&head).expect("names and numbers");
        self.writer.append_key_value_metadata(KeyValue::new(KEY.to_string(), head));
        self.writer.into_inner()
    }
}
