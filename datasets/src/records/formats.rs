//! All formats: what a recipe calls them, how their names end, and who reads them.

use super::avro::AVRO;
use super::csv::CsvRecords;
use super::encoding::Content;
use super::entry::Records;
use super::excel::ExcelRecords;
use super::files::ending;
use super::format::Format;
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
use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// A row of the table of formats.
struct Known {
    format: Format,
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
static FORMATS: [Known; 10] = [
    Known {
        format: Format::Tar,
        in_sidecar: "tar",
        endings: &["tar", "tgz", "tzst"],
        pictures: true,
        records: &TarRecords,
        reader: None,
    },
    Known {
        format: Format::Text,
        in_sidecar: "text",
        endings: &["txt"],
        pictures: false,
        records: &TextRecords,
        reader: Some(&TextRecords),
    },
    Known {
        format: Format::Csv,
        in_sidecar: "csv",
        endings: &["csv", "tsv"],
        pictures: false,
        records: &CsvRecords,
        reader: Some(&CsvRecords),
    },
    Known {
        format: Format::Jsonl,
        in_sidecar: "jsonl",
        endings: &["jsonl", "ndjson"],
        pictures: false,
        records: &JsonlRecords,
        reader: Some(&JsonlRecords),
    },
    Known {
        format: Format::Json,
        in_sidecar: "json",
        endings: &["json"],
        pictures: false,
        records: &JsonRecords,
        reader: Some(&JsonRecords),
    },
    Known {
        format: Format::Parquet,
        in_sidecar: "parquet",
        endings: &["parquet", "pq"],
        pictures: true,
        records: &ParquetRecords,
        reader: Some(&ParquetRecords),
    },
    Known {
        format: Format::Ipc,
        in_sidecar: "ipc",
        endings: &["arrow", "feather", "ipc", "arrows"],
        pictures: false,
        records: &IPC,
        reader: Some(&IPC),
    },
    Known {
        format: Format::Avro,
        in_sidecar: "avro",
        endings: &["avro"],
        pictures: false,
        records: &AVRO,
        reader: Some(&AVRO),
    },
    Known {
        format: Format::Libsvm,
        in_sidecar: "libsvm",
        endings: &["libsvm", "svmlight", "svm"],
        pictures: false,
        records: &LibsvmRecords,
        reader: Some(&LibsvmRecords),
    },
    Known {
        format: Format::Excel,
        in_sidecar: "excel",
        endings: &["xlsx", "xlsm", "xlsb", "xls", "ods"],
        pictures: false,
        records: &ExcelRecords,
        reader: Some(&ExcelRecords),
    },
];

impl Format {
    fn known(self) -> &'static Known {
        &FORMATS[self as usize]
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
                FORMATS.iter().filter(|known| fits(&known.format)).map(|known| known.format.name()).collect();
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
        FORMATS.iter().filter(move |known| fits(known.format)).map(|known| known.format.name())
    }

    /// The format in a sidecar.
    pub(super) fn in_sidecar(self) -> &'static str {
        self.known().in_sidecar
    }

    /// The format that a sidecar names.
    pub(super) fn of_sidecar(name: &str) -> Option<Self> {
        FORMATS.iter().find(|known| known.in_sidecar == name).map(|known| known.format)
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

/// Reads the format that a recipe names, one that `fits`, or none.
///
/// # Errors
/// When it names another one.
pub(crate) fn one_of<'de, D: Deserializer<'de>>(
    deserializer: D,
    fits: fn(Format) -> bool,
) -> Result<Option<Format>, D::Error> {
    let Some(name) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let found = FORMATS.iter().find(|known| known.format.name() == name && fits(known.format));
    match found {
        Some(known) => Ok(Some(known.format)),
        None => {
            let expected = Format::names(fits).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            Err(D::Error::custom(format!("unknown variant `{name}`, expected one of {expected}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_order_of_the_variants() {
        assert!(FORMATS.iter().all(|known| known.format.known().format == known.format));
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
}
