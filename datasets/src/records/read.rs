//! Records read into frames: the questions that a format answers, whoever asks.
//!
//! ```text
//! bytes of a file  ─┐
//! block of a shard ─┼─ format ─> Frame, Frame, … and each record that cannot be read
//! file, in pieces  ─┘              └─> table, text, audit, convert
//! ```

use super::dialect::{Dialect, Given};
use super::encoding::Decoding;
use super::frame::Frame;
use super::marks::Marks;
use super::shard::{Block, Shard};
use crate::DataError;
use bytes::Bytes;
use std::fmt::Debug;
use std::sync::Arc;

/// The use of a column's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Cells of a table: numbers where the format knows them as such, and text elsewhere.
    Cell,
    /// As `Cell`; a column of a type that is none of a table's is left out, and told.
    Offer,
    /// Texts. Where a format tells text from numbers, a record with anything else there cannot be read.
    Text,
    /// Labels: text, numbers and truth values, as they are spelled.
    Label,
    /// None, and yet a record with a list or an object there cannot be read.
    Check,
    /// None: it may hold anything.
    Nothing,
}

impl Use {
    /// True where the cells are wanted.
    pub(super) fn is_wanted(self) -> bool {
        matches!(self, Use::Cell | Use::Offer | Use::Text | Use::Label)
    }
}

/// The wishes of those who read records; a format heeds what it can.
#[derive(Clone, Copy)]
pub(crate) struct ReadOptions<'a> {
    /// The cut of a CSV's lines.
    pub dialect: Dialect,
    /// The encoding of a file of text.
    pub decoding: Decoding,
    /// The names of a CSV's columns.
    pub given: Given<'a>,
    /// The sheet of a workbook; the first that has cells when not given.
    pub sheet: Option<&'a str>,
    /// The use of a column, by its name.
    pub column: &'a dyn Fn(&str) -> Use,
    /// Cells that mean "no value"; spaces around cells do not count then. Without it cells are what stands in
    /// the file.
    pub missing: Option<&'a Marks>,
    /// True where dates and times that a format knows as such are [`Cells::Dates`](super::Cells::Dates); they are
    /// numbers of the file's own unit otherwise.
    pub dates: bool,
    /// True to read the whole numbers of a column as the names of classes that the file gives them, and -1 as
    /// no value.
    pub class_names: bool,
    /// Records of a frame at most.
    pub at_once: usize,
}

impl<'a> ReadOptions<'a> {
    /// Cells as they stand in files that say by themselves how they are cut.
    pub(crate) fn plain(column: &'a dyn Fn(&str) -> Use) -> Self {
        let (dialect, decoding, given) = (Dialect::default(), Decoding::default(), Given::default());
        let (sheet, missing, class_names, dates, at_once) = (None, None, false, false, usize::MAX);
        ReadOptions { dialect, decoding, given, sheet, column, missing, class_names, dates, at_once }
    }

    /// The value of a cell; `None` where its text means that there is none.
    pub(super) fn value<'t>(&self, cell: &'t str) -> Option<&'t str> {
        let Some(marks) = self.missing else { return Some(cell) };
        let cell = cell.trim();
        (!marks.contains(cell)).then_some(cell)
    }
}

/// Records as they are found, in their order but for those that cannot be read, which come before the frame
/// that they would be in.
pub(crate) enum Found {
    /// Some records.
    Frame(Frame),
    /// A record that cannot be read: its number among those of the next frame, the unreadable ones counted,
    /// too, and the reason.
    Unreadable(usize, DataError),
}

/// The taker of what is found; its error stops the reading. The records before one that stops it are handed
/// out all the same.
pub(crate) type TakeFound<'a> = &'a mut dyn FnMut(Found) -> Result<(), DataError>;

/// Records on their way into frames, one after the other.
pub(super) trait Fill {
    /// Appends the next record, or says why it cannot be read; none at the end.
    fn next(&mut self) -> Option<Result<(), DataError>>;

    /// The records that were appended; none are left.
    fn frame(&mut self) -> Frame;

    /// True where what was appended should be handed out, as it takes much memory for so few records.
    fn is_full(&self) -> bool {
        false
    }
}

/// Hands out records in frames of `at_once` at most.
///
/// # Errors
/// `take`'s own.
pub(super) fn frames(mut records: impl Fill, at_once: usize, take: TakeFound<'_>) -> Result<(), DataError> {
    let (mut number, mut stopped) = (0, Ok(()));
    while stopped.is_ok()
        && let Some(record) = records.next()
    {
        if let Err(error) = record {
            stopped = take(Found::Unreadable(number, error));
        }
        number += 1;
        if number == at_once || records.is_full() {
            take(Found::Frame(records.frame()))?;
            number = 0;
        }
    }
    take(Found::Frame(records.frame()))?;
    stopped
}

/// A format of records that have columns, or that are lines of text.
pub(crate) trait ReadRecords: Sync {
    /// Reads a file in memory, of which text is UTF-8. There is one frame at least, however few the records.
    ///
    /// # Errors
    /// `take`'s own, and when the file as a whole cannot be read.
    fn read(
        &self,
        uri: &str,
        bytes: Bytes,
        options: &ReadOptions<'_>,
        take: TakeFound<'_>,
    ) -> Result<(), DataError>;

    /// Reads a file from its beginning to its end, a frame of about 1 MiB after the other, and keeps nothing
    /// of it.
    ///
    /// # Errors
    /// As [`read`](ReadRecords::read).
    fn pieces(&self, uri: &str, options: &ReadOptions<'_>, take: TakeFound<'_>) -> Result<(), DataError>;

    /// Opens an indexed file: whatever all of its blocks need of it is read here.
    ///
    /// # Errors
    /// When that cannot be read, or is not what was indexed.
    fn open(&self, shard: Shard, options: &ReadOptions<'_>) -> Result<Arc<dyn ReadBlocks>, DataError>;

    /// True where a file is text as it is, and a record a line of it.
    fn is_plain(&self) -> bool {
        false
    }

    /// True where files say of which type their columns are.
    fn is_typed(&self) -> bool {
        false
    }

    /// True where the index has a checksum of each block's bytes, and not of something that all blocks share.
    fn has_checksums(&self) -> bool {
        true
    }
}

/// The blocks of an indexed file.
pub(crate) trait ReadBlocks: Debug + Send + Sync {
    /// The file.
    fn shard(&self) -> &Shard;

    /// Reads a block. There is one frame at least, however few the records.
    ///
    /// # Errors
    /// `take`'s own, and when the block as a whole cannot be read.
    fn read(&self, block: &Block, options: &ReadOptions<'_>, take: TakeFound<'_>) -> Result<(), DataError>;

    /// Checks every record of a block, whatever its columns hold; `corrupt` is told of each that cannot be
    /// read.
    ///
    /// # Errors
    /// When the block as a whole cannot be read.
    fn verify(&self, block: &Block, corrupt: &mut dyn FnMut(DataError)) -> Result<(), DataError> {
        self.read(block, &ReadOptions::plain(&|_| Use::Nothing), &mut |found| {
            if let Found::Unreadable(_, error) = found {
                corrupt(error);
            }
            Ok(())
        })
    }

    /// True where the records are pictures.
    fn are_pictures(&self) -> bool {
        false
    }

    /// The encoded pictures of a block; `None` where a record has none.
    ///
    /// # Errors
    /// When the records are no pictures, or cannot be read.
    fn pictures(&self, block: &Block) -> Result<Vec<Option<Bytes>>, DataError> {
        let place = format!("block at line {}", block.line);
        Err(DataError::malformed(self.shard().uri(), place, "a column of pictures", "none"))
    }
}
