//! How many pictures of a set of shards are read, decoded and made into training tensors in a second.

use super::decode;
use super::picture::whole;
use super::streamed::PictureSet;
use super::transform::Transform;
use crate::index::Index;
use crate::{DataError, Order, ShardOrder, Window};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What reading and decoding for a while came to.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Samples that were read.
    pub samples: u64,
    /// Pictures that were decoded.
    pub pictures: u64,
    /// Bytes of them, encoded.
    pub bytes: u64,
    /// How long it took by the clock.
    pub elapsed: Duration,
    /// Time of all threads together within reading, and within decoding.
    pub reading: Duration,
    /// See `reading`.
    pub decoding: Duration,
}

/// How far samples are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Bytes, with their checksum.
    Read,
    /// Pixels.
    Decode,
    /// Training tensors of `[height, width]`: a random resized crop, a flip at random, normalised.
    Train([usize; 2]),
}

/// Takes samples in a window order by `threads` threads, for `time`; epoch after epoch.
///
/// # Errors
/// When a sample cannot be read or decoded.
pub fn bench(
    index: Index,
    window: Window,
    threads: usize,
    time: Duration,
    work: Work,
) -> Result<Measured, DataError> {
    let transform = match work {
        Work::Train(size) => Some(Transform::of_imagenet(size)),
        _ => None,
    };
    let set = PictureSet::of(index, Some(window), ShardOrder::Window)?;
    let len = set.len();
    let order = |epoch| match &set {
        PictureSet::Tar(set) => Order::windowed(1, epoch, set.index().shards(), window, 1),
        PictureSet::Parquet(blocks) => blocks.shuffle(1).order(epoch, len, 1, 1),
    };
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let begun = Instant::now();
    let measure = || -> Result<Measured, DataError> {
        let none = Duration::ZERO;
        let mut measured =
            Measured { samples: 0, pictures: 0, bytes: 0, elapsed: none, reading: none, decoding: none };
        let mut present = (0, order(0));
        while len > 0 && begun.elapsed() < time && !stop.load(Ordering::Relaxed) {
            let position = next.fetch_add(1, Ordering::Relaxed);
            if position / len != present.0 {
                present = (position / len, order(position / len));
            }
            let start = Instant::now();
            let index = present.1.at(position % len);
            let found = set.read(index).inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
            let read = Instant::now();
            measured.reading += read - start;
            measured.samples += 1;
            measured.bytes += found.bytes.len() as u64;
            if work != Work::Read {
                let need = |size| match &transform {
                    Some(transform) => transform.need(size, position, 0),
                    None => whole(size),
                };
                let picture = decode::decode(&set.place(index), &found.bytes, 3, &need)
                    .inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
                if let Some(transform) = &transform {
                    let fits = "a random resized crop takes a picture of any size";
                    std::hint::black_box(transform.apply(picture, position, 0).expect(fits));
                }
                measured.pictures += 1;
                measured.decoding += read.elapsed();
            }
        }
        Ok(measured)
    };
    let parts: Vec<Result<Measured, DataError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(measure)).collect();
        threads.into_iter().map(|thread| thread.join().expect("measuring does not panic")).collect()
    });
    let (elapsed, none) = (begun.elapsed(), Duration::ZERO);
    let mut all = Measured { samples: 0, pictures: 0, bytes: 0, elapsed, reading: none, decoding: none };
    for part in parts {
        let part = part?;
        all.samples += part.samples;
        all.pictures += part.pictures;
        all.bytes += part.bytes;
        all.reading += part.reading;
        all.decoding += part.decoding;
    }
    Ok(all)
}
