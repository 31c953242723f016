//! Tables that are too large to be held: surveyed once for their columns, then read by blocks.

use super::blocks::{RowDecoder, read, source};
use super::config::TableConfig;
use super::file;
use super::file::in_sequence;
use super::packing::Packing;
use super::read::SameColumns;
use super::schema::TableSchema;
use super::set::TableSet;
use super::survey::Survey;
use crate::fields::{TableTarget, label};
use crate::index::Block;
use crate::records::split::{LabelCounts, tell_lacking};
use crate::records::{Cells, Frame, Use};
use crate::store::{BlockSet, Decode, Divided, Known, Source};
use crate::{DataError, OnCorrupt, Opened, Pipeline, PipelineConfig, ShardOrder};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Opens the training table by its blocks; `known` are the columns of a run that goes on.
///
/// Whole blocks are held out of it, drawn at random with `seed`.
///
/// # Errors
/// As those of a table in memory, and when it is not the table that `known` says.
pub(super) fn open(
    config: &TableConfig,
    seed: u64,
    known: Option<TableSchema>,
) -> Result<Opened<TableSet, TableSchema>, DataError> {
    config.held_out().check_blocks()?;
    let source = Arc::new(source(&config.train, config)?);
    let divided = source.divide(config.fractions(), seed)?;
    let schema = match known {
        Some(schema) => {
            Known::kept(&schema.streamed, &source)?;
            schema
        }
        None => {
            let (schema, counts) = survey(&source, &divided, source.len(), config)?;
            if matches!(schema.target, TableTarget::Classes { .. }) {
                config.held_out().tell_blocks(source.uri());
                let labels = schema.labels();
                tell_lacking(source.uri(), labels, counts.of(labels, config.held_out().fractions));
            }
            schema
        }
    };
    let Divided { train, valid, test } = divided;
    let part = |uri: &Option<String>, blocks: Vec<usize>| -> Result<Option<Pipeline<TableSet>>, DataError> {
        let set = match uri {
            Some(uri) => file::open(uri, config, &schema)?,
            None if blocks.is_empty() => return Ok(None),
            None => in_sequence(source.clone(), blocks, config, &schema),
        };
        Ok(Some(Pipeline::new(set, config.in_order(seed))))
    };
    let (valid, test) = (part(&config.valid, valid)?, part(&config.test, test)?);
    Ok(Opened { train: training(source, train, &schema, config, seed), valid, test, schema })
}

/// The part of the training table that [`open`] holds out: the test part or, without one, the validation
/// part.
///
/// # Errors
/// When it cannot be read.
pub(super) fn held_out(config: &TableConfig, schema: &TableSchema, seed: u64) -> Result<TableSet, DataError> {
    let source = Arc::new(source(&config.train, config)?);
    let held_out = source.divide(config.fractions(), seed)?.held_out();
    Ok(in_sequence(source, held_out, config, schema))
}

/// Bytes of an encoded row.
fn row_bytes(schema: &TableSchema) -> u64 {
    4 * (schema.num_numeric() + schema.category_sizes().len() + 1) as u64
}

/// A table for measuring; its columns are those of its first blocks.
pub(crate) struct Surveyed {
    source: Arc<Source>,
    schema: TableSchema,
    config: TableConfig,
}

impl Surveyed {
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// The encoder of blocks.
    pub(crate) fn decoder(&self) -> impl Decode {
        RowDecoder::new(&self.config, &self.schema)
    }

    /// The keys of the table, for opening all of it in memory.
    pub(crate) fn held_config(&self) -> TableConfig {
        TableConfig { stream: Some(false), ..self.config.clone() }
    }

    /// Shuffled batches of the rows.
    pub(crate) fn training(&self) -> Pipeline<TableSet> {
        let all = (0..self.source.len()).collect();
        training(self.source.clone(), all, &self.schema, &self.config, 1)
    }
}

/// Opens a table to be read by `workers`, with the columns of its first `most` blocks.
///
/// # Errors
/// As [`open`].
pub(crate) fn first_blocks(
    uri: &str,
    target: Option<&str>,
    workers: usize,
    most: usize,
) -> Result<Surveyed, DataError> {
    let on_corrupt = OnCorrupt::Skip;
    let mut config = TableConfig { train: uri.to_string(), workers, on_corrupt, ..Default::default() };
    let source = Arc::new(source(uri, &config)?);
    let (shard, block) = source.find(0)?;
    config.target = match target {
        Some(target) => target.to_string(),
        None => {
            let packing = Packing::new(&config, None);
            let frame =
                read(&source, (shard, &block), (&config, &packing), &|_| Use::Offer, &mut |_, _| Ok(()))?;
            frame.names.last().cloned().unwrap_or_default()
        }
    };
    let all = Divided { train: (0..source.len()).collect(), ..Divided::default() };
    let (schema, _) = survey(&source, &all, most, &config)?;
    Ok(Surveyed { source, schema, config })
}

/// Training rows of some blocks.
fn training(
    source: Arc<Source>,
    blocks: Vec<usize>,
    schema: &TableSchema,
    config: &TableConfig,
    seed: u64,
) -> Pipeline<TableSet> {
    let window = source.window(config.window_bytes, row_bytes(schema));
    let order = config.order.unwrap_or(ShardOrder::Window);
    let set = BlockSet::new(source, blocks, RowDecoder::new(config, schema), window).ordered(order);
    let shuffled = PipelineConfig { shuffle: set.shuffle(seed), ..config.in_order(seed) };
    Pipeline::new(TableSet::streamed(set), shuffled)
}

/// Reads the first `most` blocks once for the columns; those not for training for the labels alone. The rows of
/// each label are counted.
fn survey(
    source: &Source,
    divided: &Divided,
    most: usize,
    config: &TableConfig,
) -> Result<(TableSchema, LabelCounts), DataError> {
    // Numbers and dates that a file knows as such are categories only where the recipe says so.
    let (uri, untyped) = (source.uri(), source.index().format().is_untyped());
    let may_be_categories =
        |_: &str, cells: &Cells| untyped || !matches!(cells, Cells::Numbers(_) | Cells::Dates(_));
    let packing = Packing::new(config, None).of_typed(!untyped);
    let parts = divided.parts(source.len());
    let countable = AtomicBool::new(true);
    let work = |number: usize, shard: usize, block: &Block| {
        let mut skipped = 0;
        let mut unreadable = |_: usize, error| config.on_corrupt.refuse(error, &mut skipped);
        let mut frame =
            read(source, (shard, block), (config, &packing), &|name| config.column(name), &mut unreadable)?;
        let rows: Vec<usize> = if parts[number] == 0 { (0..frame.len()).collect() } else { Vec::new() };
        let survey = Survey::of(&frame, &rows, config, &may_be_categories);
        let mut counts = LabelCounts::default();
        if countable.load(Ordering::Relaxed) {
            count_labels(&frame, config, &mut |label, rows| counts.add(&label, parts[number], rows));
        }
        // The columns of the frame are compared, its cells are not wanted any more.
        frame.columns.clear();
        frame.lines.clear();
        Ok((frame, survey, counts))
    };
    let (mut all, mut same, mut labels) = (Survey::default(), SameColumns::default(), LabelCounts::default());
    source.survey("columns", most, work, |(frame, survey, counts)| {
        // What one file lacks is 0 there, and not missing: it has to be known before the statistics are.
        if frame.sparse { same.require(&frame) } else { same.check(&frame) }?;
        all.merge(survey);
        labels.merge(counts);
        countable.store(labels.are_few(), Ordering::Relaxed);
        all.check_categories(uri)
    })?;
    let streamed = Some(Known::of(source, Vec::new()));
    Ok((TableSchema { streamed, ..all.schema(uri, config, None)? }, labels))
}

/// Hands each different label of a frame to `add`, with the number of its rows.
fn count_labels(frame: &Frame, config: &TableConfig, add: &mut dyn FnMut(String, u64)) {
    let Some(target) = frame.position(&config.target) else { return };
    let suffix = config.strip_label_suffix.as_deref();
    let (mut labels, mut counts) = (Vec::new(), Vec::new());
    let place = |cell: &str| {
        labels.push(label(cell, suffix).into_owned());
        labels.len() - 1
    };
    let all: Vec<usize> = (0..frame.len()).collect();
    frame.columns[target].each(&all, place, |_, place| {
        let Some(place) = place else { return };
        counts.resize(counts.len().max(place + 1), 0);
        counts[place] += 1;
    });
    labels.into_iter().zip(counts).for_each(|(label, rows)| add(label, rows));
}

#[cfg(test)]
mod tests;
