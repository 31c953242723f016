//! The gradient of a convolution's weight: a matrix product whose depth is the positions of the output over all images.
//!
//! The panels of positions are the engine's, [`columns`](super::columns). Their rows, a channel and a tap each, are the
//! product's rows here: a tile reads one number of each of its rows at a time, a panel's width apart, so that nothing of
//! the larger operand is transposed. The gradient of the output is: its channels are the lanes of a tile's vectors.
//! Where the kernel is a point, rows are the input's as they lie.

use super::columns::{Plan, Run, Source, runs, width};
use super::geometry::Geometry;
use super::point;
use crate::gemm::{TILE_VECTORS, accumulate, panel_height};
use crate::memory::for_overwriting;
use crate::simd::{Kernel, Simd, run};
use crate::threads::{self, Shared};
use std::ops::Range;

/// Positions that are summed in registers at a time, in panels.
const PANELS: usize = 8;
/// About this many rows of panels are packed at a time, to stay in the second cache.
const ROWS: usize = 252;

/// The gradient of the weight, `[groups * outputs, inputs, kernel]`, of the input and the output's gradient.
pub(super) fn weight_gradient(geometry: Geometry, x: &[f32], gradient: &[f32]) -> Vec<f32> {
    let geometry = geometry.simplified();
    assert_eq!(x.len(), geometry.input_length());
    assert_eq!(gradient.len(), geometry.output_length());
    let mut to = for_overwriting(geometry.weight_length());
    if gradient.is_empty() || x.is_empty() {
        to.fill(0.0);
        return to;
    }
    for (group, to) in to.chunks_exact_mut(geometry.weight_length() / geometry.groups).enumerate() {
        of_group(geometry, x, gradient, group, to);
    }
    to
}

fn of_group(geometry: Geometry, x: &[f32], gradient: &[f32], group: usize, to: &mut [f32]) {
    let rows = geometry.inputs * geometry.taps();
    let panels = (geometry.images * geometry.output_plane()).div_ceil(run(Width));
    let sums = geometry.outputs.div_ceil(run(Width)) * run(Width) * rows;
    let work = panels * run(Width) * sums;
    let threads = if work < 1 << 18 { 1 } else { threads::count() };
    // Positions are shared out where a second set of sums costs little, and channels of the input elsewhere.
    let by_positions = panels * run(Width) > 2 * rows || geometry.inputs < 8 * threads;
    let (across, down) = if by_positions { (threads.min(panels.div_ceil(PANELS)), 1) } else { (1, threads) };
    let mut partial = for_overwriting(across * sums);
    let shared = Shared::new(&mut partial);
    threads::parallel(across * down, |part| {
        run(Part {
            geometry,
            x,
            gradient,
            group,
            channels: threads::range(geometry.inputs, down, part % down, 1),
            panels: threads::range(panels, across, part / down, 1),
            to: shared,
            first: part / down * sums,
        });
    });
    let to = Shared::new(to);
    threads::ranges(rows, (1 << 14) / geometry.outputs + 1, |range| {
        run(Collect {
            sums: shared,
            parts: across,
            length: sums,
            rows,
            range,
            outputs: geometry.outputs,
            to,
        });
    });
}

struct Width;

impl Kernel for Width {
    type Output = usize;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        width::<S>()
    }
}

/// Sums for some channels of the input, over some panels of positions.
struct Part<'a> {
    geometry: Geometry,
    x: &'a [f32],
    gradient: &'a [f32],
    group: usize,
    channels: Range<usize>,
    panels: Range<usize>,
    /// For each panel of the output's channels, row after row of its width.
    to: Shared<'a, f32>,
    first: usize,
}

impl Kernel for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Part { geometry, x, gradient, group, channels, panels, to, first } = self;
        let (width, taps) = (width::<S>(), geometry.taps());
        let all_rows = geometry.inputs * taps;
        let grid = geometry.forward();
        let plane = geometry.input_plane();
        let source = Source {
            data: x,
            first: group * geometry.inputs * plane,
            image: geometry.groups * geometry.inputs * plane,
            size: geometry.input,
        };
        let lanes = geometry.outputs.div_ceil(width);
        let block = (ROWS / taps).max(1);
        let size = block.min(channels.len()) * taps * width;
        let mut plans: Vec<Plan<S>> = (0..PANELS).map(|_| Plan::new()).collect();
        // a last tile reads rows behind those there are, and drops what it makes of them
        let mut packed = for_overwriting(PANELS * size + S::TILE_ROWS * width);
        let mut turned = for_overwriting(lanes * PANELS * width * width);
        turned.fill(0.0);
        let mut pieces = Vec::new();
        let positions = geometry.images * geometry.output_plane();
        let in_place = point::rows_lie_well(geometry);
        for start in panels.clone().step_by(PANELS) {
            let some = start * width..((start + PANELS).min(panels.end) * width).min(positions);
            if in_place {
                turn(s, &geometry, gradient, group, some, &mut pieces, &mut turned);
                for piece in &pieces {
                    for lane in 0..lanes {
                        let b = turned[(lane * PANELS * width + piece.at) * width..].as_ptr();
                        for row in channels.clone().step_by(S::TILE_ROWS) {
                            let rows = (channels.end - row).min(S::TILE_ROWS);
                            let from = source.first + piece.image * source.image + row * plane + piece.column;
                            let from = &x[from..from + (rows - 1) * plane + piece.length];
                            let place = first + (lane * all_rows + row) * width;
                            // SAFETY: each thread has its own rows or its own set of sums; the gradient was turned just
                            // above for this many positions.
                            unsafe {
                                let to = to.part(place..place + rows * width).as_mut_ptr();
                                let add = start > panels.start || piece.at > 0;
                                rows_in_place(s, piece.length, (from.as_ptr(), plane), b, (to, rows), add);
                            }
                        }
                    }
                }
                continue;
            }
            for (plan, start) in plans.iter_mut().zip(some.clone().step_by(width)) {
                plan.make(
                    s,
                    &source,
                    &grid,
                    &grid.families[0].reach,
                    start..(start + width).min(some.end),
                    TILE_VECTORS,
                );
            }
            turn(s, &geometry, gradient, group, some.clone(), &mut pieces, &mut turned);
            for channel in channels.clone().step_by(block) {
                let channels = channel..(channel + block).min(channels.end);
                let count = channels.len() * taps;
                let filled = some.len().div_ceil(width);
                for channel in channels.clone() {
                    let at = (channel - channels.start) * taps * width;
                    for (panel, plan) in plans[..filled].iter().enumerate() {
                        // SAFETY: the plan is of this source, and each panel has room for its rows and a vector.
                        unsafe {
                            let to = packed.as_mut_ptr().add(panel * size + at);
                            plan.pack(s, &source, channel..channel + 1, to);
                        }
                    }
                }
                for lane in 0..lanes {
                    let b = turned[lane * PANELS * width * width..][..PANELS * width * width].as_ptr();
                    for row in (0..count).step_by(S::TILE_ROWS) {
                        let rows = (count - row).min(S::TILE_ROWS);
                        let place = first + (lane * all_rows + channels.start * taps + row) * width;
                        // SAFETY: each thread has its own rows or its own set of sums; panels and channels were packed
                        // just above for this many positions.
                        unsafe {
                            let to = to.part(place..place + rows * width).as_mut_ptr();
                            let a = packed.as_ptr().add(row * width);
                            let add = start > panels.start;
                            fitting_tile(s, some.len(), (a, size), b, (to, rows), add);
                        }
                    }
                }
            }
        }
    }
}

/// The gradient at some positions, `[positions, channels]` for each panel of channels.
#[inline(always)]
fn turn<S: Simd>(
    s: S,
    geometry: &Geometry,
    gradient: &[f32],
    group: usize,
    positions: Range<usize>,
    pieces: &mut Vec<Run>,
    to: &mut [f32],
) {
    let (width, plane) = (width::<S>(), geometry.output_plane());
    runs([1, plane], positions, pieces);
    for piece in pieces {
        let channel = (piece.image * geometry.groups + group) * geometry.outputs;
        for row in (0..geometry.outputs).step_by(S::LANES) {
            let rows = (geometry.outputs - row).min(S::LANES);
            for at in (0..piece.length).step_by(S::LANES) {
                let columns = (piece.length - at).min(S::LANES);
                let from = (channel + row) * plane + piece.column + at;
                let place = (row / width * PANELS * width + piece.at + at) * width + row % width;
                assert!(from + (rows - 1) * plane + columns <= gradient.len());
                assert!(place + (columns - 1) * width + rows <= to.len());
                // SAFETY: the lengths were checked just above.
                unsafe {
                    let (from, to) = (gradient.as_ptr().add(from), to.as_mut_ptr().add(place));
                    s.transpose(from, plane, (rows, columns), to, width);
                }
            }
        }
    }
}

/// A tile of the least height that holds `rows`.
///
/// # Safety
/// As [`tile`]'s, with room for `rows` rows.
#[inline(always)]
unsafe fn fitting_tile<S: Simd>(
    s: S,
    depth: usize,
    a: (*const f32, usize),
    b: *const f32,
    (to, rows): (*mut f32, usize),
    add: bool,
) {
    // SAFETY: the caller's promise. Only the heights of this instruction set are reachable.
    unsafe {
        match (panel_height::<S>(rows), rows) {
            (12, 9) => tile::<S, 9, TILE_VECTORS>(s, depth, a, b, (to, rows), add),
            (12, _) => tile::<S, 12, TILE_VECTORS>(s, depth, a, b, (to, rows), add),
            (8, _) => tile::<S, 8, TILE_VECTORS>(s, depth, a, b, (to, rows), add),
            (6, _) => tile::<S, 6, TILE_VECTORS>(s, depth, a, b, (to, rows), add),
            (4, _) => tile::<S, 4, TILE_VECTORS>(s, depth, a, b, (to, rows), add),
            (3, _) => tile::<S, 3, TILE_VECTORS>(s, depth, a, b, (to, rows), add),
            (2, _) => tile::<S, 2, TILE_VECTORS>(s, depth, a, b, (to, rows), add),
            _ => tile::<S, 1, TILE_VECTORS>(s, depth, a, b, (to, rows), add),
        }
    }
}

/// `to[r, :] (+)= sum over p of a[r, p] b[p, :]`, a tile of the least height that holds `rows`, with rows of `a` a
/// `plane` apart.
///
/// # Safety
/// `a` must have `rows` rows of `depth` readable numbers, `b` `depth` groups of vectors, `to` room for `rows` groups.
#[inline(always)]
unsafe fn rows_in_place<S: Simd>(
    s: S,
    depth: usize,
    (a, plane): (*const f32, usize),
    b: *const f32,
    (to, rows): (*mut f32, usize),
    add: bool,
) {
    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize>(
        s: S,
        depth: usize,
        (a, plane): (*const f32, usize),
        b: *const f32,
        (to, rows): (*mut f32, usize),
        add: bool,
    ) {
        let mut sums = [[s.splat(0.0); TILE_VECTORS]; R];
        // rows that do not exist are read as the last that does
        let from: [_; R] = std::array::from_fn(|r| a.wrapping_add(r.min(rows - 1) * plane));
        // SAFETY: the caller's promise.
        unsafe {
            accumulate::<S, R, TILE_VECTORS, TILE_VECTORS>(s, &mut sums, 0, from, depth, b);
            store_rows(s, sums, (to, rows), add);
        }
    }
    let thirds = panel_height::<S>(rows) / (S::TILE_ROWS / 3);
    // The outer choice is made when this is compiled.
    // SAFETY: the caller's promise.
    unsafe {
        match (S::TILE_ROWS, thirds) {
            (12, 3) => tile::<S, 12>(s, depth, (a, plane), b, (to, rows), add),
            (12, 2) => tile::<S, 8>(s, depth, (a, plane), b, (to, rows), add),
            (12, _) => tile::<S, 4>(s, depth, (a, plane), b, (to, rows), add),
            (6, 3) => tile::<S, 6>(s, depth, (a, plane), b, (to, rows), add),
            (6, 2) => tile::<S, 4>(s, depth, (a, plane), b, (to, rows), add),
            (6, _) => tile::<S, 2>(s, depth, (a, plane), b, (to, rows), add),
            (_, 3) => tile::<S, 3>(s, depth, (a, plane), b, (to, rows), add),
            (_, 2) => tile::<S, 2>(s, depth, (a, plane), b, (to, rows), add),
            _ => tile::<S, 1>(s, depth, (a, plane), b, (to, rows), add),
        }
    }
}

/// Writes or adds the first `rows` rows of sums.
///
/// # Safety
/// `to` must have room for them.
#[inline(always)]
unsafe fn store_rows<S: Simd, const R: usize, const V: usize>(
    s: S,
    sums: [[S::F32; V]; R],
    (to, rows): (*mut f32, usize),
    add: bool,
) {
    for (r, sums) in sums.into_iter().enumerate() {
        if r < rows {
            for (v, sum) in sums.into_iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe {
                    let to = to.add((r * V + v) * S::LANES);
                    s.store_to(to, if add { s.add(s.load_from(to), sum) } else { sum });
                }
            }
        }
    }
}

/// `to[r, :] (+)= sum over p of a[r, p] b[p, :]`, where `a` comes in panels: number `p` of row `r` is at
/// `p / width * size + r * width + p % width`.
///
/// # Safety
/// `a` must have panels of `R` readable rows, `b` `depth` groups of `V` vectors, `to` room for `rows` groups.
#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const V: usize>(
    s: S,
    depth: usize,
    (a, size): (*const f32, usize),
    b: *const f32,
    (to, rows): (*mut f32, usize),
    add: bool,
) {
    let mut sums = [[s.splat(0.0); V]; R];
    let (mut panel, mut b) = (a, b);
    let mut left = depth;
    while left > 0 {
        let count = left.min(width::<S>());
        let mut a = panel;
        for _ in 0..count {
            // SAFETY: the caller's promise.
            unsafe {
                let mut vectors = [s.splat(0.0); V];
                for (v, vector) in vectors.iter_mut().enumerate() {
                    *vector = s.load_from(b.add(v * S::LANES));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let scalar = s.splat(a.add(r * width::<S>()).read());
                    for (sum, vector) in sums.iter_mut().zip(vectors) {
                        *sum = s.mul_add(scalar, vector, *sum);
                    }
                }
                a = a.add(1);
                b = b.add(V * S::LANES);
            }
        }
        left -= count;
        panel = panel.wrapping_add(size);
    }
    // SAFETY: the caller's promise.
    unsafe { store_rows(s, sums, (to, rows), add) };
}

/// Adds the parts in their order, and turns rows to columns.
struct Collect<'a> {
    sums: Shared<'a, f32>,
    parts: usize,
    length: usize,
    rows: usize,
    range: Range<usize>,
    outputs: usize,
    to: Shared<'a, f32>,
}

impl Kernel for Collect<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Collect { sums, parts, length, rows, range, outputs, to } = self;
        let width = width::<S>();
        for output in (0..outputs).step_by(S::LANES) {
            let panel = output / width * rows * width + output % width;
            let lanes = (outputs - output).min(S::LANES);
            for row in range.clone().step_by(S::LANES) {
                let count = (range.end - row).min(S::LANES);
                // SAFETY: each thread has rows of its own, inside the sums and the weight; parts are complete.
                unsafe {
                    let start = sums.pointer().add(panel + row * width);
                    for part in 1..parts {
                        for r in 0..count {
                            let at = start.add(r * width);
                            s.store_to(at, s.add(s.load_from(at), s.load_from(at.add(part * length))));
                        }
                    }
                    let to = to.pointer().add(output * rows + row);
                    s.transpose(start, width, (count, lanes), to, rows);
                }
            }
        }
    }
}
