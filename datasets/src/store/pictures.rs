//! The encoded pictures of files that hold many, a block at a time.

use super::blocks::Source;
use super::set::Decode;
use crate::DataError;
use crate::index::Block;
use crate::records::{ReadOptions, Use};
use bytes::Bytes;

/// No column is wanted as cells.
fn no_cells() -> ReadOptions<'static> {
    ReadOptions::plain(&|_| Use::Nothing)
}

/// Takes the encoded pictures out of a block.
#[derive(Debug)]
pub(crate) struct PictureDecoder;

impl PictureDecoder {
    /// True where a shard that has rows has a column of pictures.
    ///
    /// # Errors
    /// When the shard cannot be opened.
    pub(crate) fn fits(source: &Source, shard: usize) -> Result<bool, DataError> {
        let has_rows = source.index().rows(shard)?.len() > 0;
        Ok(has_rows && source.open_shard(shard, &no_cells())?.are_pictures())
    }
}

impl Decode for PictureDecoder {
    /// `None` where a row has no picture.
    type Records = Vec<Option<Bytes>>;

    fn decode(&self, source: &Source, shard: usize, block: &Block) -> Result<Self::Records, DataError> {
        source.open_shard(shard, &no_cells())?.pictures(block)
    }
}
