//! How the samples of a shard are written down.

use crate::{index, source};
use serde::{Deserialize, Serialize};

/// The format of a set's shards. What is indexed depends on it, so an index states it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Tar in WebDataset's layout: a sample is found alone.
    Tar,
    /// Rows of separated cells, in blocks.
    Csv {
        /// Between the cells.
        separator: u8,
        /// Begins a line that is no row.
        comment: Option<u8>,
        /// Whether the first row names the columns.
        header: bool,
    },
    /// A JSON object a line, in blocks.
    Jsonl,
    /// Text as it is, in blocks of lines.
    Text,
    /// Apache Parquet: a row group is a block.
    Parquet,
}

impl Format {
    /// By the ending of a URI or, where that has none, of the first file that it names; CSV with a header
    /// for all that end otherwise.
    pub fn of(uri: &str) -> Self {
        let first = || index::shards(uri).ok()?.first().and_then(|shard| Format::named(shard));
        let csv = Format::Csv { separator: b',', comment: None, header: true };
        Format::named(uri).or_else(first).unwrap_or(csv)
    }

    /// By the ending of a name, that of a packing aside.
    fn named(uri: &str) -> Option<Self> {
        let name = source::unpacked_name(uri);
        let (_, ending) = name.rsplit_once('.')?;
        match ending {
            "tar" | "tgz" | "tzst" => Some(Format::Tar),
            "parquet" | "pq" => Some(Format::Parquet),
            "jsonl" | "ndjson" => Some(Format::Jsonl),
            "txt" => Some(Format::Text),
            "csv" => Some(Format::Csv { separator: b',', comment: None, header: true }),
            "tsv" => Some(Format::Csv { separator: b'\t', comment: None, header: true }),
            _ => None,
        }
    }

    /// What is in a block, as an extension.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Format::Tar => "tar",
            Format::Csv { .. } => "csv",
            Format::Jsonl => "jsonl",
            Format::Text => "txt",
            Format::Parquet => "parquet",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_told_by_the_name() {
        for (uri, name) in [
            ("s3://bucket/a.b/train-{0..9}.tar", "tar"),
            ("x/*.TAR.zst", "tar"),
            ("part.parquet", "parquet"),
            ("a.jsonl.gz", "jsonl"),
            ("a.ndjson.zstd", "jsonl"),
            ("data/part-*.csv.gz", "csv"),
            ("books/{0..9}.txt.zst", "txt"),
            ("adult.data", "csv"),
        ] {
            assert_eq!(Format::of(uri).name(), name, "{uri}");
        }
        assert!(matches!(Format::of("x.tsv.gz"), Format::Csv { separator: b'\t', .. }));
    }
}
