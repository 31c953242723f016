//! The content of a file, told by its first bytes where its name does not tell it, or lies.
//!
//! ```text
//! magic of a format that is read ─> the format      PAR1, ARROW1, Obj 1, PK of a workbook, ustar
//! magic of anything else         ─> refused by what it is
//! text                           ─> JSON, LIBSVM or, of any other letters, what the reader makes of text
//! ```

use super::format::Format;
use crate::DataError;
use crate::source::packing;
use serde_json::{Map, Value};
use std::io::{self, Cursor, Read};

/// Bytes that are looked at: a first record of JSON should be within them.
const BEGINNING: u64 = 256 << 10;

/// Bytes that tell files of text from others.
pub(crate) const MAGIC: u64 = 1024;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// A format that is read.
    Known(Format),
    /// Text of no format that its letters tell.
    Text,
    /// Something that is not read.
    Foreign(&'static str),
}

/// What is not read, by its first bytes from some byte on.
#[rustfmt::skip]
const FOREIGN: [(usize, &[u8], &str); 32] = [
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF87a", "a GIF picture"),
    (0, b"GIF89a", "a GIF picture"),
    (0, b"II*\0", "a TIFF picture"),
    (0, b"MM\0*", "a TIFF picture"),
    (8, b"WEBPVP8", "a WebP picture"),
    (8, b"WAVEfmt", "a WAV sound"),
    (0, b"%PDF-", "a PDF document"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (0, b"\x93NUMPY", "an array of NumPy"),
    (0, b"\x80\x02", "a pickle of Python"),
    (0, b"\x80\x03", "a pickle of Python"),
    (0, b"\x80\x04\x95", "a pickle of Python"),
    (0, b"\x80\x05\x95", "a pickle of Python"),
    (0, b"FEA1", "a Feather file of version 1"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"<stata_dta>", "a Stata file"),
    (0, b"$FL2@(#)", "an SPSS file"),
    (12, b"\xc2\xea\x81\x60\xb3\x14", "a SAS file"),
    (0, b"HEADER RECORD*******LIB", "a SAS transport file"),
    (0, b"MATLAB 5.0 MAT-file", "a MATLAB file"),
    (0, b"RDX2\n", "a file of R"),
    (0, b"RDX3\n", "a file of R"),
    (0, b"X\n\0\0\0", "a file of R"),
    (0, b"\x7fELF", "a program"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"\x04\x22\x4d\x18", "an LZ4 stream"),
    (0, b"LZIP\x01", "an lzip stream"),
    (0, b"version https://git-lfs.github.com/spec/", "a pointer of Git LFS instead of the file"),
    (0, b"OggS\0", "an Ogg sound"),
];

/// What names of files say that is not read.
const UNREAD: [(&[&str], &str); 15] = [
    (&["orc"], "ORC"),
    (&["sas7bdat", "xpt"], "SAS"),
    (&["dta"], "Stata"),
    (&["sav", "zsav", "por"], "SPSS"),
    (&["h5", "hdf5", "hdf", "he5"], "HDF5"),
    (&["pkl", "pickle", "joblib"], "a pickle of Python"),
    (&["npy", "npz"], "NumPy"),
    (&["mat"], "MATLAB"),
    (&["rds", "rdata", "rda"], "R"),
    (&["sqlite", "sqlite3", "db", "duckdb"], "a database"),
    (&["tfrecord", "tfrecords"], "TFRecord"),
    (&["pdf", "doc", "docx"], "a document"),
    (&["pt", "pth", "safetensors", "onnx", "gguf"], "weights of a model"),
    (&["7z", "rar", "lz4"], "an archive"),
    (&["msgpack", "lance", "zarr", "nc"], "another format"),
];

/// What the ending of a name says that is not read.
pub(super) fn unread(ending: &str) -> Option<&'static str> {
    UNREAD.iter().find(|(endings, _)| endings.contains(&ending)).map(|&(_, what)| what)
}

/// The first unpacked bytes of a file.
///
/// # Errors
/// When they cannot be read.
pub(super) fn beginning(uri: &str, unpacked: impl Read) -> Result<Vec<u8>, DataError> {
    first_bytes(uri, unpacked, BEGINNING)
}

fn first_bytes(uri: &str, unpacked: impl Read, most: u64) -> Result<Vec<u8>, DataError> {
    let mut first = Vec::new();
    match unpacked.take(most).read_to_end(&mut first) {
        Ok(_) => Ok(first),
        // Whoever reads on meets the damage again, and tells its place.
        Err(error) if error.kind() != io::ErrorKind::ConnectionAborted && !first.is_empty() => Ok(first),
        Err(error) => {
            let error = crate::source::one_line(error);
            Err(DataError::malformed(uri, "first bytes", "a readable file", error))
        }
    }
}

/// A reader of text, whose first bytes are those of text.
///
/// # Errors
/// When they are not, or cannot be read.
pub(super) fn text(uri: &str, mut unpacked: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>, DataError> {
    let first = first_bytes(uri, &mut unpacked, MAGIC)?;
    check(uri, &first)?;
    Ok(Box::new(Cursor::new(first).chain(unpacked)))
}

/// Refuses a file that begins as none of text does.
///
/// # Errors
/// Names what it is.
pub(super) fn check(uri: &str, first: &[u8]) -> Result<(), DataError> {
    let found = match magic(first) {
        Some(Told::Known(format)) => {
            format!("{}, which `format = \"{}\"` reads", format.described(), format.name())
        }
        Some(Told::Foreign(what)) => what.to_string(),
        Some(Told::Text) | None => return Ok(()),
    };
    Err(DataError::source(uri, "a file of text", found))
}

/// What a file with these first bytes holds; its text is told apart where `whole` says that they are all.
pub(super) fn content(first: &[u8]) -> Told {
    magic(first).unwrap_or_else(|| match () {
        () if is_binary(&first[..first.len().min(MAGIC as usize)]) => Told::Foreign("binary data"),
        () if json(first) => Told::Known(if is_lines(first) { Format::Jsonl } else { Format::Json }),
        () if libsvm(first) => Told::Known(Format::Libsvm),
        () => Told::Text,
    })
}

/// What the first bytes say without being text.
fn magic(first: &[u8]) -> Option<Told> {
    let at = |place: usize, mark: &[u8]| first.get(place..).is_some_and(|rest| rest.starts_with(mark));
    // A word of text may be like the mark of a format; what follows the mark is no text.
    let then_binary = |place: usize| {
        let is_binary =
            |byte: &u8| !byte.is_ascii() || byte.is_ascii_control() && !byte.is_ascii_whitespace();
        let rest = first.get(place..).unwrap_or_default();
        rest.is_empty() || rest.iter().take(16).any(is_binary)
    };
    let known = |format| Some(Told::Known(format));
    if at(0, b"PAR1") && then_binary(4) {
        return known(Format::Parquet);
    }
    if at(0, b"ARROW1\0\0") || is_ipc_stream(first) {
        return known(Format::Ipc);
    }
    if at(0, b"Obj\x01") {
        return known(Format::Avro);
    }
    if at(0, b"PK\x03\x04") || at(0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
        return known(Format::Excel);
    }
    if at(257, b"ustar") {
        return known(Format::Tar);
    }
    if at(0, b"ORC") && then_binary(3) {
        return Some(Told::Foreign("an ORC file"));
    }
    if at(0, b"BM") && at(6, b"\0\0\0\0") {
        return Some(Told::Foreign("a BMP picture"));
    }
    if packing::is_packed(first) {
        return Some(Told::Foreign("a packed file within a packed file"));
    }
    if let Some((.., what)) = FOREIGN.iter().find(|(place, mark, _)| at(*place, mark)) {
        return Some(Told::Foreign(what));
    }
    None
}

/// A message of Arrow's stream: `[ffffffff] [length of its metadata: i32 le] [flatbuffer]`.
fn is_ipc_stream(first: &[u8]) -> bool {
    let Some((mark, rest)) = first.split_first_chunk::<4>() else { return false };
    let Some((length, _)) = rest.split_first_chunk::<4>() else { return false };
    *mark == [0xff; 4] && (8..1 << 26).contains(&i32::from_le_bytes(*length))
}

/// True for bytes with NULs that are not those of UTF-16 or UTF-32.
fn is_binary(first: &[u8]) -> bool {
    if first.starts_with(&[0xff, 0xfe]) || first.starts_with(&[0xfe, 0xff]) {
        return false;
    }
    let nuls = |of: usize| first.iter().skip(of).step_by(2).filter(|&&byte| byte == 0).count();
    let (even, odd) = (nuls(0), nuls(1));
    let is_utf16 = even.min(odd) == 0 && even.max(odd) * 5 >= first.len();
    even + odd > 0 && !is_utf16
}

/// The bytes behind a byte order mark and blanks.
fn trimmed(first: &[u8]) -> &[u8] {
    first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(first).trim_ascii_start()
}

/// True for text that begins as JSON's objects do, or as an array of them.
fn json(first: &[u8]) -> bool {
    let object = |text: &[u8]| {
        let inside = text.strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
        inside.is_some_and(|inside| inside.starts_with(b"\"") || inside.starts_with(b"}"))
    };
    let text = trimmed(first);
    object(text) || text.strip_prefix(b"[").map(<[u8]>::trim_ascii_start).is_some_and(object)
}

/// True where the first line of text is an object of JSON, and another line comes.
pub(super) fn is_lines(first: &[u8]) -> bool {
    let text = trimmed(first);
    let Some(end) = text.iter().position(|&byte| byte == b'\n') else { return false };
    !text[end..].trim_ascii().is_empty() && serde_json::from_slice::<Map<String, Value>>(&text[..end]).is_ok()
}

/// True for text whose first lines are LIBSVM's: a label, and pairs of rising indices and values.
fn libsvm(first: &[u8]) -> bool {
    /// Lines that are looked at.
    const LINES: usize = 10;
    let Ok(text) = std::str::from_utf8(match first.iter().rposition(|&byte| byte == b'\n') {
        Some(end) => &first[..end],
        None => first,
    }) else {
        return false;
    };
    let mut pairs = 0;
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).take(LINES) {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let label = words.next().unwrap_or_default();
        if label.split(',').any(|label| label.parse::<f64>().is_err()) {
            return false;
        }
        let mut last = None;
        for word in words {
            let Some((index, value)) = word.split_once(':') else { return false };
            if value.parse::<f64>().is_err() {
                return false;
            }
            match index.parse::<u32>() {
                Ok(index) if last.is_none_or(|last| index > last) => last = Some(index),
                _ if index == "qid" => {}
                _ => return false,
            }
            pairs += 1;
        }
    }
    pairs > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_told_by_the_first_bytes() {
        let known = |first: &[u8]| match content(first) {
            Told::Known(format) => format.name(),
            Told::Text => "text",
            Told::Foreign(what) => what,
        };
        for (first, expected) in [
            (&b"PAR1\x15\x04"[..], "parquet"),
            (b"PAR1,PAR2\n1,2\n", "text"),
            (b"ARROW1\0\0\xff\xff\xff\xff", "ipc"),
            (b"\xff\xff\xff\xff\x78\0\0\0\x10\0", "ipc"),
            (b"Obj\x01\x04\x16avro.schema", "avro"),
            (b"PK\x03\x04\x14\0", "excel"),
            (b"[\n {\"a\": 1},\n {\"a\": 2}]", "json"),
            (b"{\"a\": 1}\n{\"a\": 2}\n", "jsonl"),
            (b"{\n \"a\": 1\n}", "json"),
            (b"{\"a\": 1}\n", "json"),
            (b"[Chorus]\nla, la\n", "text"),
            (b"1 1:0.5 3:2\n-1 2:1e-3 # a note\n", "libsvm"),
            (b"2 qid:7 1:1\n", "libsvm"),
            (b"1,2:3 1:1 5:2\n", "text"),
            (b"12 3:30 2:15\n", "text"),
            (b"a,b\n1,2\n", "text"),
            (b"ORC,ELF\n1,2\n", "text"),
            (b"ORC\x0a\x13\0", "an ORC file"),
            (b"\x89PNG\r\n\x1a\n\0\0", "a PNG picture"),
            (b"\x80\x04\x95\x10\0", "a pickle of Python"),
            (b"ab\0\0\0cd", "binary data"),
            (b"a\0,\0b\0\n\x001\0,\x002\0", "text"),
            (b"", "text"),
        ] {
            assert_eq!(known(first), expected, "{}", String::from_utf8_lossy(first));
        }
        assert_eq!(unread("dta"), Some("Stata"));
        assert_eq!(unread("csv"), None);
    }
}
