//! Tables that are too large to be held: surveyed once for their columns, then read by blocks.

use super::config::{TableConfig, TableFormat};
use super::csv::Csv;
use super::encode::{encode, parse_numbers, readable};
use super::frame::Frame;
use super::open::{fractions, in_order, open_file};
use super::read::{Corrupt, dialect, read_csv};
use super::schema::TableSchema;
use super::set::{Rows, TableSet};
use super::survey::Survey;
use super::{jsonl, parquet, split};
use crate::blocks::{BlockSet, Decode, Source};
use crate::index::Block;
use crate::shard::Format;
use crate::together::together;
use crate::{DataError, OnCorrupt, Opened, Pipeline, PipelineConfig, ShardOrder, Split, index};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Opens the training table by its blocks; `known` are the columns of a run that goes on.
///
/// What is held out of it are whole blocks, drawn at random with `seed`.
///
/// # Errors
/// As those of a table in memory, and when it is not the table that `known` says.
pub(super) fn open(
    config: &TableConfig,
    seed: u64,
    known: Option<TableSchema>,
) -> Result<Opened<TableSet, TableSchema>, DataError> {
    let source = Arc::new(source(&config.train, config)?);
    let Split { train, valid, test } = split_blocks(&source, config, seed)?;
    let train = split::indices(&train);
    let schema = match known {
        Some(schema) => {
            check_rows(&source, &train, &schema, config)?;
            schema
        }
        None => survey(&source, &train, config)?,
    };
    let part = |uri: &Option<String>, blocks: &[u64]| -> Result<Option<Pipeline<TableSet>>, DataError> {
        let set = match uri {
            Some(uri) => open_file(uri, config, &schema)?,
            None if blocks.is_empty() => return Ok(None),
            None => in_sequence(source.clone(), split::indices(blocks), config, &schema),
        };
        Ok(Some(Pipeline::new(set, in_order(config, seed))))
    };
    let (valid, test) = (part(&config.valid, &valid)?, part(&config.test, &test)?);
    let window = source.window(config.window_bytes, row_bytes(&schema));
    let order = config.order.unwrap_or(ShardOrder::Window);
    let train = BlockSet::new(source, train, RowDecoder::new(config, &schema), window).ordered(order);
    let shuffled = PipelineConfig { shuffle: train.shuffle(seed), ..in_order(config, seed) };
    Ok(Opened { train: Pipeline::new(TableSet::streamed(train), shuffled), valid, test, schema })
}

/// All rows of a URI, in their own order.
///
/// # Errors
/// When it cannot be read.
pub(super) fn file(uri: &str, config: &TableConfig, schema: &TableSchema) -> Result<TableSet, DataError> {
    let source = Arc::new(source(uri, config)?);
    let all = (0..source.len()).collect();
    Ok(in_sequence(source, all, config, schema))
}

/// What [`open`] held out of the training table: the test part or, without one, the validation part.
///
/// # Errors
/// When it cannot be read.
pub(super) fn held_out(config: &TableConfig, schema: &TableSchema, seed: u64) -> Result<TableSet, DataError> {
    let source = Arc::new(source(&config.train, config)?);
    let split = split_blocks(&source, config, seed)?;
    let blocks = if split.test.is_empty() { split.valid } else { split.test };
    Ok(in_sequence(source, split::indices(&blocks), config, schema))
}

fn source(uri: &str, config: &TableConfig) -> Result<Source, DataError> {
    // The files of a set are of one kind, that of the first.
    let shards = index::shards(uri)?;
    let first = shards.first().map_or(uri, String::as_str);
    let format = match config.format.unwrap_or_else(|| TableFormat::of(first)) {
        TableFormat::Parquet => Format::Parquet,
        TableFormat::Jsonl => Format::Jsonl,
        TableFormat::Csv => {
            let dialect = dialect(first, config)?;
            Format::Csv { separator: dialect.separator, comment: dialect.comment, header: dialect.has_header }
        }
    };
    Source::open(uri, &format)
}

fn split_blocks(source: &Source, config: &TableConfig, seed: u64) -> Result<Split, DataError> {
    let (valid, test) = fractions(config);
    split::blocks(source.len(), source.uri(), valid, test, seed)
}

fn in_sequence(
    source: Arc<Source>,
    blocks: Vec<usize>,
    config: &TableConfig,
    schema: &TableSchema,
) -> TableSet {
    // Each worker is within a block, and the next one may have been begun.
    let window = config.workers.max(1);
    TableSet::streamed(BlockSet::new(source, blocks, RowDecoder::new(config, schema), window))
}

/// Bytes of an encoded row.
fn row_bytes(schema: &TableSchema) -> u64 {
    4 * (schema.num_numeric() + schema.category_sizes().len() + 1) as u64
}

/// Reads all blocks once for the columns; those not in `train` for the labels alone.
fn survey(source: &Source, train: &[usize], config: &TableConfig) -> Result<TableSchema, DataError> {
    let uri = source.uri();
    eprintln!("reading {uri} once for its columns: {} blocks", source.len());
    let mut training = vec![false; source.len()];
    train.iter().for_each(|&block| training[block] = true);
    let work = |number: usize| {
        let (shard, block) = source.find(number)?;
        let mut corrupt = |_: u32, error| match config.on_corrupt {
            OnCorrupt::Stop => ControlFlow::Break(error),
            OnCorrupt::Skip => ControlFlow::Continue(()),
        };
        let wanted = |name: &str| !config.ignore.iter().any(|ignored| ignored == name);
        let frame = read_block(source, shard, &block, config, &wanted, &mut corrupt)?;
        Ok((frame.uri.clone(), Survey::of(&frame, config, training[number]), frame.names))
    };
    let mut all = Survey::default();
    let mut first: Option<(String, Vec<String>)> = None;
    let same_everywhere = *source.index().format() != Format::Jsonl;
    together(&(0..source.len()).collect::<Vec<_>>(), work, |_, (file, survey, mut names)| {
        names.sort_unstable();
        let (first_file, expected) = first.get_or_insert_with(|| (file.clone(), names.clone()));
        if same_everywhere && *expected != names {
            let expected = format!("the columns of {first_file}: {}", expected.join(", "));
            return Err(DataError::source(&file, expected, names.join(", ")));
        }
        all.merge(uri, survey)
    })?;
    all.schema(uri, config)
}

/// Refuses a table with another number of rows than a run began with.
fn check_rows(
    source: &Source,
    train: &[usize],
    schema: &TableSchema,
    config: &TableConfig,
) -> Result<(), DataError> {
    let rows: u64 = train.iter().map(|&block| source.size(block)).sum();
    // Rows that cannot be read are no training rows, and counted only where reading goes on behind them.
    let same = match config.on_corrupt {
        OnCorrupt::Stop => rows == schema.rows,
        OnCorrupt::Skip => rows >= schema.rows,
    };
    match same {
        true => Ok(()),
        false => {
            let expected = format!("the {} training rows that the run began with", schema.rows);
            Err(DataError::source(source.uri(), expected, rows))
        }
    }
}

/// The rows of a block, only the columns that are wanted where the format allows it.
fn read_block(
    source: &Source,
    shard: usize,
    block: &Block,
    config: &TableConfig,
    wanted: &dyn Fn(&str) -> bool,
    corrupt: Corrupt<'_>,
) -> Result<Frame, DataError> {
    let uri = source.shard_uri(shard);
    match source.index().format() {
        Format::Parquet => parquet::read_group(source, shard, block, config, wanted),
        Format::Jsonl => jsonl::read(uri, &source.fetch(shard, block)?, block.line, config, corrupt),
        Format::Csv { .. } | Format::Tar => {
            let dialect = dialect(uri, config)?;
            let names = source.names(shard, |head| Ok(Csv::open(uri, head, &dialect)?.names().to_vec()))?;
            let bytes = source.fetch(shard, block)?;
            let mut csv = Csv::block(uri, &bytes, &dialect, names.to_vec(), block.line);
            read_csv(&mut csv, uri, config, corrupt)
        }
    }
}

/// Encodes the rows of a block by a schema.
#[derive(Debug)]
pub(super) struct RowDecoder {
    config: TableConfig,
    schema: TableSchema,
}

/// The encoded rows of a block.
#[derive(Debug)]
pub(super) struct RowBlock {
    pub rows: Arc<Rows>,
    /// Which of `rows` each record is, where some cannot be read; all are in their order otherwise.
    places: Option<Vec<Result<usize, DataError>>>,
}

impl RowBlock {
    /// Which row record `number` is.
    ///
    /// # Errors
    /// The record's own, when it cannot be read.
    pub(super) fn row(&self, number: usize) -> Result<usize, DataError> {
        match &self.places {
            Some(places) => places[number].clone(),
            None => Ok(number),
        }
    }
}

impl RowDecoder {
    fn new(config: &TableConfig, schema: &TableSchema) -> Self {
        RowDecoder { config: config.clone(), schema: schema.clone() }
    }
}

impl Decode for RowDecoder {
    type Records = RowBlock;

    fn decode(&self, source: &Source, shard: usize, block: &Block) -> Result<RowBlock, DataError> {
        let RowDecoder { config, schema } = self;
        let wanted = |name: &str| {
            name == schema.target.name() || schema.columns.iter().any(|column| column.name == name)
        };
        let mut errors: HashMap<usize, DataError> = HashMap::new();
        let mut corrupt = |number: u32, error| {
            errors.insert(number as usize, error);
            ControlFlow::Continue(())
        };
        let mut frame = read_block(source, shard, block, config, &wanted, &mut corrupt)?;
        let records = block.records as usize;
        if frame.len() + errors.len() != records {
            let place = format!("block at line {} (byte {})", block.line, block.bytes.start);
            let found = frame.len() + errors.len();
            return Err(DataError::malformed(&frame.uri, place, format!("{records} records"), found));
        }
        if *source.index().format() == Format::Jsonl {
            let columns = schema.columns.iter().map(|column| column.name.as_str());
            frame.complete(columns.chain([schema.target.name()]));
        }
        let numbers: Vec<usize> = (0..records).filter(|number| !errors.contains_key(number)).collect();
        parse_numbers(schema, &mut frame);
        let all: Vec<usize> = (0..frame.len()).collect();
        let rows = readable(schema, &frame, &all, config, true, |row, error| {
            errors.insert(numbers[row], error);
            ControlFlow::Continue(())
        })?;
        let encoded = Arc::new(encode(schema, &frame, &rows, config, true)?);
        let mut next = 0..rows.len();
        let mut place = |number: usize| match errors.remove(&number) {
            Some(error) => Err(error),
            None => Ok(next.next().unwrap_or_default()),
        };
        let places = (rows.len() < records).then(|| (0..records).map(&mut place).collect());
        Ok(RowBlock { rows: encoded, places })
    }
}

#[cfg(test)]
mod tests;
