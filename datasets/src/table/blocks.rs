//! Blocks of a table: found in its files, read, and encoded by a schema.

use super::config::TableConfig;
use super::encode::Encoder;
use super::packing::Packing;
use super::read::joined;
use super::rows::Rows;
use super::schema::TableSchema;
use super::unseen::Unseen;
use crate::DataError;
use crate::index::Block;
use crate::records::{Frame, Layout, Use, files};
use crate::store::{Decode, Source};
use std::collections::{HashMap, HashSet};
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
    let format = config.format(first)?;
    let layout = Layout::new(format, config.dialect(first, format)?).of_sheet(config.sheet.as_deref());
    Source::open(uri, &layout.decoded(config.decoding()?))
}

/// The rows of a block, of the columns that have a use; those that cannot be read go to `unreadable`, by their
/// number.
///
/// # Errors
/// `unreadable`'s own, and when the block as a whole cannot be read.
pub(super) fn read(
    source: &Source,
    (shard, block): (usize, &Block),
    (config, packing): (&TableConfig, &Packing),
    column: &dyn Fn(&str) -> Use,
    unreadable: &mut dyn FnMut(usize, DataError) -> Result<(), DataError>,
) -> Result<Frame, DataError> {
    let uri = source.shard_uri(shard);
    let options = config.options_as(source.index().layout().dialect(), packing, column, None)?;
    let mut frame = joined(uri, |take| source.read(shard, block, &options, take), unreadable)?;
    packing.pack(&mut frame);
    Ok(frame)
}

/// Encodes the rows of a block by a schema.
#[derive(Debug)]
pub(super) struct RowDecoder {
    config: TableConfig,
    encoder: Encoder,
    packing: Packing,
    /// The names of the schema's columns, the target among them.
    names: HashSet<String>,
    /// Counts the cells that say less than they did in training, where these are wanted.
    unseen: Option<Arc<Unseen>>,
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
        let names = schema.columns.iter().map(|column| column.name.as_str());
        let names = names.chain([schema.target.name()]).map(str::to_string).collect();
        let (encoder, packing) = (Encoder::new(schema, config, true), Packing::new(config, Some(schema)));
        RowDecoder { config: config.clone(), encoder, packing, names, unseen: None }
    }

    /// The decoder, which counts cells in `unseen`.
    pub(super) fn counting(self, unseen: Arc<Unseen>) -> Self {
        RowDecoder { unseen: Some(unseen), ..self }
    }
}

impl Decode for RowDecoder {
    type Records = RowBlock;

    fn decode(&self, source: &Source, shard: usize, block: &Block) -> Result<RowBlock, DataError> {
        let RowDecoder { config, encoder, packing, names, unseen } = self;
        let column = |name: &str| config.column_of(names, name);
        let mut errors: HashMap<usize, DataError> = HashMap::new();
        let mut unreadable = |number: usize, error| {
            errors.insert(number, error);
            Ok(())
        };
        let mut frame = read(source, (shard, block), (config, packing), &column, &mut unreadable)?;
        let records = block.records as usize;
        if frame.len() + errors.len() != records {
            let place = format!("block at line {} (byte {})", block.line, block.bytes.start);
            let found = frame.len() + errors.len();
            return Err(DataError::malformed(&frame.uri, place, format!("{records} records"), found));
        }
        if frame.varies {
            frame.complete(names.iter().map(String::as_str));
        }
        let numbers: Vec<usize> = (0..records).filter(|number| !errors.contains_key(number)).collect();
        let all: Vec<usize> = (0..frame.len()).collect();
        let rows = encoder.readable(&frame, &all, |row, error| {
            errors.insert(numbers[row], error);
            ControlFlow::Continue(())
        })?;
        if let Some(unseen) = unseen.as_ref().filter(|unseen| unseen.is_new(shard, block.bytes.start)) {
            encoder.count_unseen(&frame, &rows, unseen)?;
        }
        let encoded = Arc::new(encoder.encode(&frame, &rows)?);
        let mut next = 0..rows.len();
        let mut place = |number: usize| match errors.remove(&number) {
            Some(error) => Err(error),
            None => Ok(next.next().unwrap_or_default()),
        };
        let places = (rows.len() < records).then(|| (0..records).map(&mut place).collect());
        Ok(RowBlock { rows: encoded, places })
    }
}
