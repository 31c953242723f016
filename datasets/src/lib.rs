//! From a source to batches, for images, text and tables.
//!
//! ```text
//! source (URI) -> shard -> sample -> order -> worker threads -> batch on a device
//!                   └─ index: where in which shard each sample lies
//! ```
//!
//! [`source`] lists, reads and writes what a URI names. [`records`] knows the formats of files, and [`index`]
//! finds one sample or block in them. [`Order`] says in which sequence samples come, and [`Pipeline`] turns
//! any [`Dataset`] into the [`Loader`](bonfire_contract::Loader) that trains. [`image`], [`text`] and
//! [`table`] hold the data sets; [`pack`] writes shards.

mod argument;
mod audit;
mod bounds;
mod buffers;
mod dataset;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod hostile;
pub mod image;
pub mod index;
pub mod measure;
mod opened;
mod order;
pub mod pack;
mod parts;
mod pipeline;
mod pool;
mod recent;
pub mod records;
mod request;
mod resumed;
mod saved;
mod size;
pub mod source;
mod store;
pub mod table;
pub mod text;

pub use argument::names_files;
pub use audit::{Verified, verify};
pub use dataset::{Dataset, Draw, Gathered, Held};
pub use error::DataError;
pub use opened::Opened;
pub use order::{Order, ShardOrder, Shards, Shuffle, Split, Window};
pub use parts::{Names, Part, Parts};
pub use pipeline::{OnCorrupt, PREFETCH_BYTES, Pipeline, PipelineConfig};
pub use request::Requested;
pub use size::{parse_size, size};
pub use source::cache::path as cache_path;
