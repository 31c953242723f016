//! Records in files: rows, objects, lines, pictures. One file a format, registered by a row of the table in
//! [`format`](Format); all that the formats share stands beside them.
//!
//! ```text
//! URI -> files -> Format, by the ending -> entries: samples of a tar, blocks of consecutive records (for the index)
//!                                       -> records: of bytes in memory, of one block, or as they arrive
//! ```

pub(crate) mod csv;
mod cut;
mod dialect;
mod entry;
mod files;
mod format;
pub(crate) mod jsonl;
mod labels;
mod lines;
mod numbers;
pub(crate) mod parquet;
mod pieces;
pub(crate) mod split;
pub(crate) mod tar;
mod wording;

pub(crate) use cut::BLOCK;
pub use dialect::Dialect;
pub use entry::{Entry, Member};
pub(crate) use files::{SIDECAR_ENDING, files};
pub use format::{Format, Layout};
pub(crate) use format::{holds_pictures, one_of, without_tar};
pub(crate) use labels::sort_labels;
pub(crate) use lines::{not_utf8, utf8, without_mark};
pub(crate) use numbers::round;
pub(crate) use pieces::{csv_pieces, line_pieces};
pub(crate) use wording::{nearest, quoted, shortened};

#[cfg(test)]
pub(crate) mod tests {
    pub(crate) use super::tar::tests::tar;
}
