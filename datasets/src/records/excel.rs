//! A sheet of a workbook: Excel's .xlsx, .xlsm and .xlsb, OpenDocument's .ods.
//!
//! The first row with cells names the columns, as pandas has it: a name that is there twice gets `.1`, a column
//! without a name is `Unnamed: 2`. Rows without cells are no records. Of a formula it is the value that the
//! program kept which wrote the file; what that could not compute has no value. Dates are text, `2024-05-01` or
//! `2024-05-01T12:30:00`, and durations numbers of days.
//!
//! ECMA-376 and OpenDocument 1.3, by `calamine`. Both are zips of XML, of which a little text may claim a
//! large sheet: sheets of Excel are read cell by cell, and how much OpenDocument's repeats is counted before.

use super::cells::{Cells, TextCells};
use super::entry::{Entries, File, Records};
use super::frame::Frame;
use super::read::{Found, ReadBlocks, ReadOptions, ReadRecords, TakeFound};
use super::shard::Shard;
use super::whole::{self, WholeFile, guarded};
use super::wording::nearest;
use crate::DataError;
use crate::source::one_line;
use bytes::Bytes;
use calamine::{Data, DataRef, DataType, ExcelDateTime, Ods, Reader, Xlsb, Xlsx};
use std::collections::{BTreeMap, HashSet};
use std::io::{self, Cursor, Read};
use std::sync::Arc;
use zip::ZipArchive;

mod ods;

/// What a file should be.
const WHOLE: &str = "a whole workbook (.xlsx, .xlsm, .xlsb or .ods)";

/// Cells of the largest sheet, those without a value among them.
pub(super) const MOST_CELLS: u64 = if cfg!(test) { 1 << 18 } else { 1 << 25 };

/// Unpacked bytes of a workbook's sheets, and of each of its other parts.
const SHEETS: u64 = if cfg!(test) { 16 << 20 } else { 2 << 30 };
const PART: u64 = if cfg!(test) { 4 << 20 } else { 128 << 20 };

/// The first bytes of Microsoft's compound files.
const COMPOUND: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

/// The format.
pub(super) struct ExcelRecords;

impl Records for ExcelRecords {
    fn entries(&self, file: &File<'_>) -> Result<Entries, DataError> {
        whole::entries(file, "excel", None, |uri, bytes| {
            let sheet = guarded(uri, WHOLE, || {
                let mut workbook = Workbook::open(uri, bytes)?;
                let sheet = workbook.sheet(uri, file.sheet)?;
                workbook.tell_others(uri, &sheet, file.sheet);
                read_sheet(uri, &mut workbook, &sheet, &ReadOptions::plain(&|_| super::read::Use::Nothing))
            })?;
            Ok(sheet.lines.len() as u64)
        })
    }
}

impl ReadRecords for ExcelRecords {
    fn read(
        &self,
        uri: &str,
        bytes: Bytes,
        options: &ReadOptions<'_>,
        take: TakeFound<'_>,
    ) -> Result<(), DataError> {
        let frame = guarded(uri, WHOLE, || {
            let mut workbook = Workbook::open(uri, bytes)?;
            let sheet = workbook.sheet(uri, options.sheet)?;
            read_sheet(uri, &mut workbook, &sheet, options)
        })?;
        take(Found::Frame(frame))
    }

    fn pieces(&self, uri: &str, options: &ReadOptions<'_>, take: TakeFound<'_>) -> Result<(), DataError> {
        self.read(uri, whole::bytes(uri)?, options, take)
    }

    fn open(&self, shard: Shard, _: &ReadOptions<'_>) -> Result<Arc<dyn ReadBlocks>, DataError> {
        Ok(Arc::new(WholeFile { shard, reader: &ExcelRecords }))
    }
}

/// The sheets of a workbook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sheets {
    /// All, in their order.
    pub names: Vec<String>,
    /// The one that is read where none is asked for.
    pub read: String,
}

/// The sheets of the workbook at `uri`.
///
/// # Errors
/// When it is none, or no sheet has cells.
pub(crate) fn sheets(uri: &str) -> Result<Sheets, DataError> {
    let bytes = whole::bytes(uri)?;
    guarded(uri, WHOLE, || {
        let mut workbook = Workbook::open(uri, bytes)?;
        Ok(Sheets { read: workbook.sheet(uri, None)?, names: workbook.sheets() })
    })
}

/// A workbook, opened.
enum Workbook {
    Xlsx(Xlsx<Cursor<Bytes>>),
    Xlsb(Xlsb<Cursor<Bytes>>),
    Ods(Ods<Cursor<Bytes>>),
}

fn damaged(uri: &str, error: impl ToString) -> DataError {
    DataError::source(uri, WHOLE, one_line(error))
}

impl Workbook {
    /// # Errors
    /// When it is none, is encrypted, or would take too much memory.
    fn open(uri: &str, bytes: Bytes) -> Result<Self, DataError> {
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
    fn sheets(&self) -> Vec<String> {
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
    fn sheet(&mut self, uri: &str, asked: Option<&str>) -> Result<String, DataError> {
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
    fn tell_others(&mut self, uri: &str, sheet: &str, asked: Option<&str>) {
        if asked.is_some() {
            return;
        }
        let mut others = self.sheets();
        others.retain(|other| other != sheet && self.has_cells(other));
        if !others.is_empty() {
            log::warn!("{uri}: read the sheet `{sheet}`; `data.sheet` names another: {}", others.join(", "));
        }
    }

    /// Hands the cells of a sheet that have a value to `take`, with their row and column, counted from 0.
    ///
    /// # Errors
    /// `take`'s own, and when the sheet is damaged.
    fn cells(
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

/// Reads a sheet.
///
/// # Errors
/// When it is damaged, or would have too many cells.
fn read_sheet(
    uri: &str,
    workbook: &mut Workbook,
    sheet: &str,
    options: &ReadOptions<'_>,
) -> Result<Frame, DataError> {
    let mut rows =
        Rows { options, header: None, names: BTreeMap::new(), columns: BTreeMap::new(), lines: Vec::new() };
    let place = |row: u32| format!("sheet `{sheet}`, row {}", u64::from(row) + 1);
    workbook
        .cells(sheet, &mut |row, column, value| {
            rows.push(row, column, value)
                .map_err(|(expected, found)| DataError::malformed(uri, place(row), expected, found))
        })
        .map_err(|error| match error {
            DataError::Source { found, .. } => {
                DataError::malformed(uri, format!("sheet `{sheet}`"), WHOLE, found)
            }
            error => error,
        })?;
    Ok(rows.frame(uri))
}

/// The rows of a sheet as they come.
struct Rows<'a> {
    options: &'a ReadOptions<'a>,
    /// The row that names the columns.
    header: Option<u32>,
    names: BTreeMap<u32, String>,
    columns: BTreeMap<u32, TextCells>,
    lines: Vec<u64>,
}

impl Rows<'_> {
    /// Takes a cell; the error is what was expected, and what was found.
    fn push(&mut self, row: u32, column: u32, value: &DataRef<'_>) -> Result<(), (String, String)> {
        let header = *self.header.get_or_insert(row);
        if row == header {
            let name = cell(value).map_or_else(String::new, |(name, _)| name.trim().to_string());
            self.names.insert(column, name);
            return Ok(());
        }
        let line = u64::from(row) + 1;
        match self.lines.last() {
            Some(&last) if last == line => {}
            last if last.is_none_or(|&last| line > last) && row > header => self.lines.push(line),
            _ => return Err(("rows in their order".to_string(), "one behind a later one".to_string())),
        }
        let rows = self.lines.len();
        let cells = self.columns.entry(column).or_default();
        if cells.len() >= rows {
            return Err(("one cell at each place".to_string(), "two".to_string()));
        }
        cells.fill(rows - 1);
        match cell(value) {
            Some((text, true)) => cells.push_text(self.options.value(&text)),
            Some((text, false)) => cells.push_number(self.options.value(&text)),
            None => cells.push(None),
        }
        let columns = self.columns.len().max(self.names.len()) as u64;
        if rows as u64 * columns > MOST_CELLS {
            return Err((
                format!("a sheet of at most {MOST_CELLS} cells"),
                format!("{rows} rows of {columns} columns"),
            ));
        }
        Ok(())
    }

    fn frame(mut self, uri: &str) -> Frame {
        let at: Vec<u32> = self.names.keys().chain(self.columns.keys()).copied().collect();
        let (mut names, mut columns, mut ignored) = (Vec::new(), Vec::new(), Vec::new());
        let mut taken: HashSet<String> = HashSet::new();
        for at in at.into_iter().collect::<std::collections::BTreeSet<u32>>() {
            let given = self.names.remove(&at).filter(|name| !name.is_empty());
            let given = given.unwrap_or_else(|| format!("Unnamed: {at}"));
            let mut name = given.clone();
            let mut times = 0;
            while !taken.insert(name.clone()) {
                times += 1;
                name = format!("{given}.{times}");
            }
            let mut cells = self.columns.remove(&at).unwrap_or_default();
            if !(self.options.column)(&name).is_wanted() {
                ignored.push(name);
                continue;
            }
            cells.fill(self.lines.len());
            names.push(name);
            columns.push(Cells::Text(cells));
        }
        Frame { ignored, ..Frame::new(uri, names, columns, self.lines, "row") }
    }
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

/// A cell's text, and true where it is text whatever it looks like; none where there is no value.
fn cell(value: &DataRef<'_>) -> Option<(String, bool)> {
    Some(match value {
        DataRef::Empty | DataRef::Error(_) => return None,
        DataRef::Int(number) => (number.to_string(), false),
        DataRef::Float(number) => (number.to_string(), false),
        DataRef::Bool(value) => (value.to_string(), true),
        DataRef::DateTime(time) if time.is_duration() => (time.as_f64().to_string(), false),
        DataRef::DateTime(time) => (spelled(time), true),
        DataRef::String(_) | DataRef::SharedString(_) | DataRef::DateTimeIso(_) | DataRef::DurationIso(_) => {
            (value.get_string().or(value.get_datetime_iso()).or(value.get_duration_iso())?.to_string(), true)
        }
    })
}

/// A date and time in ISO 8601; the time alone where there is no date.
fn spelled(time: &ExcelDateTime) -> String {
    let (year, month, day, hour, minute, second, milli) = time.to_ymd_hms_milli();
    let date = format!("{year:04}-{month:02}-{day:02}");
    let fraction = if milli > 0 { format!(".{milli:03}") } else { String::new() };
    let clock = format!("{hour:02}:{minute:02}:{second:02}{fraction}");
    match time.as_f64() {
        day if (0.0..1.0).contains(&day) => clock,
        _ if (hour, minute, second, milli) == (0, 0, 0, 0) => date,
        _ => format!("{date}T{clock}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::read::Use;
    use std::io::Write;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/formats");

    fn read(bytes: &[u8], sheet: Option<&str>) -> Result<Frame, String> {
        let (mut all, options) = (None, ReadOptions { sheet, ..ReadOptions::plain(&|_| Use::Cell) });
        let read = ExcelRecords.read("t.xlsx", Bytes::copy_from_slice(bytes), &options, &mut |found| {
            let Found::Frame(frame) = found else { panic!("every row of a sheet can be read") };
            all = Some(frame);
            Ok(())
        });
        read.map(|()| all.unwrap()).map_err(|error| {
            assert!(!error.to_string().contains('\n'), "{error}");
            error.to_string()
        })
    }

    fn golden(name: &str) -> Vec<u8> {
        std::fs::read(format!("{GOLDEN}/{name}")).unwrap()
    }

    fn zipped(parts: &[(&str, &str)]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text) in parts {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    /// A workbook of one sheet with these rows.
    fn xlsx(rows: &str) -> Vec<u8> {
        let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
        let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
        let package = "http://schemas.openxmlformats.org/package/2006/relationships";
        zipped(&[
            (
                "xl/workbook.xml",
                &format!(
                    "<workbook xmlns=\"{main}\" xmlns:r=\"{office}\"><sheets><sheet name=\"s\" sheetId=\"1\" r:id=\"rId1\"/></sheets></workbook>"
                ),
            ),
            (
                "_rels/.rels",
                &format!(
                    "<Relationships xmlns=\"{package}\"><Relationship Id=\"rId1\" Type=\"{office}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
                ),
            ),
            (
                "xl/_rels/workbook.xml.rels",
                &format!(
                    "<Relationships xmlns=\"{package}\"><Relationship Id=\"rId1\" Type=\"{office}/worksheet\" Target=\"worksheets/sheet1.xml\"/></Relationships>"
                ),
            ),
            (
                "xl/worksheets/sheet1.xml",
                &format!("<worksheet xmlns=\"{main}\"><sheetData>{rows}</sheetData></worksheet>"),
            ),
        ])
    }

    fn ods(rows: &str) -> Vec<u8> {
        zipped(&[
            ("mimetype", "application/vnd.oasis.opendocument.spreadsheet"),
            ("META-INF/manifest.xml", "<manifest:manifest/>"),
            (
                "content.xml",
                &format!(
                    "<office:document-content><office:body><office:spreadsheet><table:table table:name=\"s\">{rows}</table:table></office:spreadsheet></office:body></office:document-content>"
                ),
            ),
        ])
    }

    #[test]
    fn a_sheet_is_read_as_pandas_reads_it() {
        let frame = read(&golden("table.xlsx"), Some("dates")).unwrap();
        // pandas.read_excel(header=1), but for the column A, which has no cell.
        assert_eq!(frame.names, ["day", "day.1", "Unnamed: 3", "late"]);
        assert_eq!((&frame.lines[..], frame.unit), (&[3, 5][..], "row"));
        let text = |column: usize, row| frame.columns[column].text(row).map(|text| text.into_owned());
        assert_eq!(
            [text(0, 0), text(1, 0)],
            ["2024-05-01", "2024-05-02T12:30:00"].map(|day| Some(day.to_string()))
        );
        assert_eq!([text(0, 1), text(1, 1)], [None, Some("06:30:00".to_string())]);
        assert_eq!([text(2, 0), text(2, 1)], ["1", "2.5"].map(|number| Some(number.to_string())));
        assert_eq!([text(3, 0), text(3, 1)], [Some("1.5".to_string()), None]);
        let frame = read(&golden("table.ods"), None).unwrap();
        assert_eq!((frame.len(), frame.names.join(",")), (24, "c,flag,n,x,y".to_string()));
    }

    #[test]
    fn damage_is_an_error() {
        for name in ["table.xlsx", "table.ods"] {
            let whole = golden(name);
            for length in (0..whole.len()).step_by(97) {
                assert!(read(&whole[..length], None).is_err(), "{length}");
            }
            for position in (0..whole.len()).step_by(13) {
                let mut flipped = whole.clone();
                flipped[position] ^= 0x5a;
                let _ = read(&flipped, None);
            }
        }
        assert!(read(b"a,b\n1,2\n", None).unwrap_err().contains("a whole workbook"));
        let old = read(&[COMPOUND, &[0; 600]].concat(), None).unwrap_err();
        assert!(old.ends_with("found one of Excel 97 to 2003: save it as .xlsx"), "{old}");
    }

    #[test]
    fn sheets_that_claim_to_be_huge_take_no_memory() {
        let cell = |at: &str| format!("<c r=\"{at}\"><v>1</v></c>");
        let far = format!(
            "<row r=\"1\">{}{}</row><row r=\"1048576\">{}</row>",
            cell("A1"),
            cell("XFD1"),
            cell("A1048576")
        );
        let frame = read(&xlsx(&far), None).unwrap();
        assert_eq!((frame.names.len(), &frame.lines[..]), (2, &[1_048_576][..]));
        let empty: String = (0..200_000).map(|_| "<c/>").collect();
        let frame = read(
            &xlsx(&format!("<row r=\"1\">{}{empty}</row><row r=\"2\">{}</row>", cell("A1"), cell("A2"))),
            None,
        );
        assert_eq!(frame.unwrap().names, ["1"]);
        let columns: String = (0..600).map(|_| "<c><v>1</v></c>").collect();
        let rows: String =
            (1..600).map(|row| format!("<row r=\"{}\"><c><v>1</v></c></row>", row + 1)).collect();
        let error = read(&xlsx(&format!("<row r=\"1\">{columns}</row>{rows}")), None).unwrap_err();
        assert!(error.contains("a sheet of at most 262144 cells, found 437 rows of 600 columns"), "{error}");
        let repeated = "<table:table-row table:number-rows-repeated='1000000'><table:table-cell table:number-columns-repeated='16000' office:value-type='float' office:value='1'/></table:table-row>";
        let error = read(&ods(repeated), None).unwrap_err();
        assert!(error.ends_with("sheets of at most 262144 cells together, found 16000000000"), "{error}");
        let bomb = xlsx(&" ".repeat(17 << 20));
        assert!(bomb.len() < 1 << 17);
        let error = read(&bomb, None).unwrap_err();
        assert!(
            error.contains("part xl/worksheets/sheet1.xml has at most 16 MiB, unpacked, found more"),
            "{error}"
        );
    }
}
