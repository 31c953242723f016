//! Zips: the one member that holds data, or the one that a URI names.
//!
//! ```text
//! [member: header, name, bytes] [member] ... [directory: names, sizes, places] [end]
//! ```
//!
//! The directory is at the end, so that a zip is read by ranges. What it says of sizes is checked against the
//! bytes that come; zips within zips are not followed. PKWARE's APPNOTE 6.3, by the `zip` crate.

use super::bounded::{Bounded, Counted};
use super::{Object, cache, copies, is_of_transfer, location::Location, name, one_line};
use crate::DataError;
use bytes::Bytes;
use flate2::read::DeflateDecoder;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use zip::{CompressionMethod, ZipArchive};

/// Names of members that an error tells.
const TOLD: usize = 10;

/// A member of a zip, and its unpacked bytes.
pub(super) struct Unzipped {
    pub(super) name: String,
    pub(super) reader: Box<dyn Read + Send>,
}

/// The one member of a zip that holds data; none where the zip is a workbook. What archivers of macOS and
/// Windows leave beside the data is none.
///
/// # Errors
/// When it is no whole zip, has no or several members with data, or that is encrypted.
pub(super) fn only_member<R: Read + Seek + Send + 'static>(
    uri: &str,
    reader: R,
) -> Result<Option<Unzipped>, DataError> {
    let zip = opened(uri, reader)?;
    let names = names(uri, &zip)?;
    if is_workbook(&names) {
        return Ok(None);
    }
    let data: Vec<(usize, &String)> = names.iter().enumerate().filter(|(_, name)| is_data(name)).collect();
    match data[..] {
        [(at, name)] => unzipped(uri, zip, at, name).map(Some),
        [] => Err(DataError::source(uri, "a zip with a file in it", "none")),
        _ => {
            let expected =
                format!("a zip with one file, or the name of one behind it, `{uri}/{}`", data[0].1);
            Err(DataError::source(uri, expected, told(data.iter().map(|(_, name)| name.as_str()))))
        }
    }
}

/// The members of a zip that hold data; none where the object is no zip, or a workbook.
///
/// # Errors
/// When it cannot be read, or is no whole zip.
pub(crate) fn members(object: &Object) -> Result<Option<Vec<String>>, DataError> {
    let first = object.range(0..object.stat()?.size.min(4))?;
    if !first.starts_with(b"PK") {
        return Ok(None);
    }
    let zip = opened(object.uri(), Seeking::of(object)?)?;
    let mut names = names(object.uri(), &zip)?;
    let is_workbook = is_workbook(&names);
    names.retain(|name| is_data(name));
    Ok(Some(names).filter(|_| !is_workbook))
}

/// The zip and the member of a URI such as `file.zip/member.csv`; none where the name is that of a file.
pub(super) fn split(uri: &str) -> Option<(&str, &str)> {
    let lower = uri.to_ascii_lowercase();
    let ends = lower.match_indices(".zip/").map(|(at, ending)| (at + ending.len() - 1, at + ending.len()));
    ends.map(|(end, begin)| (&uri[..end], &uri[begin..])).find(|(zip, member)| {
        let is_zip = match Location::parse(zip) {
            Ok(Location::Local(path)) => path.is_file(),
            Ok(Location::Remote(_)) => true,
            Ok(Location::Builtin(_)) | Err(_) => false,
        };
        is_zip && !member.is_empty()
    })
}

/// A local copy of a member, which errors call `uri`.
///
/// # Errors
/// When the zip cannot be read or has no such member, or the local cache cannot be written to.
pub(super) fn member(uri: &str, zip: &str, member: &str) -> Result<Object, DataError> {
    let object = Object::open(zip)?;
    let stat = object.stat()?;
    let version = format!("{zip} {} {} {member}", stat.size, stat.version);
    let path = cache::path("unpacked", &version, name(member));
    copies::copy(&path, |copy| unzip(uri, zip, &object, member, copy))
}

/// Unzips a member.
fn unzip(uri: &str, zip: &str, object: &Object, member: &str, copy: &mut dyn Write) -> Result<(), DataError> {
    let zip = opened(zip, Seeking::of(object)?)?;
    let names = names(uri, &zip)?;
    let Some(at) = names.iter().position(|name| name == member && !name.ends_with('/')) else {
        let known = told(names.iter().filter(|name| is_data(name)).map(String::as_str));
        return Err(DataError::unreachable(
            uri,
            format!("a member of the zip: {known}"),
            format!("`{member}`"),
        ));
    };
    let mut unzipped = unzipped(uri, zip, at, member)?;
    io::copy(&mut unzipped.reader, copy).map_err(|error| match is_of_transfer(&error) {
        true => DataError::unreachable(uri, "a member that unpacks to a local file", one_line(error)),
        false => damaged(uri, error),
    })?;
    Ok(())
}

fn damaged(uri: &str, error: impl ToString) -> DataError {
    DataError::source(uri, "a complete and undamaged zip", one_line(error))
}

fn opened<R: Read + Seek>(uri: &str, reader: R) -> Result<ZipArchive<R>, DataError> {
    ZipArchive::new(reader).map_err(|error| damaged(uri, error))
}

fn names<R: Read + Seek>(uri: &str, zip: &ZipArchive<R>) -> Result<Vec<String>, DataError> {
    let owned = zip.file_names().map(|name| name.map(|name| name.into_owned()));
    owned.collect::<Result<_, _>>().map_err(|error| damaged(uri, error))
}

/// The names in the words of an error.
fn told<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let more = names.len().saturating_sub(TOLD);
    let some = names[..names.len() - more].join(", ");
    if more > 0 { format!("{some} and {more} more") } else { some }
}

/// True for the members of Excel's and OpenDocument's workbooks, which are zips.
fn is_workbook(names: &[String]) -> bool {
    let has = |wanted: &str| names.iter().any(|name| name.replace('\\', "/").eq_ignore_ascii_case(wanted));
    has("xl/workbook.xml") || has("xl/workbook.bin") || has("mimetype") && has("content.xml")
}

/// False for folders and for what archivers leave beside the data.
fn is_data(path: &str) -> bool {
    let hidden = path.split('/').any(|part| part.starts_with('.') || part == "__MACOSX");
    !path.ends_with('/') && !hidden && !matches!(name(path), "Thumbs.db" | "desktop.ini")
}

/// Opens a member for reading.
fn unzipped<R: Read + Seek + Send + 'static>(
    uri: &str,
    mut zip: ZipArchive<R>,
    at: usize,
    name: &str,
) -> Result<Unzipped, DataError> {
    let place = || format!("member {name}");
    let entry = zip.by_index_raw(at).map_err(|error| damaged(uri, error))?;
    if entry.encrypted() {
        let found = "an encrypted one: unpack it with its password first";
        return Err(DataError::malformed(uri, place(), "a member that can be read", found));
    }
    let (method, size, crc32) = (entry.compression(), entry.size(), entry.crc32());
    let (start, packed) = (entry.data_start(), entry.compressed_size());
    drop(entry);
    let Some(start) = start else { return Err(damaged(uri, "a member without a place")) };
    let mut whole = zip.into_inner();
    whole.seek(SeekFrom::Start(start)).map_err(|error| damaged(uri, error))?;
    let read = Arc::new(AtomicU64::new(0));
    let bytes = Counted { inner: BufReader::with_capacity(1 << 18, whole).take(packed), read: read.clone() };
    let inner: Box<dyn Read + Send> = match method {
        CompressionMethod::Stored => Box::new(bytes),
        CompressionMethod::Deflated => Box::new(DeflateDecoder::new(bytes)),
        other => {
            let expected = "a member that is stored or deflated";
            return Err(DataError::malformed(uri, place(), expected, format!("{other:?}")));
        }
    };
    let inner = Bounded { inner, packed: read, unpacked: 0 };
    let reader = Checked { inner, hasher: crc32fast::Hasher::new(), crc32, left: size };
    Ok(Unzipped { name: name.to_string(), reader: Box::new(reader) })
}

/// The bytes of a member, which are as many as its directory says, and have its checksum.
struct Checked<R> {
    inner: R,
    hasher: crc32fast::Hasher,
    crc32: u32,
    left: u64,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let wrong = |found: &str| Err(io::Error::new(ErrorKind::InvalidData, found.to_string()));
        self.hasher.update(&buffer[..read]);
        match self.left.checked_sub(read as u64) {
            None => return wrong("more bytes than the directory of the zip says"),
            Some(left) => self.left = left,
        }
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        if self.left > 0 {
            return wrong("fewer bytes than the directory of the zip says");
        }
        if self.hasher.clone().finalize() != self.crc32 {
            return wrong("bytes of another checksum than the directory of the zip says");
        }
        Ok(0)
    }
}

/// An object as a file that is read anywhere, by ranges.
pub(super) struct Seeking {
    object: Object,
    size: u64,
    at: u64,
    /// The bytes from `begin` on that were fetched last.
    fetched: Bytes,
    begin: u64,
}

/// Bytes of a range.
const FETCH: u64 = 256 << 10;

impl Seeking {
    /// # Errors
    /// When the size is not told.
    pub(super) fn of(object: &Object) -> Result<Self, DataError> {
        let size = object.stat()?.size;
        Ok(Seeking { object: object.clone(), size, at: 0, fetched: Bytes::new(), begin: 0 })
    }
}

impl Read for Seeking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.size || buffer.is_empty() {
            return Ok(0);
        }
        let within = |at: u64| at.checked_sub(self.begin).filter(|&at| at < self.fetched.len() as u64);
        if within(self.at).is_none() {
            let end = self.size.min(self.at + FETCH);
            self.fetched = self.object.range(self.at..end).map_err(io::Error::other)?;
            self.begin = self.at;
        }
        let from = (self.at - self.begin) as usize;
        let read = buffer.len().min(self.fetched.len().saturating_sub(from));
        buffer[..read].copy_from_slice(&self.fetched[from..from + read]);
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Seeking {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(offset) => self.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.at.checked_add_signed(offset),
        };
        self.at = at.ok_or_else(|| io::Error::from(ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write};
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in members {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn unpacked(bytes: &[u8]) -> Result<Vec<u8>, String> {
        let member = only_member("x.zip", Cursor::new(bytes.to_vec())).map_err(|error| error.to_string())?;
        let mut unpacked = Vec::new();
        let mut reader = member.ok_or("a workbook")?.reader;
        reader.read_to_end(&mut unpacked).map_err(|error| error.to_string())?;
        Ok(unpacked)
    }

    #[test]
    fn the_one_member_with_data_is_read() {
        let beside = ("__MACOSX/d/._x.csv", &b"y"[..]);
        assert_eq!(unpacked(&zip(&[beside, ("d/x.csv", b"data"), ("d/.DS_Store", b"z")])).unwrap(), b"data");
        assert_eq!(unpacked(&zip(&[("xl/workbook.xml", b"x")])), Err("a workbook".to_string()));
        assert!(
            unpacked(&zip(&[beside])).unwrap_err().ends_with("expected a zip with a file in it, found none")
        );
        let many: Vec<String> = (0..12).map(|number| format!("{number}.csv")).collect();
        let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
        assert!(unpacked(&zip(&many)).unwrap_err().ends_with("7.csv, 8.csv, 9.csv and 2 more"));
        assert_eq!(split("no/such.zip/x.csv"), None);
    }

    #[test]
    fn what_a_zip_says_of_its_members_is_checked() {
        let whole = zip(&[("x.csv", &b"some text, ".repeat(100))]);
        for length in (0..whole.len()).step_by(11) {
            assert!(unpacked(&whole[..length]).is_err(), "{length}");
        }
        for position in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[position] ^= 0x5a;
            let _ = unpacked(&flipped).map(|text| assert_eq!(text.len(), 1100));
        }
        // The size in the directory: less than there is.
        let directory = whole.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
        let mut short = whole.clone();
        short[directory + 24..directory + 28].copy_from_slice(&100u32.to_le_bytes());
        assert!(unpacked(&short).unwrap_err().contains("more bytes than the directory"));
        let mut encrypted = whole.clone();
        encrypted[6] |= 1;
        encrypted[directory + 8] |= 1;
        let error = unpacked(&encrypted).unwrap_err();
        assert!(error.contains("member x.csv") && error.contains("an encrypted one"), "{error}");
    }

    #[test]
    fn bombs_are_refused_where_they_grow() {
        let zeros = vec![0; 10 << 20];
        let packed = zip(&[("x.csv", &zeros)]);
        assert!(packed.len() < 1 << 16);
        let error = unpacked(&packed).unwrap_err();
        assert!(error.contains("more than 250 bytes for each of the") && error.contains("a bomb"), "{error}");
    }
}
