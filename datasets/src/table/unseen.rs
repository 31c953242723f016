//! Cells of rows to evaluate or to predict that say less than those that a model was trained on: without a value,
//! or with a category that training never saw.

use crate::fields::UnseenCells;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// The counts of some rows, column by column, as far as these have been read.
#[derive(Debug, Default)]
pub struct Unseen(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    rows: u64,
    columns: Vec<(String, UnseenCells)>,
    /// Blocks whose rows are counted: one may be read again.
    blocks: HashSet<(usize, u64)>,
}

impl Unseen {
    /// Adds the cells of `rows` rows, a column each, in an order that is always the same.
    pub(super) fn add<'a>(&self, rows: usize, columns: impl Iterator<Item = (&'a str, UnseenCells)>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.rows += rows as u64;
        for (at, (name, cells)) in columns.enumerate() {
            match counts.columns.get_mut(at) {
                Some((_, all)) => all.merge(cells),
                None => counts.columns.push((name.to_string(), cells)),
            }
        }
    }

    /// True for a block whose rows have not been counted.
    pub(super) fn is_new(&self, shard: usize, first: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).blocks.insert((shard, first))
    }

    /// The columns with such cells, those with the most first.
    pub fn columns(&self) -> Vec<(String, UnseenCells)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let some = |(_, cells): &&(String, UnseenCells)| cells.missing + cells.unknown > 0;
        let mut columns: Vec<_> = counts.columns.iter().filter(some).cloned().collect();
        columns.sort_by_key(|(_, cells)| std::cmp::Reverse((cells.unknown, cells.missing)));
        columns
    }

    /// One line for people; none where every cell has a value that training knew.
    pub fn summary(&self) -> Option<String> {
        const MOST: usize = 6;
        let columns = self.columns();
        let words = |(name, cells): &(String, UnseenCells)| {
            let mut parts = Vec::new();
            if cells.unknown > 0 {
                let examples: Vec<String> =
                    cells.examples.iter().map(|example| format!("`{example}`")).collect();
                parts.push(format!(
                    "{} of no category that was learned ({})",
                    cells.unknown,
                    examples.join(", ")
                ));
            }
            if cells.missing > 0 {
                parts.push(format!("{} without a value", cells.missing));
            }
            format!("`{name}` {}", parts.join(", "))
        };
        let mut all: Vec<String> = columns.iter().take(MOST).map(words).collect();
        if columns.len() > MOST {
            all.push(format!("and cells in {} columns more", columns.len() - MOST));
        }
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner).rows;
        (!all.is_empty()).then(|| format!("cells of {rows} rows: {}", all.join("; ")))
    }
}
