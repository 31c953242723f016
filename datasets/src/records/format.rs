//! The formats of files: what a recipe calls them, how their names end, and who reads them.

use super::csv::CsvRecords;
use super::dialect::Dialect;
use super::entry::Records;
use super::files::{ending, files};
use super::jsonl::JsonlRecords;
use super::lines::TextRecords;
use super::parquet::ParquetRecords;
use super::tar::TarRecords;
use serde::de::{Deserializer, Error};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How samples are written down in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Tar in WebDataset's layout: a sample is found alone.
    Tar,
    /// Rows of separated cells, in blocks.
    Csv,
    /// A JSON object a line, in blocks.
    Jsonl,
    /// Text as it is, in blocks of lines.
    Text,
    /// Apache Parquet: a row group is a block.
    Parquet,
}

/// A row of the table of formats.
struct Known {
    format: Format,
    /// The format in a recipe, and the extension of its blocks.
    name: &'static str,
    /// The format in a sidecar.
    in_sidecar: &'static str,
    /// How names end behind their last dot, the ending of a packing aside.
    endings: &'static [&'static str],
    records: &'static dyn Records,
}

/// All formats, in the order of the variants.
#[rustfmt::skip]
static FORMATS: [Known; 5] = [
    Known { format: Format::Tar, name: "tar", in_sidecar: "tar", endings: &["tar", "tgz", "tzst"], records: &TarRecords },
    Known { format: Format::Csv, name: "csv", in_sidecar: "csv", endings: &["csv", "tsv"], records: &CsvRecords },
    Known { format: Format::Jsonl, name: "jsonl", in_sidecar: "jsonl", endings: &["jsonl", "ndjson"], records: &JsonlRecords },
    Known { format: Format::Text, name: "txt", in_sidecar: "text", endings: &["txt"], records: &TextRecords },
    Known { format: Format::Parquet, name: "parquet", in_sidecar: "parquet", endings: &["parquet", "pq"], records: &ParquetRecords },
];

impl Format {
    fn known(self) -> &'static Known {
        &FORMATS[self as usize]
    }

    /// By the ending of a URI or, where that has none, of the first file that it names; CSV for all that end
    /// otherwise.
    pub fn of(uri: &str) -> Self {
        Layout::of(uri).format
    }

    /// By the ending of a name, the ending of a packing aside.
    pub fn named(uri: &str) -> Option<Self> {
        let ending = ending(uri);
        FORMATS.iter().find(|known| known.endings.contains(&ending.as_str())).map(|known| known.format)
    }

    /// The one of `formats` that a name ends as; the first of them for a name that ends otherwise.
    pub(crate) fn among(uri: &str, formats: &[Format]) -> Self {
        Format::named(uri).filter(|format| formats.contains(format)).unwrap_or(formats[0])
    }

    /// The format in a recipe, which is the extension of its blocks, too.
    pub(crate) fn name(self) -> &'static str {
        self.known().name
    }

    /// The reader of the format.
    pub(crate) fn records(self) -> &'static dyn Records {
        self.known().records
    }
}

/// Whether a URI's name ends as a file of many pictures does: tar, or Parquet.
pub(crate) fn holds_pictures(uri: &str) -> bool {
    matches!(Format::named(uri), Some(Format::Tar | Format::Parquet))
}

/// A URI without the ending of a tar shard and of its packing, where it has one.
pub(crate) fn without_tar(uri: &str) -> &str {
    if Format::named(uri) != Some(Format::Tar) {
        return uri;
    }
    let name = uri.to_ascii_lowercase();
    let mut endings = Format::Tar.known().endings.iter();
    let at = endings.find_map(|ending| name.rfind(&format!(".{ending}")));
    &uri[..at.unwrap_or(uri.len())]
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Reads the format that a recipe names, one of `formats`, or none.
///
/// # Errors
/// When it names another one.
pub(crate) fn one_of<'de, D: Deserializer<'de>>(
    deserializer: D,
    formats: &'static [&'static str],
) -> Result<Option<Format>, D::Error> {
    let Some(name) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let known = FORMATS.iter().find(|known| known.name == name && formats.contains(&known.name));
    known.map(|known| Some(known.format)).ok_or_else(|| D::Error::unknown_variant(&name, formats))
}

/// How the files of a set are cut into samples or blocks. An index depends on it, and states it: as the
/// format's name or, for CSV, as `{"csv": dialect}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    format: Format,
    /// Of CSV alone.
    dialect: Option<Dialect>,
}

impl Layout {
    /// By the ending of a URI or, where that has none, of the first file that it names; CSV with a header for
    /// all that end otherwise.
    pub fn of(uri: &str) -> Self {
        let first = || files(uri).ok()?.into_iter().next().filter(|file| Format::named(file).is_some());
        let file = if Format::named(uri).is_some() { None } else { first() };
        let name = file.as_deref().unwrap_or(uri);
        match Format::named(name) {
            None | Some(Format::Csv) => Layout::csv(Dialect::named(name)),
            Some(format) => Layout { format, dialect: None },
        }
    }

    /// CSV of a dialect.
    pub(crate) fn csv(dialect: Dialect) -> Self {
        Layout { format: Format::Csv, dialect: Some(dialect) }
    }

    /// A format whose files say by themselves how they are cut; CSV with commas and a header.
    pub(crate) fn plain(format: Format) -> Self {
        Layout { format, dialect: (format == Format::Csv).then(Dialect::default) }
    }

    /// The format of the files.
    pub fn format(&self) -> Format {
        self.format
    }

    /// How the rows of CSV are cut; with commas and a header where the format is another one.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect.unwrap_or_default()
    }
}

impl Serialize for Layout {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = self.format.known().in_sidecar;
        let Some(dialect) = &self.dialect else { return serializer.serialize_str(name) };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(name, dialect)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Layout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelled {
            Name(String),
            Dialect(BTreeMap<String, Dialect>),
        }
        let (name, dialect) = match Spelled::deserialize(deserializer)? {
            Spelled::Name(name) => (Some(name), None),
            Spelled::Dialect(map) => {
                map.into_iter().next().map_or((None, None), |(name, dialect)| (Some(name), Some(dialect)))
            }
        };
        let known = FORMATS.iter().find(|known| Some(known.in_sidecar) == name.as_deref());
        match known {
            Some(known) if dialect.is_some() == (known.format == Format::Csv) => {
                Ok(Layout { format: known.format, dialect })
            }
            _ => Err(D::Error::custom("a format that this version does not know")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_order_of_the_variants() {
        assert!(FORMATS.iter().all(|known| known.format.known().name == known.name));
    }

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
        assert_eq!(Layout::of("x.tsv.gz").dialect().separator, b'\t');
        assert_eq!(ending("dir.csv/rows"), "");
    }

    #[test]
    fn a_kind_takes_its_own_formats() {
        let tables = [Format::Csv, Format::Jsonl, Format::Parquet];
        assert_eq!(Format::among("a/b.parquet", &tables), Format::Parquet);
        assert_eq!(Format::among("a.b/rows.JSONL.gz", &tables), Format::Jsonl);
        assert_eq!(Format::among("builtin:adult.test.gz", &tables), Format::Csv);
        assert_eq!(Format::among("x.txt", &tables), Format::Csv);
        assert_eq!(without_tar("x/train-{0..9}.TAR.zst"), "x/train-{0..9}");
        assert_eq!((without_tar("x.tar/part.csv"), without_tar("y.tgz")), ("x.tar/part.csv", "y"));
        assert!(holds_pictures("a.tgz") && holds_pictures("b.pq") && !holds_pictures("a.csv"));
    }

    #[test]
    fn sidecars_spell_layouts_as_ever() {
        let comma = r#"{"csv":{"separator":44,"comment":null,"header":true}}"#;
        for (layout, spelled) in [
            (Layout::plain(Format::Tar), r#""tar""#),
            (Layout::plain(Format::Text), r#""text""#),
            (Layout::plain(Format::Csv), comma),
        ] {
            assert_eq!(serde_json::to_string(&layout).unwrap(), spelled);
            assert_eq!(serde_json::from_str::<Layout>(spelled).unwrap(), layout);
        }
        assert!(serde_json::from_str::<Layout>(r#""csv""#).is_err());
        assert!(serde_json::from_str::<Layout>(r#""zip""#).is_err());
    }
}
