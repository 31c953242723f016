//! CSV: lines of separated cells, with quotes, as RFC 4180 has them and files in the wild do.
//!
//! The `csv` crate splits the bytes; this file adds what it leaves to its caller: a header or none,
//! lines of blanks, the true line of a row behind comments, quotes that never close, and row widths
//! with both numbers in the error.

mod pieces;
mod scan;

use pieces::csv_pieces;
use scan::scan_csv;

use super::cells::{Cells, TextCells};
use super::cut::BLOCK;
use super::dialect::{Dialect, Given};
use super::entry::{Entries, File, Records, scanned};
use super::frame::Frame;
use super::read::{Fill, ReadBlocks, ReadOptions, ReadRecords, TakeFound, frames};
use super::shard::{Block, Shard};
use crate::DataError;
use ::csv::{ErrorKind, Position, Reader, ReaderBuilder, StringRecord};
use bytes::Bytes;
use std::mem;
use std::sync::Arc;

/// The format.
pub(super) struct CsvRecords;

impl Records for CsvRecords {
    fn entries(&self, file: &File<'_>) -> Result<Entries, DataError> {
        scanned(file, |uri, unpacked, take| scan_csv(uri, unpacked, file.dialect, BLOCK, take))
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
        let mut csv = Csv::open(uri, &bytes, options.dialect, options.given)?;
        frames(Rows::of(&mut csv, options), options.at_once, take)
    }

    fn pieces(&self, uri: &str, options: &ReadOptions<'_>, take: TakeFound<'_>) -> Result<(), DataError> {
        csv_pieces(uri, options.dialect, options.given, &mut |csv| {
            frames(Rows::of(csv, options), options.at_once, take)
        })
    }

    fn open(&self, shard: Shard, options: &ReadOptions<'_>) -> Result<Arc<dyn ReadBlocks>, DataError> {
        let (dialect, head) = (options.dialect, shard.head()?);
        let names = Csv::open(shard.uri(), &head, dialect, options.given)?.names;
        Ok(Arc::new(CsvBlocks { shard, dialect, names }))
    }
}

/// The blocks of an indexed CSV.
#[derive(Debug)]
struct CsvBlocks {
    shard: Shard,
    dialect: Dialect,
    /// The columns' names.
    names: Vec<String>,
}

impl ReadBlocks for CsvBlocks {
    fn shard(&self) -> &Shard {
        &self.shard
    }

    fn read(&self, block: &Block, options: &ReadOptions<'_>, take: TakeFound<'_>) -> Result<(), DataError> {
        let bytes = self.shard.fetch(block)?;
        let names = self.names.clone();
        let mut csv = Csv::block(self.shard.uri(), &bytes, self.dialect, names, block.line);
        frames(Rows::of(&mut csv, options), options.at_once, take)
    }
}

/// The rows of a CSV in memory.
pub(super) struct Csv<'a> {
    uri: &'a str,
    bytes: &'a [u8],
    dialect: Dialect,
    reader: Reader<&'a [u8]>,
    names: Vec<String>,
    record: StringRecord,
    /// The line that `bytes` begin on.
    first_line: u64,
    /// The first row, already read to learn the width of a file without a header.
    waiting: Option<u64>,
}

impl<'a> Csv<'a> {
    /// Reads up to and including the header.
    ///
    /// # Errors
    /// When there is no row at all, or two columns have one name.
    pub(super) fn open(
        uri: &'a str,
        bytes: &'a [u8],
        dialect: Dialect,
        given: Given<'_>,
    ) -> Result<Self, DataError> {
        let mut csv = Csv::block(uri, bytes, dialect, Vec::new(), 1);
        let expected = if dialect.header { "a header and rows" } else { "rows" };
        let line = match csv.advance() {
            None => return Err(DataError::source(uri, expected, "an empty file")),
            Some(first) => first?,
        };
        csv.names = csv.columns(line, given)?;
        if !dialect.header {
            csv.waiting = Some(line);
        }
        Ok(csv)
    }

    /// Reads rows out of the middle of a file: `bytes` begin on line `first_line` of it.
    pub(super) fn block(
        uri: &'a str,
        bytes: &'a [u8],
        dialect: Dialect,
        names: Vec<String>,
        first_line: u64,
    ) -> Self {
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(dialect.separator)
            .comment(dialect.comment)
            .from_reader(bytes);
        Csv { uri, bytes, dialect, reader, names, record: StringRecord::new(), first_line, waiting: None }
    }

    /// The names of the columns, given the file's first row in `record`.
    fn columns(&self, line: u64, given: Given<'_>) -> Result<Vec<String>, DataError> {
        let width = self.record.len();
        let names: Vec<String> = match given.names {
            Some(names) => {
                let mut names = names.to_vec();
                if names.len() == width + 1 && !self.dialect.header {
                    names.retain(|name| Some(name.as_str()) != given.optional);
                }
                if names.len() != width {
                    return Err(self.wrong_width(line, names.len(), width));
                }
                names
            }
            None if self.dialect.header => {
                let name = |(index, cell): (usize, &str)| match cell.trim() {
                    "" => format!("column {index}"),
                    name => name.to_string(),
                };
                self.record.iter().enumerate().map(name).collect()
            }
            None => (0..width).map(|index| index.to_string()).collect(),
        };
        let mut sorted: Vec<&String> = names.iter().collect();
        sorted.sort();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => {
                let found = format!("`{}` twice", pair[0]);
                Err(DataError::malformed(self.uri, format!("line {line}"), "distinct column names", found))
            }
            None => Ok(names),
        }
    }

    fn wrong_width(&self, line: u64, expected: usize, found: usize) -> DataError {
        let cells = |count| format!("{count} cell{}", if count == 1 { "" } else { "s" });
        DataError::malformed(self.uri, format!("line {line}"), cells(expected), cells(found))
    }

    /// The columns' names.
    pub(super) fn names(&self) -> &[String] {
        &self.names
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
        match self.record.len() == self.names.len() {
            true => Some(Ok(line)),
            false => Some(Err(self.wrong_width(line, self.names.len(), self.record.len()))),
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
            if self.record.len() == 1 && self.record[0].trim().is_empty() && self.names.len() != 1 {
                continue;
            }
            let at_end = self.reader.position().byte() >= self.bytes.len() as u64;
            if at_end && let Some(opened) = unclosed_quote(&self.bytes[start..], self.dialect.separator) {
                let lines = self.bytes[start..start + opened].iter().filter(|&&byte| byte == b'\n').count();
                let place = format!("line {}", line + lines as u64);
                return Some(Err(DataError::malformed(
                    self.uri,
                    place,
                    "a closing quote",
                    "the end of the file",
                )));
            }
            return Some(Ok(line));
        }
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
                _ if Some(first) == self.dialect.comment => {
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
            ErrorKind::Utf8 { pos, err } => {
                let (_, line) = self.row_start(pos.as_ref());
                let found = format!("a byte that is not, in cell {}", err.field() + 1);
                DataError::malformed(self.uri, format!("line {line}"), "UTF-8 text", found)
            }
            _ => DataError::source(self.uri, "a readable CSV", error),
        }
    }
}

/// The place of the quote that is still open at the end of `row`, by the rules of `csv`: a quote
/// opens a cell at its first byte only, and a doubled quote inside stands for one.
fn unclosed_quote(row: &[u8], separator: u8) -> Option<usize> {
    let mut opened = None;
    let mut cell_begins = true;
    let mut bytes = row.iter().enumerate().peekable();
    while let Some((index, &byte)) = bytes.next() {
        match opened {
            Some(_) if byte == b'"' && bytes.next_if(|&(_, &next)| next == b'"').is_none() => opened = None,
            Some(_) => {}
            None if byte == b'"' && cell_begins => opened = Some(index),
            None => {}
        }
        cell_begins = opened.is_none() && (byte == separator || byte == b'\n' || byte == b'\r');
    }
    opened
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
        for (place, name) in csv.names.iter().enumerate() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::read::{Found, Use};
    use proptest::prelude::*;

    const COMMA: Dialect = Dialect { separator: b',', comment: None, header: true };

    type Rows = Vec<(u64, Vec<String>)>;

    fn read(
        text: impl AsRef<[u8]>,
        dialect: Dialect,
        given: Given<'_>,
    ) -> Result<(Vec<String>, Rows), DataError> {
        let mut csv = Csv::open("t.csv", text.as_ref(), dialect, given)?;
        let mut rows = Rows::new();
        while let Some(line) = csv.next_row() {
            rows.push((line?, csv.record.iter().map(String::from).collect()));
        }
        Ok((csv.names, rows))
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
        let given = Given { names: Some(&names), optional: None };
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
            message(b"a,b\n1,\"2\n3,4\n"),
            "t.csv, line 2: expected a closing quote, found the end of the file"
        );
        assert_eq!(
            message(b"a,b\n1,2\n3,\xff\n"),
            "t.csv, line 3: expected UTF-8 text, found a byte that is not, in cell 2"
        );
        assert!(message(b"").contains("empty"));
        assert!(message(b"a,b,a\n").contains("`a` twice"));
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
