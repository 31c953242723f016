//! Sums in a fixed order.

use crate::memory::for_overwriting;
use crate::simd::{Kernel, Simd, run};
use crate::threads::{self, Shared};

/// The sum of each column of `rows`, a matrix with `columns` columns. Each thread sums a range of rows, and
/// the ranges' sums are added in order.
pub(crate) fn column_sums(rows: &[f32], columns: usize) -> Vec<f32> {
    if columns == 0 {
        return Vec::new();
    }
    let count = rows.len() / columns;
    let parts = threads::parts(count, (1 << 15) / columns + 1);
    let mut partial = for_overwriting(parts * columns);
    let shared = Shared::new(&mut partial);
    threads::parallel(parts, |part| {
        let range = threads::range(count, parts, part, 1);
        // SAFETY: each part has columns of its own.
        let to = unsafe { shared.part(part * columns..(part + 1) * columns) };
        to.fill(0.0);
        run(Sums { rows: &rows[range.start * columns..range.end * columns], to });
    });
    let (first, rest) = partial.split_at_mut(columns);
    for part in rest.chunks_exact(columns) {
        first.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
    }
    partial.truncate(columns);
    partial
}

struct Sums<'a> {
    rows: &'a [f32],
    to: &'a mut [f32],
}

impl Kernel for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let columns = self.to.len();
        for row in self.rows.chunks_exact(columns) {
            for (to, from) in self.to.chunks_mut(S::LANES).zip(row.chunks(S::LANES)) {
                let sum = s.add(s.load_first(to), s.load_first(from));
                s.store_first(to, sum);
            }
        }
    }
}
