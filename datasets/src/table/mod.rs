//! Tables: rows of numbers and categories, from CSV, JSONL and Parquet files.
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
mod cells;
pub(crate) mod columns;
pub(crate) mod config;
mod corrupt;
pub(crate) mod csv;
pub(crate) mod encode;
mod file;
mod frame;
mod infer;
pub(crate) mod jsonl;
mod open;
mod parquet;
mod predict;
mod read;
mod request;
mod rows;
pub(crate) mod schema;
mod set;
pub(crate) mod split;
mod streamed;
mod survey;

pub use columns::{Column, Encoding, TableTarget};
pub use config::{TableConfig, TableFormat, TargetKind};
pub use open::{open, open_evaluation, reopen};
pub use predict::open_prediction;
pub use request::{Cell, Row, records};
pub use schema::TableSchema;
pub use set::{TableSample, TableSet};
pub(crate) use streamed::first_blocks;
