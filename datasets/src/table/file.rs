//! A table that is not trained on: the rows in their own order, in memory or by blocks.

use super::blocks::{RowDecoder, source};
use super::config::TableConfig;
use super::encode;
use super::read::read;
use super::schema::TableSchema;
use super::set::TableSet;
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
    let mut frame = read(uri, config)?;
    encode::parse_numbers(schema, &mut frame);
    let mut rows = (0..frame.len()).collect();
    let skipped = encode::keep_readable(schema, &frame, &mut rows, config, true)?;
    let rows = encode::encode(schema, &frame, &rows, config, true)?;
    Ok(TableSet::held(rows, skipped + frame.skipped))
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
    TableSet::streamed(BlockSet::new(source, blocks, RowDecoder::new(config, schema), window))
}
