//! A sheet of a workbook: Excel's .xlsx, .xlsm and .xlsb, OpenDocument's .ods.
//!
//! The first row with cells names the columns, as pandas has it: a name that is there twice gets `.1`, a column
//! without a name is `Unnamed: 2`. Rows without cells are no records. Of a formula it is the value that the
//! program kept which wrote the file; what that could not compute has no value. Dates are text, `2024-05-01` or
//! `2024-05-01T12:30:00`, and durations numbers of days.
//!
//! ECMA-376 and OpenDocument 1.3, by `calamine`. Both are zips of XML, of which a little text may claim a
//! large sheet: sheets of Excel are read cell by cell, and how much OpenDocument's repeats is counted before.

mod book;
mod bounds;
mod ods;
mod rows;

use super::entry::{Entries, File, Records};
use super::frame::Frame;
use super::guard::guarded;
use super::read::{Found, ReadBlocks, ReadOptions, ReadRecords, TakeFound, Use};
use super::shard::Shard;
use super::whole::{self, WholeFile};
use crate::DataError;
use book::Workbook;
use bounds::WHOLE;
use bytes::Bytes;
use rows::Rows;
use std::sync::Arc;

/// The format.
pub(super) struct ExcelRecords;

impl Records for ExcelRecords {
    fn entries(&self, file: &File<'_>) -> Result<Entries, DataError> {
        whole::entries(file, "excel", None, |uri, bytes| {
            let sheet = guarded(uri, WHOLE, "a damaged one", || {
                let mut workbook = Workbook::open(uri, bytes)?;
                let sheet = workbook.sheet(uri, file.sheet)?;
                workbook.tell_others(uri, &sheet, file.sheet);
                read_sheet(uri, &mut workbook, &sheet, &ReadOptions::plain(&|_| Use::Nothing))
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
        let frame = guarded(uri, WHOLE, "a damaged one", || {
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
    guarded(uri, WHOLE, "a damaged one", || {
        let mut workbook = Workbook::open(uri, bytes)?;
        Ok(Sheets { read: workbook.sheet(uri, None)?, names: workbook.sheets() })
    })
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
    let mut rows = Rows::new(options);
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

#[cfg(test)]
mod tests {
    use super::book::COMPOUND;
    use super::*;
    use std::io::{Cursor, Write};
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
                    "<workbook xmlns=\"{main}\" xmlns:r=\"{office}\"><sheets><sheet name=\"s\" sheetId=\"1\" \
                     r:id=\"rId1\"/></sheets></workbook>"
                ),
            ),
            (
                "_rels/.rels",
                &format!(
                    "<Relationships xmlns=\"{package}\"><Relationship Id=\"rId1\" \
                     Type=\"{office}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
                ),
            ),
            (
                "xl/_rels/workbook.xml.rels",
                &format!(
                    "<Relationships xmlns=\"{package}\"><Relationship Id=\"rId1\" Type=\"{office}/worksheet\" \
                     Target=\"worksheets/sheet1.xml\"/></Relationships>"
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
                    "<office:document-content><office:body><office:spreadsheet><table:table \
                     table:name=\"s\">{rows}</table:table></office:spreadsheet></office:body>\
                     </office:document-content>"
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
        let repeated = "<table:table-row table:number-rows-repeated='1000000'><table:table-cell \
                        table:number-columns-repeated='16000' office:value-type='float' office:value='1'/>\
                        </table:table-row>";
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
