//! Tables: rows of numbers and categories, from files of any format whose records have columns.
//!
//! ```text
//! files -> Frame (cells) -> split -> TableSchema (types, statistics) -> TableSet (encoded rows)
//! ```
//!
//! A table is read once, whole, into memory. The types and statistics of its columns come from the
//! training rows alone, are saved as `columns.json`, and encode every later row in the same way. One that
//! is too large is streamed:
//!
//! ```text
//! blocks of all files -> Survey, merged block by block -> TableSchema
//! blocks of a window  -> Frame -> encoded rows -> TableSet
//! ```

mod blocks;
mod columns;
mod config;
mod encode;
mod file;
mod moments;
mod open;
mod predict;
mod read;
mod request;
mod resumed;
mod rows;
mod schema;
mod set;
mod streamed;
mod survey;
mod tally;

pub use columns::{Column, Encoding, TableTarget};
pub use config::{TableConfig, TargetKind};
pub use open::{open, open_evaluation, reopen};
pub use predict::open_prediction;
pub use request::{Cell, Row, records};
pub use schema::TableSchema;
pub use set::{TableSample, TableSet};
pub(crate) use streamed::first_blocks;
