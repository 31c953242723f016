//! A table that is not trained on: the rows in their own order, in memory or by blocks.

use super::blocks::{RowDecoder, source};
use super::config::TableConfig;
use super::encode::Encoder;
use super::read::{Frames, RowsOfFrames};
use super::schema::TableSchema;
use super::set::TableSet;
use super::unseen::Unseen;
use crate::DataError;
use crate::store::{BlockSet, Source, is_streamed};
use std::sync::Arc;

/// The rows of a URI.
///
/// # Errors
/// When they cannot be read, and are not to be skipped.
pub(super) fn open(uri: &str, config: &TableConfig, schema: &TableSchema) -> Result<TableSet, DataError> {
    if is_streamed(uri, config.stream) {
        let source = Arc::new(source(uri, config)?);
        let all = (0..source.len()).collect();
        return Ok(in_sequence(source, all, config, schema));
    }
    let frames = Frames::read(uri, config, Some(schema))?;
    let all = frames.all();
    held(frames, all, config, schema)
}

/// Some rows of a table, in memory.
///
/// # Errors
/// When a row cannot be read, and is not to be skipped; when none can.
pub(super) fn held(
    frames: Frames,
    rows: RowsOfFrames,
    config: &TableConfig,
    schema: &TableSchema,
) -> Result<TableSet, DataError> {
    let skipped = frames.skipped;
    let unseen = Arc::default();
    let [(rows, left_out)] = frames.encode(&Encoder::new(schema, config, true), [rows], Some(&*unseen))?;
    Ok(TableSet::held(rows, skipped + left_out).counting(unseen))
}

/// Rows that are read when they are wanted, block after block.
pub(super) fn in_sequence(
    source: Arc<Source>,
    blocks: Vec<usize>,
    config: &TableConfig,
    schema: &TableSchema,
) -> TableSet {
    // Each worker is within a block, and the next one may have been begun.
    let window = config.workers.max(1);
    let unseen: Arc<Unseen> = Arc::default();
    let decoder = RowDecoder::new(config, schema).counting(unseen.clone());
    TableSet::streamed(BlockSet::new(source, blocks, decoder, window)).counting(unseen)
}
