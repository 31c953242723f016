//! The encoded pictures of Parquet files, a row group at a time.

use super::blocks::Source;
use super::set::Decode;
use crate::DataError;
use crate::index::Block;
use crate::records::parquet::{PictureColumns, pictures};
use bytes::Bytes;

/// Takes the encoded pictures out of a row group.
#[derive(Debug)]
pub(crate) struct PictureDecoder;

impl PictureDecoder {
    /// Whether a shard that has rows has a column of pictures.
    ///
    /// # Errors
    /// When its footer cannot be read.
    pub(crate) fn fits(source: &Source, shard: usize) -> Result<bool, DataError> {
        let blocks = source.index().rows(shard)?.blocks();
        let Some(block) = blocks.first() else { return Ok(false) };
        let (_, metadata, _) = source.row_group(shard, block)?;
        Ok(PictureColumns::of(metadata.schema()).is_some())
    }
}

impl Decode for PictureDecoder {
    /// `None` where a row has no picture.
    type Records = Vec<Option<Bytes>>;

    fn decode(&self, source: &Source, shard: usize, block: &Block) -> Result<Self::Records, DataError> {
        let (object, metadata, group) = source.row_group(shard, block)?;
        pictures(object, &metadata, group, block.records as usize)
    }
}
