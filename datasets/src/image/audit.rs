//! Shards of pictures looked at as a whole: every sample checked, or as many as fit into a time.

use super::decode;
use super::streamed::{self, PictureSet};
use crate::audit::Verified;
use crate::blocks::{Decode, Source};
use crate::index::Index;
use crate::shard::{PictureDecoder, ShardSet};
use crate::{DataError, Order, ShardOrder, Window};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Samples of a shard whose parts are read together.
const TOGETHER: u64 = 64;

/// Reads every part of every sample of a tar shard, checks it and decodes what is a picture.
///
/// # Errors
/// When the shard cannot be read at all.
pub(crate) fn verify_tar(
    set: &ShardSet,
    shard: usize,
    verified: &mut Verified,
    report: &(dyn Fn(&DataError) + Sync),
) -> Result<(), DataError> {
    let rows = set.index().rows(shard)?;
    let object = set.object(shard)?;
    let uri = set.index().object(shard).uri();
    for begin in (0..rows.len()).step_by(TOGETHER as usize) {
        let entries: Vec<_> = (begin..(begin + TOGETHER).min(rows.len())).map(|at| rows.entry(at)).collect();
        let parts = || entries.iter().flat_map(|entry| &entry.parts);
        let ranges: Vec<_> = parts().map(|part| part.offset..part.offset + part.length).collect();
        let mut contents = object.ranges(&ranges)?.into_iter();
        for entry in &entries {
            let mut corrupt = false;
            for (part, content) in entry.parts.iter().zip(contents.by_ref()) {
                verified.bytes += part.length;
                let place = format!("sample {}.{} (byte {})", entry.key, part.extension, part.offset);
                let crc32 = crc32fast::hash(&content);
                let checked = match crc32 == part.crc32 {
                    false => {
                        let expected = format!("the checksum {:08x} of the index", part.crc32);
                        Err(DataError::malformed(uri, place, expected, format!("{crc32:08x}")))
                    }
                    true if streamed::PICTURES.contains(&part.extension.as_str()) => {
                        decode::decode(&format!("{uri}, {place}"), &content, 3).map(drop)
                    }
                    true => Ok(()),
                };
                if let Err(error) = checked {
                    report(&error);
                    corrupt = true;
                }
            }
            verified.samples += 1;
            verified.corrupt += u64::from(corrupt);
        }
    }
    Ok(())
}

/// Decodes every picture of a Parquet shard.
///
/// # Errors
/// When the index cannot be read any more.
pub(crate) fn verify_row_groups(
    source: &Source,
    shard: usize,
    verified: &mut Verified,
    report: &(dyn Fn(&DataError) + Sync),
) -> Result<(), DataError> {
    let uri = source.shard_uri(shard);
    for block in source.index().rows(shard)?.blocks() {
        verified.samples += block.records;
        let pictures = match PictureDecoder.decode(source, shard, &block) {
            Ok(pictures) => pictures,
            Err(error) => {
                report(&error);
                verified.corrupt += block.records;
                continue;
            }
        };
        for (row, picture) in (block.line..).zip(pictures) {
            let bytes = picture.unwrap_or_default();
            verified.bytes += bytes.len() as u64;
            if let Err(error) = decode::decode(&format!("{uri}, row {row}"), &bytes, 3) {
                report(&error);
                verified.corrupt += 1;
            }
        }
    }
    Ok(())
}

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

/// Reads samples in a window order by `threads` threads, for `time` or to the end of an epoch, and
/// decodes them where `decoding` says so.
///
/// # Errors
/// When a sample cannot be read or decoded.
pub fn bench(
    index: Index,
    window: Window,
    threads: usize,
    time: Duration,
    decoding: bool,
) -> Result<Measured, DataError> {
    let set = PictureSet::of(index, Some(window), ShardOrder::Window)?;
    let order = match &set {
        PictureSet::Tar(set) => Order::windowed(1, 0, set.index().shards(), window),
        PictureSet::Parquet(blocks) => blocks.shuffle(1).order(0, set.len()),
    };
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let begun = Instant::now();
    let work = || -> Result<Measured, DataError> {
        let none = Duration::ZERO;
        let mut measured =
            Measured { samples: 0, pictures: 0, bytes: 0, elapsed: none, reading: none, decoding: none };
        while begun.elapsed() < time && !stop.load(Ordering::Relaxed) {
            let position = next.fetch_add(1, Ordering::Relaxed);
            if position >= order.len() {
                break;
            }
            let start = Instant::now();
            let found = set.read(order.at(position)).inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
            let read = Instant::now();
            measured.reading += read - start;
            measured.samples += 1;
            measured.bytes += found.bytes.len() as u64;
            if decoding {
                let place = format!("{}, {}", found.uri, found.place);
                decode::decode(&place, &found.bytes, 3)
                    .inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
                measured.pictures += 1;
                measured.decoding += read.elapsed();
            }
        }
        Ok(measured)
    };
    let parts: Vec<Result<Measured, DataError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
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

/// The pictures below a folder with the names of their classes, for
/// [`pack`](crate::shard::pack): class folders, or pictures without classes.
///
/// # Errors
/// When there is no picture.
pub fn pictures_of(folder: &str) -> Result<Vec<(String, Option<String>)>, DataError> {
    if let Ok(classed) = super::folder::classed(folder) {
        let names = classed.names;
        return Ok(classed
            .pictures
            .into_iter()
            .map(|(uri, class)| (uri, Some(names[class].clone())))
            .collect());
    }
    Ok(super::folder::pictures(folder)?.into_iter().map(|uri| (uri, None)).collect())
}
