//! Texts out of one file: the columns of its records, its lines, or the whole of it.

use super::config::TextConfig;
use crate::index::Block;
use crate::keep::{Kept, kept};
use crate::records::{
    Content, Dialect, Format, Found, Frame, ReadOptions, TakeFound, Use, nearest, utf8, without_mark,
};
use crate::store::Source;
use crate::{DataError, source};

/// Texts of a frame: they may be long, and what they become takes the place of each frame.
const AT_ONCE: usize = 1024;

/// One text and where it stands.
#[derive(Debug, PartialEq)]
pub(super) struct Text {
    pub text: String,
    /// Absent where the data have none or none is asked for.
    pub label: Option<String>,
    /// The cell that decides whether it is held out, where a column does.
    pub key: Option<String>,
    /// The file.
    pub uri: String,
    /// The line it begins on, counted from 1; `None` for a whole file.
    pub line: Option<u64>,
}

impl Text {
    /// `sms.csv:17`, or the file alone where it is the whole of it.
    pub(super) fn place(&self) -> String {
        match self.line {
            Some(line) => format!("{}:{line}", self.uri),
            None => self.uri.clone(),
        }
    }
}

/// Takes each text, or the error of one that cannot be read.
pub(super) type Take<'a> = &'a mut dyn FnMut(Result<Text, DataError>) -> Result<(), DataError>;

/// Reads one file.
pub(super) struct Reader<'a> {
    pub uri: &'a str,
    pub config: &'a TextConfig,
    pub format: Format,
    /// True when every text must have a label.
    pub labelled: bool,
}

impl Reader<'_> {
    /// The file as one text.
    ///
    /// # Errors
    /// `take`'s own.
    pub(super) fn whole(&self, label: Option<String>, take: Take<'_>) -> Result<(), DataError> {
        let decoding = self.config.decoding()?;
        let read = source::read_unpacked(self.uri)
            .and_then(|bytes| decoding.bytes(self.uri, bytes, Content::Prose))
            .and_then(|bytes| utf8(self.uri, without_mark(&bytes), 1, decoding).map(String::from));
        take(read.map(|text| Text { text, label, key: None, uri: self.uri.to_string(), line: None }))
    }

    /// The records of the file, a text each, all of it in memory.
    ///
    /// # Errors
    /// `take`'s own, when the file cannot be read, and when there is no such column.
    pub(super) fn read(&self, take: Take<'_>) -> Result<(), DataError> {
        let mut bytes = source::read_unpacked(self.uri)?;
        let content = if self.format.is_plain() { Some(Content::Lines) } else { self.format.content() };
        if let Some(content) = content {
            self.format.check(self.uri, &bytes)?;
            bytes = self.config.decoding()?.bytes(self.uri, bytes, content)?;
        }
        let (reader, dialect) = (self.format.reader(self.uri)?, self.dialect()?);
        self.each(dialect, take, |options, take| reader.read(self.uri, bytes, options, take))
    }

    /// As [`read`](Reader::read), of a file of which some records at a time are in memory, each in its turn, with
    /// those of its cells that are to be carried along; none of a record that cannot be read.
    ///
    /// # Errors
    /// As [`read`](Reader::read), and when there is no such column as is to be kept.
    pub(super) fn pieces_keeping(
        &self,
        keep: &[String],
        take: &mut dyn FnMut(Result<Text, DataError>, Kept) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let (reader, dialect) = (self.format.reader(self.uri)?, self.dialect()?);
        let (mut first, mut unreadable) = (true, Vec::new());
        self.with_options(dialect, keep, |options| {
            reader.pieces(self.uri, options, &mut |found| match found {
                Found::Unreadable(_, error) if !self.config.on_corrupt.skips(&error) => Err(error),
                Found::Unreadable(number, error) => {
                    unreadable.push((number, error));
                    Ok(())
                }
                Found::Frame(frame) => {
                    let typed = self.format != Format::Csv;
                    let mut kept = kept(&frame, keep, typed, std::mem::take(&mut first))?;
                    self.rows(&frame, &mut unreadable, &mut |row, text| {
                        let kept = row.and_then(|row| kept.get_mut(row)).map(std::mem::take);
                        take(text, kept.unwrap_or_default())
                    })
                }
            })
        })
    }

    /// The cut of the file's lines.
    ///
    /// # Errors
    /// When the recipe and its first lines do not tell it.
    fn dialect(&self) -> Result<Dialect, DataError> {
        self.config.dialect(self.uri, self.format)
    }

    /// Hands the texts of what `read` finds to `take`. One that cannot be read may come before its turn,
    /// unless it ends the reading.
    fn each(
        &self,
        dialect: Dialect,
        take: Take<'_>,
        read: impl FnOnce(&ReadOptions<'_>, TakeFound<'_>) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        self.with_options(dialect, &[], |options| {
            read(options, &mut |found| match found {
                Found::Unreadable(_, error) => take(Err(error)),
                Found::Frame(frame) => self.texts(&frame, &mut Vec::new(), take),
            })
        })
    }

    /// The records of a block, each in its turn.
    ///
    /// # Errors
    /// As [`read`](Reader::read).
    pub(super) fn block(
        &self,
        source: &Source,
        shard: usize,
        block: &Block,
        take: Take<'_>,
    ) -> Result<(), DataError> {
        let mut unreadable = Vec::new();
        self.with_options(source.index().layout().dialect(), &[], |options| {
            source.read(shard, block, options, &mut |found| match found {
                Found::Unreadable(number, error) => {
                    unreadable.push((number, error));
                    Ok(())
                }
                Found::Frame(frame) => self.texts(&frame, &mut unreadable, take),
            })
        })
    }

    /// The column that decides whether a labelled text is held out, and the recipe's key that names it.
    fn key(&self) -> Option<(&'static str, &str)> {
        self.config.held_out().column().filter(|_| self.labelled)
    }

    /// Does `work` with the wishes for the columns of the text, of the label, where that is asked for, and for
    /// those to `keep`.
    fn with_options(
        &self,
        dialect: Dialect,
        keep: &[String],
        work: impl FnOnce(&ReadOptions<'_>) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let TextConfig { text_column, label_column, .. } = self.config;
        let column = |name: &str| match name {
            name if name == text_column => Use::Text,
            name if self.labelled && name == label_column => Use::Label,
            name if self.key().is_some_and(|(_, key)| name == key) => Use::Label,
            name if keep.iter().any(|kept| kept == name) => Use::Label,
            _ => Use::Nothing,
        };
        let (decoding, class_names) = (self.config.decoding()?, self.config.class_names);
        let (sheet, plain) = (self.config.sheet.as_deref(), ReadOptions::plain(&column));
        work(&ReadOptions { dialect, decoding, sheet, class_names, at_once: AT_ONCE, ..plain })
    }

    /// Hands the texts of a frame to `take`, and each record that is `unreadable` in its turn.
    fn texts(
        &self,
        frame: &Frame,
        unreadable: &mut Vec<(usize, DataError)>,
        take: Take<'_>,
    ) -> Result<(), DataError> {
        self.rows(frame, unreadable, &mut |_, text| take(text))
    }

    /// As [`texts`](Reader::texts), each with the number of its row; a record that is `unreadable` has none.
    fn rows(
        &self,
        frame: &Frame,
        unreadable: &mut Vec<(usize, DataError)>,
        take: &mut dyn FnMut(Option<usize>, Result<Text, DataError>) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let text = self.column(frame, "text_column", &self.config.text_column)?;
        let label = match self.labelled {
            true => self.column(frame, "label_column", &self.config.label_column)?,
            false => None,
        };
        let key = self.key().map(|(key, name)| self.column(frame, key, &name.to_string())).transpose()?;
        let columns = (text, label, key.flatten());
        let mut unreadable = unreadable.drain(..).peekable();
        let mut number = 0;
        for row in 0..frame.len() {
            while let Some((_, error)) = unreadable.next_if(|(lost, _)| *lost == number) {
                take(None, Err(error))?;
                number += 1;
            }
            take(Some(row), self.text(frame, row, columns))?;
            number += 1;
        }
        unreadable.try_for_each(|(_, error)| take(None, Err(error)))
    }

    /// The index of a column; none where the records name their own and none of these has it.
    ///
    /// # Errors
    /// When the file has no such column.
    fn column(&self, frame: &Frame, key: &str, name: &String) -> Result<Option<usize>, DataError> {
        match frame.position(if self.format.is_plain() { "" } else { name }) {
            None if !frame.varies => {
                let expected = format!("a column of {} ({})", self.uri, nearest(&frame.all_names(), name));
                Err(DataError::config(key, expected, format!("`{name}`")))
            }
            at => Ok(at),
        }
    }

    /// The text of a row, with its label where one is asked for.
    ///
    /// # Errors
    /// When either is missing.
    fn text(
        &self,
        frame: &Frame,
        row: usize,
        (text, label, key): (Option<usize>, Option<usize>, Option<usize>),
    ) -> Result<Text, DataError> {
        let cell = |column: Option<usize>| column.and_then(|at| frame.columns[at].text(row));
        let missing = |expected: &str, name: &str, found: &str| {
            let place = format!("{} {}", frame.unit, frame.lines[row]);
            DataError::malformed(self.uri, place, format!("{expected} under `{name}`"), found)
        };
        let Some(text) = cell(text) else {
            let found = if frame.varies { "none" } else { "null" };
            return Err(missing("a text", &self.config.text_column, found));
        };
        let label = cell(label).map(|label| label.trim().to_string()).filter(|label| !label.is_empty());
        if self.labelled && label.is_none() {
            return Err(missing("a label", &self.config.label_column, "none"));
        }
        let (uri, line) = (self.uri.to_string(), Some(frame.lines[row]));
        let key = cell(key).map(|key| key.trim().to_string()).filter(|key| !key.is_empty());
        Ok(Text { text: text.into_owned(), label, key, uri, line })
    }
}
