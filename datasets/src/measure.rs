//! The speed of reading records, and of making training batches of them.

use crate::index::{Block, Index};
use crate::records::{Format, Layout};
use crate::store::{Decode, PictureDecoder, Source};
use crate::{DataError, Dataset, Pipeline, pool, table, text};
use bonfire_contract::{Loader, Position};
use burn::tensor::Device;
use std::time::{Duration, Instant};

/// Blocks from which columns and vocabulary are taken: enough to know them by, and not the whole set.
const SURVEYED: usize = 64;

/// The samples that records become.
#[derive(Clone, Debug)]
pub enum Records {
    /// Rows of numbers and categories; the column to predict is the last one when it is not given.
    Rows {
        /// The column to predict.
        target: Option<String>,
        /// True where all rows are held in memory, as training does with `data.stream = false`.
        held: bool,
    },
    /// Windows of `context` characters on the texts of a column, or on plain text.
    Characters {
        /// The column of the texts; of no meaning for plain text.
        column: String,
        /// Characters of a window.
        context: usize,
    },
}

/// Records that were read for a while.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Records that were read, or windows of a text that were made.
    pub records: u64,
    /// Bytes of the records, as they are stored.
    pub bytes: u64,
    /// The time it took by the clock.
    pub elapsed: Duration,
}

/// Tells files of records, rows or texts, from files of pictures: true for records.
///
/// # Errors
/// When it cannot be read.
pub fn holds_records(uri: &str) -> Result<bool, DataError> {
    let format = Format::of(uri)?;
    let may_be_pictures = || PictureDecoder::fits(&Source::open(uri, &Layout::plain(format))?, 0);
    Ok(format.has_blocks() && !(format.may_hold_pictures() && may_be_pictures()?))
}

/// Reads blocks by `threads` threads for `time`, over and over, and compares their checksums (of Parquet,
/// there are none of blocks).
///
/// # Errors
/// When a block cannot be read.
pub fn read(index: Index, threads: usize, time: Duration) -> Result<Rate, DataError> {
    let source = Source::of(index)?;
    by_blocks(&source, threads, time, |shard, block| source.fetch(shard, block).map(|read| read.len() as u64))
}

/// Reads rows into the encoded columns of a table, block after block, on `threads` threads for `time`, over
/// and over.
///
/// # Errors
/// As [`batches`].
pub fn parse(uri: &str, target: Option<&str>, threads: usize, time: Duration) -> Result<Rate, DataError> {
    let table = table::first_blocks(uri, target, threads, SURVEYED)?;
    let decoder = table.decoder();
    by_blocks(table.source(), threads, time, |shard, block| {
        std::hint::black_box(decoder.decode(table.source(), shard, block)?);
        Ok(block.bytes.end - block.bytes.start)
    })
}

/// Does `work` with each block, over and over for `time`, on `threads` threads; `work` says how many bytes it
/// read.
fn by_blocks(
    source: &Source,
    threads: usize,
    time: Duration,
    work: impl Fn(usize, &Block) -> Result<u64, DataError> + Sync,
) -> Result<Rate, DataError> {
    let begun = Instant::now();
    let mut rate = Rate { records: 0, bytes: 0, elapsed: Duration::ZERO };
    let blocks = (0..source.len()).cycle().take_while(|_| begun.elapsed() < time);
    let read = |number| {
        let (shard, block) = source.find(number)?;
        Ok((block.records, work(shard, &block)?))
    };
    pool::in_order(threads, blocks, read, |(records, bytes)| {
        (rate.records, rate.bytes) = (rate.records + records, rate.bytes + bytes);
        Ok(())
    })?;
    Ok(Rate { elapsed: begun.elapsed(), ..rate })
}

/// Reads records into training batches for `time`, over and over: held rows in the order `full`, all others
/// in the order `window`. Columns and vocabulary come from the first blocks; a record that does not fit them
/// counts as the others do.
///
/// # Errors
/// When a block cannot be read, or the records make no table or text.
pub fn batches(
    uri: &str,
    records: &Records,
    batch_size: usize,
    workers: usize,
    time: Duration,
    device: &Device,
) -> Result<Rate, DataError> {
    match records {
        Records::Rows { target, held } => {
            let table = table::first_blocks(uri, target.as_deref(), workers, SURVEYED)?;
            let training = if *held { table::open(&table.held_config(), 1)?.train } else { table.training() };
            timed(&training, table.source().index().bytes(), batch_size, time, device)
        }
        Records::Characters { column, context } => {
            let (set, bytes) = text::first_blocks(uri, column, *context, workers, SURVEYED)?;
            timed(&set, bytes, batch_size, time, device)
        }
    }
}

/// Reads the batches of a pipeline whose samples are of `bytes` bytes in all.
fn timed<D: Dataset>(
    pipeline: &Pipeline<D>,
    bytes: u64,
    batch_size: usize,
    time: Duration,
    device: &Device,
) -> Result<Rate, DataError> {
    let begun = Instant::now();
    let (mut records, mut epoch) = (0, 0);
    while begun.elapsed() < time {
        for batch in pipeline.batches(Position { epoch, samples: 0 }, batch_size, device) {
            records += batch.map_err(|error| DataError::source("batch", "readable records", error))?.consumed;
            if begun.elapsed() >= time {
                break;
            }
        }
        epoch += 1;
    }
    let elapsed = begun.elapsed();
    let bytes = bytes as f64 * records as f64 / pipeline.len().max(1) as f64;
    Ok(Rate { records, bytes: bytes as u64, elapsed })
}
