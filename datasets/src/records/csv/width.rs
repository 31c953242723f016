//! The cells of a row, counted before any of them is held.

use crate::DataError;
use crate::bounds::MOST_COLUMNS;
use crate::records::dialect::{Dialect, Quoting};

/// The separators between the cells of a row, or of its beginning; those in quotes are none.
pub(super) fn separators(row: &[u8], dialect: Dialect) -> usize {
    let (mut count, mut within, mut escaped) = (0, false, false);
    for &byte in row {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match byte {
            b'"' => within = !within && dialect.quoting.opens(),
            b'\\' => escaped = within && dialect.quoting == Quoting::Backslash,
            byte => count += usize::from(byte == dialect.separator && !within),
        }
    }
    count
}

/// The first line that is not empty, with the lines of its quoted cells.
pub(super) fn first_line(bytes: &[u8], dialect: Dialect) -> &[u8] {
    let begin = bytes.iter().position(|byte| !matches!(byte, b'\n' | b'\r'));
    let bytes = &bytes[begin.unwrap_or(bytes.len())..];
    let mut within = false;
    let end = bytes.iter().position(|&byte| {
        within ^= byte == b'"' && dialect.quoting.opens();
        matches!(byte, b'\n' | b'\r') && !within
    });
    &bytes[..end.unwrap_or(bytes.len())]
}

/// Refuses a row of more cells than a table may have columns.
///
/// # Errors
/// With both numbers.
pub(super) fn check_width(uri: &str, line: u64, cells: usize) -> Result<(), DataError> {
    if cells > MOST_COLUMNS { Err(too_wide(uri, line, cells.to_string())) } else { Ok(()) }
}

pub(super) fn too_wide(uri: &str, line: u64, found: String) -> DataError {
    DataError::malformed(uri, format!("line {line}"), format!("at most {MOST_COLUMNS} columns"), found)
}
