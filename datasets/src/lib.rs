//! From a source to batches, for images, text and tables.
//!
//! ```text
//! source (URI) -> shard -> sample -> order -> worker threads -> batch on a device
//!                   └─ index: where in which shard each sample lies
//! ```
//!
//! [`source`] lists, reads and writes what a URI names. [`shard`] knows the files of many samples,
//! and [`index`] finds one of them. [`Order`] says in which sequence samples come, and
//! [`Pipeline`] turns any [`Dataset`] into the [`Loader`](bonfire_contract::Loader) that trains.
//! [`image`], [`text`] and [`table`] hold the data sets.

mod audit;
mod blocks;
mod bounds;
mod buffers;
mod cache;
mod columnar;
mod dataset;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod hostile;
pub mod image;
pub mod index;
pub mod measure;
mod order;
mod parts;
mod pieces;
mod pipeline;
mod pool;
mod recent;
mod request;
mod resumed;
mod saved;
pub mod shard;
mod size;
pub mod source;
pub mod table;
pub mod text;

pub use audit::{Verified, verify};
pub use cache::path as cache_path;
pub use dataset::{Dataset, Draw, Opened};
pub use error::DataError;
pub use order::{Order, ShardOrder, Shards, Shuffle, Split, Window};
pub use parts::{Names, Part, Parts};
pub use pipeline::{OnCorrupt, PREFETCH_BYTES, Pipeline, PipelineConfig};
pub use request::Requested;
pub use size::{parse_size, size};
