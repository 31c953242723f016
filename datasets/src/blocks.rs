//! Blocks of consecutive records: found by the index, fetched and decoded whole, and kept while their
//! records are wanted. CSV, JSONL and Parquet are read by them.
//!
//! ```text
//! number of a record -> block -> bytes of it, or the wanted columns of a row group -> checksum -> decoded
//! ```
//!
//! Blocks take the place of shards in the [`order`](crate::Order)s, so that one large file is shuffled
//! like many small ones.

use crate::columnar::{arrow, footer, group_reader, guarded};
use crate::index::{self, Block, Index};
use crate::recent::Recent;
use crate::shard::{Format, Unpacked};
use crate::source::{self, Object, one_line};
use crate::together::together;
use crate::{DataError, ShardOrder, Shards, Shuffle, Window};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of data, as they are stored, that are held in memory where the recipe does not say.
const MOST_HELD: u64 = 256 << 20;

/// Bytes of the largest block: a row group that is larger would not fit beside others.
const LARGEST_BLOCK: u64 = 512 << 20;

/// The usual bytes of the blocks that are shuffled together.
pub(crate) const WINDOW_BYTES: u64 = 32 << 20;

/// Whether the data of a URI are to be streamed: as `wish` says, or else where they are too large to be
/// held.
pub(crate) fn is_streamed(uri: &str, wish: Option<bool>) -> bool {
    wish.unwrap_or_else(|| {
        // What cannot be listed is reported by the reader of it.
        let objects = index::shards(uri).and_then(|uris| uris.iter().map(|uri| Object::open(uri)).collect());
        let stats = objects.and_then(|objects: Vec<Object>| source::stats(&objects));
        stats.is_ok_and(|stats| stats.iter().map(|stat| stat.size).sum::<u64>() > MOST_HELD)
    })
}

/// The blocks of a set of shards.
#[derive(Debug)]
pub(crate) struct Source {
    index: Index,
    /// How many blocks each shard has.
    shards: Shards,
    /// The records of each block.
    sizes: Vec<u32>,
    /// Bytes of the largest block.
    largest: u64,
    unpacked: Unpacked,
    /// What is known of a shard once it was opened.
    opened: Mutex<HashMap<usize, Opened>>,
}

/// What every block of a shard needs.
#[derive(Clone, Debug)]
enum Opened {
    /// The names of a CSV's columns.
    Names(Arc<[String]>),
    /// The footer of a Parquet file.
    Footer(ArrowReaderMetadata),
}

impl Source {
    /// Opens the blocks of `uri`; builds their index where there is none.
    ///
    /// # Errors
    /// As [`Index::open`], and when there is no record or a block is too large.
    pub(crate) fn open(uri: &str, format: &Format) -> Result<Self, DataError> {
        Source::of(Index::open_as(uri, format, &mut index::report(uri))?)
    }

    /// The blocks of an index.
    ///
    /// # Errors
    /// When there is no record or a block is too large.
    pub(crate) fn of(index: Index) -> Result<Self, DataError> {
        let numbers: Vec<usize> = (0..index.shards().len()).collect();
        let (mut counts, mut sizes, mut largest) = (Vec::new(), Vec::new(), 0);
        together(
            &numbers,
            |shard| Ok(index.rows(shard)?.blocks()),
            |shard, blocks| {
                counts.push(blocks.len() as u64);
                for (number, block) in blocks.iter().enumerate() {
                    let bytes = block.bytes.end - block.bytes.start;
                    if bytes > LARGEST_BLOCK {
                        let place = format!("block {number} (byte {})", block.bytes.start);
                        let expected = format!(
                            "row groups of at most {} MiB (`bonfire data pack --format parquet` writes such)",
                            LARGEST_BLOCK >> 20
                        );
                        let uri = index.object(shard).uri();
                        return Err(DataError::malformed(uri, place, expected, format!("{bytes} bytes")));
                    }
                    largest = largest.max(bytes);
                    sizes.push(block.records as u32);
                }
                Ok(())
            },
        )?;
        if sizes.is_empty() {
            return Err(DataError::source(index.uri(), "at least one record", "none"));
        }
        let shards = Shards::new(counts);
        Ok(Source { index, shards, sizes, largest, unpacked: Unpacked::default(), opened: Mutex::default() })
    }

    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    pub(crate) fn uri(&self) -> &str {
        self.index.uri()
    }

    /// The number of blocks.
    pub(crate) fn len(&self) -> usize {
        self.sizes.len()
    }

    /// The records of block `number`.
    pub(crate) fn size(&self, number: usize) -> u64 {
        u64::from(self.sizes[number])
    }

    /// The shard of block `number`, and what the index says of it.
    ///
    /// # Errors
    /// When the index cannot be read any more.
    pub(crate) fn find(&self, number: usize) -> Result<(usize, Block), DataError> {
        let (shard, within) = self.shards.find(number as u64);
        let block = self.index.rows(shard)?.blocks().get(within as usize).cloned();
        let changed = || DataError::source(self.index.sidecar_uri(), "the index that was opened", "another");
        Ok((shard, block.ok_or_else(changed)?))
    }

    /// The URI of a shard.
    pub(crate) fn shard_uri(&self, shard: usize) -> &str {
        self.index.object(shard).uri()
    }

    /// The bytes of a block of text.
    ///
    /// # Errors
    /// When they cannot be read, or are not those that were indexed.
    pub(crate) fn fetch(&self, shard: usize, block: &Block) -> Result<Bytes, DataError> {
        let bytes = self.unpacked.object(&self.index, shard)?.range(block.bytes.clone())?;
        self.check(shard, block, crc32fast::hash(&bytes))?;
        Ok(bytes)
    }

    fn check(&self, shard: usize, block: &Block, crc32: u32) -> Result<(), DataError> {
        if crc32 == block.crc32 {
            return Ok(());
        }
        let place = format!("block at line {} (byte {})", block.line, block.bytes.start);
        let expected = format!(
            "the checksum {:08x} of the index (`bonfire data index` reads a changed shard anew)",
            block.crc32
        );
        Err(DataError::malformed(self.shard_uri(shard), place, expected, format!("{crc32:08x}")))
    }

    /// The names of a CSV shard's columns, which `read` makes out of the bytes before its first block or,
    /// where a shard has no header, of that block.
    ///
    /// # Errors
    /// `read`'s own, and when the bytes cannot be read.
    pub(crate) fn names(
        &self,
        shard: usize,
        read: impl FnOnce(&[u8]) -> Result<Vec<String>, DataError>,
    ) -> Result<Arc<[String]>, DataError> {
        if let Some(Opened::Names(names)) = locked(&self.opened).get(&shard) {
            return Ok(names.clone());
        }
        let first = self.index.rows(shard)?.blocks().into_iter().next();
        let bytes = first.map_or(0..0, |block| block.bytes);
        let head = 0..if bytes.start > 0 { bytes.start } else { bytes.end };
        let names: Arc<[String]> = read(&self.unpacked.object(&self.index, shard)?.range(head)?)?.into();
        locked(&self.opened).insert(shard, Opened::Names(names.clone()));
        Ok(names)
    }

    /// A Parquet shard, its footer, and the number of the block's row group in it.
    ///
    /// # Errors
    /// When the footer cannot be read, or is not the one that was indexed.
    pub(crate) fn row_group(
        &self,
        shard: usize,
        block: &Block,
    ) -> Result<(&Object, ArrowReaderMetadata, usize), DataError> {
        let object = self.index.object(shard);
        let known = locked(&self.opened).get(&shard).cloned();
        let metadata = match known {
            Some(Opened::Footer(metadata)) => metadata,
            _ => {
                let (metadata, crc32) = footer(object, self.index.indexed(shard).stat.size)?;
                self.check(shard, block, crc32)?;
                let metadata = arrow(object, metadata)?;
                locked(&self.opened).insert(shard, Opened::Footer(metadata.clone()));
                metadata
            }
        };
        let mut first = 0;
        for (group, rows) in metadata.metadata().row_groups().iter().map(|group| group.num_rows()).enumerate()
        {
            if rows > 0 && first == block.first {
                return Ok((object, metadata, group));
            }
            first += rows as u64;
        }
        let place = format!("row {}", block.line);
        Err(DataError::malformed(object.uri(), place, "a row group that begins there", "none"))
    }

    /// Decodes all columns of a Parquet block.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn decode_all(&self, shard: usize, block: &Block) -> Result<(), DataError> {
        const BATCH_ROWS: usize = 8192;
        let uri = self.shard_uri(shard);
        guarded(uri, || {
            let (object, metadata, group) = self.row_group(shard, block)?;
            for batch in group_reader(object, &metadata, group, ProjectionMask::all(), BATCH_ROWS)? {
                batch.map_err(|error| {
                    let place = format!("row group {group} (row {})", block.line);
                    DataError::malformed(uri, place, "a whole Parquet file", one_line(error))
                })?;
            }
            Ok(())
        })
    }

    /// How many blocks are shuffled together: as many as `window_bytes` hold of the largest, one at least.
    /// `record_bytes` is what a record takes once it is decoded.
    pub(crate) fn window(&self, window_bytes: u64, record_bytes: u64) -> usize {
        let most = self.sizes.iter().max().map_or(0, |&records| u64::from(records));
        let largest = self.largest.max(most.saturating_mul(record_bytes)).max(1);
        usize::try_from(window_bytes / largest).unwrap_or(usize::MAX).clamp(1, self.len())
    }
}

/// What makes records out of a block.
pub(crate) trait Decode: Send + Sync + 'static {
    /// The records of a block; those that cannot be read among them.
    type Records: Send + Sync + 'static;

    /// Fetches and decodes a block.
    ///
    /// # Errors
    /// When the block as a whole cannot be read.
    fn decode(&self, source: &Source, shard: usize, block: &Block) -> Result<Self::Records, DataError>;
}

/// The records of some blocks, by number.
pub(crate) struct BlockSet<D: Decode> {
    source: Arc<Source>,
    decoder: D,
    /// The blocks of the set.
    numbers: Vec<usize>,
    /// Where each of them begins among the set's records.
    starts: Shards,
    /// Blocks that are shuffled together.
    window: usize,
    order: ShardOrder,
    /// Records that are worth fetching ahead.
    ahead: u64,
    recent: Mutex<Recent<usize, Arc<Slot<D::Records>>>>,
}

/// A decoded block; its lock is held while it is fetched, so that it is once.
type Slot<R> = Mutex<Option<Arc<R>>>;

impl<D: Decode> std::fmt::Debug for BlockSet<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} blocks of {}", self.numbers.len(), self.source.uri())
    }
}

impl<D: Decode> BlockSet<D> {
    /// The records of the blocks `numbers`, of which `window` are shuffled together: about twice as many
    /// are held, the ones under way and the next.
    pub(crate) fn new(source: Arc<Source>, numbers: Vec<usize>, decoder: D, window: usize) -> Self {
        let starts = Shards::new(numbers.iter().map(|&number| source.size(number)));
        let recent = Mutex::new(Recent::new(2 * window as u64 + 2));
        let ahead = (starts.samples() / numbers.len().max(1) as u64).saturating_mul(window as u64);
        let order = ShardOrder::Window;
        BlockSet { source, decoder, numbers, starts, window, order, ahead, recent }
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// The number of records.
    pub(crate) fn len(&self) -> u64 {
        self.starts.samples()
    }

    /// To be read in an order; without this, in their own or by windows.
    pub(crate) fn ordered(self, order: ShardOrder) -> Self {
        let ahead = match order {
            // Each record may need another block, and what is fetched too early is dropped again.
            ShardOrder::Full => self.window as u64,
            ShardOrder::Window => self.ahead,
        };
        BlockSet { order, ahead, ..self }
    }

    /// How the records are shuffled.
    pub(crate) fn shuffle(&self, seed: u64) -> Shuffle {
        match self.order {
            ShardOrder::Full => Shuffle::Full(seed),
            ShardOrder::Window => {
                let window = Window { shards: self.window, block: u64::MAX };
                Shuffle::Window(seed, self.starts.clone(), window)
            }
        }
    }

    /// Records that are worth fetching ahead: those of a window.
    pub(crate) fn ahead(&self) -> u64 {
        self.ahead
    }

    /// The block of record `index`, decoded, and the record's number in it.
    ///
    /// # Errors
    /// When the block cannot be read.
    pub(crate) fn read(&self, index: u64) -> Result<(Arc<D::Records>, usize), DataError> {
        let (at, within) = self.starts.find(index);
        let slot = self.slot(at);
        let mut slot = locked(&slot);
        let records = match &*slot {
            Some(records) => records.clone(),
            None => slot.insert(Arc::new(self.decode(at)?)).clone(),
        };
        Ok((records, within as usize))
    }

    /// Fetches the block of record `index`, unless it is there or on its way. What goes wrong is told when
    /// the record is read.
    pub(crate) fn prepare(&self, index: u64) {
        let (at, _) = self.starts.find(index);
        let slot = self.slot(at);
        if let Ok(mut slot) = slot.try_lock()
            && slot.is_none()
        {
            *slot = self.decode(at).ok().map(Arc::new);
        }
    }

    fn slot(&self, at: usize) -> Arc<Slot<D::Records>> {
        let mut recent = locked(&self.recent);
        recent.get(&at).unwrap_or_else(|| {
            let slot = Arc::new(Slot::new(None));
            recent.put(at, slot.clone(), 1);
            slot
        })
    }

    fn decode(&self, at: usize) -> Result<D::Records, DataError> {
        let (shard, block) = self.source.find(self.numbers[at])?;
        self.decoder.decode(&self.source, shard, &block)
    }
}

/// What a thread that panicked left is whole: every change under these locks is one assignment.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
