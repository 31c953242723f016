//! Records in files: rows, objects, lines, pictures. One file a format, registered by a row of the table in
//! `formats`; all that the formats share stands beside them.
//!
//! ```text
//! URI -> files -> Format, by the ending or the first bytes
//!                 -> entries, for the index: samples of a tar, blocks of records
//!                 -> Frames: of bytes in memory, of one block, or as records arrive
//! ```

mod avro;
mod batches;
mod blocks;
mod cells;
mod csv;
mod cut;
mod days;
mod dialect;
mod encoding;
mod entry;
mod excel;
mod files;
mod format;
mod formats;
mod frame;
mod guard;
mod ipc;
mod json;
mod jsonl;
mod labels;
mod layout;
mod libsvm;
mod lines;
mod marks;
mod numbers;
mod objects;
mod once;
pub(crate) mod parquet;
mod pieces;
mod read;
mod shard;
mod sniff;
mod spelling;
pub(crate) mod split;
pub(crate) mod tar;
mod whole;
mod wording;

pub(crate) use blocks::open_blocks;
pub(crate) use cells::{Cells, Coded, TextCells};
pub(crate) use cut::BLOCK;
pub(crate) use days::{days, days_of_date, spelled_day};
pub use dialect::{Dialect, Quoting};
pub(crate) use dialect::{DialectKeys, Given};
pub use encoding::EncodingErrors;
pub(crate) use encoding::{AUTO, Content, Decoding};
pub(crate) use entry::File;
pub use entry::{Entry, Member};
pub(crate) use excel::sheets;
pub use files::{LeftOut, PICTURE_ENDINGS, is_set_aside};
pub(crate) use files::{SIDECAR_ENDING, below, files, has_picture_ending};
pub use format::Format;
pub(crate) use formats::{holds_pictures, one_of, without_tar};
pub(crate) use frame::{Frame, add_names};
pub(crate) use labels::sort_labels;
pub use layout::Layout;
pub(crate) use lines::{utf8, without_mark};
pub(crate) use marks::Marks;
pub(crate) use numbers::{round, round_days};
pub(crate) use read::{Found, ReadBlocks, ReadOptions, TakeFound, Use};
pub(crate) use shard::{Block, Shard};
pub(crate) use sniff::MAGIC as MAGIC_BYTES;
pub(crate) use spelling::{NumberFormat, canonical, is_grouped};
pub(crate) use wording::{listed, nearest, none_but, quoted, shortened};

pub(crate) use csv::hostile_csv;
pub(crate) use encoding::hostile_text;

#[cfg(test)]
pub(crate) mod tests {
    pub(crate) use super::tar::tests::tar;
}
