//! A file of lines read once, from its beginning to its end, some whole lines at a time. Nothing is kept of
//! it: for what is read a second time there are blocks.

use super::cut::BLOCK;
use super::encoding::{Content, Decoding};
use super::sniff;
use crate::DataError;
use crate::source::{Object, one_line, packing};
use std::io::{BufRead, BufReader, Read};

/// Bytes of the longest line.
const LONGEST_LINE: u64 = 64 << 20;

/// The text of a file as it arrives, unpacked; `tell` to say in the log what of it was replaced.
///
/// # Errors
/// When the file cannot be read, and when it is no text.
pub(super) fn unpacked(
    uri: &str,
    decoding: Decoding,
    content: Content,
    tell: bool,
) -> Result<Box<dyn Read + Send>, DataError> {
    let bytes = sniff::text(uri, packing::open(&Object::open(uri)?)?.1)?;
    Ok(decoding.reader(uri, bytes, content, tell)?.1)
}

/// Hands whole lines to `take`, about 1 MiB of them at a time, and the line they begin on, counted from 1.
///
/// # Errors
/// `take`'s own, when the file cannot be read, and when a line is longer than 64 MiB.
pub(super) fn line_pieces(
    uri: &str,
    decoding: Decoding,
    mut take: impl FnMut(&[u8], u64) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut reader = BufReader::with_capacity(1 << 18, unpacked(uri, decoding, Content::Lines, true)?);
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
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;

    /// A file of this text, and the folder that it lasts as long as.
    pub(in crate::records) fn file(text: &[u8]) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, text).unwrap();
        let uri = path.to_str().unwrap().to_string();
        (folder, uri)
    }

    fn all_lines(text: &[u8]) -> Vec<(String, u64)> {
        let (_folder, uri) = file(text);
        let mut found = Vec::new();
        line_pieces(&uri, Decoding::default(), |bytes, line| {
            found.push((String::from_utf8(bytes.to_vec()).unwrap(), line));
            Ok(())
        })
        .unwrap();
        found
    }

    #[test]
    fn a_last_line_needs_no_end() {
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
