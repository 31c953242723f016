//! The forward pass, a tile of queries at a time.

use super::dropout::Dropout;
use super::tile::{
    HELD, KEYS, Operands, Output, QUERY, SCORES, Sink, VECTORS, View, copy_rows, fitting, panel,
    transpose_rows,
};
use super::visible::{Visible, tail};
use crate::memory::for_overwriting;
use crate::simd::{Kernel, Simd, math, run};
use crate::threads::{self, Shared};
use std::ops::Range;

/// The inputs and the sizes of an attention.
#[derive(Clone, Copy, Debug)]
pub(super) struct Problem<'a> {
    pub batch: usize,
    pub heads: usize,
    pub queries: usize,
    pub keys: usize,
    /// The width of a head.
    pub width: usize,
    pub query: View<'a>,
    pub key: View<'a>,
    pub value: View<'a>,
    pub visible: &'a Visible,
    pub dropout: Option<Dropout>,
}

impl Problem<'_> {
    /// The factor of the queries. It makes weights powers of two of scores.
    pub(super) fn scale(&self) -> f32 {
        std::f32::consts::LOG2_E / (self.width as f32).sqrt()
    }
}

/// The numbers from which the backward pass makes each row of weights again:
/// `weight = 2^(score - largest) / sum`.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    /// The largest score, `[B, A, Tq]`.
    pub largest: Vec<f32>,
    /// The inverse of the sum, `[B, A, Tq]`.
    pub inverse: Vec<f32>,
}

/// The outputs, `[B, Tq, A * width]`, and the softmax of each row.
pub(super) fn forward(problem: Problem) -> (Vec<f32>, Rows) {
    let Problem { batch, heads, queries, width, .. } = problem;
    let mut output = for_overwriting(batch * queries * heads * width);
    let count = batch * heads * queries;
    let mut rows = Rows { largest: for_overwriting(count), inverse: for_overwriting(count) };
    if !output.is_empty() {
        let pairs = batch * heads;
        // with few heads, their queries are split too
        let splits = (4 * threads::count()).div_ceil(pairs).min(queries.div_ceil(48));
        let splits = if threads::count() == 1 { 1 } else { splits };
        let to = Shared::new(&mut output);
        let (largest, inverse) = (Shared::new(&mut rows.largest), Shared::new(&mut rows.inverse));
        let pieces = pairs * splits;
        let work = pieces * queries.div_ceil(splits) * problem.keys * width;
        let parts = if work < 1 << 17 { 1 } else { pieces.min(8 * threads::count()) };
        threads::parallel(parts, |part| {
            run(Forward {
                problem,
                splits,
                pieces: threads::range(pieces, parts, part, 1),
                output: to,
                largest,
                inverse,
            });
        });
    }
    (output, rows)
}

struct Forward<'a> {
    problem: Problem<'a>,
    splits: usize,
    pieces: Range<usize>,
    output: Shared<'a, f32>,
    largest: Shared<'a, f32>,
    inverse: Shared<'a, f32>,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let problem = self.problem;
        let Problem { heads, queries, keys, width, .. } = problem;
        let mut scratch = Scratch::new::<S>(&problem);
        let mut packed = usize::MAX;
        for piece in self.pieces {
            let (pair, split) = (piece / self.splits, piece % self.splits);
            let (item, head) = (pair / heads, pair % heads);
            let count = problem.visible.count(item, keys);
            if pair != packed {
                let (key, value) =
                    (problem.key.head(item, head * width), problem.value.head(item, head * width));
                transpose_rows(s, (key, problem.key.row), (count, width), &mut scratch.keys);
                let pitch = scratch.pitch;
                copy_rows(s, (value, problem.value.row), (count, width), 1.0, &mut scratch.values, pitch);
                packed = pair;
            }
            let range = threads::range(queries, self.splits, split, S::TILE_ROWS);
            for row in range.clone().step_by(S::TILE_ROWS) {
                let rows = row..(row + S::TILE_ROWS).min(range.end);
                // SAFETY: each row of a pair belongs to one piece.
                let (largest, inverse) = unsafe {
                    let rows = pair * queries + rows.start..pair * queries + rows.end;
                    (self.largest.part(rows.clone()), self.inverse.part(rows))
                };
                let to = (item * queries + row) * heads * width + head * width;
                let to = self.output.pointer().wrapping_add(to);
                query_tile(s, &problem, (item, head), rows, &mut scratch, (largest, inverse), to);
            }
        }
    }
}

struct Scratch {
    /// The transposed keys, in panels.
    keys: Vec<f32>,
    /// The values, rows of `pitch`.
    values: Vec<f32>,
    pitch: usize,
    /// A tile of queries.
    queries: Vec<f32>,
    /// The tile's scores with at most [`HELD`] keys, then its weights: blocks of [`KEYS`] columns.
    scores: Vec<f32>,
    /// Dropout's factors of a row of weights.
    kept: Vec<f32>,
}

impl Scratch {
    #[inline(always)]
    fn new<S: Simd>(problem: &Problem) -> Self {
        let pitch = problem.width.next_multiple_of(S::LANES);
        let padded = problem.keys.next_multiple_of(VECTORS * S::LANES);
        Scratch {
            keys: for_overwriting(padded * problem.width),
            values: for_overwriting(padded * pitch),
            pitch,
            queries: vec![0.0; S::TILE_ROWS * QUERY],
            scores: vec![0.0; problem.keys.min(HELD).div_ceil(KEYS) * S::TILE_ROWS * SCORES],
            kept: vec![0.0; KEYS],
        }
    }
}

/// A sink that stores a tile's scores, to be turned into weights in place.
#[derive(Clone, Copy)]
struct Scores(*mut f32);

impl Sink for Scores {
    /// # Safety
    /// The row must be the tile's, the columns inside its block.
    #[inline(always)]
    unsafe fn take<S: Simd, const V: usize>(self, s: S, row: usize, column: usize, values: [S::F32; V]) {
        for v in 0..V {
            let value = values[v];
            // SAFETY: the caller's promise.
            unsafe { s.store_to(self.0.add(row * SCORES + column + v * S::LANES), value) };
        }
    }
}

/// Writes the outputs of one tile of queries to `to` and the rows behind it.
#[inline(always)]
fn query_tile<S: Simd>(
    s: S,
    problem: &Problem,
    (item, head): (usize, usize),
    rows: Range<usize>,
    scratch: &mut Scratch,
    (largest, inverse): (&mut [f32], &mut [f32]),
    to: *mut f32,
) {
    let Problem { heads, width, .. } = *problem;
    let from = &problem.query.head(item, head * width)[rows.start * problem.query.row..];
    copy_rows(
        s,
        (from, problem.query.row),
        (rows.len(), width),
        problem.scale(),
        &mut scratch.queries,
        QUERY,
    );
    // the tile's last row sees the most keys
    let most = problem.visible.seen(item, rows.end - 1, problem.keys);
    let mut sums = [0.0; MOST_ROWS];
    let (sums, mut shares) = (&mut sums[..rows.len()], [0.0; MOST_ROWS]);
    let shares = &mut shares[..rows.len()];
    largest.fill(f32::NEG_INFINITY);
    for start in (0..most).step_by(HELD) {
        let keys = start..(start + HELD).min(most);
        scores(s, problem, item, rows.len(), keys.clone(), scratch);
        weights(
            s,
            problem,
            (item, head),
            rows.clone(),
            keys.clone(),
            scratch,
            (&mut *largest, &mut *sums, &mut *shares),
        );
        let last = keys.end == most;
        if last {
            for ((inverse, sum), share) in inverse.iter_mut().zip(&*sums).zip(&mut *shares) {
                *inverse = 1.0 / sum;
                *share *= *inverse;
            }
        }
        let factors = last.then_some(&*inverse);
        let output = Output {
            to,
            pitch: heads * width,
            width,
            factor: 1.0,
            factors,
            add: start > 0,
            shares: Some(&*shares),
        };
        for column in (0..scratch.pitch).step_by(VECTORS * S::LANES) {
            let vectors = panel::<S>(scratch.pitch - column);
            // SAFETY: the weights and values were written just above for these keys; the rows at `to` are
            // this tile's.
            unsafe {
                let operands = Operands {
                    a: scratch.scores.as_ptr(),
                    block: S::TILE_ROWS * SCORES,
                    b: scratch.values.as_ptr().add(start * scratch.pitch + column),
                    pitch: scratch.pitch,
                    depth: keys.len(),
                };
                fitting::<S, _, SCORES, 1>(s, operands, output, (0, rows.len()), column, vectors);
            }
        }
    }
}

/// The number of rows of the tallest tile.
const MOST_ROWS: usize = 12;

/// Computes the scores of the tile's queries with the keys `keys`.
#[inline(always)]
fn scores<S: Simd>(
    s: S,
    problem: &Problem,
    item: usize,
    rows: usize,
    keys: Range<usize>,
    scratch: &mut Scratch,
) {
    let count = problem.visible.count(item, problem.keys);
    let mut column = keys.start;
    while column < keys.end {
        let vectors = panel::<S>(count - column);
        let block = (column - keys.start) / KEYS * S::TILE_ROWS * SCORES;
        // SAFETY: the panels of keys hold `width` groups of so many vectors; the scores have room for whole
        // panels.
        unsafe {
            let sink = Scores(scratch.scores.as_mut_ptr().add(block));
            let operands = Operands {
                a: scratch.queries.as_ptr(),
                block: KEYS,
                b: scratch.keys.as_ptr().add(column * problem.width),
                pitch: vectors * S::LANES,
                depth: problem.width,
            };
            fitting::<S, _, QUERY, 1>(s, operands, sink, (0, rows), column % KEYS, vectors);
        }
        column += vectors * S::LANES;
    }
}

/// Turns the scores with the keys `keys` into weights and updates each row's largest score and sum. Sets
/// `shares`, the factors that bring the sums over earlier keys to the new largest score (Milakov and
/// Gimelshein, "Online normalizer calculation for softmax", 2018).
#[inline(always)]
fn weights<S: Simd>(
    s: S,
    problem: &Problem,
    (item, head): (usize, usize),
    rows: Range<usize>,
    keys: Range<usize>,
    scratch: &mut Scratch,
    (largest, sums, shares): (&mut [f32], &mut [f32], &mut [f32]),
) {
    let block = S::TILE_ROWS * SCORES;
    let bias = problem.visible.bias(item).map(|bias| &bias[keys.start..]);
    for group in (0..rows.len()).step_by(GROUP) {
        let row_of = |row: usize| (group + row).min(rows.len() - 1);
        let seen: [usize; GROUP] = std::array::from_fn(|row| {
            let seen = problem.visible.seen(item, rows.start + row_of(row), problem.keys);
            seen.saturating_sub(keys.start)
        });
        let before: [f32; GROUP] = std::array::from_fn(|row| largest[row_of(row)]);
        let (tops, added) =
            softmax(s, &mut scratch.scores[group * SCORES..], block, seen, keys.len(), bias, before);
        for row in 0..GROUP.min(rows.len() - group) {
            let (at, top) = (group + row, tops[row]);
            // if every score so far was negative infinity, there is nothing to keep
            shares[at] = if before[row] == f32::NEG_INFINITY { 0.0 } else { (before[row] - top).exp2() };
            sums[at] = sums[at] * shares[at] + added[row];
            largest[at] = top;
        }
    }
    if let Some(dropout) = problem.dropout {
        for row in 0..rows.len() {
            let query = [item, head, rows.start + row];
            for (first, weights) in (0..keys.len()).step_by(KEYS).zip(scratch.scores.chunks_mut(block)) {
                let weights = &mut weights[row * SCORES..][..(keys.len() - first).min(KEYS)];
                let kept = &mut scratch.kept[..weights.len()];
                dropout.factors(query, problem.heads, keys.start + first, kept);
                weights.iter_mut().zip(kept).for_each(|(weight, kept)| *weight *= *kept);
            }
        }
    }
}

/// The number of rows whose softmaxes are computed side by side, since each is a chain of sums. It divides
/// every tile's height.
const GROUP: usize = 3;

/// Turns rows of scores into weights that are not yet divided by their sums. A row's first `seen` keys count,
/// and `most` keys are read later. Returns each row's largest score, `before` included, and its sum.
#[inline(always)]
fn softmax<S: Simd>(
    s: S,
    rows: &mut [f32],
    block: usize,
    seen: [usize; GROUP],
    most: usize,
    bias: Option<&[f32]>,
    before: [f32; GROUP],
) -> ([f32; GROUP], [f32; GROUP]) {
    let mut tops = before.map(|top| s.splat(top));
    for first in (0..most).step_by(KEYS) {
        let rows = &mut rows[first / KEYS * block..];
        let count = (most - first).min(KEYS);
        for column in (0..count).step_by(S::LANES) {
            for (row, (top, seen)) in tops.iter_mut().zip(seen).enumerate() {
                let to = &mut rows[row * SCORES + column..][..S::LANES];
                let mut score = s.load(to);
                let place = first + column;
                if bias.is_some() || place + S::LANES > seen {
                    if let Some(bias) = bias {
                        score = s.add(score, s.load(&bias[place..]));
                    }
                    score = s.add(score, tail(s, seen.saturating_sub(place)));
                    s.store(to, score);
                }
                *top = s.max(*top, score);
            }
        }
    }
    let tops = tops.map(|top| s.largest(top));
    // negative infinity less a largest score of negative infinity would be NaN
    let least = tops.map(|top| if top == f32::NEG_INFINITY { f32::MIN } else { top });
    let mut sums = [s.splat(0.0); GROUP];
    for first in (0..most).step_by(KEYS) {
        let rows = &mut rows[first / KEYS * block..];
        let count = (most - first).min(KEYS);
        for column in (0..count).step_by(S::LANES) {
            for (row, (sum, top)) in sums.iter_mut().zip(least).enumerate() {
                let to = &mut rows[row * SCORES + column..][..S::LANES];
                let weight = math::exp2(s, s.sub(s.load(to), s.splat(top)));
                *sum = s.add(*sum, weight);
                s.store(to, weight);
            }
        }
    }
    (tops, sums.map(|sum| s.sum(sum)))
}
