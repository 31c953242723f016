//! From a source to batches, for images, text and tables.
//!
//! ```text
//! source (URI) -> decoded samples -> order -> worker threads -> batch on a device
//! ```
//!
//! [`source`] lists and reads what a URI names, [`Order`] says in which sequence samples come,
//! [`Pipeline`] turns any [`Dataset`] into the [`Loader`](bonfire_contract::Loader) that trains.
//! [`image`], [`text`] and [`table`] hold the data sets.

mod bounds;
mod dataset;
mod error;
pub mod image;
mod order;
mod pipeline;
mod random;
mod saved;
pub mod source;
pub mod table;
pub mod text;

pub use dataset::{Dataset, Opened};
pub use error::DataError;
pub use order::{Order, Split};
pub use pipeline::{OnCorrupt, Pipeline, PipelineConfig};
pub use random::{Draws, mix};
