//! Streams that are counted while they are unpacked, so that a bomb is refused where it grows.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Unpacked bytes up to which a stream may be any number of times as large as its packed bytes.
const ANY_RATIO: u64 = if cfg!(test) { 8 << 20 } else { 256 << 20 };

/// Unpacked bytes for each packed one, beyond [`ANY_RATIO`].
const MOST_TIMES: u64 = 250;

/// A reader that counts its bytes.
pub(super) struct Counted<R> {
    pub(super) inner: R,
    pub(super) read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// The unpacked bytes of a stream that is no bomb.
pub(super) struct Bounded<R> {
    pub(super) inner: R,
    /// The packed bytes that were read so far.
    pub(super) packed: Arc<AtomicU64>,
    pub(super) unpacked: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.unpacked += read as u64;
        let packed = self.packed.load(Ordering::Relaxed);
        if self.unpacked > ANY_RATIO && self.unpacked / MOST_TIMES > packed {
            let found = format!(
                "more than {MOST_TIMES} bytes for each of the {packed} packed ones: a bomb, or a file to unpack first"
            );
            return Err(io::Error::new(ErrorKind::InvalidData, found));
        }
        Ok(read)
    }
}
