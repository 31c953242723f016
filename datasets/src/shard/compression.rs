//! How the bytes of a shard are packed, known by its first bytes.

use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use std::io::{self, BufReader, Chain, Cursor, Read};

/// What a shard is packed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compression {
    /// Plain tar.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A reader over what a stream holds once it is unpacked.
///
/// # Errors
/// When the first bytes cannot be read.
pub(crate) fn reader<R: Read + Send + 'static>(
    mut packed: R,
) -> io::Result<(Compression, Box<dyn Read + Send>)> {
    let mut first = Vec::with_capacity(ZSTD.len());
    packed.by_ref().take(ZSTD.len() as u64).read_to_end(&mut first)?;
    let compression = match first.as_slice() {
        [a, b, ..] if [*a, *b] == GZIP => Compression::Gzip,
        first if first == ZSTD => Compression::Zstd,
        _ => Compression::None,
    };
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
}
