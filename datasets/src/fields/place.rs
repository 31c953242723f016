//! The place of the cells that are counted, and the first of their errors.

use crate::DataError;
use crate::records::{Frame, shortened};

/// The column whose cells are counted, for errors.
pub(in crate::fields) struct Place<'a> {
    pub frame: &'a Frame,
    pub index: usize,
}

impl Place<'_> {
    pub(in crate::fields) fn error(&self, row: usize, expected: &str) -> DataError {
        let found = self.frame.columns[self.index].text(row).unwrap_or_default();
        let name = &self.frame.names[self.index];
        self.frame.cell_error(row, name, expected, format!("`{}`", shortened(&found)))
    }
}

/// Keeps the first of two that there may be.
pub(super) fn or_next<T>(first: &mut Option<T>, next: Option<T>) {
    if first.is_none() {
        *first = next;
    }
}
