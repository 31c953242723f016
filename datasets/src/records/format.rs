//! The formats of files: what a recipe calls them, how their names end, and who reads them.

use super::csv::CsvRecords;
use super::dialect::{Dialect, DialectKeys};
use super::encoding::{AUTO, Content, Decoding, EncodingErrors};
use super::entry::Records;
use super::files::{ending, files};
use super::jsonl::JsonlRecords;
use super::lines::TextRecords;
use super::parquet::ParquetRecords;
use super::read::ReadRecords;
use super::tar::TarRecords;
use crate::DataError;
use serde::de::{Deserializer, Error};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// The endings of names behind their last dot, the ending of a packing aside.
    endings: &'static [&'static str],
    /// True where files of many pictures may be of the format.
    pictures: bool,
    records: &'static dyn Records,
    /// The reader of records that are rows or lines; none where samples are found alone.
    reader: Option<&'static dyn ReadRecords>,
}

/// All formats, in the order of the variants.
#[rustfmt::skip]
static FORMATS: [Known; 5] = [
    Known { format: Format::Tar, name: "tar", in_sidecar: "tar", endings: &["tar", "tgz", "tzst"], pictures: true, records: &TarRecords, reader: None },
    Known { format: Format::Text, name: "txt", in_sidecar: "text", endings: &["txt"], pictures: false, records: &TextRecords, reader: Some(&TextRecords) },
    Known { format: Format::Csv, name: "csv", in_sidecar: "csv", endings: &["csv", "tsv"], pictures: false, records: &CsvRecords, reader: Some(&CsvRecords) },
    Known { format: Format::Jsonl, name: "jsonl", in_sidecar: "jsonl", endings: &["jsonl", "ndjson"], pictures: false, records: &JsonlRecords, reader: Some(&JsonlRecords) },
    Known { format: Format::Parquet, name: "parquet", in_sidecar: "parquet", endings: &["parquet", "pq"], pictures: true, records: &ParquetRecords, reader: Some(&ParquetRecords) },
];

impl Format {
    fn known(self) -> &'static Known {
        &FORMATS[self as usize]
    }

    /// By the ending of a URI or, where that has none, of the first file that it names; CSV for all that end
    /// otherwise.
    pub fn of(uri: &str) -> Self {
        Format::named(&first_name(uri)).unwrap_or(Format::Csv)
    }

    /// By the ending of a name, the ending of a packing aside.
    pub fn named(uri: &str) -> Option<Self> {
        let ending = ending(uri);
        FORMATS.iter().find(|known| known.endings.contains(&ending.as_str())).map(|known| known.format)
    }

    /// By the ending of a name, where that is a format that `fits`; `otherwise` for all other names.
    pub(crate) fn among(uri: &str, fits: impl Fn(Format) -> bool, otherwise: Format) -> Self {
        Format::named(uri).filter(|&format| fits(format)).unwrap_or(otherwise)
    }

    /// The names of the formats that fit.
    pub(crate) fn names(fits: fn(Format) -> bool) -> impl Iterator<Item = &'static str> {
        FORMATS.iter().filter(move |known| fits(known.format)).map(|known| known.name)
    }

    /// The format in a recipe, which is the extension of its blocks, too.
    pub(crate) fn name(self) -> &'static str {
        self.known().name
    }

    /// The finder of its samples or blocks.
    pub(crate) fn records(self) -> &'static dyn Records {
        self.known().records
    }

    /// The reader of its records; `uri` is to be read.
    ///
    /// # Errors
    /// When the samples of the format are found alone.
    pub(crate) fn reader(self, uri: &str) -> Result<&'static dyn ReadRecords, DataError> {
        self.known().reader.ok_or_else(|| DataError::source(uri, "rows or lines of text", self.name()))
    }

    /// True where records are read in blocks; samples are found alone otherwise.
    pub fn has_blocks(self) -> bool {
        self.known().reader.is_some()
    }

    /// True where a file is text as it is, and a record a line of it.
    pub fn is_plain(self) -> bool {
        self.known().reader.is_some_and(|reader| reader.is_plain())
    }

    /// True where records have columns: those of a table.
    pub(crate) fn has_columns(self) -> bool {
        self.has_blocks() && !self.is_plain()
    }

    /// True where there is something to learn of the columns' cells: they are text that may be numbers.
    pub fn is_untyped(self) -> bool {
        self.has_columns() && !self.known().reader.is_some_and(|reader| reader.is_typed())
    }

    /// True where files of many pictures may be of the format.
    pub(crate) fn may_hold_pictures(self) -> bool {
        self.known().pictures
    }

    /// The content of files that are text; none of those that are not.
    pub(crate) fn content(self) -> Option<Content> {
        match self {
            Format::Text => Some(Content::Prose),
            Format::Csv => Some(Content::Rows),
            Format::Jsonl => Some(Content::Lines),
            _ => None,
        }
    }

    /// True where a recipe says how lines are cut.
    pub(crate) fn has_dialect(self) -> bool {
        self == Format::Csv
    }
}

/// The name that tells a format: a URI or, where that has no ending of one, the first file that it names.
fn first_name(uri: &str) -> String {
    let first = || files(uri).ok()?.into_iter().next().filter(|file| Format::named(file).is_some());
    let file = if Format::named(uri).is_some() { None } else { first() };
    file.unwrap_or_else(|| uri.to_string())
}

/// True for a URI whose name ends as a file of many pictures does: tar, or Parquet.
pub(crate) fn holds_pictures(uri: &str) -> bool {
    Format::named(uri).is_some_and(Format::may_hold_pictures)
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

/// Reads the format that a recipe names, one that `fits`, or none.
///
/// # Errors
/// When it names another one.
pub(crate) fn one_of<'de, D: Deserializer<'de>>(
    deserializer: D,
    fits: fn(Format) -> bool,
) -> Result<Option<Format>, D::Error> {
    let Some(name) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let found = FORMATS.iter().find(|known| known.name == name && fits(known.format));
    match found {
        Some(known) => Ok(Some(known.format)),
        None => {
            let expected = Format::names(fits).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            Err(D::Error::custom(format!("unknown variant `{name}`, expected one of {expected}")))
        }
    }
}

/// The cut of a set's files into samples or blocks. An index depends on it, and states it: as the
/// format's name or, for CSV, as `{"csv": dialect}`; where a recipe says how files are decoded, as
/// `{"csv": dialect, "encoding": name, "encoding_errors": fate}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    format: Format,
    /// The cut of lines, where a recipe says it.
    dialect: Option<Dialect>,
    decoding: Decoding,
}

impl Layout {
    /// By the ending of a URI or, where that has none, of the first file that it names; CSV with a header for
    /// all that end otherwise. The separator of CSV is told by the first lines of the first file.
    pub fn of(uri: &str) -> Self {
        let name = first_name(uri);
        let format = Format::named(&name).unwrap_or(Format::Csv);
        let first = || files(uri).ok()?.into_iter().next();
        let sniffed = |file: String| Dialect::new(&file, &DialectKeys::default(), Decoding::default()).ok();
        let dialect = if format.has_dialect() { first().and_then(sniffed) } else { None };
        Layout::new(format, dialect.unwrap_or_else(|| Dialect::named(&name)))
    }

    /// A format whose lines, where a recipe says how they are cut, are of a dialect.
    pub(crate) fn new(format: Format, dialect: Dialect) -> Self {
        let (dialect, decoding) = (format.has_dialect().then_some(dialect), Decoding::default());
        Layout { format, dialect, decoding }
    }

    /// The layout of files that are decoded so, where they are text.
    pub(crate) fn decoded(self, decoding: Decoding) -> Self {
        let text = self.format.content().is_some();
        Layout { decoding: if text { decoding } else { self.decoding }, ..self }
    }

    /// The way from the files' bytes to text.
    pub(crate) fn decoding(&self) -> Decoding {
        self.decoding
    }

    /// A format whose files say by themselves how they are cut; CSV with commas and a header.
    pub(crate) fn plain(format: Format) -> Self {
        Layout::new(format, Dialect::default())
    }

    /// The format of the files.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The cut of CSV's rows; with commas and a header where the format is another one.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect.unwrap_or_default()
    }
}

impl Serialize for Layout {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = self.format.known().in_sidecar;
        let decoded = self.decoding != Decoding::default();
        if self.dialect.is_none() && !decoded {
            return serializer.serialize_str(name);
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(name, &self.dialect)?;
        if decoded {
            map.serialize_entry("encoding", self.decoding.name())?;
            map.serialize_entry("encoding_errors", &self.decoding.errors)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Layout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelled {
            Name(String),
            Map {
                #[serde(default)]
                encoding: Option<String>,
                #[serde(default)]
                encoding_errors: EncodingErrors,
                #[serde(flatten)]
                format: BTreeMap<String, Option<Dialect>>,
            },
        }
        let (name, dialect, decoding) = match Spelled::deserialize(deserializer)? {
            Spelled::Name(name) => (Some(name), None, Decoding::default()),
            Spelled::Map { encoding, encoding_errors, format } => {
                let decoding = Decoding::new(encoding.as_deref().unwrap_or(AUTO), encoding_errors);
                let (name, dialect) = format.into_iter().next().unzip();
                (name, dialect.flatten(), decoding.map_err(D::Error::custom)?)
            }
        };
        let known = FORMATS.iter().find(|known| Some(known.in_sidecar) == name.as_deref());
        match known {
            Some(known) if dialect.is_some() == known.format.has_dialect() => {
                Ok(Layout { format: known.format, dialect, decoding })
            }
            _ => Err(D::Error::custom("a format that this version does not know")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Quoting;

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
        let table = |uri: &str| Format::among(uri, Format::has_columns, Format::Csv);
        assert_eq!(table("a/b.parquet"), Format::Parquet);
        assert_eq!(table("a.b/rows.JSONL.gz"), Format::Jsonl);
        assert_eq!(table("builtin:adult.test.gz"), Format::Csv);
        assert_eq!(table("x.txt"), Format::Csv);
        assert_eq!(Format::among("x.tar", Format::has_blocks, Format::Text), Format::Text);
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
        let decoding = Decoding::new("latin-1", EncodingErrors::Skip).unwrap();
        let dialect = Dialect { quoting: Quoting::None, ..Dialect::default() };
        for layout in [Layout::new(Format::Csv, dialect), Layout::plain(Format::Text)] {
            let layout = layout.decoded(decoding);
            let spelled = serde_json::to_string(&layout).unwrap();
            assert!(spelled.ends_with(r#""encoding":"windows-1252","encoding_errors":"skip"}"#), "{spelled}");
            assert_eq!(serde_json::from_str::<Layout>(&spelled).unwrap(), layout);
        }
        assert!(serde_json::from_str::<Layout>(r#""csv""#).is_err());
        assert!(serde_json::from_str::<Layout>(r#""zip""#).is_err());
    }
}
