//! Samples of a set of tars by their number: a part read at its place, and checked.
//!
//! ```text
//! number -> (shard, number in it) -> place in the shard -> bytes -> checksum
//!                                      alone, or with its whole block in one request
//! ```
//!
//! Samples of a local shard are always read alone, and the system is told which block will be
//! needed where a read had to wait for a disk.

use super::lock::locked;
use super::part::PicturePart;
use super::unpacked::Unpacked;
use crate::index::{Index, Lookup, Place};
use crate::recent::Recent;
use crate::source::{self, Object};
use crate::{DataError, Window};
use bytes::Bytes;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A set of shards, read by the number of a sample.
#[derive(Debug)]
pub(crate) struct ShardSet {
    index: Index,
    /// Which part of a sample is wanted.
    part: PicturePart,
    blocks: Option<Blocks>,
    unpacked: Unpacked,
    /// Local shards that are kept open.
    open: Mutex<Recent<usize, Arc<Object>>>,
}

/// Shards of a set that are kept open, at most: several sets are read at a time, and a process may not open many
/// more than a thousand files, or as many as its limit says.
fn most_open() -> u64 {
    const MOST: u64 = 64;
    source::files_at_once().map_or(MOST, |files| (files / 4).clamp(1, MOST))
}

/// Blocks of consecutive samples, each fetched whole when one of its samples is wanted.
#[derive(Debug)]
struct Blocks {
    /// Samples.
    size: u64,
    /// Shards that a lane of the order has open together.
    shards: u64,
    recent: Mutex<Recent<(usize, u64), Arc<Block>>>,
}

/// The wanted parts of a block; its lock is held while they are fetched, so that they are once.
type Block = Mutex<Option<Vec<Option<Bytes>>>>;

/// The wanted part of a sample, as it is stored.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub bytes: Bytes,
    /// The number of its class among the index's.
    pub class: Option<usize>,
}

impl ShardSet {
    /// Reads the wanted part of each sample. With a `window`, which the order must
    /// have too, whole blocks are fetched, each once, and as many are kept as its order has under way.
    pub(crate) fn new(index: Index, part: PicturePart, window: Option<Window>) -> Self {
        let blocks = window.map(|window| Blocks {
            size: window.block.max(1),
            shards: window.shards.max(1) as u64,
            recent: Mutex::new(Recent::new(0)),
        });
        let open = Mutex::new(Recent::new(most_open()));
        let set = ShardSet { index, part, blocks, unpacked: Unpacked::default(), open };
        set.hold(1);
        set
    }

    /// See [`Dataset::hold`](crate::Dataset::hold).
    pub(crate) fn hold(&self, lanes: u64) {
        let Some(blocks) = &self.blocks else { return };
        let shards = blocks.shards.saturating_mul(lanes);
        // The shards of one window, and of the next where blocks are fetched ahead.
        self.index.keep_rows_of(2 * shards);
        // The blocks of one step, of the next, which is fetched ahead, and of the one after where
        // batches are longer than steps.
        locked(&blocks.recent).keep(3 * shards);
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    /// Reads sample `index`.
    ///
    /// # Errors
    /// When its shard cannot be read, has changed since it was indexed, or the sample has no such
    /// part.
    pub(crate) fn read(&self, index: u64) -> Result<Encoded, DataError> {
        let (shard, number) = self.index.shards().find(index);
        let lookup = self.index.lookup(shard)?;
        let Some(place) = self.wanted(&lookup, number) else {
            let (uri, entry) = self.index.entry(index)?;
            let found: Vec<_> = entry.parts.iter().map(|part| part.extension.as_str()).collect();
            return Err(DataError::malformed(
                uri,
                format!("sample {}", entry.key),
                self.part.expected(),
                found.join(", "),
            ));
        };
        let mut times = 0;
        let is_whole = |(_, crc32): &(Bytes, u32)| *crc32 == place.crc32;
        let (bytes, crc32) = self.unpacked.reading(&self.index, shard, is_whole, || {
            // The file that is kept open may be that of a damaged copy.
            if times > 0 {
                locked(&self.open).remove(&shard);
            }
            times += 1;
            let bytes = self.stored(shard, number, &place, &lookup)?;
            let crc32 = crc32fast::hash(&bytes);
            Ok((bytes, crc32))
        })?;
        if crc32 == place.crc32 {
            return Ok(Encoded { bytes, class: lookup.class(number) });
        }
        let expected = format!(
            "the checksum {:08x} of the index (`bonfire data index` reads a changed shard anew)",
            place.crc32
        );
        Err(DataError::malformed(
            self.index.object(shard).uri(),
            self.place(index),
            expected,
            format!("{crc32:08x}"),
        ))
    }

    /// The bytes at the place of sample `number` of a shard.
    fn stored(&self, shard: usize, number: u64, place: &Place, lookup: &Lookup) -> Result<Bytes, DataError> {
        let object = self.open(shard)?;
        Ok(match &self.blocks {
            Some(blocks) if object.is_remote() => {
                self.through_block(blocks, &object, shard, number, lookup)?
            }
            Some(blocks) => {
                let begun = Instant::now();
                let bytes = object.range(place.bytes.clone())?;
                if begun.elapsed() > from_memory(bytes.len()) {
                    self.announce(blocks, &object, shard, number, lookup);
                }
                bytes
            }
            None => object.range(place.bytes.clone())?,
        })
    }

    /// The place of the wanted part of sample `number` of a shard.
    fn wanted(&self, lookup: &Lookup, number: u64) -> Option<Place> {
        lookup.part(number, |extensions| self.part.among(extensions))
    }

    /// The place of sample `index` in its shard, for messages.
    pub(crate) fn place(&self, index: u64) -> String {
        let (shard, number) = self.index.shards().find(index);
        let key = self.index.key(shard, number);
        let part = self.index.lookup(shard).ok().and_then(|lookup| self.wanted(&lookup, number));
        match part {
            Some(part) => format!("sample {key} (byte {})", part.bytes.start),
            None => format!("sample {key}"),
        }
    }

    /// Tells the system of a local block, once, where a sample of it had to be waited for: its cache of files
    /// holds the others until their turn.
    fn announce(&self, blocks: &Blocks, object: &Object, shard: usize, number: u64, lookup: &Lookup) {
        let key = (shard, number / blocks.size);
        {
            let mut recent = locked(&blocks.recent);
            if recent.get(&key).is_some() {
                return;
            }
            recent.put(key, Arc::default(), 1);
        }
        let samples = key.1 * blocks.size..((key.1 + 1) * blocks.size).min(lookup.len());
        let place = |number| self.wanted(lookup, number).map(|place| place.bytes);
        let (first, last) = (samples.clone().find_map(place), samples.rev().find_map(place));
        if let (Some(first), Some(last)) = (first, last) {
            object.will_need(first.start..last.end);
        }
    }

    fn through_block(
        &self,
        blocks: &Blocks,
        object: &Object,
        shard: usize,
        number: u64,
        lookup: &Lookup,
    ) -> Result<Bytes, DataError> {
        let key = (shard, number / blocks.size);
        let begin = key.1 * blocks.size;
        let block = {
            let mut recent = locked(&blocks.recent);
            recent.get(&key).unwrap_or_else(|| {
                let block = Arc::new(Block::default());
                recent.put(key, block.clone(), 1);
                block
            })
        };
        let mut parts = locked(&block);
        let parts = match &mut *parts {
            Some(parts) => parts,
            none => {
                none.insert(self.fetch(object, begin..(begin + blocks.size).min(lookup.len()), lookup)?)
            }
        };
        let wanted = (number - begin) as usize;
        if let Some(bytes) = parts.get_mut(wanted).and_then(Option::take) {
            // An epoch wants each sample once: a block that has given all of them is dropped.
            if parts.iter().all(Option::is_none) {
                locked(&blocks.recent).remove(&key);
            }
            return Ok(bytes);
        }
        // Wanted again, as by another epoch over the same set.
        let mut again = self.fetch(object, number..number + 1, lookup)?;
        Ok(again.remove(0).unwrap_or_default())
    }

    /// The wanted parts of consecutive samples, in one request where they lie close.
    fn fetch(
        &self,
        object: &Object,
        numbers: std::ops::Range<u64>,
        lookup: &Lookup,
    ) -> Result<Vec<Option<Bytes>>, DataError> {
        let places: Vec<_> = numbers.map(|number| self.wanted(lookup, number)).collect();
        let ranges: Vec<_> = places.iter().flatten().map(|place| place.bytes.clone()).collect();
        let mut fetched = object.ranges(&ranges)?.into_iter();
        Ok(places.iter().map(|place| place.as_ref().and_then(|_| fetched.next())).collect())
    }

    /// [`ShardSet::object`], through the cache of this machine, or kept open.
    fn open(&self, shard: usize) -> Result<Arc<Object>, DataError> {
        if let Some(object) = locked(&self.open).get(&shard) {
            return Ok(object);
        }
        let object = self.object(shard)?.cached(&self.index.indexed(shard).stat)?.kept_open()?;
        let object = Arc::new(object);
        locked(&self.open).put(shard, object.clone(), 1);
        Ok(object)
    }

    /// The file that a shard's index has places in: the shard, or its unpacked copy.
    pub(crate) fn object(&self, shard: usize) -> Result<Object, DataError> {
        self.unpacked.object(&self.index, shard)
    }
}

/// The time that reading takes at most where the system has the bytes in memory; what takes longer came from
/// a disk.
fn from_memory(bytes: usize) -> Duration {
    const CALL: Duration = Duration::from_micros(100);
    CALL + Duration::from_nanos(bytes as u64)
}
