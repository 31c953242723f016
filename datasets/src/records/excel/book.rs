//! Workbooks: the kind that the parts of a zip make, its sheets, and their cells.

use super::bounds::{PART, SHEETS, WHOLE, damaged};
use super::ods;
use crate::DataError;
use crate::records::once::warn_once;
use crate::records::whole;
use crate::records::wording::nearest;
use bytes::Bytes;
use calamine::{Data, DataRef, Ods, Reader, Xlsb, Xlsx};
use std::io::{self, Cursor, Read};
use zip::ZipArchive;

/// The first bytes of Microsoft's compound files.
pub(super) const COMPOUND: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

/// A workbook, opened.
pub(super) enum Workbook {
    Xlsx(Xlsx<Cursor<Bytes>>),
    Xlsb(Xlsb<Cursor<Bytes>>),
    Ods(Ods<Cursor<Bytes>>),
}

impl Workbook {
    /// Opens a file.
    ///
    /// # Errors
    /// When it is none, is encrypted, or would take too much memory.
    pub(super) fn open(uri: &str, bytes: Bytes) -> Result<Self, DataError> {
        whole::check_size(uri, bytes.len() as u64)?;
        if bytes.starts_with(COMPOUND) {
            // "EncryptedPackage" in UTF-16.
            let encrypted = b"E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e\0";
            let found = match bytes.windows(encrypted.len()).any(|window| window == encrypted) {
                true => "an encrypted one: save it without a password",
                false => "one of Excel 97 to 2003: save it as .xlsx",
            };
            return Err(DataError::source(uri, WHOLE, found));
        }
        let mut zip = ZipArchive::new(Cursor::new(bytes.clone())).map_err(|error| damaged(uri, error))?;
        check_parts(uri, &mut zip)?;
        let has = |name: &str| zip.file_names().flatten().any(|part| part.eq_ignore_ascii_case(name));
        let (xlsx, xlsb, ods) = (has("xl/workbook.xml"), has("xl/workbook.bin"), has("content.xml"));
        let cursor = Cursor::new(bytes);
        match (xlsx, xlsb, ods) {
            (true, ..) => Xlsx::new(cursor).map(Workbook::Xlsx).map_err(|error| damaged(uri, error)),
            (_, true, _) => Xlsb::new(cursor).map(Workbook::Xlsb).map_err(|error| damaged(uri, error)),
            (.., true) => {
                ods::check(uri, &mut zip)?;
                Ods::new(cursor).map(Workbook::Ods).map_err(|error| damaged(uri, error))
            }
            _ => Err(DataError::source(uri, WHOLE, "another zip")),
        }
    }

    /// The names of its sheets, in their order.
    pub(super) fn sheets(&self) -> Vec<String> {
        match self {
            Workbook::Xlsx(book) => book.sheet_names(),
            Workbook::Xlsb(book) => book.sheet_names(),
            Workbook::Ods(book) => book.sheet_names(),
        }
    }

    /// The sheet to read: the one that is asked for, or the first that has cells.
    ///
    /// # Errors
    /// When there is no such.
    pub(super) fn sheet(&mut self, uri: &str, asked: Option<&str>) -> Result<String, DataError> {
        let names = self.sheets();
        if let Some(asked) = asked {
            return match names.iter().any(|name| name == asked) {
                true => Ok(asked.to_string()),
                false => {
                    let expected = format!("a sheet of {uri} ({})", nearest(&names, asked));
                    Err(DataError::config("sheet", expected, format!("`{asked}`")))
                }
            };
        }
        let mut names = names.into_iter();
        let first = names.find(|name| self.has_cells(name));
        first.ok_or_else(|| DataError::source(uri, "a sheet with cells", "none"))
    }

    fn has_cells(&mut self, sheet: &str) -> bool {
        let mut any = false;
        // The first cell stops it; a sheet of charts is none.
        let _ = self.cells(sheet, &mut |_, _, _| {
            any = true;
            Err(DataError::source("", "", ""))
        });
        any
    }

    /// Tells of other sheets that have cells, where none is asked for.
    pub(super) fn tell_others(&mut self, uri: &str, sheet: &str, asked: Option<&str>) {
        if asked.is_some() {
            return;
        }
        let mut others = self.sheets();
        others.retain(|other| other != sheet && self.has_cells(other));
        if !others.is_empty() {
            let others = others.join(", ");
            warn_once(format!("{uri}: read the sheet `{sheet}`; `data.sheet` names another: {others}"));
        }
    }

    /// Hands the cells of a sheet that have a value to `take`, with their row and column, counted from 0.
    ///
    /// # Errors
    /// `take`'s own, and when the sheet is damaged.
    pub(super) fn cells(
        &mut self,
        sheet: &str,
        take: &mut dyn FnMut(u32, u32, &DataRef<'_>) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let mut hand_out = |(row, column), value: &DataRef<'_>| match value {
            DataRef::Empty => Ok(()),
            value => take(row, column, value),
        };
        match self {
            Workbook::Xlsx(book) => {
                let mut cells = book.worksheet_cells_reader(sheet).map_err(|error| damaged(sheet, error))?;
                while let Some(cell) = cells.next_cell().map_err(|error| damaged(sheet, error))? {
                    hand_out(cell.get_position(), cell.get_value())?;
                }
            }
            Workbook::Xlsb(book) => {
                let mut cells = book.worksheet_cells_reader(sheet).map_err(|error| damaged(sheet, error))?;
                while let Some(cell) = cells.next_cell().map_err(|error| damaged(sheet, error))? {
                    hand_out(cell.get_position(), cell.get_value())?;
                }
            }
            Workbook::Ods(book) => {
                let range = book.worksheet_range(sheet).map_err(|error| damaged(sheet, error))?;
                let (top, left) = range.start().unwrap_or_default();
                for (row, column, value) in range.used_cells() {
                    hand_out((top + row as u32, left + column as u32), &borrowed(value))?;
                }
            }
        }
        Ok(())
    }
}

/// Unpacks the parts of a workbook once to count their bytes: what they claim is not believed.
fn check_parts(uri: &str, zip: &mut ZipArchive<Cursor<Bytes>>) -> Result<(), DataError> {
    let mut sheets = 0;
    for part in 0..zip.len() {
        let entry = zip.by_index(part).map_err(|error| damaged(uri, error))?;
        let name = entry.name().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
        if entry.is_dir() || name.contains("media/") || name.contains("pictures/") {
            continue;
        }
        let is_sheet = name.contains("worksheets/");
        let most = if is_sheet { SHEETS.saturating_sub(sheets) } else { PART };
        let bytes =
            io::copy(&mut entry.take(most + 1), &mut io::sink()).map_err(|error| damaged(uri, error))?;
        if bytes > most {
            let most = if is_sheet { SHEETS } else { PART };
            let expected = format!("a workbook whose part {name} has at most {} MiB, unpacked", most >> 20);
            return Err(DataError::source(uri, expected, "more"));
        }
        sheets += if is_sheet { bytes } else { 0 };
    }
    Ok(())
}

/// A cell as the other readers hand it out.
fn borrowed(value: &Data) -> DataRef<'_> {
    match value {
        Data::Int(number) => DataRef::Int(*number),
        Data::Float(number) => DataRef::Float(*number),
        Data::String(text) => DataRef::SharedString(text),
        Data::Bool(value) => DataRef::Bool(*value),
        Data::DateTime(time) => DataRef::DateTime(*time),
        Data::DateTimeIso(time) => DataRef::DateTimeIso(time.clone()),
        Data::DurationIso(time) => DataRef::DurationIso(time.clone()),
        Data::Error(error) => DataRef::Error(error.clone()),
        Data::Empty => DataRef::Empty,
    }
}
