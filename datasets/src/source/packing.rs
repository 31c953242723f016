//! The packing of a file, known by its first bytes.

use super::one_line;
use crate::DataError;
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use std::io::{self, BufReader, Chain, Cursor, ErrorKind, Read};

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
}

/// The first bytes of a gzip member (RFC 1952, section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The first bytes of a zstd frame (RFC 8878, section 3.1.1).
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Bytes that tell how a file is packed.
pub(super) const MARK: u64 = ZSTD.len() as u64;

/// True where a file that begins so is packed.
pub(super) fn is_packed(first: &[u8]) -> bool {
    Compression::of(first) != Compression::None
}

impl Compression {
    /// By the first bytes of a file, four of them where it has as many.
    fn of(first: &[u8]) -> Self {
        if first.starts_with(&GZIP) {
            Compression::Gzip
        } else if first.starts_with(&ZSTD) {
            Compression::Zstd
        } else {
            Compression::None
        }
    }
}

/// Unpacks `packed` when its first bytes are gzip's or zstd's; `uri` names it in errors. Several gzip members
/// or zstd frames, one after the other, are unpacked as one.
///
/// # Errors
/// When the packed stream is damaged or cut short.
pub(super) fn unpack(uri: &str, packed: Bytes) -> Result<Bytes, DataError> {
    // The size in a gzip trailer is a claim: the buffer grows with what is really unpacked.
    let mut unpacked = Vec::new();
    let (kind, result) = match Compression::of(&packed) {
        Compression::None => return Ok(packed),
        Compression::Gzip => ("gzip", MultiGzDecoder::new(&packed[..]).read_to_end(&mut unpacked)),
        Compression::Zstd => {
            let decoder = zstd::Decoder::with_buffer(&packed[..]);
            ("zstd", decoder.and_then(|mut zstd| zstd.read_to_end(&mut unpacked)))
        }
    };
    match result {
        Ok(_) => Ok(unpacked.into()),
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

/// A reader over the unpacked bytes of a stream.
///
/// # Errors
/// When the first bytes cannot be read.
pub(crate) fn reader<R: Read + Send + 'static>(
    mut packed: R,
) -> io::Result<(Compression, Box<dyn Read + Send>)> {
    let mut first = Vec::with_capacity(MARK as usize);
    packed.by_ref().take(MARK).read_to_end(&mut first)?;
    let compression = Compression::of(&first);
    let whole: Chain<Cursor<Vec<u8>>, R> = Cursor::new(first).chain(packed);
    let buffered = BufReader::with_capacity(1 << 18, whole);
    Ok((
        compression,
        match compression {
            Compression::None => Box::new(buffered),
            Compression::Gzip => Box::new(MultiGzDecoder::new(buffered)),
            Compression::Zstd => Box::new(zstd::Decoder::with_buffer(buffered)?),
        },
    ))
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
