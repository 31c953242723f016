//! A file of records read once, from its beginning to its end, some whole records at a time. Nothing is kept
//! of it: for what is read a second time there are blocks.
//!
//! ```text
//! file -> unpacked as it arrives -> header | about 1 MiB of whole records | about 1 MiB | …
//! ```

use super::csv::{Csv, Given, scan_csv};
use super::cut::BLOCK;
use super::dialect::Dialect;
use crate::DataError;
use crate::source::{Object, one_line, packing};
use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

/// Bytes of the longest line.
const LONGEST_LINE: u64 = 64 << 20;

/// Hands the rows of a CSV to `take`, some thousand at a time.
///
/// # Errors
/// `take`'s own, when the file cannot be read, and when a row is longer than 64 MiB.
pub(super) fn csv_pieces(
    uri: &str,
    dialect: Dialect,
    given: Given<'_>,
    take: &mut dyn FnMut(&mut Csv<'_>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut names: Option<Vec<String>> = None;
    rows(uri, dialect, |head, bytes, line| {
        let names = match &names {
            Some(names) => names.clone(),
            None => {
                let first = if dialect.header { head } else { bytes };
                names.insert(Csv::open(uri, first, dialect, given)?.names().to_vec()).clone()
            }
        };
        take(&mut Csv::block(uri, bytes, dialect, names, line))
    })
}

/// Hands whole rows to `take`, with the bytes of the file before the first of them, and the line they begin
/// on.
fn rows(
    uri: &str,
    dialect: Dialect,
    mut take: impl FnMut(&[u8], &[u8], u64) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let read = Rc::new(RefCell::new(Vec::new()));
    let copied = Copied { reader: unpacked(uri)?, read: read.clone() };
    // Bytes of the file before those of `read`.
    let mut before = 0;
    scan_csv(uri, copied, dialect, BLOCK, |entry| {
        let part = &entry.parts[0];
        let begin = (part.offset - before) as usize;
        let end = begin + part.length as usize;
        let mut read = read.borrow_mut();
        take(&read[..begin], &read[begin..end], entry.line)?;
        read.drain(..end);
        before = part.offset + part.length;
        Ok(())
    })
}

/// The bytes of a file as they arrive, unpacked.
fn unpacked(uri: &str) -> Result<Box<dyn Read + Send>, DataError> {
    let reader = packing::reader(Object::open(uri)?.stream()?);
    Ok(reader.map_err(|error| DataError::source(uri, "a readable file", one_line(error)))?.1)
}

/// Keeps a copy of what was read, until it is drained.
struct Copied<R> {
    reader: R,
    read: Rc<RefCell<Vec<u8>>>,
}

impl<R: Read> Read for Copied<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.read.borrow_mut().extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

/// Hands whole lines to `take`, about 1 MiB of them at a time, and the line they begin on, counted from 1.
///
/// # Errors
/// `take`'s own, when the file cannot be read, and when a line is longer than 64 MiB.
pub(super) fn line_pieces(
    uri: &str,
    mut take: impl FnMut(&[u8], u64) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut reader = BufReader::with_capacity(1 << 18, unpacked(uri)?);
    let (mut bytes, mut first, mut line) = (Vec::new(), 1, 1);
    loop {
        let malformed =
            |found: String| DataError::malformed(uri, format!("line {line}"), "a readable line", found);
        let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes);
        let read = read.map_err(|error| malformed(one_line(error)))? as u64;
        if read == LONGEST_LINE {
            return Err(malformed(format!("one longer than {} MiB", LONGEST_LINE >> 20)));
        }
        line += 1;
        if bytes.len() as u64 >= BLOCK || (read == 0 && !bytes.is_empty()) {
            take(&bytes, first)?;
            bytes.clear();
            first = line;
        }
        if read == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    /// A file of this text.
    fn file(text: &[u8]) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, text).unwrap();
        let uri = path.to_str().unwrap().to_string();
        (folder, uri)
    }

    fn all_rows(text: &[u8]) -> Vec<(String, String, u64)> {
        let (_folder, uri) = file(text);
        let mut found = Vec::new();
        rows(&uri, Dialect::default(), |head, bytes, line| {
            let [head, bytes] = [head, bytes].map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
            found.push((head, bytes, line));
            Ok(())
        })
        .unwrap();
        found
    }

    fn all_lines(text: &[u8]) -> Vec<(String, u64)> {
        let (_folder, uri) = file(text);
        let mut found = Vec::new();
        line_pieces(&uri, |bytes, line| {
            found.push((String::from_utf8(bytes.to_vec()).unwrap(), line));
            Ok(())
        })
        .unwrap();
        found
    }

    #[test]
    fn a_file_is_cut_between_records_and_its_header_comes_first() {
        let text = format!("a,b\n{}", "1,\"x\ny\"\n".repeat(100));
        let found = all_rows(text.as_bytes());
        assert!(found.len() > 2);
        assert_eq!((found[0].0.as_str(), found[1].0.as_str()), ("a,b\n", ""));
        assert!(found.iter().all(|(_, bytes, _)| bytes.starts_with("1,\"x") && bytes.ends_with("y\"\n")));
        let packed = zstd::encode_all(text.as_bytes(), 1).unwrap();
        assert_eq!(all_rows(&packed), found);
        assert_eq!(all_rows(b"a,b\n"), []);
        assert_eq!(all_lines(b""), []);
        assert_eq!(all_lines(b"no end"), [("no end".to_string(), 1)]);
    }

    proptest! {
        #[test]
        fn lines_are_the_file(text in "([a-c]{0,40}\n){0,60}[a-c]{0,40}") {
            let mut line = 1;
            for (bytes, first) in all_lines(text.as_bytes()) {
                prop_assert_eq!(first, line);
                line += bytes.matches('\n').count() as u64;
            }
            let joined: String = all_lines(text.as_bytes()).into_iter().map(|piece| piece.0).collect();
            prop_assert_eq!(joined, text);
        }
    }
}
