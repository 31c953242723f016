//! The cells of JSON lines.

use super::cells::{Cells, TextCells};
use super::config::TableConfig;
use super::corrupt::{Corrupt, Counted};
use super::frame::Frame;
use crate::DataError;
use crate::records::jsonl::{cell, for_each_object};
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// Reads a table, or the lines of one from `first_line` on. A key that an object lacks has no value there;
/// the columns stand in alphabetical order, so that they do not depend on the order of rows. Objects that
/// cannot be read go to `corrupt` with their number.
///
/// # Errors
/// The first that `corrupt` hands back: a line is no object, or a value neither text, number, truth value
/// nor null.
pub(super) fn read(
    uri: &str,
    bytes: &[u8],
    first_line: u64,
    config: &TableConfig,
    corrupt: Corrupt<'_>,
) -> Result<Frame, DataError> {
    let mut columns: BTreeMap<String, (TextCells, usize)> = BTreeMap::new();
    let mut lines = Vec::new();
    let counted = Counted::new(corrupt);
    for_each_object(
        uri,
        bytes,
        first_line,
        |error| counted.corrupt(error),
        |line, object| {
            let nested = object
                .iter()
                .filter(|(name, _)| !config.ignore.contains(name))
                .find_map(|(name, value)| cell(value).err().map(|found| (name, found)));
            if let Some((name, found)) = nested {
                let place = format!("line {line}, column `{name}`");
                let error = DataError::malformed(uri, place, "text, a number, true, false or null", found);
                return match counted.corrupt(error) {
                    ControlFlow::Break(error) => Err(error),
                    ControlFlow::Continue(()) => Ok(()),
                };
            }
            for (name, value) in &object {
                let Ok(text) = cell(value) else { continue };
                let (cells, filled) = columns.entry(name.clone()).or_default();
                for _ in *filled..lines.len() {
                    cells.push(None);
                }
                let text = text.as_deref().map(str::trim).filter(|text| !config.is_missing(text));
                cells.push(text);
                *filled = lines.len() + 1;
            }
            lines.push(line);
            counted.readable();
            Ok(())
        },
    )?;
    let mut names = Vec::with_capacity(columns.len());
    let mut filled_columns = Vec::with_capacity(columns.len());
    for (name, (mut cells, filled)) in columns {
        for _ in filled..lines.len() {
            cells.push(None);
        }
        names.push(name);
        filled_columns.push(Cells::Text(cells));
    }
    Ok(Frame::new(uri, names, filled_columns, lines, "line"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OnCorrupt;

    /// The table, and the numbers of the records that cannot be read.
    fn read(uri: &str, bytes: &[u8], config: &TableConfig) -> Result<(Frame, Vec<u32>), DataError> {
        let mut numbers = Vec::new();
        let mut corrupt = |number, error| match config.on_corrupt {
            OnCorrupt::Stop => ControlFlow::Break(error),
            OnCorrupt::Skip => {
                numbers.push(number);
                ControlFlow::Continue(())
            }
        };
        let frame = super::read(uri, bytes, 1, config, &mut corrupt)?;
        Ok((frame, numbers))
    }

    #[test]
    fn objects_become_columns_and_absent_keys_have_no_value() {
        let text = b"{\"b\": \" x \", \"a\": 1.5}\n\n{\"a\": null, \"c\": true}\n";
        let (frame, _) = read("t.jsonl", text, &TableConfig::default()).unwrap();
        assert_eq!(frame.names, ["a", "b", "c"]);
        assert_eq!(frame.lines, [1, 3]);
        assert_eq!(frame.columns[0].number(0), Some(Ok(1.5)));
        assert_eq!(frame.columns[0].number(1), None);
        assert_eq!(frame.columns[1].text(0).unwrap(), "x");
        assert_eq!(frame.columns[1].text(1), None);
        assert_eq!(frame.columns[2].text(0), None);
        assert_eq!(frame.columns[2].text(1).unwrap(), "true");
    }

    #[test]
    fn what_is_no_row_is_an_error_or_counted() {
        let text = b"{\"a\": 1}\n{\"a\": [1]}\nnot json\n[1]\n{\"a\": 2}\n";
        let error = read("t.jsonl", text, &TableConfig::default()).unwrap_err().to_string();
        assert!(error.contains("line 2, column `a`") && error.contains("a list"), "{error}");
        let skip = TableConfig { on_corrupt: OnCorrupt::Skip, ..Default::default() };
        let (frame, corrupt) = read("t.jsonl", text, &skip).unwrap();
        assert_eq!((frame.len(), corrupt), (2, vec![1, 2, 3]));
        let ignore = TableConfig { ignore: vec!["a".into()], ..Default::default() };
        let error = read("t.jsonl", text, &ignore).unwrap_err().to_string();
        assert!(error.contains("line 3"), "{error}");
        assert!(read("t.jsonl", b"{\"a\": \"\xff\"}", &TableConfig::default()).is_err());
    }
}
