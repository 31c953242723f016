//! Objects of JSON as records: their keys are the columns, and the keys of an object within one are columns of
//! their own, `a.b` for `b` under `a`.

use super::cells::{Cells, TextCells};
use super::encoding::undecodable;
use super::frame::Frame;
use super::read::{Fill, ReadOptions, Use};
use super::wording::shortened;
use crate::DataError;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::mem;

/// Objects, of which a key that one lacks has no value there. The columns stand in alphabetical order, so
/// that they do not depend on the order of records.
pub(super) struct Objects<'a, I> {
    uri: &'a str,
    options: &'a ReadOptions<'a>,
    /// The texts of the objects, each with its line or number.
    records: I,
    /// "line" or "row".
    unit: &'static str,
    columns: BTreeMap<String, (Use, TextCells)>,
    lines: Vec<u64>,
}

/// A value and the name of its column.
type Leaf<'v> = (Cow<'v, str>, &'v Value);

impl<'a, I: Iterator<Item = (u64, &'a [u8])>> Objects<'a, I> {
    pub(super) fn of(uri: &'a str, records: I, unit: &'static str, options: &'a ReadOptions<'a>) -> Self {
        Objects { uri, options, records, unit, columns: BTreeMap::new(), lines: Vec::new() }
    }

    /// Appends an object.
    ///
    /// # Errors
    /// When it is none, or a value is none that its column may have.
    fn append(&mut self, number: u64, text: &[u8]) -> Result<(), DataError> {
        let place = format!("{} {number}", self.unit);
        let object: Map<String, Value> = serde_json::from_slice(text).map_err(|error| {
            if self.unit == "line" && std::str::from_utf8(text).is_err() {
                return undecodable(self.uri, number, text, self.options.decoding);
            }
            let of_array = text.trim_ascii_start().starts_with(b"[");
            let hint = if of_array { " (`format = \"json\"` reads an array of objects)" } else { "" };
            DataError::malformed(self.uri, &place, "a JSON object", format!("{error}{hint}"))
        })?;
        let mut leaves = Vec::with_capacity(object.len());
        if flatten(&object, "", self.options, false, &mut leaves) {
            let mut names = HashSet::with_capacity(leaves.len());
            if let Some((twice, _)) = leaves.iter().find(|(name, _)| !names.insert(name.as_ref())) {
                let expected = format!("one value of `{twice}`");
                let found = "two: one of a key with a dot, one of an object within the object";
                return Err(DataError::malformed(self.uri, place, expected, found));
            }
        }
        for (name, value) in &leaves {
            let column = match self.columns.get(name.as_ref()) {
                Some(&(column, _)) => column,
                None => {
                    let column = (self.options.column)(name);
                    self.columns.insert(name.to_string(), (column, TextCells::default()));
                    column
                }
            };
            check(self.uri, &place, name, value, column)?;
        }
        for (name, value) in &leaves {
            let Some((column, cells)) = self.columns.get_mut(name.as_ref()) else { continue };
            if column.is_wanted() {
                cells.fill(self.lines.len());
                let text = cell(value);
                let text = text.as_deref().and_then(|text| self.options.value(text));
                match value {
                    Value::String(_) | Value::Bool(_) => cells.push_text(text),
                    _ => cells.push_number(text),
                }
            }
        }
        self.lines.push(number);
        Ok(())
    }
}

/// Cells of a frame, those without a value included: records that each name another column have the square of
/// their number.
const MOST_CELLS: usize = 1 << 22;

impl<'a, I: Iterator<Item = (u64, &'a [u8])>> Fill for Objects<'a, I> {
    fn is_full(&self) -> bool {
        self.columns.len().saturating_mul(self.lines.len()) > MOST_CELLS
    }

    fn next(&mut self) -> Option<Result<(), DataError>> {
        let (number, text) = self.records.next()?;
        Some(self.append(number, text))
    }

    fn frame(&mut self) -> Frame {
        let (mut names, mut ignored, mut columns) = (Vec::new(), Vec::new(), Vec::new());
        for (name, (column, mut cells)) in mem::take(&mut self.columns) {
            if !column.is_wanted() {
                ignored.push(name);
            } else if cells.len() > 0 {
                cells.fill(self.lines.len());
                names.push(name);
                columns.push(Cells::Text(cells));
            }
        }
        let lines = mem::take(&mut self.lines);
        Frame { ignored, varies: true, ..Frame::new(self.uri, names, columns, lines, self.unit) }
    }
}

/// Adds the values of an object, those of objects within it under their own names; true where there are such.
/// Of an object that nobody asks for, only texts and labels count, which are asked for by their full names.
fn flatten<'v>(
    object: &'v Map<String, Value>,
    above: &str,
    options: &ReadOptions<'_>,
    unasked: bool,
    leaves: &mut Vec<Leaf<'v>>,
) -> bool {
    let mut nested = false;
    for (key, value) in object {
        let name: Cow<'v, str> = if above.is_empty() { key.into() } else { format!("{above}.{key}").into() };
        let Value::Object(within) = value else {
            if !unasked || matches!((options.column)(&name), Use::Text | Use::Label) {
                leaves.push((name, value));
            }
            continue;
        };
        match (options.column)(&name) {
            Use::Text | Use::Label => leaves.push((name, value)),
            Use::Nothing => {
                nested |= flatten(within, &name, options, true, leaves);
                if !unasked {
                    leaves.push((name, value));
                }
            }
            Use::Cell | Use::Offer | Use::Check => {
                nested = true;
                flatten(within, &name, options, unasked, leaves);
            }
        }
    }
    nested || !above.is_empty()
}

/// Refuses a value that its column cannot have.
fn check(uri: &str, place: &str, name: &str, value: &Value, column: Use) -> Result<(), DataError> {
    let nested = value.is_array() || value.is_object();
    let (place, expected) = match column {
        Use::Text if !value.is_string() => (place.to_string(), format!("a text under `{name}`")),
        Use::Label if nested => (place.to_string(), format!("a label under `{name}`")),
        Use::Cell | Use::Offer | Use::Check if nested => (
            format!("{place}, column `{name}`"),
            "text, a number, true, false or null (or the column in data.ignore)".to_string(),
        ),
        _ => return Ok(()),
    };
    Err(DataError::malformed(uri, place, expected, kind(value)))
}

/// A value as a cell's text; `None` for null, and for what is no cell.
fn cell(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Bool(value) => Some(if *value { "true" } else { "false" }.into()),
        Value::Number(value) => Some(value.to_string().into()),
        Value::String(text) => Some(text.into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A value in the words of an error.
pub(super) fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {}", shortened(&number.to_string())),
        Value::String(_) => "a text".to_string(),
        Value::Array(_) => "a list".to_string(),
        Value::Object(_) => "an object".to_string(),
    }
}
