//! The blocks of a set of shards, whatever their format.

use super::lock::locked;
use super::unpacked::Unpacked;
use crate::index::{self, Block, Index};
use crate::records::{Layout, ReadBlocks, ReadOptions, Shard, TakeFound, split};
use crate::{DataError, Shards, Split, pool};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Bytes of the largest block: a row group that is larger would not fit beside others.
const LARGEST_BLOCK: u64 = 512 << 20;

/// The blocks of a set of shards.
#[derive(Debug)]
pub(crate) struct Source {
    index: Index,
    /// The number of blocks of each shard.
    shards: Shards,
    /// The records of each block.
    sizes: Vec<u32>,
    /// A checksum of the checksums of each shard's blocks.
    checksums: Vec<u32>,
    /// Bytes of the largest block.
    largest: u64,
    unpacked: Unpacked,
    /// The shards that a block was read of.
    opened: Mutex<HashMap<usize, Arc<dyn ReadBlocks>>>,
}

/// The numbers of blocks for training, validation and tests.
#[derive(Debug, Default)]
pub(crate) struct Divided {
    pub train: Vec<usize>,
    pub valid: Vec<usize>,
    pub test: Vec<usize>,
}

impl Divided {
    /// The part of each of `len` blocks: 0 for training, 1 for validation, 2 for tests.
    pub(crate) fn parts(&self, len: usize) -> Vec<usize> {
        let mut parts = vec![0; len];
        for (part, blocks) in [(1, &self.valid), (2, &self.test)] {
            blocks.iter().for_each(|&block| parts[block] = part);
        }
        parts
    }

    /// The test part or, without one, the validation part.
    pub(crate) fn held_out(self) -> Vec<usize> {
        if self.test.is_empty() { self.valid } else { self.test }
    }
}

impl Source {
    /// Opens the blocks of `uri`; builds their index where there is none.
    ///
    /// # Errors
    /// As [`Index::open`], and when there is no record or a block is too large.
    pub(crate) fn open(uri: &str, layout: &Layout) -> Result<Self, DataError> {
        Source::of(Index::open_as(uri, layout, &mut index::report(uri))?)
    }

    /// The blocks of an index.
    ///
    /// # Errors
    /// When there is no record or a block is too large.
    pub(crate) fn of(index: Index) -> Result<Self, DataError> {
        let (mut counts, mut sizes, mut checksums, mut largest) = (Vec::new(), Vec::new(), Vec::new(), 0);
        pool::in_order(
            pool::requests(),
            0..index.shards().len(),
            |shard| Ok((shard, index.rows(shard)?.blocks())),
            |(shard, blocks)| {
                counts.push(blocks.len() as u64);
                let mut checksum = crc32fast::Hasher::new();
                blocks.iter().for_each(|block| checksum.update(&block.crc32.to_le_bytes()));
                checksums.push(checksum.finalize());
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
        let (unpacked, opened) = (Unpacked::default(), Mutex::default());
        Ok(Source { index, shards, sizes, checksums, largest, unpacked, opened })
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

    /// The number of shards.
    pub(super) fn num_shards(&self) -> usize {
        self.shards.len()
    }

    /// The number of blocks of a shard.
    pub(super) fn blocks_of(&self, shard: usize) -> u64 {
        self.shards.size(shard)
    }

    /// A checksum of the checksums of a shard's blocks.
    pub(super) fn checksum_of(&self, shard: usize) -> u32 {
        self.checksums[shard]
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

    /// A shard, for one of its blocks to be read.
    ///
    /// # Errors
    /// When it has to be unpacked and cannot be, or the index cannot be read any more.
    fn shard(&self, shard: usize) -> Result<Shard, DataError> {
        let first = self.index.rows(shard)?.blocks().into_iter().next();
        let first = first.ok_or_else(|| DataError::source(self.shard_uri(shard), "a block", "none"))?;
        let (object, size) = (self.index.object(shard).clone(), self.index.indexed(shard).stat.size);
        Ok(Shard { object, size, unpacked: self.unpacked.object(&self.index, shard)?, first })
    }

    /// The bytes of a block as they are stored, unpacked.
    ///
    /// # Errors
    /// When they cannot be read, or are not those that were indexed, where the index has a checksum of them.
    pub(crate) fn fetch(&self, shard: usize, block: &Block) -> Result<Bytes, DataError> {
        let format = self.index.format();
        let read = || self.unpacked.object(&self.index, shard)?.range(block.bytes.clone());
        if format.has_blocks() && !format.reader(self.uri())?.has_checksums() {
            return read();
        }
        let check = |bytes: &Bytes| block.check(self.shard_uri(shard), crc32fast::hash(bytes));
        let bytes = self.unpacked.reading(&self.index, shard, |bytes| check(bytes).is_ok(), read)?;
        check(&bytes)?;
        Ok(bytes)
    }

    /// The blocks of a shard that has some. It is opened as the first `options` say.
    ///
    /// # Errors
    /// When what all blocks need of it cannot be read, or is not what was indexed.
    pub(crate) fn open_shard(
        &self,
        shard: usize,
        options: &ReadOptions<'_>,
    ) -> Result<Arc<dyn ReadBlocks>, DataError> {
        if let Some(blocks) = locked(&self.opened).get(&shard) {
            return Ok(blocks.clone());
        }
        let reader = self.index.format().reader(self.shard_uri(shard))?;
        let blocks = reader.open(self.shard(shard)?, options)?;
        locked(&self.opened).insert(shard, blocks.clone());
        Ok(blocks)
    }

    /// Reads the records of a block.
    ///
    /// # Errors
    /// `take`'s own, and when the block as a whole cannot be read.
    pub(crate) fn read(
        &self,
        shard: usize,
        block: &Block,
        options: &ReadOptions<'_>,
        take: TakeFound<'_>,
    ) -> Result<(), DataError> {
        self.open_shard(shard, options)?.read(block, options, take)
    }

    /// The blocks to train on, and those held out: drawn at random with `seed`.
    ///
    /// # Errors
    /// When a part that is asked for, or the training part, holds no block.
    pub(crate) fn divide(&self, (valid, test): (f64, f64), seed: u64) -> Result<Divided, DataError> {
        let Split { train, valid, test } = split::blocks(self.len(), self.uri(), valid, test, seed)?;
        let [train, valid, test] = [train, valid, test].map(|part| split::indices(&part));
        Ok(Divided { train, valid, test })
    }

    /// Reads the first `most` blocks once, several at a time: `work` gets the number of a block, its shard
    /// and its place, and what it makes of them goes to `take` in the order of the blocks. `purpose` is told
    /// the log.
    ///
    /// # Errors
    /// The first of `work` or `take`, in the order of the blocks.
    pub(crate) fn survey<T: Send>(
        &self,
        purpose: &str,
        most: usize,
        work: impl Fn(usize, usize, &Block) -> Result<T, DataError> + Sync,
        take: impl FnMut(T) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let most = self.len().min(most);
        log::info!("reading {} once for its {purpose}: {most} blocks", self.uri());
        let work = |number: usize| {
            let (shard, block) = self.find(number)?;
            work(number, shard, &block)
        };
        pool::in_order(pool::requests(), 0..most, work, take)
    }

    /// The number of blocks that are shuffled together: as many as `window_bytes` hold of the largest, one at
    /// least. `record_bytes` is what a record takes once it is decoded.
    pub(crate) fn window(&self, window_bytes: u64, record_bytes: u64) -> usize {
        let most = self.sizes.iter().max().map_or(0, |&records| u64::from(records));
        self.window_of(window_bytes, most.saturating_mul(record_bytes))
    }

    /// As [`Source::window`]; `decoded` are the bytes of the largest block once it is decoded.
    pub(crate) fn window_of(&self, window_bytes: u64, decoded: u64) -> usize {
        let largest = self.largest.max(decoded).max(1);
        usize::try_from(window_bytes / largest).unwrap_or(usize::MAX).clamp(1, self.len())
    }
}
