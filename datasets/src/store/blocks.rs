//! The blocks of a set of shards: CSV, JSONL, plain text and Parquet are read by them.

use super::lock::locked;
use super::unpacked::Unpacked;
use crate::index::{self, Block, Index};
use crate::records::csv::{Csv, Given};
use crate::records::parquet::{arrow, footer, group_reader, guarded};
use crate::records::{Dialect, Format, Layout, split};
use crate::source::{Object, one_line};
use crate::{DataError, Shards, Split, pool};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Bytes of the largest block: a row group that is larger would not fit beside others.
const LARGEST_BLOCK: u64 = 512 << 20;

/// The blocks of a set of shards.
#[derive(Debug)]
pub(crate) struct Source {
    index: Index,
    /// How many blocks each shard has.
    shards: Shards,
    /// The records of each block.
    sizes: Vec<u32>,
    /// A checksum of the checksums of each shard's blocks.
    checksums: Vec<u32>,
    /// Bytes of the largest block.
    largest: u64,
    unpacked: Unpacked,
    /// The part of a shard that each of its blocks needs, once the shard was opened.
    opened: Mutex<HashMap<usize, Opened>>,
}

/// The numbers of blocks for training, validation and tests.
pub(crate) struct Divided {
    pub train: Vec<usize>,
    pub valid: Vec<usize>,
    pub test: Vec<usize>,
}

impl Divided {
    /// The test part or, without one, the validation part.
    pub(crate) fn held_out(self) -> Vec<usize> {
        if self.test.is_empty() { self.valid } else { self.test }
    }
}

/// The part of a shard that each of its blocks needs.
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

    /// The bytes of a block as they are stored.
    ///
    /// # Errors
    /// When they cannot be read, or are not those that were indexed. Parquet has no checksum of them.
    pub(crate) fn stored(&self, shard: usize, block: &Block) -> Result<Bytes, DataError> {
        match self.index.format() {
            Format::Parquet => self.index.object(shard).range(block.bytes.clone()),
            _ => self.fetch(shard, block),
        }
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

    /// The names of a CSV shard's columns, out of the bytes before its first block or, where a shard has no
    /// header, of that block.
    ///
    /// # Errors
    /// When the bytes cannot be read, or are no header.
    pub(crate) fn names(
        &self,
        shard: usize,
        dialect: Dialect,
        given: Given<'_>,
    ) -> Result<Arc<[String]>, DataError> {
        if let Some(Opened::Names(names)) = locked(&self.opened).get(&shard) {
            return Ok(names.clone());
        }
        let first = self.index.rows(shard)?.blocks().into_iter().next();
        let bytes = first.map_or(0..0, |block| block.bytes);
        let head = 0..if bytes.start > 0 { bytes.start } else { bytes.end };
        let head = self.unpacked.object(&self.index, shard)?.range(head)?;
        let names: Arc<[String]> = Csv::open(self.shard_uri(shard), &head, dialect, given)?.names().into();
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
    /// the user.
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
        eprintln!("reading {} once for its {purpose}: {most} blocks", self.uri());
        let work = |number: usize| {
            let (shard, block) = self.find(number)?;
            work(number, shard, &block)
        };
        pool::in_order(pool::requests(), 0..most, work, take)
    }

    /// How many blocks are shuffled together: as many as `window_bytes` hold of the largest, one at least.
    /// `record_bytes` is what a record takes once it is decoded.
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
