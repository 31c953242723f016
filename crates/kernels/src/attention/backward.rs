//! The backward pass, by heads and, within a head, by blocks of queries. `P` are the weights, made again from
//! the scores; `K` are dropout's factors; `O` is the output:
//!
//! ```text
//! dV = (P K)^T dO    dP = K (dO V^T)    dS = P (dP - rows' sums of dO O)
//! dQ = dS K / sqrt(d)    dK = dS^T Q / sqrt(d)
//! ```

use super::forward::{Problem, Rows};
use super::tile::{
    HELD, KEYS, Operands, Output, QUERY, SCORES, Sink, VECTORS, copy_rows, fitting, panel, transpose_rows,
};
use super::visible::tail;
use crate::memory::for_overwriting;
use crate::simd::{Kernel, Simd, math, run};
use crate::threads::{self, Shared};
use std::ops::Range;

/// The number of queries in a block, a multiple of every tile's height.
const QUERIES: usize = 96;

/// The destination of a gradient, laid out as a [`super::tile::View`].
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub to: Shared<'a, f32>,
    pub start: usize,
    pub batch: usize,
    pub row: usize,
}

impl Target<'_> {
    /// The first row of a head: `start` numbers into batch item `item`.
    #[inline(always)]
    fn head(&self, item: usize, start: usize) -> *mut f32 {
        self.to.pointer().wrapping_add(self.start + item * self.batch + start)
    }
}

/// Writes the gradients for which there are `targets`: of the queries, the keys and the values. `output` and
/// `gradient`, the output's gradient, are `[B, Tq, A * width]`. Each target is written in full.
pub(super) fn backward(
    problem: Problem,
    rows: &Rows,
    output: &[f32],
    gradient: &[f32],
    targets: [Option<Target>; 3],
) {
    let Problem { batch, heads, queries, keys, width, .. } = problem;
    let pairs = batch * heads;
    assert_eq!([output.len(), gradient.len()], [pairs * queries * width; 2], "outputs and their gradient");
    let work = pairs * queries * keys * width;
    let parts = if work < 1 << 16 { 1 } else { pairs.min(8 * threads::count()) };
    threads::parallel(parts, |part| {
        let pairs = threads::range(pairs, parts, part, 1);
        run(Backward { problem, rows, output, gradient, targets, pairs });
    });
}

struct Backward<'a> {
    problem: Problem<'a>,
    rows: &'a Rows,
    output: &'a [f32],
    gradient: &'a [f32],
    targets: [Option<Target<'a>>; 3],
    pairs: Range<usize>,
}

struct Scratch {
    /// The distance between rows of `keys` and `values`.
    pitch: usize,
    keys: Vec<f32>,
    /// Transposed keys and values, in panels.
    key_panels: Vec<f32>,
    value_panels: Vec<f32>,
    /// A block of queries, and its block of the output's gradient.
    queries: Vec<f32>,
    slopes: Vec<f32>,
    /// The sum of each query's outputs times their gradients, for the block.
    sums: Vec<f32>,
    /// The weights times dropout's factors, and the gradient of the scores. Both are of at most [`HELD`]
    /// keys, in blocks of [`KEYS`] columns.
    weights: Vec<f32>,
    scores: Vec<f32>,
    /// Dropout's factors, if there is dropout.
    kept: Vec<f32>,
}

impl Scratch {
    #[inline(always)]
    fn new<S: Simd>(problem: &Problem) -> Self {
        let pitch = problem.width.next_multiple_of(S::LANES);
        let padded = problem.keys.next_multiple_of(VECTORS * S::LANES);
        let rows = problem.queries.min(QUERIES).next_multiple_of(S::TILE_ROWS);
        // a tile that reads beyond the end of its columns reads numbers of the same row
        let scores = problem.keys.min(HELD).div_ceil(KEYS) * rows * SCORES;
        Scratch {
            pitch,
            keys: for_overwriting(padded * pitch),
            key_panels: for_overwriting(padded * problem.width),
            value_panels: for_overwriting(padded * problem.width),
            queries: vec![0.0; rows * QUERY],
            slopes: vec![0.0; rows * QUERY],
            sums: vec![0.0; rows],
            weights: vec![0.0; scores],
            scores: vec![0.0; scores],
            kept: vec![0.0; if problem.dropout.is_some() { scores } else { 0 }],
        }
    }
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let problem = self.problem;
        let Problem { heads, queries, keys, width, .. } = problem;
        let mut scratch = Scratch::new::<S>(&problem);
        for pair in self.pairs.clone() {
            let (item, head) = (pair / heads, pair % heads);
            let count = problem.visible.count(item, keys);
            let (key, value) = (problem.key.head(item, head * width), problem.value.head(item, head * width));
            transpose_rows(s, (key, problem.key.row), (count, width), &mut scratch.key_panels);
            transpose_rows(s, (value, problem.value.row), (count, width), &mut scratch.value_panels);
            copy_rows(s, (key, problem.key.row), (count, width), 1.0, &mut scratch.keys, scratch.pitch);
            for start in (0..queries).step_by(QUERIES) {
                self.block(s, (item, head), start..(start + QUERIES).min(queries), count, &mut scratch);
            }
            for target in self.targets[1..].iter().flatten() {
                for row in if queries == 0 { 0 } else { count }..keys {
                    let to = target.head(item, head * width).wrapping_add(row * target.row);
                    // SAFETY: the row of this head is this pair's own.
                    unsafe { std::ptr::write_bytes(to, 0, width) };
                }
            }
        }
    }
}

impl Backward<'_> {
    /// Adds a block of queries' share to the gradients of keys and values, and writes the queries' gradient.
    #[inline(always)]
    fn block<S: Simd>(
        &self,
        s: S,
        (item, head): (usize, usize),
        block: Range<usize>,
        count: usize,
        scratch: &mut Scratch,
    ) {
        let problem = &self.problem;
        let Problem { heads, queries, width, .. } = *problem;
        let from = &problem.query.head(item, head * width)[block.start * problem.query.row..];
        // Queries are scaled as in the forward pass, so that scores are the same to the last bit. One bit of
        // a large score would make another weight, even an infinite one.
        let of_scores = problem.scale();
        copy_rows(s, (from, problem.query.row), (block.len(), width), of_scores, &mut scratch.queries, QUERY);
        let at = (item * queries + block.start) * heads * width + head * width;
        let from = (&self.gradient[at..], heads * width);
        copy_rows(s, from, (block.len(), width), 1.0, &mut scratch.slopes, QUERY);
        sums_of_products(
            s,
            &scratch.slopes,
            (&self.output[at..], heads * width),
            width,
            &mut scratch.sums[..block.len()],
        );

        for start in (0..count).step_by(HELD) {
            self.piece(s, (item, head), block.clone(), start..(start + HELD).min(count), scratch);
        }
    }

    /// The share of a block of queries and of the keys `piece`, whose scores are held at a time.
    #[inline(always)]
    fn piece<S: Simd>(
        &self,
        s: S,
        (item, head): (usize, usize),
        block: Range<usize>,
        piece: Range<usize>,
        scratch: &mut Scratch,
    ) {
        let problem = &self.problem;
        let Problem { heads, queries, keys, width, visible, .. } = *problem;
        let row_of_all = (item * heads + head) * queries;
        let factor = 1.0 / (width as f32).sqrt();
        let count = visible.count(item, keys);
        // the distance between blocks of columns
        let next = block.len().next_multiple_of(S::TILE_ROWS) * SCORES;
        let place = |column: usize| (column - piece.start) / KEYS * next + column % KEYS;
        if let Some(dropout) = problem.dropout {
            for row in block.clone() {
                let seen = visible.seen(item, row, keys).min(piece.end);
                for first in (piece.start..seen).step_by(KEYS) {
                    let at = place(first) + (row - block.start) * SCORES;
                    dropout.factors([item, head, row], heads, first, &mut scratch.kept[at..at + KEYS]);
                }
            }
        }
        let rows = Tile {
            first: block.start,
            item,
            problem,
            largest: &self.rows.largest[row_of_all + block.start..row_of_all + block.end],
            inverse: &self.rows.inverse[row_of_all + block.start..row_of_all + block.end],
            sums: &scratch.sums,
        };
        let slopes_wanted = self.targets[0].is_some() || self.targets[1].is_some();
        for row in block.clone().step_by(S::TILE_ROWS) {
            let local = row - block.start;
            let range = (local, (block.end - row).min(S::TILE_ROWS));
            let most = visible.seen(item, row + range.1 - 1, keys).min(piece.end);
            let mut column = piece.start;
            while column < most {
                let vectors = panel::<S>(count - column);
                let start = place(column / KEYS * KEYS);
                let operands = |a: &[f32], panels: &[f32]| Operands {
                    a: a[local * QUERY..].as_ptr(),
                    block: KEYS,
                    b: panels[column * width..].as_ptr(),
                    pitch: vectors * S::LANES,
                    depth: width,
                };
                // SAFETY: the panels hold `width` groups of so many vectors, and the scores have room for
                // whole panels.
                unsafe {
                    let weights = scratch.weights.as_mut_ptr().add(start);
                    let sink = Weights { rows, base: column / KEYS * KEYS, to: weights };
                    let key = operands(&scratch.queries, &scratch.key_panels);
                    fitting::<S, _, QUERY, 1>(s, key, sink, range, column % KEYS, vectors);
                    if slopes_wanted || problem.dropout.is_some() {
                        let sink = Slopes {
                            rows,
                            weights,
                            to: scratch.scores.as_mut_ptr().add(start),
                            kept: problem.dropout.map(|_| scratch.kept.as_ptr().add(start)),
                        };
                        let value = operands(&scratch.slopes, &scratch.value_panels);
                        fitting::<S, _, QUERY, 1>(s, value, sink, range, column % KEYS, vectors);
                    }
                }
                column += vectors * S::LANES;
            }
            if most <= piece.start {
                continue;
            }
            // a tile of keys may reach beyond the last panel
            if !column.is_multiple_of(KEYS) {
                for row in local..local + range.1 {
                    let at = place(column) + row * SCORES;
                    s.store(&mut scratch.weights[at..], s.splat(0.0));
                    s.store(&mut scratch.scores[at..], s.splat(0.0));
                }
            }
            if let Some(target) = self.targets[0] {
                let to = target.head(item, head * width).wrapping_add(block.start * target.row);
                let add = piece.start > 0;
                let output =
                    Output { to, pitch: target.row, width, factor, factors: None, add, shares: None };
                for first in (0..scratch.pitch).step_by(VECTORS * S::LANES) {
                    let operands = Operands {
                        a: scratch.scores[local * SCORES..].as_ptr(),
                        block: next,
                        b: scratch.keys[piece.start * scratch.pitch + first..].as_ptr(),
                        pitch: scratch.pitch,
                        depth: most - piece.start,
                    };
                    let vectors = panel::<S>(scratch.pitch - first);
                    // SAFETY: `most` keys are there, and the queries' rows are this pair's own.
                    unsafe { fitting::<S, _, SCORES, 1>(s, operands, output, range, first, vectors) };
                }
            }
        }
        let sides = [
            (self.targets[1], &scratch.scores, &scratch.queries, factor / problem.scale()),
            (self.targets[2], &scratch.weights, &scratch.slopes, 1.0),
        ];
        for (target, a, b, factor) in sides {
            let Some(target) = target else { continue };
            let to = target.head(item, head * width);
            let add = block.start > 0;
            let output = Output { to, pitch: target.row, width, factor, factors: None, add, shares: None };
            for key in piece.clone().step_by(S::TILE_ROWS) {
                let from = visible.first_to_see(key).clamp(block.start, block.end) - block.start;
                for first in (0..scratch.pitch).step_by(VECTORS * S::LANES) {
                    // SAFETY: these queries' columns were written just above; the keys' rows are this pair's
                    // own.
                    unsafe {
                        let operands = Operands {
                            a: a.as_ptr().add(place(key)).wrapping_add(from * SCORES),
                            block: 0,
                            b: b.as_ptr().add(first).wrapping_add(from * QUERY),
                            pitch: QUERY,
                            depth: block.len() - from,
                        };
                        let rows = (key, (piece.end - key).min(S::TILE_ROWS));
                        let vectors = panel::<S>(scratch.pitch - first);
                        fitting::<S, _, 1, SCORES>(s, operands, output, rows, first, vectors);
                    }
                }
            }
        }
    }
}

/// The rows that a tile of scores belongs to, counted from the block's first query.
#[derive(Clone, Copy)]
struct Tile<'a> {
    first: usize,
    item: usize,
    problem: &'a Problem<'a>,
    largest: &'a [f32],
    inverse: &'a [f32],
    sums: &'a [f32],
}

/// A sink that turns scores into weights.
#[derive(Clone, Copy)]
struct Weights<'a> {
    rows: Tile<'a>,
    /// The first column of the block.
    base: usize,
    to: *mut f32,
}

impl Sink for Weights<'_> {
    /// # Safety
    /// The row must be the block's, the columns inside it.
    #[inline(always)]
    unsafe fn take<S: Simd, const V: usize>(self, s: S, row: usize, column: usize, values: [S::F32; V]) {
        let Tile { first, item, problem, largest, inverse, .. } = self.rows;
        let seen = problem.visible.seen(item, first + row, problem.keys);
        let bias = problem.visible.bias(item);
        let (shift, inverse) = (s.splat(largest[row]), s.splat(inverse[row]));
        for v in 0..V {
            let mut exponent = values[v];
            let column = column + v * S::LANES;
            let place = self.base + column;
            if let Some(bias) = bias {
                exponent = s.add(exponent, s.load(&bias[place..]));
            }
            if place + S::LANES > seen {
                exponent = s.add(exponent, tail(s, seen.saturating_sub(place)));
            }
            let weight = s.mul(math::exp2(s, s.sub(exponent, shift)), inverse);
            // SAFETY: the caller's promise.
            unsafe { s.store_to(self.to.add(row * SCORES + column), weight) };
        }
    }
}

/// A sink that turns gradients of weights into gradients of scores, and multiplies weights by dropout's
/// factors.
#[derive(Clone, Copy)]
struct Slopes<'a> {
    rows: Tile<'a>,
    weights: *mut f32,
    to: *mut f32,
    kept: Option<*const f32>,
}

impl Sink for Slopes<'_> {
    /// # Safety
    /// The row must be the block's, the columns inside it.
    #[inline(always)]
    unsafe fn take<S: Simd, const V: usize>(self, s: S, row: usize, column: usize, values: [S::F32; V]) {
        let sum = s.splat(self.rows.sums[row]);
        for v in 0..V {
            let mut value = values[v];
            let at = row * SCORES + column + v * S::LANES;
            // SAFETY: the caller's promise.
            unsafe {
                let weight = s.load_from(self.weights.add(at));
                if let Some(kept) = self.kept {
                    let kept = s.load_from(kept.add(at));
                    value = s.mul(value, kept);
                    s.store_to(self.weights.add(at), s.mul(weight, kept));
                }
                s.store_to(self.to.add(at), s.mul(weight, s.sub(value, sum)));
            }
        }
    }
}

/// `to[row]` becomes the dot product of a row of `a`, padded with zeros, with a row of `b`.
#[inline(always)]
fn sums_of_products<S: Simd>(s: S, a: &[f32], (b, stride): (&[f32], usize), width: usize, to: &mut [f32]) {
    for (row, to) in to.iter_mut().enumerate() {
        let b = &b[row * stride..row * stride + width];
        let mut sum = s.splat(0.0);
        for (a, b) in a[row * QUERY..].chunks(S::LANES).zip(b.chunks(S::LANES)) {
            sum = s.mul_add(s.load(a), s.load_first(b), sum);
        }
        *to = s.sum(sum);
    }
}
