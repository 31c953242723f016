//! Rows of a table as numbers: small where they wait, wide where a batch needs them.
//!
//! ```text
//! kept:   numbers [rows, K], indices [rows, L]           one index a column of categories
//! batch:  numeric [B, N], categories [B, M]
//!           one_hot = false: N = K, M = L                the rows as they are kept
//!           one_hot = true:  N = K + categories, M = 0   spread out: a 0/1 column a category
//! ```

use super::schema::TableSchema;
use crate::fields::{Column, Targets};
use crate::records::split::count;
use crate::{Gathered, Held};
use bonfire_contract::{Table, Target};
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;

/// Rows of a table, encoded once: all of it, or a block.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) rows: usize,
    /// `[rows, K]`, row after row.
    pub(super) numbers: Vec<f32>,
    /// `[rows, L]`, row after row.
    pub(super) indices: Vec<i32>,
    pub(super) targets: Targets,
    pub(super) layout: Arc<RowLayout>,
}

/// The parts of a row, as it is kept and in a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RowLayout {
    /// Numbers and indices that a row keeps: `K` and `L`.
    pub(super) numbers: usize,
    pub(super) indices: usize,
    /// Numeric columns of a batch: `N`.
    num_numeric: usize,
    /// The columns of a row in their order, where categories are spread out.
    spread: Option<Spread>,
}

/// The places in a row of a batch where categories are spread out.
#[derive(Debug, Default, PartialEq, Eq)]
struct Spread {
    /// Numbers that lie side by side: how many, and where the first goes.
    numbers: Vec<(usize, usize)>,
    /// For each index the 0/1 column of its first category.
    categories: Vec<usize>,
}

/// Rows that are fetched side by side: memory answers many requests in the time of one.
const AT_ONCE: usize = 16;

/// Bytes that memory sends at once.
const LINE: usize = 64;

/// A batch on the host.
#[derive(Debug)]
pub(super) struct RowBatch {
    rows: usize,
    /// `[rows, N]`, row after row.
    pub(super) numeric: Vec<f32>,
    /// `[rows, M]`, row after row.
    pub(super) categories: Vec<i32>,
    targets: Targets,
}

impl RowLayout {
    pub(super) fn of(schema: &TableSchema) -> Self {
        let (mut numbers, mut indices, mut column) = (0, 0, 0);
        let mut spread = Spread::default();
        for Column { encoding, .. } in &schema.columns {
            let field = encoding.field();
            let kept = field.kept();
            (numbers, indices) = (numbers + kept.numbers, indices + kept.indices);
            match spread.numbers.last_mut() {
                _ if kept.numbers == 0 => {}
                Some((count, first)) if *first + *count == column => *count += kept.numbers,
                _ => spread.numbers.push((kept.numbers, column)),
            }
            column += kept.numbers;
            if kept.indices > 0 {
                spread.categories.push(column);
                column += field.categories().len();
            }
        }
        let spread = (schema.one_hot && indices > 0).then_some(spread);
        RowLayout { numbers, indices, num_numeric: schema.num_numeric(), spread }
    }

    /// Rows that a batch has as they are kept.
    #[cfg(test)]
    pub(super) fn as_kept(numbers: usize, indices: usize) -> Self {
        RowLayout { numbers, indices, num_numeric: numbers, spread: None }
    }
}

impl Rows {
    /// No rows yet, but room for so many.
    pub(super) fn empty(layout: &Arc<RowLayout>, room: usize) -> Self {
        let (numbers, indices) =
            (Vec::with_capacity(room * layout.numbers), Vec::with_capacity(room * layout.indices));
        Rows { rows: 0, numbers, indices, targets: Targets::Absent, layout: layout.clone() }
    }

    /// Adds the rows that come next.
    pub(super) fn append(&mut self, mut other: Rows) {
        self.rows += other.rows;
        self.numbers.append(&mut other.numbers);
        self.indices.append(&mut other.indices);
        self.targets.append(other.targets);
    }

    /// Bytes of one row.
    pub(super) fn row_bytes(&self) -> u64 {
        4 * (self.layout.numbers + self.layout.indices + 1) as u64
    }

    /// A batch of some rows, each the number `row` of the `rows` that it lies among; all are of one table, as
    /// `like` is.
    pub(super) fn gather<'a>(
        like: &Rows,
        picked: impl Iterator<Item = (&'a Rows, usize)> + Clone,
    ) -> RowBatch {
        let targets = match &like.targets {
            Targets::Classes(_) => Targets::Classes(gather(1, picked.clone(), Rows::classes)),
            Targets::Values(_) => Targets::Values(gather(1, picked.clone(), Rows::values)),
            Targets::Absent => Targets::Absent,
        };
        let layout = &*like.layout;
        let rows = picked.clone().count();
        let (numeric, categories) = match &layout.spread {
            Some(spread) => {
                let mut numeric = vec![0.0; rows * layout.num_numeric];
                for ((rows, row), out) in picked.zip(numeric.chunks_exact_mut(layout.num_numeric)) {
                    rows.spread(row, spread, out);
                }
                (numeric, Vec::new())
            }
            None => (
                gather(layout.numbers, picked.clone(), |rows| &rows.numbers),
                gather(layout.indices, picked, |rows| &rows.indices),
            ),
        };
        RowBatch { rows, numeric, categories, targets }
    }

    /// Writes a row with its categories spread out; `out` holds zeros.
    fn spread(&self, row: usize, spread: &Spread, out: &mut [f32]) {
        let RowLayout { numbers, indices, .. } = *self.layout;
        let mut numbers = &self.numbers[row * numbers..(row + 1) * numbers];
        for &(count, first) in &spread.numbers {
            let (these, rest) = numbers.split_at(count);
            out[first..first + count].copy_from_slice(these);
            numbers = rest;
        }
        let indices = &self.indices[row * indices..(row + 1) * indices];
        for (&index, &first) in indices.iter().zip(&spread.categories) {
            // The unknown and the missing, 0, are in none of the columns.
            if index > 0 {
                out[first + index as usize - 1] = 1.0;
            }
        }
    }

    fn classes(&self) -> &[i32] {
        match &self.targets {
            Targets::Classes(classes) => classes,
            Targets::Values(_) | Targets::Absent => &[],
        }
    }

    /// The rows of each of `num` classes; none where the targets are not classes.
    pub(super) fn classes_of(&self, num: usize) -> Option<Vec<u64>> {
        match &self.targets {
            Targets::Classes(classes) => Some(count(classes.iter().map(|&class| class as usize), num)),
            Targets::Values(_) | Targets::Absent => None,
        }
    }

    fn values(&self) -> &[f32] {
        match &self.targets {
            Targets::Values(values) => values,
            Targets::Classes(_) | Targets::Absent => &[],
        }
    }
}

impl RowBatch {
    /// The rows on a device: `numeric [B, N]`, `categories [B, M]`; classes `[B]` or values `[B, 1]`. Rows to
    /// predict have no target: theirs is [`Target::Absent`].
    pub(super) fn into_batch(self, device: &Device) -> (Table, Target) {
        let batch = self.rows;
        let [n, m] = [self.numeric.len(), self.categories.len()].map(|cells| cells / batch.max(1));
        let numeric = match n {
            0 => Tensor::zeros([batch, 0], device),
            _ => Tensor::from_data(TensorData::new(self.numeric, [batch, n]), device),
        };
        let categories = match m {
            0 => Tensor::zeros([batch, 0], device),
            _ => Tensor::from_data(TensorData::new(self.categories, [batch, m]), device),
        };
        let target = match self.targets {
            Targets::Classes(classes) => {
                Target::Classes(Tensor::from_data(TensorData::new(classes, [batch]), device))
            }
            Targets::Values(values) => {
                Target::Values(Tensor::from_data(TensorData::new(values, [batch, 1]), device))
            }
            Targets::Absent => Target::Absent,
        };
        (Table { numeric, categories }, target)
    }
}

/// The numbers of some rows, of which each has `width` in its `part`.
fn gather<'a, T: Copy + 'a>(
    width: usize,
    picked: impl Iterator<Item = (&'a Rows, usize)> + Clone,
    part: impl Fn(&'a Rows) -> &'a [T],
) -> Vec<T> {
    let rows: Vec<&[T]> = picked.map(|(rows, row)| &part(rows)[row * width..(row + 1) * width]).collect();
    let mut gathered = Vec::with_capacity(rows.len() * width);
    for rows in rows.chunks(AT_ONCE) {
        // All lines are asked for before the first is waited for; a copy alone would wait for each row.
        for line in rows.iter().flat_map(|row| row.chunks(LINE / size_of::<T>())) {
            std::hint::black_box(line[0]);
        }
        rows.iter().for_each(|row| gathered.extend_from_slice(row));
    }
    gathered
}

impl Held<Table> for Rows {
    fn gather(&self, indices: &[u64]) -> Gathered<Table> {
        let batch = Rows::gather(self, indices.iter().map(|&index| (self, index as usize)));
        Box::new(move |device| batch.into_batch(device))
    }
}
