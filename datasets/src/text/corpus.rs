//! The tokens of a long text: in memory, or by blocks that are read when they are wanted.

use super::blocks::long_texts;
use super::config::TextConfig;
use super::schema::TextSchema;
use super::stream::Stream;
use crate::index::Block;
use crate::store::{Blocks, Decode, Source};
use crate::{DataError, Shards};
use std::ops::Range;
use std::sync::Arc;

/// A long text, as token ids.
#[derive(Debug)]
pub(super) enum Corpus {
    /// All ids.
    Held(Arc<Stream>),
    /// The ids of some blocks at a time.
    Streamed(Box<TokenBlocks>),
}

impl Corpus {
    /// The ids of a range.
    ///
    /// # Errors
    /// When a block cannot be read, or is not the one that was counted.
    pub(super) fn get(&self, range: Range<usize>) -> Result<Vec<u32>, DataError> {
        match self {
            Corpus::Held(stream) => Ok(stream.get(range)),
            Corpus::Streamed(blocks) => blocks.get(range),
        }
    }
}

/// The tokens of a streamed text, of which the blocks that were used last are held.
pub(super) struct TokenBlocks {
    blocks: Blocks<TokenDecoder>,
    /// The place of each block's first token.
    starts: Shards,
    /// Samples that are worth fetching ahead.
    ahead: u64,
}

impl std::fmt::Debug for TokenBlocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tokens of {}", self.starts.samples(), self.blocks.source().uri())
    }
}

impl TokenBlocks {
    /// Tokens of which at most `most` blocks are held; `starts` says where each begins.
    pub(super) fn new(
        source: Arc<Source>,
        starts: Shards,
        config: &TextConfig,
        schema: &TextSchema,
        (most, ahead): (usize, u64),
    ) -> Self {
        let decoder = TokenDecoder { config: config.clone(), schema: schema.clone() };
        TokenBlocks { blocks: Blocks::new(source, decoder, most), starts, ahead }
    }

    pub(super) fn ahead(&self) -> u64 {
        self.ahead
    }

    /// See [`Dataset::hold`](crate::Dataset::hold).
    pub(super) fn hold(&self, lanes: u64) {
        self.blocks.hold(lanes);
    }

    /// Fetches the block of a token, unless it is there or on its way.
    pub(super) fn prepare(&self, token: usize) {
        self.blocks.prepare(self.starts.find(token as u64).0);
    }

    fn get(&self, range: Range<usize>) -> Result<Vec<u32>, DataError> {
        let mut ids = Vec::with_capacity(range.len());
        while ids.len() < range.len() {
            let (number, within) = self.starts.find((range.start + ids.len()) as u64);
            let block = self.block(number)?;
            let end = block.len().min(within as usize + range.len() - ids.len());
            ids.extend(block.get(within as usize..end));
        }
        Ok(ids)
    }

    fn block(&self, number: usize) -> Result<Arc<Stream>, DataError> {
        let block = self.blocks.get(number)?;
        if block.len() as u64 == self.starts.size(number) {
            return Ok(block);
        }
        let source = self.blocks.source();
        let (shard, place) = source.find(number)?;
        let place = format!("block at line {} (byte {})", place.line, place.bytes.start);
        let expected = format!("the {} tokens that were counted", self.starts.size(number));
        Err(DataError::malformed(source.shard_uri(shard), place, expected, block.len()))
    }

    /// Blocks that are in memory.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.blocks.held()
    }
}

/// Encodes the text of a block by a schema.
struct TokenDecoder {
    config: TextConfig,
    schema: TextSchema,
}

impl Decode for TokenDecoder {
    type Records = Stream;

    fn decode(&self, source: &Source, shard: usize, block: &Block) -> Result<Stream, DataError> {
        let mut stream = Stream::new(self.schema.len());
        let uri = source.shard_uri(shard);
        long_texts(source, shard, block, &self.config, &mut |text, line| {
            stream.extend(&self.schema.encode_first(text, usize::MAX, uri, line)?);
            Ok(())
        })?;
        Ok(stream)
    }
}
