//! From a source to batches, for images, text and tables.
//!
//! ```text
//! source -> records -> index -> store -> fields -> image | text | table -> pipeline -> batch on a device
//! a URI's   a format's where    held or  kinds of  a sample: decoded,      workers,
//! bytes     records    each is  windowed columns   encoded, gathered       read-ahead
//!                                  └─ order: which sample is next, by seed and epoch
//! ```
//!
//! [`source`] lists, reads and writes what a URI names. [`records`] knows the formats of files, and [`index`]
//! finds one sample or block in them. [`Order`] says in which sequence samples come, and [`Pipeline`] turns
//! any [`Dataset`] into the [`Loader`](bonfire_contract::Loader) that trains. [`image`], [`text`] and
//! [`table`] hold the data sets; [`pack`] writes shards.
//!
//! Nothing is printed: what takes long is told to the log (the `log` crate), and so is trouble that does not
//! stop. [`index::show`] shows how far an index is that is being built.

mod argument;
mod audit;
mod bounds;
mod buffers;
mod corrupt;
mod dataset;
mod error;
mod fields;
#[doc(hidden)]
pub mod hostile;
pub mod image;
pub mod index;
mod inputs;
mod keep;
pub mod look;
pub mod measure;
pub mod memory;
mod opened;
mod order;
pub mod pack;
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
pub use audit::{Verified, verify, verify_pictures};
pub use corrupt::OnCorrupt;
pub use dataset::{Dataset, Draw, Gathered, Held};
pub use error::DataError;
pub use inputs::{InputPiece, InputPieces, Names, Refused};
pub use keep::{Kept, KeptCell};
pub use opened::Opened;
pub use order::{Order, ShardOrder, Shards, Shuffle, Split, Window};
pub use pipeline::{PREFETCH_BYTES, Pipeline, PipelineConfig};
pub use records::split::SplitBy;
pub use request::Requested;
pub use size::{parse_size, size};
pub use source::cache::path as cache_path;
