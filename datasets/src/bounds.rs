//! Bounds on what a recipe may ask for: beyond them a number is a slip of the keyboard, and time or
//! memory runs out.

use crate::DataError;
use std::ops::RangeInclusive;

/// Classes that a set may have.
pub(crate) const MOST_CLASSES: usize = 65_536;

/// Columns that a table may have.
pub(crate) const MOST_COLUMNS: usize = 1 << 20;

/// Tokens of the longest text or window.
pub(crate) const MOST_TOKENS: usize = 65_536;

/// Threads that a pipeline may start.
const MOST_WORKERS: usize = 256;

/// Ranks that a job may have been planned for.
const MOST_RANKS: usize = 4_096;

/// Refuses a value of `data.<key>` outside of `range`.
///
/// # Errors
/// Names the key, its range, and its value.
pub(crate) fn within(key: &str, value: usize, range: RangeInclusive<usize>) -> Result<(), DataError> {
    if range.contains(&value) {
        Ok(())
    } else {
        let expected = format!("{} to {}", range.start(), range.end());
        Err(DataError::config(key, expected, value))
    }
}

/// Refuses more threads than any machine has use for.
///
/// # Errors
/// Names the key, its range, and its value.
pub(crate) fn workers(workers: usize) -> Result<(), DataError> {
    within("workers", workers, 0..=MOST_WORKERS)
}

/// Refuses a number of ranks that no machine room has.
///
/// # Errors
/// Names the key, its range, and its value.
pub(crate) fn canonical_ranks(ranks: u64) -> Result<(), DataError> {
    within("canonical_ranks", usize::try_from(ranks).unwrap_or(usize::MAX), 1..=MOST_RANKS)
}

/// Refuses more labels than [`MOST_CLASSES`].
///
/// # Errors
/// Asks whether the column is a class.
pub(crate) fn classes(uri: &str, column: &str, count: usize) -> Result<(), DataError> {
    if count <= MOST_CLASSES {
        Ok(())
    } else {
        let expected = format!("at most {MOST_CLASSES} classes");
        let found = "more different labels; is this column a class?";
        Err(DataError::malformed(uri, format!("column `{column}`"), expected, found))
    }
}
