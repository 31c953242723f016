//! The gradient of a convolution's weight: a matrix product whose depth is the positions of the output over
//! all images.
//!
//! The panels of positions are the engine's, [`columns`](super::columns). Their rows, one for each channel
//! and tap, are the rows of this product. A tile reads one number of each of its rows at a time, a panel's
//! width apart, so the larger operand needs no transposing. The output's gradient is transposed: its channels
//! are the lanes of a tile's vectors. If the kernel is a point, rows are read from the input in place.

mod tile;
mod turn;

use super::columns::{PanelPacking, Source, Width, width};
use super::geometry::Geometry;
use super::point;
use crate::gemm::TILE_VECTORS;
use crate::memory::for_overwriting;
use crate::simd::{Kernel, Simd, run};
use crate::threads::{self, Shared};
use std::ops::Range;
use turn::{Collect, PANELS, turn};

/// The number of rows of panels that are packed at a time, about, to stay in the second cache.
const ROWS: usize = 252;

/// The gradient of the weight, `[groups * outputs, inputs, kernel]`, from the input and the output's
/// gradient.
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
    // Threads share positions where a second set of sums costs little, and otherwise channels of the input.
    let by_positions = panels * run(Width) > 2 * rows || geometry.inputs < 8 * threads;
    let (across, down) = if by_positions { (threads.min(panels.div_ceil(PANELS)), 1) } else { (1, threads) };
    let mut partial = for_overwriting(across * sums);
    let shared = Shared::new(&mut partial);
    threads::parallel(across * down, |part| {
        run(GradientPart {
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

/// A thread's part of the product: sums for some channels of the input, over some panels of positions.
struct GradientPart<'a> {
    geometry: Geometry,
    x: &'a [f32],
    gradient: &'a [f32],
    group: usize,
    channels: Range<usize>,
    panels: Range<usize>,
    /// The sums: for each panel of the output's channels, row after row of the panel's width.
    to: Shared<'a, f32>,
    first: usize,
}

impl Kernel for GradientPart<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        if point::rows_lie_well(self.geometry) {
            self.in_place(s);
        } else {
            self.packed(s);
        }
    }
}

impl GradientPart<'_> {
    /// The positions of the panels, some panels at a time.
    #[inline(always)]
    fn steps<S: Simd>(&self) -> impl Iterator<Item = Range<usize>> + use<S> {
        let width = width::<S>();
        let positions = self.geometry.images * self.geometry.output_plane();
        let end = self.panels.end;
        let step = move |start: usize| start * width..((start + PANELS).min(end) * width).min(positions);
        self.panels.clone().step_by(PANELS).map(step)
    }

    fn source(&self) -> Source<'_> {
        let Geometry { groups, inputs, input, .. } = self.geometry;
        let plane = self.geometry.input_plane();
        Source {
            data: self.x,
            first: self.group * inputs * plane,
            image: groups * inputs * plane,
            size: input,
        }
    }

    /// Memory for the transposed gradient of some panels, zero for missing channels.
    #[inline(always)]
    fn room<S: Simd>(&self) -> Vec<f32> {
        let mut turned =
            for_overwriting(self.geometry.outputs.div_ceil(width::<S>()) * PANELS * width::<S>().pow(2));
        turned.fill(0.0);
        turned
    }

    /// Computes the sums with rows read from the input in place: the kernel is a point.
    #[inline(always)]
    fn in_place<S: Simd>(&self, s: S) {
        let GradientPart { geometry, x, gradient, group, ref channels, ref panels, to, first } = *self;
        let (width, plane, source) = (width::<S>(), geometry.input_plane(), self.source());
        let (mut turned, mut pieces) = (self.room::<S>(), Vec::new());
        for some in self.steps::<S>() {
            let begun = some.start > panels.start * width;
            turn(s, &geometry, gradient, group, some, &mut pieces, &mut turned);
            for piece in &pieces {
                for lane in 0..geometry.outputs.div_ceil(width) {
                    let b = turned[(lane * PANELS * width + piece.at) * width..].as_ptr();
                    for row in channels.clone().step_by(S::TILE_ROWS) {
                        let rows = (channels.end - row).min(S::TILE_ROWS);
                        let from = source.first + piece.image * source.image + row * plane + piece.column;
                        let from = &x[from..from + (rows - 1) * plane + piece.length];
                        let place = first + (lane * geometry.inputs + row) * width;
                        // SAFETY: each thread has its own rows or its own set of sums; the gradient was
                        // turned just above for this many positions, and `from` has so many numbers of each
                        // row.
                        unsafe {
                            let to = to.part(place..place + rows * width).as_mut_ptr();
                            let add = begun || piece.at > 0;
                            tile::rows_in_place(s, piece.length, (from.as_ptr(), plane), b, (to, rows), add);
                        }
                    }
                }
            }
        }
    }

    /// Computes the sums with rows packed in panels, one for each channel and tap.
    #[inline(always)]
    fn packed<S: Simd>(&self, s: S) {
        let GradientPart { geometry, gradient, group, ref channels, ref panels, to, first, .. } = *self;
        let (width, taps, source) = (width::<S>(), geometry.taps(), self.source());
        let all_rows = geometry.inputs * taps;
        let grid = geometry.forward();
        let block = (ROWS / taps).max(1);
        let size = block.min(channels.len()) * taps * width;
        let mut plans: Vec<PanelPacking<S>> = (0..PANELS).map(|_| PanelPacking::new()).collect();
        // the last tile reads rows beyond the existing ones and drops their sums
        let mut packed = vec![0.0; PANELS * size + S::TILE_ROWS * width];
        let (mut turned, mut pieces) = (self.room::<S>(), Vec::new());
        for some in self.steps::<S>() {
            let begun = some.start > panels.start * width;
            for (plan, start) in plans.iter_mut().zip(some.clone().step_by(width)) {
                let columns = start..(start + width).min(some.end);
                plan.make(s, &source, &grid, &grid.families[0].reach, columns, TILE_VECTORS);
            }
            turn(s, &geometry, gradient, group, some.clone(), &mut pieces, &mut turned);
            for channel in channels.clone().step_by(block) {
                let channels = channel..(channel + block).min(channels.end);
                let count = channels.len() * taps;
                let filled = some.len().div_ceil(width);
                for channel in channels.clone() {
                    let at = (channel - channels.start) * taps * width;
                    for (panel, plan) in plans[..filled].iter().enumerate() {
                        // SAFETY: the plan is of this source, and each panel has room for its rows and a
                        // vector.
                        unsafe {
                            let to = packed.as_mut_ptr().add(panel * size + at);
                            plan.pack(s, &source, channel..channel + 1, to);
                        }
                    }
                }
                for lane in 0..geometry.outputs.div_ceil(width) {
                    let b = turned[lane * PANELS * width * width..][..PANELS * width * width].as_ptr();
                    for row in (0..count).step_by(S::TILE_ROWS) {
                        let rows = (count - row).min(S::TILE_ROWS);
                        let place = first + (lane * all_rows + channels.start * taps + row) * width;
                        // SAFETY: each thread has its own rows or its own set of sums; panels and channels
                        // were packed just above for this many positions.
                        unsafe {
                            let to = to.part(place..place + rows * width).as_mut_ptr();
                            let a = packed.as_ptr().add(row * width);
                            tile::panels(s, some.len(), (a, size), b, (to, rows), begun);
                        }
                    }
                }
            }
        }
    }
}
