//! Files whose records are decoded as Arrow's record batches: the blocks of a file behind its head, and the
//! rows of batches as frames.
//!
//! ```text
//! [head] [record batch] [record batch] ...      about BLOCK bytes of them are one block here, which is decoded
//!        └─ block 0 ──────────────────┴─ ...    as a file of its own, behind the head
//! ```

mod cells;
mod classes;

#[cfg(test)]
pub(super) use cells::FRAME_ROWS;
pub(super) use cells::{Columns, spelled};
pub(super) use classes::class_names;

use super::cut::Cutter;
use super::entry::{Entries, File, Records, scanned};
use super::guard::guarded;
use super::read::{Found, ReadBlocks, ReadOptions, ReadRecords, TakeFound};
use super::shard::{Block, Shard};
use crate::DataError;
use crate::source::{Object, one_line, packing};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use std::fmt::Display;
use std::io::{BufReader, Read};
use std::marker::PhantomData;
use std::sync::Arc;

/// A format of record batches behind a head.
pub(super) trait Batched: Sync + Send + std::fmt::Debug + 'static {
    /// The name of the format.
    const NAME: &'static str;

    /// What a file should be.
    const WHOLE: &'static str;

    /// Reads a file: its head and its batches are handed to `blocks`.
    ///
    /// # Errors
    /// `blocks`' own, and when the file cannot be read, is damaged or cut short, or a batch is too large.
    fn scan(file: &mut Reading<'_, impl Read>, blocks: &mut Blocks<'_>) -> Result<(), DataError>;

    /// The schema that a head says; `block` follows it.
    ///
    /// # Errors
    /// When it cannot be decoded.
    fn schema(uri: &str, head: &[u8], block: &[u8]) -> Result<SchemaRef, DataError>;

    /// Hands the batches of `bytes`, a head and a block, to `take`, the columns numbered `at` of each. The first
    /// row is row `row` of the file.
    ///
    /// # Errors
    /// `take`'s own, and when a batch cannot be decoded.
    fn batches(
        uri: &str,
        bytes: (&[u8], &[u8]),
        at: &[usize],
        row: u64,
        take: &mut dyn FnMut(&RecordBatch) -> Result<(), DataError>,
    ) -> Result<(), DataError>;
}

/// The error of damage that the crate which decodes a format reports.
pub(super) fn damaged<F: Batched>(uri: &str) -> impl Fn(arrow_schema::ArrowError) -> DataError {
    move |error| DataError::source(uri, F::WHOLE, one_line(error))
}

/// The format, read.
pub(super) struct BatchRecords<F>(pub PhantomData<F>);

impl<F: Batched> Records for BatchRecords<F> {
    fn entries(&self, file: &File<'_>) -> Result<Entries, DataError> {
        scanned(file, |uri, unpacked, take| {
            let mut cutter = Cutter::new(F::NAME, take);
            scan::<F>(uri, unpacked, &mut |head, bytes, row, records| {
                if cutter.begin == 0 {
                    cutter.begin = head.len() as u64;
                }
                (cutter.records, cutter.line) = (records, row);
                cutter.cut(bytes, row + u64::from(records))
            })
            .map(drop)
        })
    }
}

impl<F: Batched> ReadRecords for BatchRecords<F> {
    fn read(
        &self,
        uri: &str,
        bytes: Bytes,
        options: &ReadOptions<'_>,
        take: TakeFound<'_>,
    ) -> Result<(), DataError> {
        read_all::<F>(uri, &bytes[..], options, take)
    }

    fn pieces(&self, uri: &str, options: &ReadOptions<'_>, take: TakeFound<'_>) -> Result<(), DataError> {
        read_all::<F>(uri, packing::open(&Object::open(uri)?)?.1, options, take)
    }

    fn open(&self, shard: Shard, _: &ReadOptions<'_>) -> Result<Arc<dyn ReadBlocks>, DataError> {
        let head = shard.head()?;
        Ok(Arc::new(BatchBlocks::<F> { shard, head, format: PhantomData }))
    }

    fn is_typed(&self) -> bool {
        true
    }
}

/// The blocks of an indexed file.
#[derive(Debug)]
struct BatchBlocks<F> {
    shard: Shard,
    head: Bytes,
    format: PhantomData<F>,
}

impl<F: Batched> ReadBlocks for BatchBlocks<F> {
    fn shard(&self) -> &Shard {
        &self.shard
    }

    fn read(&self, block: &Block, options: &ReadOptions<'_>, take: TakeFound<'_>) -> Result<(), DataError> {
        let bytes = self.shard.fetch(block)?;
        match decode::<F>(self.shard.uri(), &self.head, &bytes, block.line, options, take)? {
            rows if rows == block.records => Ok(()),
            rows => {
                let place = format!("block at row {}", block.line);
                Err(DataError::malformed(self.shard.uri(), place, format!("{} rows", block.records), rows))
            }
        }
    }
}

/// Reads a file from its beginning to its end.
fn read_all<F: Batched>(
    uri: &str,
    reader: impl Read,
    options: &ReadOptions<'_>,
    take: TakeFound<'_>,
) -> Result<(), DataError> {
    let mut any = false;
    let head = scan::<F>(uri, reader, &mut |head, bytes, row, _| {
        any = true;
        decode::<F>(uri, head, bytes, row, options, take).map(drop)
    })?;
    if any { Ok(()) } else { decode::<F>(uri, &head, b"", 1, options, take).map(drop) }
}

/// The taker of each block of a file: the head, its own bytes, the number of its first row, counted from 1, and
/// how many rows it has.
type TakeBlock<'a> = &'a mut dyn FnMut(&[u8], &[u8], u64, u32) -> Result<(), DataError>;

/// Reads a file, and hands out its blocks. Gives the head back.
///
/// # Errors
/// `take`'s own, and the format's.
fn scan<F: Batched>(uri: &str, reader: impl Read, take: TakeBlock<'_>) -> Result<Vec<u8>, DataError> {
    let mut file = Reading::new(uri, F::WHOLE, BufReader::with_capacity(1 << 18, reader));
    let (head, bytes) = (Vec::new(), Vec::new());
    let mut blocks = Blocks { head, bytes, row: 1, records: 0, take };
    F::scan(&mut file, &mut blocks)?;
    blocks.hand_out()?;
    Ok(blocks.head)
}

/// Hands the rows of a block to `take`, the first of which is row `row` of the file; how many they are.
///
/// # Errors
/// `take`'s own, and when a batch cannot be decoded.
fn decode<F: Batched>(
    uri: &str,
    head: &[u8],
    block: &[u8],
    row: u64,
    options: &ReadOptions<'_>,
    take: TakeFound<'_>,
) -> Result<u64, DataError> {
    guarded(uri, F::WHOLE, "a damaged one", || {
        let columns = Columns::of(uri, &*F::schema(uri, head, block)?, options)?;
        let at = columns.at().to_vec();
        let mut rows = Rows { uri, columns, options, row };
        F::batches(uri, (head, block), &at, row, &mut |batch| rows.hand_out(batch, take))?;
        rows.hand_out_none(row, take)?;
        Ok(rows.row - row)
    })
}

/// The blocks of a file as they are found.
pub(super) struct Blocks<'a> {
    /// The bytes before the first batch.
    pub head: Vec<u8>,
    /// The bytes of the block under way.
    pub bytes: Vec<u8>,
    /// The number of its first row, counted from 1, and its rows so far.
    row: u64,
    records: u64,
    take: TakeBlock<'a>,
}

impl Blocks<'_> {
    /// Counts so many rows, whose bytes are the last ones. A block with rows ends here where it has `least`
    /// bytes.
    ///
    /// # Errors
    /// The taker's own.
    pub(super) fn add(&mut self, rows: u64, least: u64) -> Result<(), DataError> {
        self.records += rows;
        if self.bytes.len() as u64 >= least { self.hand_out() } else { Ok(()) }
    }

    /// Hands out the block under way where it has rows.
    fn hand_out(&mut self) -> Result<(), DataError> {
        if self.records == 0 {
            return Ok(());
        }
        let records = u32::try_from(self.records).unwrap_or(u32::MAX);
        (self.take)(&self.head, &self.bytes, self.row, records)?;
        (self.row, self.records) = (self.row + self.records, 0);
        self.bytes.clear();
        Ok(())
    }
}

/// Rows of batches on their way into frames.
pub(super) struct Rows<'a> {
    pub uri: &'a str,
    pub columns: Columns,
    pub options: &'a ReadOptions<'a>,
    /// The number of the next row in the file, counted from 1.
    pub row: u64,
}

impl Rows<'_> {
    /// Hands the rows of a batch to `take`, in frames of so many at most as the columns say.
    ///
    /// # Errors
    /// `take`'s own.
    pub(super) fn hand_out(&mut self, batch: &RecordBatch, take: TakeFound<'_>) -> Result<(), DataError> {
        let (rows, most) = (batch.num_rows(), self.columns.frame_rows);
        for start in (0..rows).step_by(most) {
            let piece = batch.slice(start, most.min(rows - start));
            take(Found::Frame(self.columns.frame(self.uri, self.row, &piece, self.options)))?;
            self.row += piece.num_rows() as u64;
        }
        Ok(())
    }

    /// Hands a frame without rows to `take` where none came after `first_row`.
    ///
    /// # Errors
    /// `take`'s own.
    pub(super) fn hand_out_none(&self, first_row: u64, take: TakeFound<'_>) -> Result<(), DataError> {
        if self.row == first_row { take(Found::Frame(self.columns.none(self.uri))) } else { Ok(()) }
    }
}

/// A file on its way, of which errors say where they are.
pub(super) struct Reading<'a, R> {
    uri: &'a str,
    /// What the file should be.
    whole: &'static str,
    pub reader: R,
    /// The bytes that were read.
    read: u64,
}

impl<'a, R: Read> Reading<'a, R> {
    pub(super) fn new(uri: &'a str, whole: &'static str, reader: R) -> Self {
        Reading { uri, whole, reader, read: 0 }
    }

    pub(super) fn uri(&self) -> &'a str {
        self.uri
    }

    pub(super) fn malformed(&self, expected: &str, found: impl ToString) -> DataError {
        DataError::malformed(self.uri, format!("byte {}", self.read), expected, found)
    }

    /// The error of a file that is not whole.
    pub(super) fn damaged(&self, found: impl Display) -> DataError {
        self.malformed(self.whole, one_line(found))
    }

    /// The error of a file that ends too early.
    pub(super) fn ended(&self) -> DataError {
        self.damaged("the end of the file")
    }

    /// Reads into `buffer` what comes at once; how many bytes: 0 at the end of the file.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn some(&mut self, buffer: &mut [u8]) -> Result<usize, DataError> {
        let read = self.reader.read(buffer).map_err(|error| self.damaged(error))?;
        self.read += read as u64;
        Ok(read)
    }

    /// Appends so many bytes to `bytes`, or those before the end of the file; how many.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn take_most(&mut self, bytes: &mut Vec<u8>, many: u64) -> Result<u64, DataError> {
        // The length is a claim: the buffer grows with what is there.
        let read = self.reader.by_ref().take(many).read_to_end(bytes);
        let read = read.map_err(|error| self.damaged(error))? as u64;
        self.read += read;
        Ok(read)
    }

    /// Appends so many bytes to `bytes`.
    ///
    /// # Errors
    /// When there are fewer, or they cannot be read.
    pub(super) fn take(&mut self, bytes: &mut Vec<u8>, many: u64) -> Result<(), DataError> {
        if self.take_most(bytes, many)? < many { Err(self.ended()) } else { Ok(()) }
    }
}
