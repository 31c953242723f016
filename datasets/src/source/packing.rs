//! The packing of a file, known by its first bytes.
//!
//! What a stream says of its unpacked size is not believed: bytes are counted as they come, and a stream that
//! grows beyond all measure is refused where it does.

use super::archive::{self, Seeking};
use super::bounded::{Bounded, Counted};
use super::{Object, one_line};
use crate::DataError;
use crate::memory::Growth;
use bytes::Bytes;
use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use serde::{Deserialize, Serialize};
use std::io::{self, BufReader, Cursor, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// The packing of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compression {
    /// Plain bytes.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// bzip2 1.0.
    Bzip2,
    /// The .xz file format 1.1.
    Xz,
    /// PKWARE's APPNOTE 6.3: the one member that holds data.
    Zip,
}

/// The first bytes of a gzip member (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The first bytes of a zstd frame (RFC 8878, section 3.1.1).
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The first bytes of a bzip2 stream, a digit between them and what begins a block or ends the stream.
const BZIP2: &[u8] = b"BZh";
const BZIP2_BLOCK: [u8; 6] = [0x31, 0x41, 0x59, 0x26, 0x53, 0x59];
const BZIP2_END: [u8; 6] = [0x17, 0x72, 0x45, 0x38, 0x50, 0x90];

/// The first bytes of an xz stream.
const XZ: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];

/// The first bytes of a zip with members, and of one without.
const ZIP: [[u8; 4]; 2] = [*b"PK\x03\x04", *b"PK\x05\x06"];

/// Bytes that tell how a file is packed.
pub(super) const MARK: u64 = 10;

/// KiB that the dictionary of an xz stream may take: those that `xz -9` takes are 64 MiB.
const XZ_MEMORY: u32 = 256 << 10;

/// How less of a packed file would be held.
const WAY: &str = "unpacked, or as a shard of several, it can be read in parts";

/// True where a file that begins so is packed, or is a workbook in a zip.
pub(crate) fn is_packed(first: &[u8]) -> bool {
    Compression::of(first) != Compression::None
}

impl Compression {
    /// By the first bytes of a file, [`MARK`] of them where it has as many.
    fn of(first: &[u8]) -> Self {
        let of_bzip2 = |rest: &[u8]| {
            let digit = rest.first().is_some_and(|level| matches!(level, b'1'..=b'9'));
            digit && (rest[1..].starts_with(&BZIP2_BLOCK) || rest[1..].starts_with(&BZIP2_END))
        };
        if first.starts_with(&GZIP) {
            Compression::Gzip
        } else if first.starts_with(&ZSTD) {
            Compression::Zstd
        } else if first.strip_prefix(BZIP2).is_some_and(of_bzip2) {
            Compression::Bzip2
        } else if first.starts_with(&XZ) {
            Compression::Xz
        } else if ZIP.iter().any(|mark| first.starts_with(mark)) {
            Compression::Zip
        } else {
            Compression::None
        }
    }

    fn name(self) -> &'static str {
        match self {
            Compression::None => "plain",
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
            Compression::Bzip2 => "bzip2",
            Compression::Xz => "xz",
            Compression::Zip => "zip",
        }
    }
}

/// Unpacks `packed` when its first bytes are those of a packing; `uri` names it in errors. Several streams of
/// one packing, one after the other, are unpacked as one. Of a zip it is the one member with data; a workbook
/// is no packing.
///
/// # Errors
/// When the packed stream is damaged, cut short, or grows beyond all measure; when a zip has not one member
/// with data.
pub(super) fn unpack(uri: &str, packed: Bytes) -> Result<Bytes, DataError> {
    let kind = Compression::of(&packed);
    let opened = match kind {
        Compression::None => return Ok(packed),
        Compression::Zip => match archive::only_member(uri, Cursor::new(packed.clone()))? {
            Some(member) => Ok(member.reader),
            None => return Ok(packed),
        },
        _ => reader(Cursor::new(packed.clone())).map(|(_, reader)| reader),
    };
    let kind = kind.name();
    // The size in a trailer is a claim: the buffer grows with what is really unpacked.
    let (mut unpacked, growth) = (Vec::new(), Growth::begin());
    match opened.and_then(|reader| growth.fill(uri, reader, &mut unpacked, WAY)) {
        Ok(Ok(())) => Ok(unpacked.into()),
        Ok(Err(error)) => Err(error),
        Err(error) => {
            let place = format!("{kind} stream after {} unpacked bytes", unpacked.len());
            let found = match error.kind() {
                ErrorKind::UnexpectedEof => format!("the end of the file at byte {}", packed.len()),
                _ => one_line(error),
            };
            let expected = format!("a complete and undamaged {kind} stream");
            Err(DataError::malformed(uri, place, expected, found))
        }
    }
}

/// The unpacked bytes of an object, from the beginning, and its packing: that of a workbook is none.
///
/// # Errors
/// When the first bytes cannot be read; when a zip has not one member with data.
pub(crate) fn open(object: &Object) -> Result<(Compression, Box<dyn Read + Send>), DataError> {
    let unreadable = |error| DataError::unreachable(object.uri(), "a readable file", one_line(error));
    let mut stream = object.stream()?;
    let first = beginning(&mut stream).map_err(unreadable)?;
    if Compression::of(&first) == Compression::Zip
        && let Some(member) = archive::only_member(object.uri(), Seeking::of(object)?)?
    {
        return Ok((Compression::Zip, member.reader));
    }
    decoded(first, stream).map_err(unreadable)
}

/// The name of the one member with data, of an object that is a zip and no workbook.
///
/// # Errors
/// As [`open`].
pub(crate) fn member_name(object: &Object) -> Result<Option<String>, DataError> {
    let size = object.stat()?.size;
    if Compression::of(&object.range(0..size.min(MARK))?) != Compression::Zip {
        return Ok(None);
    }
    Ok(archive::only_member(object.uri(), Seeking::of(object)?)?.map(|member| member.name))
}

/// A reader over the unpacked bytes of a stream. A zip, which has no beginning that says where its members
/// are, is left as it is.
///
/// # Errors
/// When the first bytes cannot be read.
pub(crate) fn reader<R: Read + Send + 'static>(
    mut packed: R,
) -> io::Result<(Compression, Box<dyn Read + Send>)> {
    let first = beginning(&mut packed)?;
    decoded(first, packed)
}

fn beginning(packed: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut first = Vec::with_capacity(MARK as usize);
    packed.take(MARK).read_to_end(&mut first)?;
    Ok(first)
}

/// A reader over the unpacked bytes of a stream whose `first` bytes are read.
fn decoded<R: Read + Send + 'static>(
    first: Vec<u8>,
    packed: R,
) -> io::Result<(Compression, Box<dyn Read + Send>)> {
    let compression = Compression::of(&first);
    let read = Arc::new(AtomicU64::new(0));
    let whole = Counted { inner: Cursor::new(first).chain(packed), read: read.clone() };
    let buffered = BufReader::with_capacity(1 << 18, whole);
    let inner: Box<dyn Read + Send> = match compression {
        Compression::None | Compression::Zip => return Ok((Compression::None, Box::new(buffered))),
        Compression::Gzip => Box::new(MultiGzDecoder::new(buffered)),
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(buffered)?),
        Compression::Bzip2 => Box::new(MultiBzDecoder::new(buffered)),
        Compression::Xz => Box::new(XzReader::new_mem_limit(buffered, true, XZ_MEMORY)),
    };
    Ok((compression, Box::new(Bounded { inner, packed: read, unpacked: 0 })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn packing_is_known_by_the_first_bytes() {
        let text = b"what was packed".repeat(100);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        let zstd = zstd::encode_all(&text[..], 1).unwrap();
        for (packed, expected) in [
            (text.clone(), Compression::None),
            (gzip.finish().unwrap(), Compression::Gzip),
            (zstd, Compression::Zstd),
        ] {
            let (compression, mut unpacked) = reader(Cursor::new(packed)).unwrap();
            let mut read = Vec::new();
            unpacked.read_to_end(&mut read).unwrap();
            assert!((compression, &read) == (expected, &text));
        }
        assert!(matches!(reader(Cursor::new(vec![0x1f])), Ok((Compression::None, _))));
    }

    #[test]
    fn bombs_of_every_packing_are_refused_where_they_grow() {
        let zeros = vec![0; 10 << 20];
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(&zeros).unwrap();
        let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).unwrap();
        xz.write_all(&zeros).unwrap();
        let zstd = zstd::encode_all(&zeros[..], 1).unwrap();
        for packed in [gzip(&zeros), zstd, bzip2.finish().unwrap(), xz.finish().unwrap()] {
            let error = message(unpack("x", packed.into()));
            assert!(error.contains("more than 250 bytes for each of the"), "{error}");
        }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn message<T: std::fmt::Debug>(result: Result<T, DataError>) -> String {
        let message = result.unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    }

    #[test]
    fn gzip_is_known_by_its_bytes() {
        let unpacked = |bytes: Vec<u8>| unpack("x", bytes.into());
        assert_eq!(unpacked(b"plain".to_vec()).unwrap(), "plain");
        assert_eq!(unpacked(gzip(b"packed")).unwrap(), "packed");
        assert_eq!(unpacked([gzip(b"one, "), gzip(b"two")].concat()).unwrap(), "one, two");
    }

    #[test]
    fn damaged_gzip_is_refused_with_its_place() {
        let text: Vec<u8> =
            (0..50_000u32).flat_map(|n| (n.wrapping_mul(2_654_435_761)).to_le_bytes()).collect();
        let packed = gzip(&text);
        let cut = message(unpack("x.gz", packed[..packed.len() / 2].to_vec().into()));
        assert!(cut.starts_with("x.gz, gzip stream after "), "{cut}");
        assert!(cut.ends_with(&format!("found the end of the file at byte {}", packed.len() / 2)), "{cut}");
        assert!(message(unpack("x.gz", GZIP.to_vec().into())).contains("after 0 unpacked bytes"));
        // A wrong checksum, and a member followed by bytes that are none.
        let mut wrong = packed.clone();
        let checksum = wrong.len() - 8;
        wrong[checksum] ^= 1;
        assert!(message(unpack("x.gz", wrong.into())).contains("undamaged"));
        assert!(unpack("x.gz", [gzip(b"one"), b"garbage".to_vec()].concat().into()).is_err());
        let mut flipped = packed;
        flipped[2_000] ^= 0xff;
        assert!(unpack("x.gz", flipped.into()).is_err());
    }
}
