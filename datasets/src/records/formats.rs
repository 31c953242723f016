//! The formats of files: what a recipe calls them, how their names end, and who reads them.

use super::avro::AVRO;
use super::csv::CsvRecords;
use super::dialect::{Dialect, DialectKeys};
use super::encoding::{AUTO, Content, Decoding, EncodingErrors};
use super::entry::Records;
use super::excel::ExcelRecords;
use super::files::{ending, files};
use super::ipc::IPC;
use super::json::JsonRecords;
use super::jsonl::JsonlRecords;
use super::libsvm::LibsvmRecords;
use super::lines::TextRecords;
use super::parquet::ParquetRecords;
use super::read::ReadRecords;
use super::sniff::{self, Told};
use super::tar::TarRecords;
use crate::DataError;
use crate::source::{Object, packing};
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

/// A row of the table of formats.
struct Known {
    format: Format,
    /// The format in a recipe, and the extension of its blocks.
    name: &'static str,
    /// The format in a sidecar.
    in_sidecar: &'static str,
    /// The format in an error.
    described: &'static str,
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
static FORMATS: [Known; 10] = [
    Known { format: Format::Tar, name: "tar", in_sidecar: "tar", described: "a tar", endings: &["tar", "tgz", "tzst"], pictures: true, records: &TarRecords, reader: None },
    Known { format: Format::Text, name: "txt", in_sidecar: "text", described: "text", endings: &["txt"], pictures: false, records: &TextRecords, reader: Some(&TextRecords) },
    Known { format: Format::Csv, name: "csv", in_sidecar: "csv", described: "CSV", endings: &["csv", "tsv"], pictures: false, records: &CsvRecords, reader: Some(&CsvRecords) },
    Known { format: Format::Jsonl, name: "jsonl", in_sidecar: "jsonl", described: "JSON lines", endings: &["jsonl", "ndjson"], pictures: false, records: &JsonlRecords, reader: Some(&JsonlRecords) },
    Known { format: Format::Json, name: "json", in_sidecar: "json", described: "JSON", endings: &["json"], pictures: false, records: &JsonRecords, reader: Some(&JsonRecords) },
    Known { format: Format::Parquet, name: "parquet", in_sidecar: "parquet", described: "a Parquet file", endings: &["parquet", "pq"], pictures: true, records: &ParquetRecords, reader: Some(&ParquetRecords) },
    Known { format: Format::Ipc, name: "ipc", in_sidecar: "ipc", described: "an Arrow IPC file", endings: &["arrow", "feather", "ipc", "arrows"], pictures: false, records: &IPC, reader: Some(&IPC) },
    Known { format: Format::Avro, name: "avro", in_sidecar: "avro", described: "an Avro file", endings: &["avro"], pictures: false, records: &AVRO, reader: Some(&AVRO) },
    Known { format: Format::Libsvm, name: "libsvm", in_sidecar: "libsvm", described: "LIBSVM", endings: &["libsvm", "svmlight", "svm"], pictures: false, records: &LibsvmRecords, reader: Some(&LibsvmRecords) },
    Known { format: Format::Excel, name: "excel", in_sidecar: "excel", described: "a workbook", endings: &["xlsx", "xlsm", "xlsb", "xls", "ods"], pictures: false, records: &ExcelRecords, reader: Some(&ExcelRecords) },
];

impl Format {
    fn known(self) -> &'static Known {
        &FORMATS[self as usize]
    }

    /// By the ending of a URI, or else of the first file that it names, or else by that file's first bytes; CSV
    /// for text that is nothing else, and where nothing is there.
    ///
    /// # Errors
    /// When the file is known to be of a format that is not read.
    pub fn of(uri: &str) -> Result<Self, DataError> {
        Ok(Layout::of(uri)?.format)
    }

    /// By the ending of a name, the ending of a packing aside.
    pub fn named(uri: &str) -> Option<Self> {
        let ending = ending(uri);
        FORMATS.iter().find(|known| known.endings.contains(&ending.as_str())).map(|known| known.format)
    }

    /// The format of a file: by its name where that ends as a format that `fits`, or else by its first bytes;
    /// `otherwise` for text that is nothing else. JSON is looked at in any case: lines are told from arrays.
    ///
    /// # Errors
    /// When the file cannot be read, or holds nothing that `fits`.
    pub(crate) fn told(
        uri: &str,
        fits: impl Fn(Format) -> bool,
        otherwise: Format,
    ) -> Result<Format, DataError> {
        let fits = |format: &Format| fits(*format);
        let named = Format::named(uri).filter(fits);
        if let Some(format) = named.filter(|&format| format != Format::Json) {
            return Ok(format);
        }
        let unfit = |found: String| {
            let read: Vec<&str> =
                FORMATS.iter().filter(|known| fits(&known.format)).map(|known| known.name).collect();
            Err(DataError::source(
                uri,
                format!("one of the formats that are read ({})", read.join(", ")),
                found,
            ))
        };
        if let Some(what) = sniff::unread(&ending(uri)) {
            return unfit(format!("the name of {what}"));
        }
        let object = Object::open(uri)?;
        if named.is_none()
            && let Some(inner) = packing::member_name(&object)?
            && let Some(format) = Format::named(&inner).filter(fits)
        {
            return Ok(format);
        }
        let first = sniff::beginning(uri, packing::open(&object)?.1)?;
        match sniff::content(&first) {
            Told::Known(format) if fits(&format) => Ok(format),
            Told::Known(Format::Json | Format::Jsonl | Format::Libsvm) | Told::Text => {
                Ok(named.unwrap_or(otherwise))
            }
            Told::Known(format) => unfit(format.described().to_string()),
            Told::Foreign(what) => unfit(what.to_string()),
        }
    }

    /// The names of the formats that fit.
    pub(crate) fn names(fits: fn(Format) -> bool) -> impl Iterator<Item = &'static str> {
        FORMATS.iter().filter(move |known| fits(known.format)).map(|known| known.name)
    }

    /// The format in a recipe, which is the extension of its blocks, too.
    pub(crate) fn name(self) -> &'static str {
        self.known().name
    }

    /// The format in an error.
    pub(super) fn described(self) -> &'static str {
        self.known().described
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

    /// Refuses a file that begins as none of the format does: other bytes than text under the name of text.
    ///
    /// # Errors
    /// Names what it is.
    pub(crate) fn check(self, uri: &str, first: &[u8]) -> Result<(), DataError> {
        if self.content().is_some() { sniff::check(uri, first) } else { Ok(()) }
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

    /// True where records may be texts: those of LIBSVM are numbers.
    pub(crate) fn holds_texts(self) -> bool {
        self.has_blocks() && self != Format::Libsvm
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
            Format::Jsonl | Format::Json | Format::Libsvm => Some(Content::Lines),
            _ => None,
        }
    }

    /// True where a recipe says how lines are cut.
    pub(crate) fn has_dialect(self) -> bool {
        self == Format::Csv
    }
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
/// The cut of a set's files into samples or blocks. An index depends on it, and states it: as the
/// format's name, for CSV as `{"csv": dialect}`, for a sheet of a workbook as `{"excel": name}`; where a recipe
/// says how files are decoded, as `{"csv": dialect, "encoding": name, "encoding_errors": fate}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    format: Format,
    /// The cut of lines, where a recipe says it.
    dialect: Option<Dialect>,
    /// The sheet of a workbook, where it is not the first.
    sheet: Option<String>,
    decoding: Decoding,
}

impl Layout {
    /// By the ending of a URI, or else of the first file that it names, or else by that file's first bytes; CSV
    /// with a header for text that is nothing else, and where nothing is there. The separator of CSV is told by
    /// the first lines of the first file.
    ///
    /// # Errors
    /// When the file is known to be of a format that is not read.
    pub fn of(uri: &str) -> Result<Self, DataError> {
        let named = Format::named(uri).filter(|&format| format != Format::Json);
        let first = || files(uri).ok()?.into_iter().next();
        let file = first();
        let name = file.as_deref().unwrap_or(uri);
        let format = match named {
            Some(format) => format,
            None => match Format::told(name, |_| true, Format::Csv) {
                Err(error) if error.is_unreachable() => Format::Csv,
                told => told?,
            },
        };
        let sniffed = || Dialect::new(file.as_deref()?, &DialectKeys::default(), Decoding::default()).ok();
        let dialect = if format.has_dialect() { sniffed() } else { None };
        Ok(Layout::new(format, dialect.unwrap_or_else(|| Dialect::named(name))))
    }

    /// A format whose lines, where a recipe says how they are cut, are of a dialect.
    pub(crate) fn new(format: Format, dialect: Dialect) -> Self {
        let (dialect, decoding) = (format.has_dialect().then_some(dialect), Decoding::default());
        Layout { format, dialect, decoding, sheet: None }
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

    /// The same, of a sheet of a workbook where the format is that of one.
    pub(crate) fn of_sheet(self, sheet: Option<&str>) -> Self {
        let sheet = sheet.filter(|_| self.format == Format::Excel).map(str::to_string);
        Layout { sheet, ..self }
    }

    /// The format of the files.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The cut of CSV's rows; with commas and a header where the format is another one.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect.unwrap_or_default()
    }

    /// The sheet of a workbook, where it is not the first.
    pub(crate) fn sheet(&self) -> Option<&str> {
        self.sheet.as_deref()
    }
}

impl Serialize for Layout {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = self.format.known().in_sidecar;
        let decoded = self.decoding != Decoding::default();
        if self.dialect.is_none() && self.sheet.is_none() && !decoded {
            return serializer.serialize_str(name);
        }
        let mut map = serializer.serialize_map(None)?;
        match &self.sheet {
            Some(sheet) => map.serialize_entry(name, sheet)?,
            None => map.serialize_entry(name, &self.dialect)?,
        }
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
            Sheet(BTreeMap<String, String>),
            Map {
                #[serde(default)]
                encoding: Option<String>,
                #[serde(default)]
                encoding_errors: EncodingErrors,
                #[serde(flatten)]
                format: BTreeMap<String, Option<Dialect>>,
            },
        }
        let usual = Decoding::default();
        let (name, dialect, sheet, decoding) = match Spelled::deserialize(deserializer)? {
            Spelled::Name(name) => (Some(name), None, None, usual),
            Spelled::Sheet(map) => {
                let (name, sheet) = map.into_iter().next().unzip();
                (name, None, sheet, usual)
            }
            Spelled::Map { encoding, encoding_errors, format } => {
                let decoding = Decoding::new(encoding.as_deref().unwrap_or(AUTO), encoding_errors);
                let (name, dialect) = format.into_iter().next().unzip();
                (name, dialect.flatten(), None, decoding.map_err(D::Error::custom)?)
            }
        };
        let known = FORMATS.iter().find(|known| Some(known.in_sidecar) == name.as_deref());
        let fits = |known: &Known| {
            dialect.is_some() == known.format.has_dialect()
                && (sheet.is_none() || known.format == Format::Excel)
        };
        match known {
            Some(known) if fits(known) => Ok(Layout { format: known.format, dialect, sheet, decoding }),
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
            ("t.csv.zip", "csv"),
            ("t.feather", "ipc"),
            ("books/{0..9}.txt.zst", "txt"),
            ("adult.data", "csv"),
        ] {
            assert_eq!(Format::of(uri).unwrap().name(), name, "{uri}");
        }
        assert_eq!(Layout::of("x.tsv.gz").unwrap().dialect().separator, b'\t');
        assert_eq!(ending("dir.csv/rows"), "");
    }

    #[test]
    fn a_kind_takes_its_own_formats() {
        let table = |uri: &str| Format::told(uri, Format::has_columns, Format::Csv).unwrap();
        assert_eq!(table("a/b.parquet"), Format::Parquet);
        assert_eq!(table("a.b/rows.JSONL.gz"), Format::Jsonl);
        assert_eq!(table("builtin:adult.test.gz"), Format::Csv);
        assert_eq!(without_tar("x/train-{0..9}.TAR.zst"), "x/train-{0..9}");
        assert_eq!((without_tar("x.tar/part.csv"), without_tar("y.tgz")), ("x.tar/part.csv", "y"));
        assert!(holds_pictures("a.tgz") && holds_pictures("b.pq") && !holds_pictures("a.csv"));
    }

    #[test]
    fn a_name_that_says_nothing_leaves_it_to_the_content() {
        let folder = tempfile::tempdir().unwrap();
        let told = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            let table = Format::told(path.to_str().unwrap(), Format::has_columns, Format::Csv);
            table.map(Format::name).map_err(|error| error.to_string())
        };
        assert_eq!(told("rows", b"a,b\n1,2\n"), Ok("csv"));
        assert_eq!(told("rows.txt", b"1 1:2 5:1\n"), Ok("libsvm"));
        assert_eq!(told("array.json", b" [ {\"a\": 1}\n]"), Ok("json"));
        assert_eq!(told("lines.json", b"{\"a\": 1}\n{\"a\": 1}\n"), Ok("jsonl"));
        let refused = |name: &str, content: &[u8]| told(name, content).unwrap_err();
        let read =
            "expected one of the formats that are read (csv, jsonl, json, parquet, ipc, avro, libsvm, excel)";
        assert!(refused("x.dat", b"\x89HDF\r\n\x1a\n\0").ends_with(&format!("{read}, found an HDF5 file")));
        assert!(refused("x.sas7bdat", b"").ends_with(&format!("{read}, found the name of SAS")));
        assert!(refused("x", b"\x01\0\x02\0\0\0").ends_with("found binary data"));
    }

    #[test]
    fn sidecars_spell_layouts_as_ever() {
        let comma = r#"{"csv":{"separator":44,"comment":null,"header":true}}"#;
        for (layout, spelled) in [
            (Layout::plain(Format::Tar), r#""tar""#),
            (Layout::plain(Format::Text), r#""text""#),
            (Layout::plain(Format::Csv), comma),
            (Layout::plain(Format::Excel).of_sheet(Some("May")), r#"{"excel":"May"}"#),
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
