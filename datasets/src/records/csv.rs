//! CSV: lines of separated cells, with quotes, as RFC 4180 has them and files in the wild do.
//!
//! The `csv` crate splits the bytes; this file adds what it leaves to its caller: a header or none,
//! lines of blanks, the true line of a row behind comments, quotes that cannot be meant, and row widths
//! with both numbers in the error.

mod names;
mod pieces;
mod quotes;
mod scan;
pub(super) mod sniff;
mod width;

use pieces::csv_pieces;
use quotes::check_quotes;
use scan::scan_csv;
use width::{check_width, first_line, separators};

use super::cells::{Cells, TextCells};
use super::cut::BLOCK;
use super::dialect::{Dialect, Given};
use super::encoding::{Content, Decoding, undecodable};
use super::entry::{Entries, File, Records, TakeEntry, scanned_text};
use super::frame::Frame;
use super::once::warn_once;
use super::read::{Fill, ReadBlocks, ReadOptions, ReadRecords, TakeFound, frames};
use super::shard::{Block, Shard};
use crate::DataError;
use ::csv::{ErrorKind, Position, Reader, StringRecord};
use bytes::Bytes;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The format.
pub(super) struct CsvRecords;

impl Records for CsvRecords {
    fn entries(&self, file: &File<'_>) -> Result<Entries, DataError> {
        let scan =
            |uri: &str, unpacked, take: TakeEntry<'_>| scan_csv(uri, unpacked, file.dialect, BLOCK, take);
        scanned_text(file, Content::Rows, scan)
    }
}

impl ReadRecords for CsvRecords {
    fn read(
        &self,
        uri: &str,
        bytes: Bytes,
        options: &ReadOptions<'_>,
        take: TakeFound<'_>,
    ) -> Result<(), DataError> {
        let mut csv = Csv::open(uri, &bytes, options)?;
        frames(Rows::of(&mut csv, options), options.at_once, take)
    }

    fn pieces(&self, uri: &str, options: &ReadOptions<'_>, take: TakeFound<'_>) -> Result<(), DataError> {
        csv_pieces(uri, options, &mut |csv| frames(Rows::of(csv, options), options.at_once, take))
    }

    fn open(&self, shard: Shard, options: &ReadOptions<'_>) -> Result<Arc<dyn ReadBlocks>, DataError> {
        // Behind a line that states the separator, rows may follow without a header.
        let head = if options.dialect.header { shard.head()? } else { shard.fetch(&shard.first)? };
        let columns = Csv::open(shard.uri(), &head, options)?.columns;
        Ok(Arc::new(CsvBlocks { shard, columns }))
    }
}

/// The blocks of an indexed CSV.
#[derive(Debug)]
struct CsvBlocks {
    shard: Shard,
    columns: Columns,
}

/// All that the rows of a file have in common.
#[derive(Clone, Debug)]
struct Columns {
    dialect: Dialect,
    decoding: Decoding,
    /// The columns' names.
    names: Vec<String>,
    /// True where it was told that rows have an empty cell more than there are columns.
    told: Arc<AtomicBool>,
}

impl ReadBlocks for CsvBlocks {
    fn shard(&self) -> &Shard {
        &self.shard
    }

    fn read(&self, block: &Block, options: &ReadOptions<'_>, take: TakeFound<'_>) -> Result<(), DataError> {
        let bytes = self.shard.fetch(block)?;
        let mut csv = Csv::block(self.shard.uri(), &bytes, self.columns.clone(), block.line);
        frames(Rows::of(&mut csv, options), options.at_once, take)
    }
}

/// The rows of a CSV in memory.
pub(super) struct Csv<'a> {
    uri: &'a str,
    bytes: &'a [u8],
    columns: Columns,
    reader: Reader<&'a [u8]>,
    record: StringRecord,
    /// True where a quote that opens a cell may be among the bytes.
    quoted: bool,
    /// The line that `bytes` begin on.
    first_line: u64,
    /// The first row, already read to learn the width of a file without a header.
    waiting: Option<u64>,
}

impl<'a> Csv<'a> {
    /// Reads up to and including the header.
    ///
    /// # Errors
    /// When there is no row at all, or the recipe names other columns.
    pub(super) fn open(uri: &'a str, bytes: &'a [u8], options: &ReadOptions<'_>) -> Result<Self, DataError> {
        let ReadOptions { dialect, decoding, given, .. } = *options;
        let columns = Columns { dialect, decoding, names: Vec::new(), told: Arc::default() };
        let stated = sniff::stated(bytes).map_or(0, |(_, length)| length);
        let mut csv = Csv::block(uri, &bytes[stated..], columns, 1 + u64::from(stated > 0));
        let width = 1 + separators(first_line(csv.bytes, dialect), dialect);
        check_width(uri, csv.first_line, width)?;
        let expected = if dialect.header { "a header and rows" } else { "rows" };
        let line = match csv.advance() {
            None => return Err(DataError::source(uri, expected, "an empty file")),
            Some(first) => first?,
        };
        csv.columns.names = csv.names_by(line, given)?;
        if !dialect.header {
            csv.waiting = Some(line);
        }
        Ok(csv)
    }

    /// Reads rows out of the middle of a file: `bytes` begin on line `first_line` of it.
    fn block(uri: &'a str, bytes: &'a [u8], columns: Columns, first_line: u64) -> Self {
        let dialect = columns.dialect;
        let reader = dialect.reader().from_reader(bytes);
        let quoted = dialect.quoting.opens() && bytes.contains(&b'"');
        let (record, waiting) = (StringRecord::new(), None);
        Csv { uri, bytes, columns, reader, record, quoted, first_line, waiting }
    }

    /// The names of the columns, given the file's first row in `record`.
    fn names_by(&self, line: u64, given: Given<'_>) -> Result<Vec<String>, DataError> {
        let (width, header) = (self.record.len(), self.columns.dialect.header);
        check_width(self.uri, line, width)?;
        match given.names {
            Some(names) => {
                names::check_distinct(names)?;
                names::of_recipe(names, width, header, given.optional)
                    .map_err(|expected| self.wrong_width(line, expected, width))
            }
            None if header => Ok(names::of_header(self.uri, line, &self.record, given)),
            None => Ok((0..width).map(|index| index.to_string()).collect()),
        }
    }

    fn wrong_width(&self, line: u64, expected: usize, found: usize) -> DataError {
        let cells = |count| format!("{count} cell{}", if count == 1 { "" } else { "s" });
        DataError::malformed(self.uri, format!("line {line}"), cells(expected), cells(found))
    }

    /// Goes to the next row and says on which line it begins, counted from 1; `None` at the end.
    /// After an error the next call goes on behind the bad row.
    fn next_row(&mut self) -> Option<Result<u64, DataError>> {
        if let Some(line) = self.waiting.take() {
            return Some(Ok(line));
        }
        let line = match self.advance()? {
            Ok(line) => line,
            Err(error) => return Some(Err(error)),
        };
        let (width, found) = (self.columns.names.len(), self.record.len());
        match found == width || found == width + 1 && self.record[width].trim().is_empty() {
            true => {
                if found > width && !self.columns.told.swap(true, Ordering::Relaxed) {
                    let uri = self.uri;
                    warn_once(format!(
                        "{uri}, line {line}: an empty cell behind the last of {width} is left out"
                    ));
                }
                Some(Ok(line))
            }
            false => Some(Err(self.wrong_width(line, width, found))),
        }
    }

    /// The next row that is not blank, of any width.
    fn advance(&mut self) -> Option<Result<u64, DataError>> {
        loop {
            match self.reader.read_record(&mut self.record) {
                Ok(false) => return None,
                Ok(true) => {}
                Err(error) => return Some(Err(self.translate(&error))),
            }
            let (start, line) = self.row_start(self.record.position());
            let width = self.columns.names.len();
            if self.record.len() == 1 && self.record[0].trim().is_empty() && width != 1 {
                continue;
            }
            let row = self.row(start);
            if self.quoted && row.contains(&b'"') {
                // The header has the width of the rows.
                let width = if width == 0 { self.record.len() } else { width };
                if let Err(error) = check_quotes(self.uri, row, line, width, self.columns.dialect) {
                    return Some(Err(error));
                }
            }
            return Some(Ok(line));
        }
    }

    /// The bytes of the row that was read last, which begins at byte `start`.
    fn row(&self, start: usize) -> &'a [u8] {
        let end = (self.reader.position().byte() as usize).min(self.bytes.len());
        &self.bytes[start.min(end)..end]
    }

    /// The byte and line that a row really begins on: `csv` says where it began to look, which is before
    /// blank lines, comments, and the second byte of a `\r\n`.
    fn row_start(&self, position: Option<&Position>) -> (usize, u64) {
        let (mut byte, mut line) =
            position.map_or((0, 1), |position| (position.byte() as usize, position.line()));
        line += self.first_line - 1;
        while let Some(&first) = self.bytes.get(byte) {
            let length = match first {
                b'\n' | b'\r' => 1,
                _ if Some(first) == self.columns.dialect.comment => {
                    let rest = &self.bytes[byte..];
                    rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |end| end + 1)
                }
                _ => break,
            };
            line += u64::from(self.bytes[byte + length - 1] == b'\n');
            byte += length;
        }
        (byte, line)
    }

    fn translate(&self, error: &::csv::Error) -> DataError {
        match error.kind() {
            ErrorKind::Utf8 { pos, .. } => {
                let (start, line) = self.row_start(pos.as_ref());
                undecodable(self.uri, line, self.row(start), self.columns.decoding)
            }
            _ => DataError::source(self.uri, "a readable CSV", error),
        }
    }
}

/// The wanted cells of a CSV's rows.
struct Rows<'a, 'b> {
    csv: &'a mut Csv<'b>,
    options: &'a ReadOptions<'a>,
    /// The columns that are wanted, by their places in a row and by name.
    at: Vec<usize>,
    names: Vec<String>,
    /// The names of the others.
    ignored: Vec<String>,
    columns: Vec<TextCells>,
    lines: Vec<u64>,
}

impl<'a, 'b> Rows<'a, 'b> {
    fn of(csv: &'a mut Csv<'b>, options: &'a ReadOptions<'a>) -> Self {
        let (mut at, mut names, mut ignored) = (Vec::new(), Vec::new(), Vec::new());
        for (place, name) in csv.columns.names.iter().enumerate() {
            if (options.column)(name).is_wanted() {
                names.push(name.clone());
                at.push(place);
            } else {
                ignored.push(name.clone());
            }
        }
        let columns = vec![TextCells::default(); at.len()];
        Rows { csv, options, at, names, ignored, columns, lines: Vec::new() }
    }
}

impl Fill for Rows<'_, '_> {
    fn next(&mut self) -> Option<Result<(), DataError>> {
        Some(self.csv.next_row()?.map(|line| {
            self.lines.push(line);
            for (&at, cells) in self.at.iter().zip(&mut self.columns) {
                cells.push(self.options.value(&self.csv.record[at]));
            }
        }))
    }

    fn frame(&mut self) -> Frame {
        let columns = self.columns.iter_mut().map(|cells| Cells::Text(mem::take(cells))).collect();
        let (names, lines) = (self.names.clone(), mem::take(&mut self.lines));
        Frame { ignored: self.ignored.clone(), ..Frame::new(self.csv.uri, names, columns, lines, "line") }
    }
}

mod hostile;
pub(crate) use hostile::csv as hostile_csv;

#[cfg(test)]
mod written;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::dialect::Quoting;
    use crate::records::read::{Found, Use};
    use proptest::prelude::*;

    const COMMA: Dialect =
        Dialect { separator: b',', comment: None, header: true, quoting: Quoting::Minimal };

    type Rows = Vec<(u64, Vec<String>)>;

    fn read(
        text: impl AsRef<[u8]>,
        dialect: Dialect,
        given: Given<'_>,
    ) -> Result<(Vec<String>, Rows), DataError> {
        let options = ReadOptions { dialect, given, ..ReadOptions::plain(&|_| Use::Cell) };
        let mut csv = Csv::open("t.csv", text.as_ref(), &options)?;
        let mut rows = Rows::new();
        while let Some(line) = csv.next_row() {
            rows.push((line?, csv.record.iter().map(String::from).collect()));
        }
        Ok((csv.columns.names, rows))
    }

    #[test]
    fn a_header_of_separators_alone_is_refused_before_it_is_held() {
        let error = |text: Vec<u8>| read(text, COMMA, Given::default()).unwrap_err().to_string();
        let expected = "t.csv, line 1: expected at most 1048576 columns, found 2000001";
        assert_eq!(error([b"\n", &b",".repeat(2_000_000)[..], b"\n1,2\n"].concat()), expected);
        // Separators within a quoted cell are none.
        let quoted = [b"\"", &b",".repeat(2_000_000)[..], b"\",b\n1,2\n"].concat();
        assert_eq!(read(quoted, COMMA, Given::default()).unwrap().0.len(), 2);
    }

    #[test]
    fn rows_keep_their_lines_behind_comments_blanks_and_quoted_breaks() {
        let commented = Dialect { comment: Some(b'|'), ..COMMA };
        let text = "|note\r\na,b\r\n\r\n1,\"x\ny\"\r\n   \r\n|note, too\r\n2,z\r\n";
        let (names, rows) = read(text, commented, Given::default()).unwrap();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(rows[0], (4, vec!["1".to_string(), "x\ny".to_string()]));
        assert_eq!(rows[1].0, 8);
    }

    #[test]
    fn a_file_without_a_header_may_lack_the_optional_column() {
        let names = ["a", "b", "y"].map(String::from);
        let bare = Dialect { header: false, ..COMMA };
        let given = Given { names: Some(&names), ..Given::default() };
        let error = read("1, 2\n", bare, given).unwrap_err().to_string();
        assert!(error.contains("expected 3 cells, found 2 cells"), "{error}");
        let given = Given { optional: Some("y"), ..given };
        assert_eq!(read("1, 2\n", bare, given).unwrap().0, ["a", "b"]);
        assert_eq!(read("1, 2, 3\n", bare, given).unwrap().0, names);
        assert_eq!(
            read("7,8\n", bare, Given::default()).unwrap(),
            (vec!["0".into(), "1".into()], vec![(1, vec!["7".into(), "8".into()])])
        );
    }

    #[test]
    fn hostile_files_are_errors_with_their_line() {
        let message = |text: &[u8]| read(text, COMMA, Given::default()).unwrap_err().to_string();
        assert_eq!(message(b"a,b\n1,2\n3\n"), "t.csv, line 3: expected 2 cells, found 1 cell");
        assert_eq!(
            message(b"a,b\n1,\"2\n"),
            "t.csv, line 2: expected a closing quote, found the end of the file"
        );
        assert!(
            message(b"a,b\n1,\"2\n3,4\n").ends_with("found a quote of t.csv on line 2 that does not close")
        );
        assert_eq!(
            message(b"a,b\n1,2\n3,caf\xe9 noir\n"),
            "t.csv, line 3: expected UTF-8 text, found the byte 0xe9, number 6 of the line; as windows-1252 it \
             reads `3,caf\u{e9} noir` (data.encoding = \"windows-1252\")"
        );
        assert!(message(b"").contains("empty"));
        let inside = read("a,b\n1,it's 5\" long\n", COMMA, Given::default()).unwrap();
        assert_eq!(inside.1.len(), 1);
    }

    #[test]
    fn a_bad_row_does_not_hide_the_next() {
        let text = Bytes::from_static(b"a,b\n1\n2,\xff\n3,4\n");
        let (mut bad, mut good) = (Vec::new(), Vec::new());
        let options = ReadOptions::plain(&|_| Use::Cell);
        let read = CsvRecords.read("t.csv", text, &options, &mut |found| {
            match found {
                Found::Unreadable(number, _) => bad.push(number),
                Found::Frame(frame) => good.extend(frame.lines),
            }
            Ok(())
        });
        assert_eq!((read.is_ok(), bad, good), (true, vec![0, 1], vec![4]));
    }

    #[test]
    fn the_rows_before_one_that_stops_come_first() {
        let text = Bytes::from_static(b"a,b\n1,2\n3\n5,6\n");
        let mut lines = Vec::new();
        let options = ReadOptions::plain(&|name| if name == "b" { Use::Cell } else { Use::Nothing });
        let read = CsvRecords.read("t.csv", text, &options, &mut |found| match found {
            Found::Unreadable(_, error) => Err(error),
            Found::Frame(frame) => {
                assert_eq!((frame.names, frame.ignored), (vec!["b".to_string()], vec!["a".to_string()]));
                lines.extend(frame.lines);
                Ok(())
            }
        });
        assert!(read.unwrap_err().to_string().contains("line 3"));
        assert_eq!(lines, [2]);
    }

    proptest! {
        #[test]
        fn whatever_is_quoted_reads_back(
            rows in prop::collection::vec(prop::collection::vec("[a-z,\"\n\r é]{1,6}", 3), 1..12),
        ) {
            let quoted = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
            let mut text = String::from("a,b,c\n");
            for row in &rows {
                text += &(row.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n");
            }
            let (_, read) = read(text, COMMA, Given::default()).unwrap();
            prop_assert_eq!(read.into_iter().map(|(_, cells)| cells).collect::<Vec<_>>(), rows);
        }
    }
}
