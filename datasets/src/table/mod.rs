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
mod missing;
mod open;
mod packing;
mod predict;
mod read;
mod report;
mod request;
mod resumed;
mod rows;
mod schema;
mod set;
mod split;
mod streamed;
mod survey;
mod unseen;

pub use crate::fields::{
    Category, Column, Date, DateOrder, DatePart, Encoding, Facts, Number, TableTarget, UnseenCells, Why,
};
pub use config::{TableConfig, TargetKind};
pub use missing::MISSING;
pub use open::{open, open_evaluation, reopen};
pub(crate) use packing::Packing;
pub use predict::{open_prediction, open_prediction_keeping};
pub use request::{Cell, Row, records};
pub use schema::TableSchema;
pub use set::{TableSample, TableSet};
pub(crate) use streamed::first_blocks;
pub use unseen::Unseen;

#[cfg(test)]
mod written;
