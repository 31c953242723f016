//! LIBSVM's (svmlight's) rows: a label, and the features that are not 0.
//!
//! ```text
//! label [qid:group] index:value index:value ... [# comment]      indices rise; the first is 1, or 0
//! ```
//!
//! The columns are `label`, `qid` where rows have one, and the indices of the features up to the highest of the
//! file. A feature that a row lacks is 0.

use super::cells::{Cells, TextCells};
use super::encoding::{Content, Decoding};
use super::entry::{Entries, File, Records};
use super::frame::Frame;
use super::lines::{lines_of, utf8};
use super::pieces;
use super::read::{Fill, ReadBlocks, ReadOptions, ReadRecords, TakeFound, frames};
use super::shard::Shard;
use super::whole::{self, WholeFile};
use super::wording::shortened;
use crate::DataError;
use bytes::Bytes;
use std::mem;
use std::sync::Arc;

/// Features of the widest row: each is a column.
const MOST_FEATURES: u32 = 65_536;

/// Cells of the largest table.
const MOST_CELLS: u64 = 1 << 27;

/// Cells of a frame, about.
const FRAME_CELLS: usize = 1 << 18;

/// The format.
pub(super) struct LibsvmRecords;

impl Records for LibsvmRecords {
    fn entries(&self, file: &File<'_>) -> Result<Entries, DataError> {
        whole::entries(file, "libsvm", Some(Content::Lines), |_, bytes| Ok(lines(&bytes).count() as u64))
    }
}

impl ReadRecords for LibsvmRecords {
    fn read(
        &self,
        uri: &str,
        bytes: Bytes,
        options: &ReadOptions<'_>,
        take: TakeFound<'_>,
    ) -> Result<(), DataError> {
        let rows = Rows::of(uri, &bytes, options)?;
        let most = (FRAME_CELLS / rows.columns.len()).max(1);
        frames(rows, options.at_once.min(most), take)
    }

    fn pieces(&self, uri: &str, options: &ReadOptions<'_>, take: TakeFound<'_>) -> Result<(), DataError> {
        let text = pieces::unpacked(uri, options.decoding, Content::Lines, true)?;
        self.read(uri, whole::all(uri, text)?, options, take)
    }

    fn open(&self, shard: Shard, _: &ReadOptions<'_>) -> Result<Arc<dyn ReadBlocks>, DataError> {
        Ok(Arc::new(WholeFile { shard, reader: &LibsvmRecords }))
    }
}

/// The lines with a row, each with its number: not blank ones and comments.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let is_row = |text: &[u8]| !matches!(text.trim_ascii().first(), None | Some(b'#'));
    (1..).zip(lines_of(bytes)).filter(move |(_, text)| is_row(text))
}

/// A row: its label, its group and its features, each with its value.
struct Row<'a> {
    label: &'a str,
    group: Option<&'a str>,
    features: Vec<(u32, &'a str)>,
}

impl<'a> Row<'a> {
    /// # Errors
    /// When a word of the line is not what its place asks for.
    fn of(uri: &str, line: u64, text: &'a [u8], decoding: Decoding) -> Result<Self, DataError> {
        let malformed = |expected: &str, found: &str| {
            DataError::malformed(uri, format!("line {line}"), expected, format!("`{}`", shortened(found)))
        };
        let text = utf8(uri, text, line, decoding)?;
        let mut words = text.split('#').next().unwrap_or_default().split_ascii_whitespace();
        let label = words.next().unwrap_or_default();
        if label.contains(':') {
            return Err(malformed("a label", label));
        }
        let mut row =
            Row { label: label.strip_prefix('+').unwrap_or(label), group: None, features: Vec::new() };
        for word in words {
            let Some((index, value)) = word.split_once(':') else {
                return Err(malformed("`index:value`", word));
            };
            if index == "qid" {
                row.group = Some(value);
                continue;
            }
            let last = row.features.last().map(|&(last, _)| last);
            match index.parse::<u32>() {
                Ok(index) if index > MOST_FEATURES => {
                    let expected = format!("at most {MOST_FEATURES} features, each of which is a column");
                    return Err(malformed(&expected, word));
                }
                Ok(index) if last.is_none_or(|last| index > last) => {
                    if value.parse::<f64>().is_err() {
                        return Err(malformed("a number as a feature's value", word));
                    }
                    row.features.push((index, value));
                }
                _ => return Err(malformed("the index of a feature, higher than the one before", word)),
            }
        }
        Ok(row)
    }
}

/// Rows on their way into frames that all have the columns of the file.
struct Rows<'a> {
    uri: &'a str,
    options: &'a ReadOptions<'a>,
    left: Box<dyn Iterator<Item = (u64, &'a [u8])> + 'a>,
    /// The index of the first feature: 0 where a row has that, 1 elsewhere.
    first: u32,
    /// The columns that stand before the features: `label`, and `qid` where there is one.
    before: usize,
    names: Vec<String>,
    /// The cells of the columns that are wanted.
    columns: Vec<Option<TextCells>>,
    lines: Vec<u64>,
}

impl<'a> Rows<'a> {
    /// Reads all rows once for their columns.
    ///
    /// # Errors
    /// When the table would be too large.
    fn of(uri: &'a str, bytes: &'a [u8], options: &'a ReadOptions<'a>) -> Result<Self, DataError> {
        let (mut rows, mut first, mut last, mut grouped) = (0u64, 1, 0, false);
        for (line, text) in lines(bytes) {
            rows += 1;
            // A row that cannot be read is told of when its turn comes.
            let Ok(row) = Row::of(uri, line, text, options.decoding) else { continue };
            grouped |= row.group.is_some();
            first = first.min(row.features.first().map_or(1, |&(index, _)| index));
            last = last.max(row.features.last().map_or(0, |&(index, _)| index));
        }
        let mut names = vec!["label".to_string()];
        names.extend(grouped.then(|| "qid".to_string()));
        let before = names.len();
        names.extend((first..=last).map(|index| index.to_string()));
        if rows * names.len() as u64 > MOST_CELLS {
            let expected = format!("a table of at most {MOST_CELLS} cells, those that are 0 among them");
            return Err(DataError::source(uri, expected, format!("{rows} rows of {} columns", names.len())));
        }
        let columns =
            names.iter().map(|name| (options.column)(name).is_wanted().then(TextCells::default)).collect();
        let left = Box::new(lines(bytes));
        Ok(Rows { uri, options, left, first, before, names, columns, lines: Vec::new() })
    }

    fn append(&mut self, line: u64, row: &Row<'_>) {
        let mut push = |column: usize, cell: Option<&str>| {
            if let Some(cells) = &mut self.columns[column] {
                let cell = cell.and_then(|cell| self.options.value(cell));
                // A row may have several labels, `1,3`.
                if column == 0 { cells.push(cell) } else { cells.push_number(cell) }
            }
        };
        push(0, Some(row.label));
        if self.before > 1 {
            push(1, row.group);
        }
        let mut features = row.features.iter().peekable();
        for column in self.before..self.names.len() {
            let index = self.first + (column - self.before) as u32;
            let value = features.next_if(|&&(at, _)| at == index).map_or("0", |&(_, value)| value);
            push(column, Some(value));
        }
        self.lines.push(line);
    }
}

impl Fill for Rows<'_> {
    fn next(&mut self) -> Option<Result<(), DataError>> {
        let (line, text) = self.left.next()?;
        let row = Row::of(self.uri, line, text, self.options.decoding);
        Some(row.map(|row| self.append(line, &row)))
    }

    fn frame(&mut self) -> Frame {
        let lines = mem::take(&mut self.lines);
        let mut frame = Frame::new(self.uri, Vec::new(), Vec::new(), lines, "line");
        (frame.varies, frame.sparse) = (true, true);
        for (name, cells) in self.names.iter().zip(&mut self.columns) {
            match cells {
                Some(cells) => {
                    frame.names.push(name.clone());
                    frame.columns.push(Cells::Text(mem::take(cells)));
                }
                None => frame.ignored.push(name.clone()),
            }
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::read::{Found, Use};

    fn read(text: &[u8], skip: bool) -> Result<(Frame, Vec<usize>), String> {
        let (mut all, mut unreadable): (Option<Frame>, _) = (None, Vec::new());
        let options = ReadOptions::plain(&|_| Use::Cell);
        let read =
            LibsvmRecords.read("t.svm", Bytes::copy_from_slice(text), &options, &mut |found| match found {
                Found::Unreadable(number, _) if skip => {
                    unreadable.push(number);
                    Ok(())
                }
                Found::Unreadable(_, error) => Err(error),
                Found::Frame(frame) => match &mut all {
                    Some(all) => all.append(frame),
                    None => {
                        all = Some(frame);
                        Ok(())
                    }
                },
            });
        read.map(|()| (all.unwrap(), unreadable)).map_err(|error| error.to_string())
    }

    #[test]
    fn features_that_a_row_lacks_are_0() {
        // As scikit-learn's load_svmlight_file reads it: [[0.5, 0, 2], [0, 0, 0], [0, 1e-3, 0]].
        let text = b"# a comment\n+1 qid:3 1:0.5 3:2 # note\n-1 qid:3\n\n1 2:1e-3\n";
        let (frame, _) = read(text, false).unwrap();
        assert_eq!(frame.names, ["label", "qid", "1", "2", "3"]);
        assert_eq!((&frame.lines[..], frame.varies && frame.sparse), (&[2, 3, 5][..], true));
        let row =
            |row| (2..5).map(|at: usize| frame.columns[at].number(row).unwrap().unwrap()).collect::<Vec<_>>();
        assert_eq!((row(0), row(1), row(2)), (vec![0.5, 0.0, 2.0], vec![0.0; 3], vec![0.0, 1e-3, 0.0]));
        assert_eq!((frame.columns[0].text(0).unwrap(), frame.columns[1].text(2)), ("1".into(), None));
        assert_eq!(read(b"1 0:2 1:3\n", false).unwrap().0.names, ["label", "0", "1"]);
    }

    #[test]
    fn rows_that_are_none_are_errors_with_their_line_or_counted() {
        let text = b"1 1:2\n0 2:1 1:1\n1 1:x\n1:2\n1 5\n0 1:3\n";
        let error = read(text, false).unwrap_err();
        assert!(error.starts_with("t.svm, line 2: expected the index of a feature, higher"), "{error}");
        let (frame, unreadable) = read(text, true).unwrap();
        assert_eq!((frame.len(), unreadable), (2, vec![1, 2, 3, 4]));
        let wide = read(b"1 4294967295:1\n", false).unwrap_err();
        assert!(wide.contains("at most 65536 features"), "{wide}");
        let large = "1 65536:1\n".repeat(2_100);
        assert!(read(large.as_bytes(), false).unwrap_err().contains("2100 rows of 65537 columns"));
    }
}
