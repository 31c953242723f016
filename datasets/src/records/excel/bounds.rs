//! What a workbook should be, and how large it may be.

use crate::DataError;
use crate::source::one_line;

/// What a file should be.
pub(super) const WHOLE: &str = "a whole workbook (.xlsx, .xlsm, .xlsb or .ods)";

/// Cells of the largest sheet, those without a value among them.
pub(super) const MOST_CELLS: u64 = if cfg!(test) { 1 << 18 } else { 1 << 25 };

/// Unpacked bytes of a workbook's sheets, and of each of its other parts.
pub(super) const SHEETS: u64 = if cfg!(test) { 16 << 20 } else { 2 << 30 };
pub(super) const PART: u64 = if cfg!(test) { 4 << 20 } else { 128 << 20 };

/// The error of a workbook that is damaged.
pub(super) fn damaged(uri: &str, error: impl ToString) -> DataError {
    DataError::source(uri, WHOLE, one_line(error))
}
