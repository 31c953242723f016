//! Tables: rows of numbers and categories, from files of any format whose records have columns.
//!
//! ```text
//! blocks of all files -> Frames, packed -> split -> Survey, merged -> TableSchema -> Rows
//! ```
//!
//! A table is read once, whole, into memory. The types and statistics of its columns come from the
//! training rows alone, are saved as `columns.json`, and encode every later row in the same way. One that
//! is too large is streamed:
//!
//! ```text
//! blocks of all files -> Survey, merged block by block -> TableSchema
//! blocks of a window  -> Frame -> Rows of a block -> TableSet
//! ```

mod blocks;
mod config;
mod encode;
mod file;
#[cfg(test)]
mod formats;
mod open;
mod packing;
mod predict;
mod read;
mod request;
mod resumed;
mod rows;
mod schema;
mod set;
mod streamed;
mod survey;

pub use crate::fields::{Category, Column, Encoding, Number, TableTarget};
pub use config::{TableConfig, TargetKind};
pub use open::{open, open_evaluation, reopen};
pub(crate) use packing::Packing;
pub use predict::open_prediction;
pub use request::{Cell, Row, records};
pub use schema::TableSchema;
pub use set::{TableSample, TableSet};
pub(crate) use streamed::first_blocks;
