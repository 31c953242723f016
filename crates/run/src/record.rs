//! Records from memory, as a server is sent them.

use bonfire_datasets::table::Row;
use std::fmt;

/// A record from memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A picture file: PNG, JPEG, WebP, BMP, TIFF or GIF.
    Picture(Vec<u8>),
    /// A row of a table.
    Row(Row),
    /// A text to classify, or a prompt to continue.
    Text(String),
}

impl fmt::Display for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Record::Picture(_) => "a picture",
            Record::Row(_) => "a row of a table",
            Record::Text(_) => "a text",
        })
    }
}
