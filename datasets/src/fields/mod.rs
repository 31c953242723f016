//! The kinds of columns, one file each: the survey of a column's cells, its entry in a schema, and the way of
//! its cells into a batch.
//!
//! ```text
//! cells of the training rows -> Tally ─ merged, block by block ─> Column { name, Encoding } -> columns.json
//! cells of any row           -> refused, or encoded by it      -> numbers and indices of the row
//! ```
//!
//! A new kind is one file here, one variant of [`Encoding`], and its line in `Encoding::field`.

mod category;
mod column;
mod date;
mod facts;
mod label;
mod labels;
mod learn;
mod look;
mod moments;
mod number;
mod pairing;
mod place;
mod spread;
mod tally;
mod wishes;

pub use category::Category;
pub(crate) use category::share_spellings;
pub use column::{Column, Encoding};
pub(crate) use date::forms::OF_DIGITS;
pub use date::{Date, DateOrder, DatePart};
pub use facts::{Facts, Why};
pub use label::TableTarget;
pub(crate) use label::{ABSENT, TargetEncoder, Targets, label};
pub(crate) use labels::Labels;
pub(crate) use learn::Learned;
pub use number::Number;
pub(crate) use pairing::{Pairing, Says};
pub(crate) use tally::{Counting, Tally};
pub(crate) use wishes::{Kind, Wishes};

use crate::records::Cells;
use std::fmt::Debug;

/// The numbers and indices that a row keeps of a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Numbers, which a batch has as they are.
    pub numbers: usize,
    /// Indices: 0 for the unknown and the missing, else 1 + the place of a category.
    pub indices: usize,
}

/// A kind of column.
pub(crate) trait Field {
    /// The numbers and indices that a row keeps of it.
    fn kept(&self) -> Kept;

    /// The names of the numbers, as a batch has them, for a column of this name.
    fn number_names(&self, column: &str) -> Vec<String>;

    /// The categories that each index is one of.
    fn categories(&self) -> &[String] {
        &[]
    }

    /// The encoder of its cells, made once for all rows of a table.
    fn encoder(&self, scaling: Scaling) -> Box<dyn EncodeCells>;
}

/// The encoder of a column's cells.
pub(crate) trait EncodeCells: Debug + Send + Sync {
    /// Tells `refuse` of each of `rows` whose cell cannot be encoded.
    fn check(&self, cells: &Cells, rows: &[usize], refuse: Refuse<'_>);

    /// Writes the cells of `rows`, which [`check`](EncodeCells::check) let through, to where each row keeps
    /// them.
    fn encode(&self, cells: &Cells, rows: &[usize], out: &mut Slots<'_>);

    /// The cells of `rows` that say less than they did in training.
    fn unseen(&self, cells: &Cells, rows: &[usize]) -> UnseenCells {
        let missing = rows.iter().filter(|&&row| cells.is_missing(row)).count() as u64;
        UnseenCells { missing, ..UnseenCells::default() }
    }
}

/// Cells of a column that say less to a model than those that it was trained on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnseenCells {
    /// Cells without a value.
    pub missing: u64,
    /// Cells with a category that has no slot of its own.
    pub unknown: u64,
    /// The first few of these categories.
    pub examples: Vec<String>,
}

impl UnseenCells {
    /// Examples that are kept.
    const EXAMPLES: usize = 3;

    /// Adds the cells of other rows.
    pub(crate) fn merge(&mut self, other: UnseenCells) {
        self.missing += other.missing;
        self.unknown += other.unknown;
        for example in other.examples {
            if self.examples.len() < UnseenCells::EXAMPLES && !self.examples.contains(&example) {
                self.examples.push(example);
            }
        }
    }
}

/// The taker of a row that cannot be encoded, of what its cell was expected to be, and of what it is.
pub(crate) type Refuse<'a> = &'a mut dyn FnMut(usize, &str, String);

/// The scale of numeric inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scaling {
    /// Mean 0 and standard deviation 1 over the training rows.
    Standard,
    /// As the files have them.
    Raw,
}

/// The places of a column in rows that lie one after the other.
pub(crate) struct Slots<'a> {
    /// All numbers of all rows, those of a row beside one another.
    pub numbers: &'a mut [f32],
    /// Numbers of a row, and the place of the column's first among them.
    pub numbers_of_row: (usize, usize),
    /// All indices of all rows.
    pub indices: &'a mut [i32],
    /// Indices of a row, and the place of the column's first among them.
    pub indices_of_row: (usize, usize),
}

impl Slots<'_> {
    /// Number `at` of the column, in the row at a place.
    fn number(&mut self, place: usize, at: usize) -> &mut f32 {
        let (width, first) = self.numbers_of_row;
        &mut self.numbers[place * width + first + at]
    }

    /// The index of the column, in the row at a place.
    fn index(&mut self, place: usize) -> &mut i32 {
        let (width, first) = self.indices_of_row;
        &mut self.indices[place * width + first]
    }
}
