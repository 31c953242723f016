//! Data that are read again and again: samples of tars, each found alone, and records in blocks, found,
//! fetched and decoded whole and kept while their records are wanted.
//!
//! ```text
//! number of a sample -> (shard, number in it) -> place -> bytes -> checksum
//! number of a record -> block -> bytes of it, or the wanted columns of a row group -> checksum -> decoded
//! ```
//!
//! Blocks take the place of shards in the [`order`](crate::Order)s, so that one large file is shuffled like
//! many small ones.

mod blocks;
mod held;
mod known;
mod lock;
mod part;
mod pictures;
mod samples;
mod set;
mod unpacked;

pub(crate) use blocks::{Divided, Source};
pub(crate) use held::{WINDOW_BYTES, is_streamed};
pub(crate) use known::Known;
pub(crate) use part::{PicturePart, is_picture_part};
pub(crate) use pictures::PictureDecoder;
pub(crate) use samples::{Encoded, ShardSet};
pub(crate) use set::{BlockSet, Blocks, Decode};
