//! Texts out of one file: lines, columns of CSV, keys of JSON lines, or the whole of it.

use super::config::TextConfig;
use crate::records::csv::{Csv, for_each_row};
use crate::records::{jsonl, nearest, not_utf8, shortened, utf8, without_mark};
use crate::{DataError, source};
use serde_json::Value;
use std::cell::RefCell;
use std::ops::ControlFlow;

/// One text and where it stands.
#[derive(Debug, PartialEq)]
pub(super) struct Text {
    pub text: String,
    /// Absent where the data have none or none is asked for.
    pub label: Option<String>,
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

/// The value in the place of a text, as an error names it.
fn kind(value: Option<&Value>) -> String {
    match value {
        None => "none".to_string(),
        Some(Value::Null) => "null".to_string(),
        Some(Value::Bool(value)) => value.to_string(),
        Some(Value::Number(number)) => format!("the number {}", shortened(&number.to_string())),
        Some(Value::String(_)) => "a text".to_string(),
        Some(Value::Array(_)) => "a list".to_string(),
        Some(Value::Object(_)) => "an object".to_string(),
    }
}

/// Takes each text, or the error of one that cannot be read.
pub(super) type Take<'a> = &'a mut dyn FnMut(Result<Text, DataError>) -> Result<(), DataError>;

/// Reads one file.
pub(super) struct Reader<'a> {
    pub uri: &'a str,
    pub config: &'a TextConfig,
    /// True when every text must have a label.
    pub labelled: bool,
}

impl Reader<'_> {
    /// A text a line, the first being `first_line`; blank lines are none.
    ///
    /// # Errors
    /// `take`'s own.
    pub(super) fn lines(&self, bytes: &[u8], first_line: u64, take: Take<'_>) -> Result<(), DataError> {
        for (line, text) in (first_line..).zip(without_mark(bytes).split(|&byte| byte == b'\n')) {
            match std::str::from_utf8(text) {
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => take(Ok(self.text(text.trim_end_matches('\r'), None, Some(line))))?,
                Err(error) => take(Err(not_utf8(self.uri, line, text[error.valid_up_to()])))?,
            }
        }
        Ok(())
    }

    /// The file as one text.
    ///
    /// # Errors
    /// `take`'s own.
    pub(super) fn whole(&self, label: Option<String>, take: Take<'_>) -> Result<(), DataError> {
        let read = source::read_unpacked(self.uri)
            .and_then(|bytes| utf8(self.uri, without_mark(&bytes), 1).map(String::from));
        take(read.map(|text| self.text(&text, label, None)))
    }

    /// Hands each row to `take`, or why it cannot be read.
    ///
    /// # Errors
    /// `take`'s own, and when there is no such column.
    pub(super) fn csv(&self, csv: &mut Csv<'_>, take: Take<'_>) -> Result<(), DataError> {
        let config = self.config;
        let column = |key: &str, name: &String| {
            csv.names().iter().position(|column| column == name).ok_or_else(|| {
                let expected = format!("a column of {} ({})", self.uri, nearest(csv.names(), name));
                DataError::config(key, expected, format!("`{name}`"))
            })
        };
        let text = column("text_column", &config.text_column)?;
        let label = if self.labelled { Some(column("label_column", &config.label_column)?) } else { None };
        let take = RefCell::new(take);
        let corrupt = |error| stop(take.borrow_mut()(Err(error)));
        for_each_row(csv, corrupt, |line, csv| {
            let label = label.map(|column| csv.cell(column));
            take.borrow_mut()(self.record("line", line, Some(csv.cell(text)), label))
        })
    }

    /// Hands each object of the lines from `first_line` on to `take`, or why it cannot be read.
    ///
    /// # Errors
    /// `take`'s own.
    pub(super) fn jsonl(&self, bytes: &[u8], first_line: u64, take: Take<'_>) -> Result<(), DataError> {
        let config = self.config;
        let take = RefCell::new(take);
        let corrupt = |error| stop(take.borrow_mut()(Err(error)));
        jsonl::for_each_object(self.uri, bytes, first_line, corrupt, |line, object| {
            let text = match object.get(&config.text_column) {
                Some(Value::String(text)) => text,
                other => {
                    let expected = format!("a text under `{}`", config.text_column);
                    return take.borrow_mut()(Err(self.bad("line", line, &expected, &kind(other))));
                }
            };
            let value = object.get(&config.label_column);
            let label = match value.map(jsonl::cell) {
                Some(Err(_)) if self.labelled => {
                    let expected = format!("a label under `{}`", config.label_column);
                    return take.borrow_mut()(Err(self.bad("line", line, &expected, &kind(value))));
                }
                label => label.and_then(|cell| cell.ok().flatten()),
            };
            take.borrow_mut()(self.record("line", line, Some(text), label.as_deref()))
        })
    }

    /// The text on a line or row, with its label where one is asked for.
    ///
    /// # Errors
    /// When either is missing.
    pub(super) fn record(
        &self,
        unit: &str,
        number: u64,
        text: Option<&str>,
        label: Option<&str>,
    ) -> Result<Text, DataError> {
        let Some(text) = text else {
            let expected = format!("a text under `{}`", self.config.text_column);
            return Err(self.bad(unit, number, &expected, "null"));
        };
        let label = label.map(str::trim).filter(|label| self.labelled && !label.is_empty());
        match (label, self.labelled) {
            (None, true) => {
                let expected = format!("a label under `{}`", self.config.label_column);
                Err(self.bad(unit, number, &expected, "none"))
            }
            (label, _) => Ok(self.text(text, label.map(String::from), Some(number))),
        }
    }

    pub(super) fn text(&self, text: &str, label: Option<String>, line: Option<u64>) -> Text {
        Text { text: text.to_string(), label, uri: self.uri.to_string(), line }
    }

    fn bad(&self, unit: &str, number: u64, expected: &str, found: &str) -> DataError {
        DataError::malformed(self.uri, format!("{unit} {number}"), expected, found)
    }
}

fn stop(taken: Result<(), DataError>) -> ControlFlow<DataError> {
    match taken {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}
