//! The formats of files, and what they are called: in code, in a recipe, in an error.

use serde::{Serialize, Serializer};

/// A way to write samples down in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Tar in WebDataset's layout: a sample is found alone.
    Tar,
    /// Text as it is, in blocks of lines.
    Text,
    /// Rows of separated cells, in blocks.
    Csv,
    /// A JSON object a line, in blocks.
    Jsonl,
    /// An array of JSON objects, or objects one after the other, in blocks.
    Json,
    /// Apache Parquet: a row group is a block.
    Parquet,
    /// Apache Arrow's IPC, as a file (Feather) or a stream: some record batches are a block.
    Ipc,
    /// Apache Avro's object container file: some of its blocks are one.
    Avro,
    /// LIBSVM's rows of a label and the features that are not 0: the file is one block.
    Libsvm,
    /// A sheet of a workbook of Excel or OpenDocument: the file is one block.
    Excel,
}

impl Format {
    /// The format in a recipe, which is the extension of its blocks, too.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Format::Tar => "tar",
            Format::Text => "txt",
            Format::Csv => "csv",
            Format::Jsonl => "jsonl",
            Format::Json => "json",
            Format::Parquet => "parquet",
            Format::Ipc => "ipc",
            Format::Avro => "avro",
            Format::Libsvm => "libsvm",
            Format::Excel => "excel",
        }
    }

    /// The format in an error.
    pub(super) fn described(self) -> &'static str {
        match self {
            Format::Tar => "a tar",
            Format::Text => "text",
            Format::Csv => "CSV",
            Format::Jsonl => "JSON lines",
            Format::Json => "JSON",
            Format::Parquet => "a Parquet file",
            Format::Ipc => "an Arrow IPC file",
            Format::Avro => "an Avro file",
            Format::Libsvm => "LIBSVM",
            Format::Excel => "a workbook",
        }
    }
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
