//! Tables that are too large to be held: surveyed once for their columns, then read by blocks.

use super::blocks::{RowDecoder, read, source};
use super::config::TableConfig;
use super::file::in_sequence;
use super::schema::TableSchema;
use super::set::TableSet;
use super::survey::Survey;
use super::{file, split};
use crate::blocks::{BlockSet, Source};
use crate::shard::Format;
use crate::together::together;
use crate::{DataError, OnCorrupt, Opened, Pipeline, PipelineConfig, ShardOrder, Split};
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
            Some(uri) => file::open(uri, config, &schema)?,
            None if blocks.is_empty() => return Ok(None),
            None => in_sequence(source.clone(), split::indices(blocks), config, &schema),
        };
        Ok(Some(Pipeline::new(set, config.in_order(seed))))
    };
    let (valid, test) = (part(&config.valid, &valid)?, part(&config.test, &test)?);
    let window = source.window(config.window_bytes, row_bytes(&schema));
    let order = config.order.unwrap_or(ShardOrder::Window);
    let train = BlockSet::new(source, train, RowDecoder::new(config, &schema), window).ordered(order);
    let shuffled = PipelineConfig { shuffle: train.shuffle(seed), ..config.in_order(seed) };
    Ok(Opened { train: Pipeline::new(TableSet::streamed(train), shuffled), valid, test, schema })
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

fn split_blocks(source: &Source, config: &TableConfig, seed: u64) -> Result<Split, DataError> {
    let (valid, test) = config.fractions();
    split::blocks(source.len(), source.uri(), valid, test, seed)
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
        let frame = read(source, shard, &block, config, &wanted, &mut corrupt)?;
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

#[cfg(test)]
mod tests;
