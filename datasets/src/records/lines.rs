//! Lines of plain text.

use super::cells::{Cells, TextCells};
use super::cut::{BLOCK, Cutter};
use super::encoding::{Content, Decoding, undecodable};
use super::entry::{Entries, Entry, File, Records, scanned_text};
use super::frame::Frame;
use super::pieces::line_pieces;
use super::read::{Fill, ReadBlocks, ReadOptions, ReadRecords, TakeFound, frames};
use super::shard::{Block, Shard};
use crate::DataError;
use crate::source::one_line;
use bytes::Bytes;
use std::io::{BufRead, BufReader, Read};
use std::mem;
use std::slice::Split;
use std::sync::Arc;

/// The format.
pub(super) struct TextRecords;

impl Records for TextRecords {
    fn entries(&self, file: &File<'_>) -> Result<Entries, DataError> {
        scanned_text(file, Content::Prose, |uri, unpacked, take| scan_text(uri, unpacked, BLOCK, take))
    }
}

impl ReadRecords for TextRecords {
    fn read(
        &self,
        uri: &str,
        bytes: Bytes,
        options: &ReadOptions<'_>,
        take: TakeFound<'_>,
    ) -> Result<(), DataError> {
        frames(Lines::of(uri, &bytes, 1, options.decoding), options.at_once, take)
    }

    fn pieces(&self, uri: &str, options: &ReadOptions<'_>, take: TakeFound<'_>) -> Result<(), DataError> {
        line_pieces(uri, options.decoding, |bytes, line| {
            frames(Lines::of(uri, bytes, line, options.decoding), options.at_once, take)
        })
    }

    fn open(&self, shard: Shard, _: &ReadOptions<'_>) -> Result<Arc<dyn ReadBlocks>, DataError> {
        Ok(Arc::new(TextBlocks(shard)))
    }

    fn is_plain(&self) -> bool {
        true
    }
}

/// The blocks of indexed lines.
#[derive(Debug)]
struct TextBlocks(Shard);

impl ReadBlocks for TextBlocks {
    fn shard(&self) -> &Shard {
        &self.0
    }

    fn read(&self, block: &Block, options: &ReadOptions<'_>, take: TakeFound<'_>) -> Result<(), DataError> {
        let bytes = self.0.fetch(block)?;
        frames(Lines::of(self.0.uri(), &bytes, block.line, options.decoding), options.at_once, take)
    }

    fn verify(&self, block: &Block, _: &mut dyn FnMut(DataError)) -> Result<(), DataError> {
        utf8(self.0.uri(), &self.0.fetch(block)?, block.line, Decoding::default()).map(drop)
    }
}

/// Lines of text, a column without a name; blank ones are no records.
struct Lines<'a> {
    uri: &'a str,
    decoding: Decoding,
    /// The lines that are left, of which the first is line `line`.
    left: Split<'a, u8, fn(&u8) -> bool>,
    line: u64,
    cells: TextCells,
    lines: Vec<u64>,
}

impl<'a> Lines<'a> {
    /// Reads the lines of `bytes`, the first of which is line `line` of the file.
    fn of(uri: &'a str, bytes: &'a [u8], line: u64, decoding: Decoding) -> Self {
        Lines { uri, decoding, left: lines_of(bytes), line, cells: TextCells::default(), lines: Vec::new() }
    }
}

impl Fill for Lines<'_> {
    fn next(&mut self) -> Option<Result<(), DataError>> {
        loop {
            let (text, line) = (self.left.next()?, self.line);
            self.line += 1;
            match std::str::from_utf8(text) {
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => {
                    self.cells.push_text(Some(text.trim_end_matches('\r')));
                    self.lines.push(line);
                    return Some(Ok(()));
                }
                Err(_) => return Some(Err(undecodable(self.uri, line, text, self.decoding))),
            }
        }
    }

    fn frame(&mut self) -> Frame {
        let columns = vec![Cells::Text(mem::take(&mut self.cells))];
        Frame::new(self.uri, vec![String::new()], columns, mem::take(&mut self.lines), "line")
    }
}

/// The lines of some bytes, the line breaks and a byte order mark aside.
pub(super) fn lines_of(bytes: &[u8]) -> Split<'_, u8, fn(&u8) -> bool> {
    without_mark(bytes).split(|&byte| byte == b'\n')
}

/// The bytes of a file without the byte order mark that some begin with.
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Bytes that begin on line `first_line`, as text.
///
/// # Errors
/// Names the line of the first byte that is none.
pub(crate) fn utf8<'a>(
    uri: &str,
    bytes: &'a [u8],
    first_line: u64,
    decoding: Decoding,
) -> Result<&'a str, DataError> {
    std::str::from_utf8(bytes).map_err(|_| undecodable(uri, first_line, bytes, decoding))
}

/// Reads lines of text from their beginning to their end, and hands out their blocks of about `block` bytes
/// with their checksums. `uri` names the file in errors. A line that is longer than two blocks is cut behind
/// a blank or, where a word is longer than a block, between two characters; each piece is a record.
///
/// # Errors
/// When it cannot be read, and when `take` fails.
fn scan_text(
    uri: &str,
    reader: impl Read,
    block: u64,
    take: impl FnMut(Entry) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut reader = BufReader::with_capacity(1 << 18, reader);
    let mut cutter = Cutter::new("txt", take);
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

/// The cut of a line that does not end within `bytes`, of which at least `least` are before the cut.
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
    use crc32fast::hash;
    use proptest::prelude::*;

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
    }
}
