//! Pictures made by tests.

use std::io::Write;

/// A grey PNG of `size` x `size` pixels, written by hand with stored (uncompressed) deflate blocks. Each
/// `number` gives another picture.
pub fn grey(size: u32, number: u32) -> Vec<u8> {
    fn chunk(png: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
        png.extend_from_slice(&(data.len() as u32).to_be_bytes());
        let body = [kind, data].concat();
        png.extend_from_slice(&body);
        let mut crc = flate2::Crc::new();
        crc.update(&body);
        png.extend_from_slice(&crc.sum().to_be_bytes());
    }
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let header = [&size.to_be_bytes()[..], &size.to_be_bytes()[..], &[8, 0, 0, 0, 0]].concat();
    chunk(&mut png, b"IHDR", &header);
    let rows: Vec<u8> = (0..size)
        .flat_map(|row| {
            std::iter::once(0).chain((0..size).map(move |column| (row * column * 3 + number * 7) as u8))
        })
        .collect();
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(&rows).unwrap();
    chunk(&mut png, b"IDAT", &encoder.finish().unwrap());
    chunk(&mut png, b"IEND", &[]);
    png
}
