//! The cut of a set's files into samples or blocks.

use super::dialect::{Dialect, DialectKeys};
use super::encoding::{AUTO, Decoding, EncodingErrors};
use super::files::files;
use super::format::Format;
use crate::DataError;
use serde::de::{Deserializer, Error};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
        let name = self.format.in_sidecar();
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
        let fits = |format: &Format| {
            dialect.is_some() == format.has_dialect() && (sheet.is_none() || *format == Format::Excel)
        };
        match name.as_deref().and_then(Format::of_sidecar).filter(fits) {
            Some(format) => Ok(Layout { format, dialect, sheet, decoding }),
            _ => Err(D::Error::custom("a format that this version does not know")),
        }
    }
}

impl Format {
    /// By the ending of a URI, or else of the first file that it names, or else by that file's first bytes; CSV
    /// for text that is nothing else, and where nothing is there.
    ///
    /// # Errors
    /// When the file is known to be of a format that is not read.
    pub fn of(uri: &str) -> Result<Self, DataError> {
        Ok(Layout::of(uri)?.format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Quoting;

    #[test]
    fn tabs_are_told_by_the_name() {
        assert_eq!(Layout::of("x.tsv.gz").unwrap().dialect().separator, b'\t');
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
