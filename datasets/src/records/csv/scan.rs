//! CSV cut into blocks of whole rows.

use super::quotes::{breaks, refused, swallowing};
use super::sniff::stated;
use super::width::{separators, too_wide};
use crate::DataError;
use crate::bounds::MOST_COLUMNS;
use crate::records::cut::{Cutter, LONGEST_RECORD};
use crate::records::dialect::Dialect;
use crate::records::entry::Entry;
use crate::source::one_line;
use ::csv::{ByteRecord, Error};
use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::rc::Rc;

/// Bytes of a row from which on it is looked into: a quote may have opened that nobody meant.
const LONG_ROW: usize = if cfg!(test) { 4 << 10 } else { 1 << 20 };

/// Reads a CSV from its beginning to its end, and hands out its blocks of about `block` bytes with their
/// checksums. `uri` names it in errors. Rows of a wrong width are records, too: reading them will say so.
///
/// # Errors
/// When it cannot be read, a record is too long, and when `take` fails.
pub(in crate::records) fn scan_csv(
    uri: &str,
    reader: impl Read,
    dialect: Dialect,
    block: u64,
    take: impl FnMut(Entry) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let kept = Rc::new(RefCell::new(Vec::new()));
    let row = Rc::new(Row::default());
    let most = (block + LONGEST_RECORD) as usize;
    let reader = Kept { reader, kept: kept.clone(), row: row.clone(), dialect, most, next: LONG_ROW };
    let mut csv = dialect.reader().buffer_capacity(1 << 18).from_reader(reader);
    let mut cutter = Cutter::new("csv", take);
    let mut record = ByteRecord::new();
    let malformed = |byte: u64, line: u64, error: Error| match row.stop.take() {
        Some(Stop::Opened(open)) => {
            let lines = breaks(&kept.borrow()[row.begin.get()..][..open]);
            refused(
                uri,
                format!("on line {} that does not close before lines that look like rows", line + lines),
            )
        }
        Some(Stop::Wide(cells)) => too_wide(uri, line, format!("{cells} and more")),
        None => DataError::malformed(uri, format!("byte {byte}"), "readable rows of a CSV", one_line(error)),
    };
    loop {
        let read = csv.read_byte_record(&mut record).map_err(|error| {
            let position = csv.position();
            malformed(position.byte(), row.line.get().max(1), error)
        })?;
        if !read {
            break;
        }
        let (end, line) = (csv.position().byte(), csv.position().line());
        row.line.set(line);
        row.begin.set((end - cutter.begin) as usize);
        // Blanks alone are no row, as for the reader of blocks.
        if row.width.get() != 1 && record.len() == 1 && is_blank(&record[0]) {
            // Of a file of one column they are rows, but for those before the first.
            if row.width.get() == 0 {
                kept.borrow_mut().drain(..(end - cutter.begin) as usize);
                row.begin.set(0);
                (cutter.begin, cutter.line) = (end, line);
            }
            continue;
        }
        if row.width.get() == 0 {
            let states = cutter.begin == 0 && stated(&kept.borrow()[..end as usize]).is_some();
            if states {
                kept.borrow_mut().drain(..end as usize);
                row.begin.set(0);
                (cutter.begin, cutter.line) = (end, line);
                continue;
            }
            row.width.set(record.len());
            if dialect.header {
                kept.borrow_mut().drain(..(end - cutter.begin) as usize);
                row.begin.set(0);
                (cutter.begin, cutter.line) = (end, line);
                continue;
            }
        }
        cutter.records += 1;
        if end - cutter.begin >= block || cutter.records == u32::MAX {
            let length = (end - cutter.begin) as usize;
            cutter.cut(&kept.borrow()[..length], line)?;
            kept.borrow_mut().drain(..length);
            row.begin.set(0);
        }
    }
    if cutter.records > 0 {
        let kept = kept.borrow();
        cutter.cut(&kept, csv.position().line())?;
    }
    Ok(())
}

/// The row that is being read.
#[derive(Debug, Default)]
struct Row {
    /// The place of its first byte among those that are kept, and its line.
    begin: Cell<usize>,
    line: Cell<u64>,
    /// The cells of the first row; 0 before it.
    width: Cell<usize>,
    /// The reason why reading it was stopped.
    stop: Cell<Option<Stop>>,
}

/// A fault of a row that stops the reading of its file.
#[derive(Clone, Copy, Debug)]
enum Stop {
    /// A quote that cannot be meant opens a cell at this place of the row.
    Opened(usize),
    /// It has more cells than a table may have columns: this many so far.
    Wide(usize),
}

fn is_blank(cell: &[u8]) -> bool {
    std::str::from_utf8(cell).is_ok_and(|cell| cell.trim().is_empty())
}

/// Keeps what was read until it is known where the block that it is part of ends.
struct Kept<R> {
    reader: R,
    kept: Rc<RefCell<Vec<u8>>>,
    row: Rc<Row>,
    dialect: Dialect,
    most: usize,
    /// Bytes of a row from which on it is looked into again.
    next: usize,
}

impl<R: Read> Read for Kept<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut kept = self.kept.borrow_mut();
        let long = kept.len() - self.row.begin.get().min(kept.len());
        if long < self.next {
            self.next = self.next.min(LONG_ROW.max(2 * long));
        } else {
            self.next = 2 * long;
            let row = &kept[self.row.begin.get()..];
            if self.dialect.quoting.doubts()
                && let Some(open) = swallowing(row, self.row.width.get(), self.dialect)
            {
                self.row.stop.set(Some(Stop::Opened(open)));
                return Err(io::Error::other("a quote that cannot be meant"));
            }
            // Each cell of a row has its end, which takes eight times a separator's byte.
            let cells = 1 + separators(row, self.dialect);
            if cells > MOST_COLUMNS {
                self.row.stop.set(Some(Stop::Wide(cells)));
                return Err(io::Error::other("more cells than a table may have columns"));
            }
        }
        if kept.len() > self.most {
            let message = format!(
                "a row longer than {} MiB, from line {} on: is a quote not closed? (data.quoting)",
                LONGEST_RECORD >> 20,
                self.row.line.get().max(1)
            );
            return Err(io::Error::other(message));
        }
        let read = self.reader.read(buffer)?;
        kept.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::cut::BLOCK;
    use ::csv::ReaderBuilder;
    use crc32fast::hash;
    use proptest::prelude::*;

    fn blocks(text: &str, block: u64) -> Vec<Entry> {
        let mut entries = Vec::new();
        scan_csv("x.csv", text.as_bytes(), Dialect::default(), block, |entry| {
            entries.push(entry);
            Ok(())
        })
        .unwrap();
        entries
    }

    #[test]
    fn a_quoted_line_break_ends_no_block() {
        let text = "a,b\n1,\"x\n\ny\"\n2,\"z \"\"q\"\"\n\"\r\n\r\n3,w\n\n";
        let entries = blocks(text, 1);
        let found: Vec<(&str, u32, u64)> = entries
            .iter()
            .map(|entry| {
                let part = &entry.parts[0];
                let bytes = &text[part.offset as usize..(part.offset + part.length) as usize];
                assert_eq!(part.crc32, hash(bytes.as_bytes()));
                (bytes.trim(), entry.records, entry.line)
            })
            .collect();
        assert_eq!(found[0], ("1,\"x\n\ny\"", 1, 2));
        assert_eq!((found[1].0, found[1].1, found[1].2), ("2,\"z \"\"q\"\"\n\"", 1, 5));
        assert_eq!((found[2].0, found[2].1), ("3,w", 1));
        assert_eq!(found.len(), 3);
        assert_eq!(blocks("a,b\n", 1), []);
        assert_eq!(blocks("", 1), []);
    }

    #[test]
    fn rows_of_more_cells_than_a_table_has_are_refused_while_they_are_read() {
        let error = |text: &[u8]| {
            scan_csv("x.csv", text, Dialect::default(), BLOCK, |_| Ok(())).unwrap_err().to_string()
        };
        let commas = [b",".repeat(3 << 20), b"\n".to_vec()].concat();
        for (text, line) in [(commas.clone(), 1), ([b"a,b\n1,2\n", &commas[..]].concat(), 3)] {
            let error = error(&text);
            assert!(
                error.starts_with(&format!("x.csv, line {line}: expected at most 1048576 columns, found ")),
                "{error}"
            );
        }
        // Separators within a quoted cell are none.
        let quoted = [b"a,b\n1,\"", &b",".repeat(3 << 20)[..], b"\"\n"].concat();
        let mut rows = 0;
        scan_csv("x.csv", &quoted[..], Dialect::default(), BLOCK, |entry| {
            rows += entry.records;
            Ok(())
        })
        .unwrap();
        assert_eq!(rows, 1);
    }

    proptest! {
        /// The rows of all blocks together are the rows of the file.
        #[test]
        fn blocks_are_the_file_cut_at_records(
            text in "a,b\n([0-9]{0,3}|\"(x|\n|\r\n|,|\"\"){0,6}\"|,|\n|\r\n| ){0,60}", block in 1u64..40,
        ) {
            let rows = |bytes: &[u8]| -> Vec<ByteRecord> {
                let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
                reader.byte_records().map(Result::unwrap).filter(|row| row.len() != 1 || !is_blank(&row[0])).collect()
            };
            let entries = blocks(&text, block);
            let whole = rows(text.as_bytes());
            let mut cut = Vec::new();
            let mut line = 0;
            for entry in &entries {
                let part = &entry.parts[0];
                let bytes = &text.as_bytes()[part.offset as usize..(part.offset + part.length) as usize];
                let found = rows(bytes);
                prop_assert_eq!(found.len(), entry.records as usize);
                // Of a row that ends by \r\n, the \n may stand at the beginning of the next block.
                prop_assert!(entry.line >= line);
                line = entry.line;
                cut.extend(found);
            }
            prop_assert_eq!(&whole[1.min(whole.len())..], &cut[..]);
        }
    }
}
