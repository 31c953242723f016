//! The pictures of a set of shards that are read, decoded and made into training tensors in a second.

use super::decode;
use super::form::Form;
use super::picture::whole;
use super::streamed::PictureSet;
use super::transform::Transform;
use crate::index::Index;
use crate::{DataError, Order, ShardOrder, Window, pool};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Samples that a thread takes at a time: enough for handing them out to cost little beside reading them.
const CHUNK: usize = 16;

/// Samples that were read and decoded for a while.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measured {
    /// Samples that were read.
    pub samples: u64,
    /// Pictures that were decoded.
    pub pictures: u64,
    /// Bytes of the samples, encoded.
    pub bytes: u64,
    /// The time it took by the clock.
    pub elapsed: Duration,
    /// Time within reading, summed over the threads.
    pub reading: Duration,
    /// Time within decoding, summed over the threads.
    pub decoding: Duration,
}

/// The form that samples are brought to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Bytes, with their checksum.
    Read,
    /// Pixels.
    Decode,
    /// Training tensors of `[height, width]`: a random resized crop, a flip at random, normalised.
    Train([usize; 2]),
}

/// Takes samples in a window order on `threads` threads, for `time`, epoch after epoch.
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
    let set = PictureSet::of(index, Some(window), ShardOrder::Window, None)?;
    let len = set.len();
    let order = |epoch| match &set {
        PictureSet::Tar(set) => Order::windowed(1, epoch, set.index().shards(), window, 1),
        PictureSet::Parquet(blocks) => blocks.shuffle(1).order(epoch, len, 1, 1),
    };
    let begun = Instant::now();
    let epochs = (0..if len > 0 { u64::MAX } else { 0 }).map(|epoch| (epoch, Arc::new(order(epoch))));
    let chunks = epochs
        .flat_map(|(epoch, order)| {
            (0..len).step_by(CHUNK).map(move |first| Chunk { epoch, order: order.clone(), first })
        })
        .take_while(|_| begun.elapsed() < time);
    let measure = |Chunk { epoch, order, first }| -> Result<Measured, DataError> {
        let mut measured = Measured::default();
        for position in first..len.min(first + CHUNK as u64) {
            if begun.elapsed() >= time {
                break;
            }
            let (start, index, draw) = (Instant::now(), order.at(position), epoch * len + position);
            let found = set.read(index)?;
            let read = Instant::now();
            measured.reading += read - start;
            measured.samples += 1;
            measured.bytes += found.bytes.len() as u64;
            if work != Work::Read {
                let need = |size| match &transform {
                    Some(transform) => transform.need(size, draw, 0),
                    None => whole(size),
                };
                let picture = decode::decode(&set.place(index), &found.bytes, &Form::colour(), &need)?;
                if let Some(transform) = &transform {
                    let fits = "a random resized crop takes a picture of any size";
                    std::hint::black_box(transform.apply(picture, draw, 0).expect(fits));
                }
                measured.pictures += 1;
                measured.decoding += read.elapsed();
            }
        }
        Ok(measured)
    };
    let mut all = Measured::default();
    pool::in_order(threads, chunks, measure, |part| {
        all.samples += part.samples;
        all.pictures += part.pictures;
        all.bytes += part.bytes;
        all.reading += part.reading;
        all.decoding += part.decoding;
        Ok(())
    })?;
    Ok(Measured { elapsed: begun.elapsed(), ..all })
}

/// Consecutive positions of an epoch.
struct Chunk {
    epoch: u64,
    order: Arc<Order>,
    first: u64,
}
