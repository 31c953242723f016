//! Records whose cells are spelled out, as those of CSV and JSONL are, become Parquet, shard by shard, with
//! row groups of equal size.
//!
//! Two passes in bounded memory: the first learns what each column holds, the second writes. Records keep
//! their order, so that a file sorted by its label makes row groups of one label each.

use super::parquet::{GROUP_BYTES, is_planned, planned};
use super::shards::{Packed, shard_uri, sizes, written};
use crate::index::Block;
use crate::records::{BLOCK, Cells, Found, Frame, Layout, Marks, ReadOptions, TextCells, Use};
use crate::source::{self, Object, Writer, one_line};
use crate::store::Source;
use crate::table::TableConfig;
use crate::{DataError, pool};
use arrow_array::builder::{Float64Builder, Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use bonfire_contract::mix;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use std::ops::Range;
use std::sync::Arc;

/// Records to convert, and the place of their shards.
#[derive(Clone, Debug)]
pub struct Convert {
    /// CSV or JSONL: a file, a glob, braces or a folder.
    pub source: String,
    /// The folder that the shards are put into.
    pub folder: String,
    /// Bytes of records in a shard, about, before they are packed.
    pub shard_bytes: u64,
}

/// The type of a column's cells, the narrower first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Empty,
    Integer,
    Float,
    Text,
}

impl Kind {
    fn of(cell: &str, missing: &Marks) -> Self {
        let cell = cell.trim();
        // A zero in front is part of a code, not of a number.
        let digits = cell.trim_start_matches('-').as_bytes();
        let code = matches!(digits, [b'0', second, ..] if second.is_ascii_digit());
        match cell {
            cell if missing.contains(cell) => Kind::Empty,
            cell if !code && cell.parse::<i64>().is_ok() => Kind::Integer,
            cell if !code && cell.parse::<f64>().is_ok() => Kind::Float,
            _ => Kind::Text,
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Kind::Integer => DataType::Int64,
            Kind::Float => DataType::Float64,
            Kind::Empty | Kind::Text => DataType::Utf8,
        }
    }
}

type Columns = Vec<(String, Kind)>;

/// Writes the shards, several at once; those that are there as planned are left as they are. `done` is told
/// how many shards are finished, and how many there are.
///
/// # Errors
/// When a record cannot be read or a shard not be written. Shards written before stay.
pub fn convert(convert: &Convert, done: &mut dyn FnMut(usize, usize)) -> Result<Packed, DataError> {
    let layout = Layout::of(&convert.source)?;
    if !layout.format().is_untyped() {
        let found = layout.format().name();
        return Err(DataError::source(&convert.source, "CSV or JSONL to convert", found));
    }
    let source = Source::open(&convert.source, &layout)?;
    let missing = Marks::new(TableConfig::default().marks());
    let mut columns = Columns::new();
    pool::in_order(
        pool::requests(),
        0..source.len(),
        |number| {
            let (shard, block) = source.find(number)?;
            kinds(&source, shard, &block, &missing)
        },
        |found| {
            for (name, kind) in found {
                match columns.iter_mut().find(|column| column.0 == name) {
                    Some(column) => column.1 = column.1.max(kind),
                    None => columns.push((name, kind)),
                }
            }
            Ok(())
        },
    )?;
    let plan = plan(&source, convert.shard_bytes);
    let name = source::unpacked_name(convert.source.trim_end_matches('/'));
    let stem: String = name.split('.').next().unwrap_or(&name).replace(['*', '?', '[', ']', '{', '}'], "");
    let stem = if stem.is_empty() { "records" } else { &stem };
    let base = format!("{}/{stem}", convert.folder.trim_end_matches('/'));
    let uri = |shard: usize| shard_uri(&base, plan.len(), shard, "parquet");
    let version: u64 = (0..source.index().shards().len()).fold(0, |hash, shard| {
        let stat = &source.index().indexed(shard).stat;
        stat.version.bytes().fold(mix(hash, stat.size), |hash, byte| mix(hash, u64::from(byte)))
    });
    let found = written(plan.len(), done, |shard| {
        let blocks = plan[shard].clone();
        let hash = mix(mix(version, blocks.start as u64), blocks.end as u64);
        write(&uri(shard), &source, blocks, &columns, &missing, hash)
    })?;
    Ok(Packed {
        uri: shard_uri(&base, plan.len(), usize::MAX, "parquet"),
        shards: plan.len(),
        found,
        samples: (0..source.len()).map(|block| source.size(block)).sum(),
        bytes: sizes((0..plan.len()).map(uri))?,
    })
}

/// The blocks of each shard: all about equally many, as a block is a block.
fn plan(source: &Source, shard_bytes: u64) -> Vec<Range<usize>> {
    let blocks = usize::try_from(shard_bytes / BLOCK).unwrap_or(usize::MAX).clamp(1, source.len());
    let shards = source.len().div_ceil(blocks);
    (0..shards).map(|shard| shard * source.len() / shards..(shard + 1) * source.len() / shards).collect()
}

/// The columns of a block and the types of their cells.
fn kinds(source: &Source, shard: usize, block: &Block, missing: &Marks) -> Result<Columns, DataError> {
    let mut columns = Columns::new();
    frames(source, shard, block, &mut |frame| {
        for (name, cells) in frame.names.iter().zip(&frame.columns) {
            let cells = spelled(&frame, name, cells)?;
            let kind = |row| match cells.get(row) {
                None => Kind::Empty,
                Some(_) if cells.is_text(row) => Kind::Text,
                Some(cell) => Kind::of(cell, missing),
            };
            let kind = (0..cells.len()).map(kind).max().unwrap_or(Kind::Empty);
            match columns.iter_mut().find(|column| column.0 == *name) {
                Some(column) => column.1 = column.1.max(kind),
                None => columns.push((name.clone(), kind)),
            }
        }
        Ok(())
    })?;
    Ok(columns)
}

/// Hands the records of a block to `take`, their cells as the file spells them.
///
/// # Errors
/// `take`'s own, and when a record cannot be read.
fn frames(
    source: &Source,
    shard: usize,
    block: &Block,
    take: &mut dyn FnMut(Frame) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let layout = source.index().layout();
    let (dialect, decoding, sheet) = (layout.dialect(), layout.decoding(), layout.sheet());
    let plain = ReadOptions::plain(&|_| Use::Cell);
    let options = ReadOptions { dialect, decoding, sheet, ..plain };
    source.read(shard, block, &options, &mut |found| match found {
        Found::Frame(frame) => take(frame),
        Found::Unreadable(_, error) => Err(error),
    })
}

/// The cells of a column as they are spelled.
fn spelled<'a>(frame: &Frame, name: &str, cells: &'a Cells) -> Result<&'a TextCells, DataError> {
    match cells {
        Cells::Text(text) => Ok(text),
        Cells::Numbers(_) | Cells::Dates(_) | Cells::Coded(_) => {
            let place = format!("column `{name}`");
            Err(DataError::malformed(&frame.uri, place, "cells that are spelled out", "numbers"))
        }
    }
}

/// Values of a column under way.
enum Values {
    Integers(Int64Builder),
    Floats(Float64Builder),
    Texts(StringBuilder),
}

impl Values {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Integer => Values::Integers(Int64Builder::new()),
            Kind::Float => Values::Floats(Float64Builder::new()),
            Kind::Empty | Kind::Text => Values::Texts(StringBuilder::new()),
        }
    }

    /// Appends a cell; one that the first pass took for a mark of no value has none.
    fn push(&mut self, cell: Option<&str>) {
        match self {
            Values::Integers(values) => values.append_option(cell.and_then(|cell| cell.trim().parse().ok())),
            Values::Floats(values) => {
                let number = cell.and_then(|cell| cell.trim().parse::<f64>().ok());
                values.append_option(number.filter(|number| !number.is_nan()));
            }
            Values::Texts(values) => values.append_option(cell),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Values::Integers(values) => Arc::new(values.finish()),
            Values::Floats(values) => Arc::new(values.finish()),
            Values::Texts(values) => Arc::new(values.finish()),
        }
    }
}

/// Writes a shard; false when it was there.
fn write(
    uri: &str,
    source: &Source,
    blocks: Range<usize>,
    columns: &Columns,
    missing: &Marks,
    plan: u64,
) -> Result<bool, DataError> {
    let object = Object::create(uri)?;
    if is_planned(&object, plan) {
        return Ok(false);
    }
    object.remove_unfinished()?;
    let refused = |error: ParquetError| DataError::source(uri, "a place to write to", one_line(error));
    let rows: u64 = blocks.clone().map(|block| source.size(block)).sum();
    let groups = (blocks.len() as u64 * BLOCK).div_ceil(GROUP_BYTES).max(1);
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(rows.div_ceil(groups).max(1) as usize))
        .set_key_value_metadata(Some(vec![planned(plan)]))
        .build();
    let field = |(name, kind): &(String, Kind)| Field::new(name, kind.data_type(), true);
    let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
    let writer = Writer::new(object.clone());
    let mut writer = ArrowWriter::try_new(writer, schema.clone(), Some(properties)).map_err(refused)?;
    for number in blocks {
        let (shard, block) = source.find(number)?;
        let mut values: Vec<Values> = columns.iter().map(|column| Values::new(column.1)).collect();
        frames(source, shard, &block, &mut |frame| {
            for ((name, kind), values) in columns.iter().zip(&mut values) {
                let Some(at) = frame.position(name) else {
                    (0..frame.len()).for_each(|_| values.push(None));
                    continue;
                };
                let cells = spelled(&frame, name, &frame.columns[at])?;
                // Beside numbers a mark means no value; in a column of text it may be a word.
                let is_mark = |cell: &&str| *kind != Kind::Text && missing.contains(cell.trim());
                (0..cells.len()).for_each(|row| values.push(cells.get(row).filter(|cell| !is_mark(cell))));
            }
            Ok(())
        })?;
        let arrays = values.iter_mut().map(Values::finish).collect();
        let batch = RecordBatch::try_new(schema.clone(), arrays)
            .map_err(|error| DataError::source(uri, "columns of one length", one_line(error)))?;
        writer.write(&batch).map_err(refused)?;
    }
    writer.into_inner().map_err(refused)?.finish()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, Int64Type};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use std::fs;

    /// The records of a file as they are in the one shard of it.
    fn converted(name: &str, text: &str) -> Result<RecordBatch, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join(name).display().to_string();
        fs::write(&source, text).unwrap();
        let to = folder.path().join("to").display().to_string();
        let packed = convert(&Convert { source, folder: to, shard_bytes: 1 << 20 }, &mut |_, _| {})?;
        let file = fs::File::open(&source::list(&packed.uri).unwrap()[0]).unwrap();
        let mut batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        Ok(batches.next().unwrap().unwrap())
    }

    #[test]
    fn cells_become_the_narrowest_type_that_holds_them_all() {
        let batch = converted("t.csv", "id,zip,size,note\n1,0123,,a\n2,99,NA,NA\n 3 ,9,2.5, b\n").unwrap();
        let column = |name: &str| batch.column_by_name(name).unwrap().clone();
        assert_eq!(column("id").as_primitive::<Int64Type>().values(), &[1, 2, 3]);
        assert_eq!(column("zip").as_string::<i32>().value(0), "0123");
        let sizes = column("size");
        assert!(sizes.is_null(0) && sizes.is_null(1));
        assert_eq!(sizes.as_primitive::<Float64Type>().value(2), 2.5);
        let notes = column("note");
        assert_eq!([1, 2].map(|row| notes.as_string::<i32>().value(row).to_string()), ["NA", " b"]);
    }

    #[test]
    fn strings_of_json_stay_text_and_a_key_that_is_missing_has_no_value() {
        let lines = "{\"n\": 1, \"s\": \"12\", \"b\": true}\n".to_string() + &"{\"n\": 2.5}\n".repeat(100);
        let batch = converted("t.jsonl", &lines).unwrap();
        let column = |name: &str| batch.column_by_name(name).unwrap().clone();
        assert_eq!(batch.num_rows(), 101);
        assert_eq!(column("n").as_primitive::<Float64Type>().values()[..2], [1.0, 2.5]);
        assert_eq!((column("s").as_string::<i32>().value(0), column("s").null_count()), ("12", 100));
        assert_eq!(column("b").as_string::<i32>().value(0), "true");
    }

    #[test]
    fn records_that_cannot_be_read_and_files_of_other_formats_are_refused() {
        let error = |name, text| converted(name, text).unwrap_err().to_string();
        assert!(error("t.csv", "a,b\n1,2\n3\n").ends_with("line 3: expected 2 cells, found 1 cell"));
        let nested = error("t.jsonl", "{\"a\": [1]}\n");
        assert!(
            nested.contains("line 1, column `a`: expected text, a number, true, false or null"),
            "{nested}"
        );
        assert!(error("t.txt", "a line\n").ends_with("expected CSV or JSONL to convert, found txt"));
        assert!(error("t.parquet", "").ends_with("expected CSV or JSONL to convert, found parquet"));
    }
}
