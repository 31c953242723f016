//! Blocks of a table: found in its files, read, and encoded by a schema.

use super::config::TableConfig;
use super::corrupt::Corrupt;
use super::encode::{encode, parse_numbers, readable};
use super::frame::Frame;
use super::read::read_csv;
use super::rows::Rows;
use super::schema::TableSchema;
use super::{jsonl, parquet};
use crate::DataError;
use crate::index::Block;
use crate::records::csv::Csv;
use crate::records::{Format, Layout, files};
use crate::store::{Decode, Source};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// The blocks of the files at a URI.
///
/// # Errors
/// When they cannot be read.
pub(super) fn source(uri: &str, config: &TableConfig) -> Result<Source, DataError> {
    // The files of a set are of one kind, that of the first.
    let shards = files(uri)?;
    let first = shards.first().map_or(uri, String::as_str);
    let layout = match config.format(first) {
        Format::Csv => Layout::csv(config.dialect(first)?),
        format => Layout::plain(format),
    };
    Source::open(uri, &layout)
}

/// The rows of a block, only the columns that are wanted where the format allows it.
///
/// # Errors
/// The first that `corrupt` hands back, and when the block as a whole cannot be read.
pub(super) fn read(
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
        Format::Csv | Format::Tar | Format::Text => {
            let dialect = config.dialect(uri)?;
            let names = source.names(shard, dialect, config.given(None))?;
            let bytes = source.fetch(shard, block)?;
            let mut csv = Csv::block(uri, &bytes, dialect, names.to_vec(), block.line);
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
    pub(super) fn new(config: &TableConfig, schema: &TableSchema) -> Self {
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
        let mut frame = read(source, shard, block, config, &wanted, &mut corrupt)?;
        let records = block.records as usize;
        if frame.len() + errors.len() != records {
            let place = format!("block at line {} (byte {})", block.line, block.bytes.start);
            let found = frame.len() + errors.len();
            return Err(DataError::malformed(&frame.uri, place, format!("{records} records"), found));
        }
        if source.index().format() == Format::Jsonl {
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
