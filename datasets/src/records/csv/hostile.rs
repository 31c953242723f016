//! What anybody may have written as a CSV: for `fuzz/`.

use super::sniff;
use super::{Csv, CsvRecords, scan_csv};
use crate::DataError;
use crate::records::dialect::{Dialect, Quoting};
use crate::records::encoding::{Content, Decoding, EncodingErrors};
use crate::records::read::{Found, ReadOptions, ReadRecords, Use};

/// Reads a CSV in a dialect and an encoding that its first byte chooses. The rows of its blocks are those of
/// the whole.
pub(crate) fn csv(bytes: &[u8]) -> Result<usize, DataError> {
    let Some((&first, bytes)) = bytes.split_first() else { return Ok(0) };
    let choice = usize::from(first);
    let quoting = if choice >= 192 {
        Quoting::Backslash
    } else {
        [Quoting::Minimal, Quoting::Lenient, Quoting::None][choice % 3]
    };
    let header = choice / 3 % 2 == 0;
    let comment = (choice / 6 % 2 == 0).then_some(b'#');
    let usual = Dialect { header, comment, quoting, ..Dialect::default() };
    let encoding = ["auto", "utf-16le", "latin-1"][choice / 12 % 3];
    let decoding = Decoding::new(encoding, EncodingErrors::Skip)?;
    let text = decoding.bytes("x.csv", bytes.to_vec().into(), Content::Rows)?;
    let separator = sniff::separator("x.csv", &text, true, usual, None)?;
    let dialect = Dialect { separator, ..usual };
    let column = |_: &str| Use::Cell;
    let options = ReadOptions { dialect, decoding, ..ReadOptions::plain(&column) };
    let mut rows = 0;
    CsvRecords.read("x.csv", text.clone(), &options, &mut |found| {
        rows += match found {
            Found::Frame(frame) => frame.len(),
            Found::Unreadable(..) => 1,
        };
        Ok(())
    })?;
    let columns = Csv::open("x.csv", &text, &options)?.columns;
    let mut in_blocks = 0;
    scan_csv("x.csv", &text[..], dialect, 64, |entry| {
        let part = &entry.parts[0];
        let block = &text[part.offset as usize..(part.offset + part.length) as usize];
        let mut csv = Csv::block("x.csv", block, columns.clone(), entry.line);
        while csv.next_row().is_some() {
            in_blocks += 1;
        }
        Ok(())
    })?;
    // The `csv` crate takes three bytes at the beginning of a block for a mark.
    let marked = text.windows(3).skip(1).any(|bytes| bytes == b"\xef\xbb\xbf");
    assert!(marked || rows == in_blocks, "{rows} {in_blocks}");
    Ok(rows)
}
