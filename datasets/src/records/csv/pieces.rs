//! A CSV read once, from its beginning to its end, some whole rows at a time.
//!
//! ```text
//! file -> unpacked as it arrives -> header | about 1 MiB of whole records | about 1 MiB | …
//! ```

use super::{Columns, Csv, scan_csv};
use crate::DataError;
use crate::records::cut::BLOCK;
use crate::records::encoding::Content;
use crate::records::pieces::unpacked;
use crate::records::read::ReadOptions;
use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;

/// Hands the rows of a CSV to `take`, some thousand at a time.
///
/// # Errors
/// `take`'s own, when the file cannot be read, and when a row is longer than 64 MiB.
pub(super) fn csv_pieces(
    uri: &str,
    options: &ReadOptions<'_>,
    take: &mut dyn FnMut(&mut Csv<'_>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut columns: Option<Columns> = None;
    rows(uri, options, |head, bytes, line| {
        let columns = match &columns {
            Some(columns) => columns.clone(),
            None => {
                let first = if options.dialect.header { head } else { bytes };
                columns.insert(Csv::open(uri, first, options)?.columns).clone()
            }
        };
        take(&mut Csv::block(uri, bytes, columns, line))
    })
}

/// Hands whole rows to `take`, with the bytes of the file before the first of them, and the line they begin
/// on.
fn rows(
    uri: &str,
    options: &ReadOptions<'_>,
    mut take: impl FnMut(&[u8], &[u8], u64) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let read = Rc::new(RefCell::new(Vec::new()));
    let reader = unpacked(uri, options.decoding, Content::Rows, true)?;
    let copied = Copied { reader, read: read.clone() };
    // Bytes of the file before those of `read`.
    let mut before = 0;
    scan_csv(uri, copied, options.dialect, BLOCK, |entry| {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::pieces::tests::file;
    use crate::records::read::Use;

    fn all_rows(text: &[u8]) -> Vec<(String, String, u64)> {
        let (_folder, uri) = file(text);
        let mut found = Vec::new();
        rows(&uri, &ReadOptions::plain(&|_| Use::Cell), |head, bytes, line| {
            let [head, bytes] = [head, bytes].map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
            found.push((head, bytes, line));
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
    }
}
