//! Files into frames: what is at a URI, each file read by its format, several blocks at a time.

use super::config::TableConfig;
use super::encode::Encoder;
use super::packing::Packing;
use super::rows::Rows;
use super::schema::TableSchema;
use super::unseen::Unseen;
use crate::records::{Found, Frame, MAGIC_BYTES, TakeFound, files, listed, open_blocks};
use crate::source::Object;
use crate::{DataError, memory, pool};
use std::collections::BTreeSet;

/// How less of a table would be held.
const STREAMED: &str = "data.stream = true reads it in windows";
const FEWER: &str = "its records name more columns than rows can have values for; are their keys values?";
/// Bytes of a packed cell, at the least.
const LEAST_CELL: u64 = 4;
/// Bytes of a cell of text, while its column grows.
const GROWING_TEXT: u64 = 32;

/// All rows of a table, packed, some thousand a frame.
#[derive(Debug)]
pub(super) struct Frames {
    pub uri: String,
    pub frames: Vec<Frame>,
    /// Rows that could not be read and were left out.
    pub skipped: u64,
}

/// Numbers of rows within their frames, frame by frame.
pub(super) type RowsOfFrames = Vec<Vec<usize>>;

impl Frames {
    /// Reads a file, or every file of a folder or glob.
    ///
    /// # Errors
    /// When something cannot be read (and is not to be skipped), there is no row, or the files
    /// disagree about the columns.
    pub(super) fn read(
        uri: &str,
        config: &TableConfig,
        schema: Option<&TableSchema>,
    ) -> Result<Self, DataError> {
        let (files, packing, mut same) = (files(uri)?, Packing::new(config, schema), SameColumns::default());
        if files.is_empty() {
            return Err(DataError::source(uri, "at least one file", "an empty folder"));
        }
        let mut all = Frames { uri: uri.to_string(), frames: Vec::new(), skipped: 0 };
        let growth = memory::Growth::begin();
        for file in files {
            read_file(&file, config, &packing, &mut |found| {
                match found {
                    Found::Unreadable(_, error) => config.on_corrupt.refuse(error, &mut all.skipped)?,
                    Found::Frame(frame) => {
                        same.check(&frame)?;
                        all.frames.push(frame);
                        growth.check(uri, STREAMED)?;
                    }
                }
                Ok(())
            })?;
        }
        all.complete(&packing, schema)?;
        match all.len() {
            0 => Err(DataError::source(uri, "at least one row", "none")),
            _ => Ok(all),
        }
    }

    /// Gives frames whose records name their own columns those of all others, without values; where a column that
    /// no record names is 0 in all, those of the schema, too.
    ///
    /// # Errors
    /// When the values of all columns in all rows would take more memory than there is.
    fn complete(&mut self, packing: &Packing, schema: Option<&TableSchema>) -> Result<(), DataError> {
        let mut names: BTreeSet<String> = BTreeSet::new();
        if self.frames.iter().all(|frame| frame.sparse) {
            let inputs = schema.iter().flat_map(|schema| &schema.columns);
            names.extend(inputs.map(|column| column.name.clone()));
        }
        for frame in self.frames.iter().filter(|frame| frame.varies) {
            names.extend(frame.names.iter().cloned());
        }
        let given: u64 = self.frames.iter().map(|frame| (frame.names.len() * frame.len()) as u64).sum();
        let all = names.len() as u64 * self.len() as u64;
        memory::check_more(&self.uri, all.saturating_sub(given) * LEAST_CELL, FEWER)?;
        for frame in self.frames.iter_mut().filter(|frame| frame.varies) {
            // All of its names are among them.
            if frame.names.len() == names.len() {
                continue;
            }
            frame.complete(names.iter().map(String::as_str));
            packing.pack(frame);
        }
        Ok(())
    }

    /// The number of rows.
    pub(super) fn len(&self) -> usize {
        self.frames.iter().map(Frame::len).sum()
    }

    /// The frames of rows, given by their ascending numbers among all.
    pub(super) fn divide(&self, rows: &[u64]) -> RowsOfFrames {
        let (mut rest, mut first) = (rows, 0);
        let mut divided = Vec::with_capacity(self.frames.len());
        for frame in &self.frames {
            let end = first + frame.len() as u64;
            let (these, others) = rest.split_at(rest.partition_point(|&row| row < end));
            divided.push(these.iter().map(|row| (row - first) as usize).collect());
            (rest, first) = (others, end);
        }
        divided
    }

    /// All rows.
    pub(super) fn all(&self) -> RowsOfFrames {
        self.frames.iter().map(|frame| (0..frame.len()).collect()).collect()
    }

    /// Encodes some parts of the table, and counts the rows of each that cannot be encoded; in `unseen` the cells
    /// that say less than they did in training. A frame goes as soon
    /// as its rows are encoded.
    ///
    /// # Errors
    /// The first row's that cannot be encoded, unless the recipe skips it; when no row of a part that has some can
    /// be; when a column is absent.
    pub(super) fn encode<const N: usize>(
        self,
        encoder: &Encoder,
        parts: [RowsOfFrames; N],
        unseen: Option<&Unseen>,
    ) -> Result<[(Rows, u64); N], DataError> {
        let rows_of = |part: &RowsOfFrames| part.iter().map(Vec::len).sum::<usize>();
        let mut encoded = parts.each_ref().map(|part| (Rows::empty(encoder.layout(), rows_of(part)), 0));
        pool::in_order(
            pool::processors(),
            self.frames.into_iter().enumerate(),
            |(number, frame)| {
                let mut pieces = Vec::with_capacity(N);
                for part in &parts {
                    let (kept, skipped) = encoder.keep_readable(&frame, &part[number])?;
                    if let Some(unseen) = unseen {
                        encoder.count_unseen(&frame, &kept, unseen)?;
                    }
                    pieces.push((encoder.encode(&frame, &kept)?, skipped));
                }
                Ok(pieces)
            },
            |pieces| {
                for ((rows, left_out), (piece, skipped)) in encoded.iter_mut().zip(pieces) {
                    rows.append(piece);
                    *left_out += skipped;
                }
                Ok(())
            },
        )?;
        let lost = |(part, (rows, _)): (&RowsOfFrames, &(Rows, u64))| rows_of(part) > 0 && rows.rows == 0;
        if parts.iter().zip(&encoded).any(lost) {
            return Err(DataError::source(&self.uri, "at least one row that can be read", "none"));
        }
        Ok(encoded)
    }
}

/// Hands the packed records of a file to `take`, in their order.
///
/// # Errors
/// `take`'s own, and when the file as a whole cannot be read.
fn read_file(
    uri: &str,
    config: &TableConfig,
    packing: &Packing,
    take: TakeFound<'_>,
) -> Result<(), DataError> {
    let format = config.format(uri)?;
    let mut object = Object::unpacked(uri)?;
    if let Some(content) = format.content() {
        let size = object.stat()?.size;
        format.check(uri, &object.range(0..size.min(MAGIC_BYTES))?)?;
        object = config.decoding()?.object(object, content)?;
    }
    let (dialect, column) = (config.dialect(uri, format)?, |name: &str| config.column(name));
    let options = config.options_as(dialect, packing, &column, None)?;
    let Some((blocks, places)) = open_blocks(&object, format, &options)? else {
        return format.reader(uri)?.read(uri, object.read()?, &options, &mut |mut found| {
            if let Found::Frame(frame) = &mut found {
                packing.pack(frame);
            }
            take(found)
        });
    };
    pool::in_order(
        pool::processors(),
        places,
        |block| {
            let column = |name: &str| config.column(name);
            let options = config.options_as(dialect, packing, &column, None)?;
            let mut all = Vec::new();
            blocks.read(&block, &options, &mut |mut found| {
                if let Found::Frame(frame) = &mut found {
                    packing.pack(frame);
                }
                all.push(found);
                Ok(())
            })?;
            Ok(all)
        },
        |found| found.into_iter().try_for_each(&mut *take),
    )
}

/// The columns that every frame of a table has.
#[derive(Default)]
pub(super) struct SameColumns {
    /// The first file, and its columns in the order of their names.
    first: Option<(String, Vec<String>)>,
}

impl SameColumns {
    /// Compares the columns of a frame with those of the first one; where every record names its own, no two
    /// frames need have the same.
    ///
    /// # Errors
    /// When they differ.
    pub(super) fn check(&mut self, frame: &Frame) -> Result<(), DataError> {
        if frame.varies {
            return Ok(());
        }
        self.require(frame)
    }

    /// Compares the columns of a frame with those of the first one.
    ///
    /// # Errors
    /// When they differ.
    pub(super) fn require(&mut self, frame: &Frame) -> Result<(), DataError> {
        let mut names = frame.names.clone();
        names.sort_unstable();
        let (file, expected) = self.first.get_or_insert_with(|| (frame.uri.clone(), names.clone()));
        if *expected == names {
            return Ok(());
        }
        let expected = format!("the columns of {file}: {}", listed(expected));
        Err(DataError::source(&frame.uri, expected, listed(&names)))
    }
}

/// All records that `read` finds, in one frame; those that cannot be read go to `unreadable`, by their number
/// among all.
///
/// # Errors
/// `read`'s and `unreadable`'s own, and when frames disagree about their columns.
pub(super) fn joined(
    uri: &str,
    read: impl FnOnce(TakeFound<'_>) -> Result<(), DataError>,
    unreadable: &mut dyn FnMut(usize, DataError) -> Result<(), DataError>,
) -> Result<Frame, DataError> {
    let mut all: Option<Frame> = None;
    // The records before the frame under way, and those of it that cannot be read.
    let (mut before, mut lost) = (0, 0);
    read(&mut |found| match found {
        Found::Unreadable(number, error) => {
            lost += 1;
            unreadable(before + number, error)
        }
        Found::Frame(mut frame) => {
            before += frame.len() + std::mem::take(&mut lost);
            match &mut all {
                Some(all) => {
                    share_columns(all, &mut frame)?;
                    all.append(frame)
                }
                None => {
                    all = Some(frame);
                    Ok(())
                }
            }
        }
    })?;
    all.ok_or_else(|| DataError::source(uri, "records", "none"))
}

/// Gives two frames whose records name their own columns those of each other, without values.
///
/// # Errors
/// When the values would take more memory than there is.
fn share_columns(all: &mut Frame, frame: &mut Frame) -> Result<(), DataError> {
    if !all.varies || !frame.varies || all.names == frame.names {
        return Ok(());
    }
    let names: BTreeSet<&str> = all.names.iter().chain(&frame.names).map(String::as_str).collect();
    let cells = |frame: &Frame| ((names.len() - frame.names.len()) * frame.len()) as u64;
    memory::check_more(&all.uri, (cells(all) + cells(frame)) * GROWING_TEXT, FEWER)?;
    let names: Vec<String> = names.into_iter().map(str::to_string).collect();
    for frame in [all, frame] {
        frame.complete(names.iter().map(String::as_str));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OnCorrupt;
    use crate::records::{Format, ReadOptions, Use};

    fn write(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_string()
    }

    #[test]
    fn frames_of_one_block_share_the_columns_of_their_records() {
        let text = "{\"a\": 1, \"b\": \"x\"}\n{\"c\": 2}\n{\"b\": \"y\", \"a\": 3}\n";
        let options = ReadOptions { at_once: 1, ..ReadOptions::plain(&|_| Use::Cell) };
        let read = |take: TakeFound<'_>| Format::Jsonl.reader("x")?.read("x", text.into(), &options, take);
        let frame = joined("x", read, &mut |_, error| Err(error)).unwrap();
        let cells = |name: &str| {
            let column = frame.position(name).unwrap();
            (0..3)
                .map(|row| frame.columns[column].text(row).unwrap_or_default().into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            ["a", "b", "c"].map(cells),
            [["1", "", "3"], ["x", "", "y"], ["", "2", ""]].map(Vec::from)
        );
    }

    #[test]
    fn a_folder_of_files_is_one_table_whatever_the_order_of_columns() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder, "part-0.csv", "a,b\n1,x\n2,?\n");
        let second = write(&folder, "part-1.csv", "b,a\ny,3\n");
        let table = Frames::read(folder.path().to_str().unwrap(), &TableConfig::default(), None).unwrap();
        assert_eq!(table.len(), 3);
        let [first, other] = &table.frames[..] else { panic!("{table:?}") };
        assert_eq!((first.columns[1].text(1), other.columns[0].text(0).unwrap()), (None, "y".into()));
        assert_eq!(other.columns[1].number(0), Some(Ok(3.0)));
        let error = other.cell_error(0, "a", "x", "y").to_string();
        assert!(error.contains(&second) && error.contains("line 2, column `a`"), "{error}");
    }

    #[test]
    fn files_that_disagree_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder, "1.csv", "a,b\n1,x\n");
        write(&folder, "2.csv", "a,c\n1,x\n");
        let uri = folder.path().to_str().unwrap();
        let error = Frames::read(uri, &TableConfig::default(), None).unwrap_err().to_string();
        assert!(error.ends_with("1.csv: a, b, found a, c"), "{error}");
    }

    #[test]
    fn a_header_alone_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let uri = write(&folder, "h.csv", "a,b\n");
        let error = Frames::read(&uri, &TableConfig::default(), None).unwrap_err().to_string();
        assert!(error.contains("expected at least one row, found none"), "{error}");
    }

    #[test]
    fn corrupt_rows_stop_or_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let uri = write(&folder, "h.csv", "a,b\n1,2\n3\n4,5\n");
        assert!(Frames::read(&uri, &TableConfig::default(), None).is_err());
        let skip = TableConfig { on_corrupt: OnCorrupt::Skip, ..Default::default() };
        let table = Frames::read(&uri, &skip, None).unwrap();
        assert_eq!((table.len(), table.skipped), (2, 1));
    }

    #[test]
    fn rows_find_their_frames() {
        let folder = tempfile::tempdir().unwrap();
        let rows: String = (0..200).map(|row| format!("{row},x\n")).collect();
        let uri = write(&folder, "h.csv", &format!("a,b\n{rows}"));
        let table = Frames::read(&uri, &TableConfig::default(), None).unwrap();
        assert!(table.frames.len() > 3);
        let numbers: Vec<u64> = (0..200).filter(|row| row % 3 == 1 && !(40..90).contains(row)).collect();
        let found = table.divide(&numbers).into_iter().zip(&table.frames).flat_map(|(rows, frame)| {
            rows.into_iter().map(|row| frame.columns[0].number(row).unwrap().unwrap() as u64)
        });
        assert_eq!(found.collect::<Vec<_>>(), numbers);
    }
}
