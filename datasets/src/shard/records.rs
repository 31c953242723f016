//! Text records gathered into blocks: CSV and JSONL cut where one record ends and the next begins.
//!
//! ```text
//! header \n | row \n row \n ... row \n | row \n ...        a block is at least BLOCK bytes, and its last
//!           └─ block 0 ────────────────┴─ block 1          row ends it; a quoted line break is no end
//! ```

use super::{Entry, Part};
use crate::DataError;
use crate::source::one_line;
use crc32fast::hash;
use csv::{ByteRecord, ReaderBuilder};
use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

/// Bytes of a block: what one request fetches. In tests a small file has many.
pub(crate) const BLOCK: u64 = if cfg!(test) { 256 } else { 1 << 20 };

/// Bytes of the longest record; a quote that never closes would otherwise make one of all that follows.
pub(crate) const LONGEST_RECORD: u64 = 64 << 20;

/// Blocks as they are cut.
struct Cutter<T> {
    extension: &'static str,
    begin: u64,
    line: u64,
    records: u32,
    take: T,
}

impl<T: FnMut(Entry) -> Result<(), DataError>> Cutter<T> {
    /// Hands out the block that `bytes` are; the next one begins behind it, on `next_line`.
    fn cut(&mut self, bytes: &[u8], next_line: u64) -> Result<(), DataError> {
        let length = bytes.len() as u64;
        let part =
            Part { extension: self.extension.to_string(), offset: self.begin, length, crc32: hash(bytes) };
        let entry = Entry {
            key: String::new(),
            records: self.records,
            line: self.line,
            class: None,
            parts: vec![part],
        };
        (self.begin, self.line, self.records) = (self.begin + length, next_line, 0);
        (self.take)(entry)
    }
}

/// Reads a CSV from its beginning to its end, and hands out its blocks of about `block` bytes with their
/// checksums. `uri` names it in errors. Rows of a wrong width are records, too: reading them will say so.
///
/// # Errors
/// When it cannot be read, a record is too long, and when `take` fails.
pub(crate) fn scan_csv(
    uri: &str,
    reader: impl Read,
    (separator, comment, header): (u8, Option<u8>, bool),
    block: u64,
    take: impl FnMut(Entry) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let kept = Rc::new(RefCell::new(Vec::new()));
    let most = (block + LONGEST_RECORD) as usize;
    let mut csv = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .comment(comment)
        .buffer_capacity(1 << 18)
        .from_reader(Kept { reader, kept: kept.clone(), most });
    let mut cutter = Cutter { extension: "csv", begin: 0, line: 1, records: 0, take };
    let (mut record, mut width) = (ByteRecord::new(), 0);
    let malformed = |byte: u64, error: csv::Error| {
        DataError::malformed(uri, format!("byte {byte}"), "readable rows of a CSV", one_line(error))
    };
    loop {
        let read =
            csv.read_byte_record(&mut record).map_err(|error| malformed(csv.position().byte(), error))?;
        if !read {
            break;
        }
        // Blanks alone are no row, as for the reader of blocks.
        if width != 1 && record.len() == 1 && is_blank(&record[0]) {
            continue;
        }
        let (end, line) = (csv.position().byte(), csv.position().line());
        if width == 0 {
            width = record.len();
            if header {
                kept.borrow_mut().drain(..end as usize);
                (cutter.begin, cutter.line) = (end, line);
                continue;
            }
        }
        cutter.records += 1;
        if end - cutter.begin >= block || cutter.records == u32::MAX {
            let length = (end - cutter.begin) as usize;
            cutter.cut(&kept.borrow()[..length], line)?;
            kept.borrow_mut().drain(..length);
        }
    }
    if cutter.records > 0 {
        let kept = kept.borrow();
        cutter.cut(&kept, csv.position().line())?;
    }
    Ok(())
}

fn is_blank(cell: &[u8]) -> bool {
    std::str::from_utf8(cell).is_ok_and(|cell| cell.trim().is_empty())
}

/// Keeps what was read until it is known where the block that it is part of ends.
struct Kept<R> {
    reader: R,
    kept: Rc<RefCell<Vec<u8>>>,
    most: usize,
}

impl<R: Read> Read for Kept<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut kept = self.kept.borrow_mut();
        if kept.len() > self.most {
            let message = format!("a row longer than {} MiB: is a quote not closed?", LONGEST_RECORD >> 20);
            return Err(io::Error::other(message));
        }
        let read = self.reader.read(buffer)?;
        kept.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

/// As [`scan_csv`], of JSON lines: blank ones are no records, ones that are no objects are.
///
/// # Errors
/// When it cannot be read, a line is too long, and when `take` fails.
pub(crate) fn scan_jsonl(
    uri: &str,
    reader: impl Read,
    block: u64,
    take: impl FnMut(Entry) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut reader = BufReader::with_capacity(1 << 18, reader);
    let mut cutter = Cutter { extension: "jsonl", begin: 0, line: 1, records: 0, take };
    let (mut bytes, mut line) = (Vec::new(), 1);
    loop {
        let begin = bytes.len();
        let malformed = |found: String| {
            DataError::malformed(uri, format!("line {line}"), "a readable line of JSON", found)
        };
        let read = reader.by_ref().take(LONGEST_RECORD).read_until(b'\n', &mut bytes);
        let read = read.map_err(|error| malformed(one_line(error)))? as u64;
        if read == 0 {
            break;
        }
        if read == LONGEST_RECORD {
            return Err(malformed(format!("one longer than {} MiB", LONGEST_RECORD >> 20)));
        }
        line += 1;
        cutter.records += u32::from(!bytes[begin..].trim_ascii().is_empty());
        if cutter.records > 0 && bytes.len() as u64 >= block {
            cutter.cut(&bytes, line)?;
            bytes.clear();
        }
    }
    if cutter.records > 0 {
        cutter.cut(&bytes, line)?;
    }
    Ok(())
}

/// As [`scan_csv`], of lines of text. A line that is longer than two blocks is cut behind a blank or, where
/// a word is longer than a block, between two characters; each piece is a record.
///
/// # Errors
/// When it cannot be read, and when `take` fails.
pub(crate) fn scan_text(
    uri: &str,
    reader: impl Read,
    block: u64,
    take: impl FnMut(Entry) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut reader = BufReader::with_capacity(1 << 18, reader);
    let mut cutter = Cutter { extension: "txt", begin: 0, line: 1, records: 0, take };
    let (mut bytes, mut line) = (Vec::new(), 1);
    loop {
        // What is left of the block before is shorter than a block.
        let most = (2 * block).saturating_sub(bytes.len() as u64).max(1);
        let read = reader.by_ref().take(most).read_until(b'\n', &mut bytes).map_err(|error| {
            DataError::malformed(uri, format!("line {line}"), "a readable line of text", one_line(error))
        })?;
        if read == 0 {
            break;
        }
        let ended = bytes.ends_with(b"\n");
        let full = bytes.len() as u64 >= if ended { block } else { 2 * block };
        (line, cutter.records) = (line + u64::from(ended), cutter.records + u32::from(ended || full));
        if full {
            let length = if ended { bytes.len() } else { cut_of_line(&bytes, block as usize) };
            cutter.cut(&bytes[..length], line)?;
            bytes.drain(..length);
        }
    }
    if !bytes.is_empty() {
        cutter.records += u32::from(!bytes.ends_with(b"\n"));
        cutter.cut(&bytes, line)?;
    }
    Ok(())
}

/// Where a line is cut that does not end within `bytes`, of which at least `least` are before the cut.
fn cut_of_line(bytes: &[u8], least: usize) -> usize {
    let blank = bytes[least..].iter().rposition(u8::is_ascii_whitespace).map(|blank| least + blank + 1);
    let continues = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
    // A character has four bytes at most; where none begins among the last four, it is no UTF-8.
    let last = (bytes.len().saturating_sub(4)..bytes.len()).rev().find(|&at| !continues(&bytes[at]));
    let cut_off = last.filter(|&at| at > 0 && std::str::from_utf8(&bytes[at..]).is_err());
    blank.or(cut_off).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COMMA: (u8, Option<u8>, bool) = (b',', None, true);

    fn blocks(text: &str, block: u64) -> Vec<Entry> {
        let mut entries = Vec::new();
        scan_csv("x.csv", text.as_bytes(), COMMA, block, |entry| {
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
    fn lines_of_json_are_counted_but_for_blank_ones() {
        let mut entries = Vec::new();
        scan_jsonl("x.jsonl", &b"{}\n\n  \n{\"a\": 1}\nnonsense"[..], 4, |entry| {
            entries.push((entry.records, entry.line, entry.parts[0].offset, entry.parts[0].length));
            Ok(())
        })
        .unwrap();
        assert_eq!(entries, [(1, 1, 0, 4), (1, 3, 4, 12), (1, 5, 16, 8)]);
    }

    #[test]
    fn lines_of_text_are_kept_whole_unless_they_are_long() {
        let cut = |text: &str, block: u64| {
            let mut pieces = Vec::new();
            scan_text("x.txt", text.as_bytes(), block, |entry| {
                let begin = entry.parts[0].offset as usize;
                let piece = text[begin..begin + entry.parts[0].length as usize].to_string();
                pieces.push((piece, entry.records, entry.line));
                Ok(())
            })
            .unwrap();
            pieces
        };
        let owned = |piece: &str, records, line| (piece.to_string(), records, line);
        let found = cut("ab\ncd\n\n\nefgh\ni", 4);
        assert_eq!(found, [owned("ab\ncd\n", 2, 1), owned("\n\nefgh\n", 3, 3), owned("i", 1, 6)]);
        assert_eq!(
            cut("a b c d e f\ng", 4),
            [owned("a b c d ", 1, 1), owned("e f\n", 1, 1), owned("g", 1, 2)]
        );
        assert_eq!(cut("ééééé", 2), [owned("éé", 1, 1), owned("éé", 1, 1), owned("é", 1, 1)]);
        assert_eq!(
            cut("aéé\n", 1),
            [owned("a", 1, 1), owned("é", 1, 1), owned("é", 1, 1), owned("\n", 1, 1)]
        );
        assert_eq!(cut("", 4), []);
    }

    proptest! {
        /// No byte is lost, no character cut, and no word but one that is longer than a block.
        #[test]
        fn blocks_of_text_are_the_file(text in "([a-c]{0,9}|é|\n| |\r\n){0,80}", block in 1u64..20) {
            let (mut all, mut line, mut next) = (String::new(), 1, 0);
            scan_text("x.txt", text.as_bytes(), block, |entry| {
                let part = &entry.parts[0];
                let bytes = &text.as_bytes()[part.offset as usize..(part.offset + part.length) as usize];
                let piece = std::str::from_utf8(bytes).unwrap();
                assert!(part.offset == next && entry.line == line && entry.records > 0);
                assert_eq!(part.crc32, hash(bytes));
                assert!(part.length < 3 * block.max(4), "{piece:?}");
                (next, line) = (next + part.length, line + piece.matches('\n').count() as u64);
                all += piece;
                Ok(())
            })
            .unwrap();
            prop_assert_eq!(all, text);
        }

        /// What the rows of all blocks together are, the file's are.
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
