//! A file of records read once, from its beginning to its end, some whole records at a time. Nothing is kept of it: for
//! what is read a second time there are [`blocks`](crate::blocks).
//!
//! ```text
//! file -> unpacked as it arrives -> header | about 1 MiB of whole records | about 1 MiB | …
//! ```

use crate::DataError;
use crate::shard::{BLOCK, Format, reader, scan_csv};
use crate::source::{Object, one_line};
use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

/// Bytes of the longest line.
const LONGEST_LINE: u64 = 64 << 20;

/// Whole records.
pub(crate) struct Piece<'a> {
    pub bytes: &'a [u8],
    /// The line they begin on, counted from 1.
    pub line: u64,
    /// Of the first piece, what is before its records: the header of a CSV that has one.
    pub head: &'a [u8],
}

/// Hands the pieces of a CSV, JSON lines or lines of text to `take`.
///
/// # Errors
/// `take`'s own, when the file cannot be read, and when a record is longer than 64 MiB.
pub(crate) fn pieces(
    uri: &str,
    format: &Format,
    take: &mut dyn FnMut(Piece<'_>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let (_, unpacked) = reader(Object::open(uri)?.stream()?)
        .map_err(|error| DataError::source(uri, "a readable file", one_line(error)))?;
    match *format {
        Format::Csv { separator, comment, header } => csv(uri, unpacked, (separator, comment, header), take),
        _ => lines(uri, unpacked, take),
    }
}

fn csv(
    uri: &str,
    unpacked: impl Read,
    dialect: (u8, Option<u8>, bool),
    take: &mut dyn FnMut(Piece<'_>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let read = Rc::new(RefCell::new(Vec::new()));
    let copied = Copied { reader: unpacked, read: read.clone() };
    // Bytes of the file before those of `read`.
    let mut before = 0;
    scan_csv(uri, copied, dialect, BLOCK, |entry| {
        let part = &entry.parts[0];
        let begin = (part.offset - before) as usize;
        let end = begin + part.length as usize;
        let mut read = read.borrow_mut();
        take(Piece { bytes: &read[begin..end], line: entry.line, head: &read[..begin] })?;
        read.drain(..end);
        before = part.offset + part.length;
        Ok(())
    })
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

fn lines(
    uri: &str,
    unpacked: impl Read,
    take: &mut dyn FnMut(Piece<'_>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut reader = BufReader::with_capacity(1 << 18, unpacked);
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
            take(Piece { bytes: &bytes, line: first, head: &[] })?;
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

    fn all(text: &[u8], format: &Format) -> Vec<(String, String, u64)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, text).unwrap();
        let mut found = Vec::new();
        pieces(path.to_str().unwrap(), format, &mut |piece| {
            let [head, bytes] =
                [piece.head, piece.bytes].map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
            found.push((head, bytes, piece.line));
            Ok(())
        })
        .unwrap();
        found
    }

    const CSV: Format = Format::Csv { separator: b',', comment: None, header: true };

    #[test]
    fn a_file_is_cut_between_records_and_its_header_comes_first() {
        let text = format!("a,b\n{}", "1,\"x\ny\"\n".repeat(100));
        let found = all(text.as_bytes(), &CSV);
        assert!(found.len() > 2);
        assert_eq!((found[0].0.as_str(), found[1].0.as_str()), ("a,b\n", ""));
        assert!(found.iter().all(|(_, bytes, _)| bytes.starts_with("1,\"x") && bytes.ends_with("y\"\n")));
        let packed = zstd::encode_all(text.as_bytes(), 1).unwrap();
        assert_eq!(all(&packed, &CSV), found);
        assert_eq!(all(b"a,b\n", &CSV), []);
        assert_eq!(all(b"", &Format::Text), []);
        assert_eq!(all(b"no end", &Format::Text), [(String::new(), "no end".into(), 1)]);
    }

    proptest! {
        #[test]
        fn lines_are_the_file(text in "([a-c]{0,40}\n){0,60}[a-c]{0,40}") {
            let mut line = 1;
            for (_, bytes, first) in all(text.as_bytes(), &Format::Jsonl) {
                prop_assert_eq!(first, line);
                line += bytes.matches('\n').count() as u64;
            }
            let joined: String = all(text.as_bytes(), &Format::Jsonl).into_iter().map(|piece| piece.1).collect();
            prop_assert_eq!(joined, text);
        }
    }
}
