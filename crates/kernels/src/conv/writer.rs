//! Finishes sums: adds the bias, applies the activation, and writes them to their places in the target. In
//! the transpose of a strided convolution, several outlets fill those places in turn.

use super::columns::{Run, Source, runs};
use super::geometry::{Family, Grid};
use super::weights::Weights;
use crate::activation::Activation;
use crate::batch_norm::channels::Normed;
use crate::simd::Simd;
use crate::threads::Shared;
use std::ops::Range;

/// The work on complete sums.
#[derive(Clone, Copy, Default)]
pub(super) struct Finish<'a> {
    /// One number for each channel of all groups.
    pub bias: Option<&'a [f32]>,
    /// The norm between bias and activation, if there is one. A transposed convolution has none.
    pub normed: Option<Normed<'a>>,
    pub activation: Activation,
    /// The memory for the sums before the activation, if they are kept.
    pub sums: Option<Shared<'a, f32>>,
}

/// A product, and the destination of its rows: channels of `[images, channels, height, width]`.
#[derive(Clone, Copy)]
pub(super) struct Product<'a> {
    pub images: usize,
    /// The size of the kernel.
    pub places: usize,
    pub source: Source<'a>,
    pub grid: &'a Grid,
    pub weights: Weights<'a>,
    pub to: Shared<'a, f32>,
    pub first_channel: usize,
    pub all_channels: usize,
    pub size: [usize; 2],
    pub finish: Finish<'a>,
}

/// Finishes sums and writes them to their places.
pub(super) struct Writer<'a> {
    pub product: Product<'a>,
    /// The product's row that the first row of each outlet's sums belongs to.
    pub first_row: usize,
    pub rows: usize,
    /// The distance between rows of sums.
    pub stride: usize,
    /// Memory for the runs to write.
    pub runs: Vec<Run>,
}

impl Writer<'_> {
    /// Writes the positions `columns`, whose sums start at the first of `sums`.
    #[inline(always)]
    pub(super) fn write<S: Simd>(&mut self, s: S, sums: &[f32], columns: Range<usize>) {
        let Product { grid, size: [height, width], .. } = self.product;
        let [down, across] = grid.write_step;
        // neighbours in the grid are neighbours in the target, so rows need no runs of their own
        let whole = grid.write_step == [1, 1];
        runs(if whole { [1, height * width] } else { grid.size }, columns, &mut self.runs);
        for row in 0..self.rows {
            for number in 0..self.runs.len() {
                let run = self.runs[number];
                for above in 0..down {
                    let position = [run.row * down + above, run.column * across];
                    if whole || position[0] < height {
                        let end = if whole { height * width } else { width };
                        let length = (end - position[1]).min(run.length * across);
                        let start = position[0] * width + position[1];
                        self.write_run(s, sums, (row, above), run, start..start + length);
                    }
                }
            }
        }
    }

    /// Writes one run of one row to consecutive places of the target's plane.
    #[inline(always)]
    fn write_run<S: Simd>(
        &self,
        s: S,
        sums: &[f32],
        (row, above): (usize, usize),
        run: Run,
        places: Range<usize>,
    ) {
        let Product { grid, to, first_channel, all_channels, size, finish, .. } = self.product;
        let channel = first_channel + self.first_row + row;
        let start = (run.image * all_channels + channel) * size[0] * size[1];
        let places = start + places.start..start + places.end;
        // SAFETY: each position of each channel is written once, by one thread.
        let to = unsafe { to.part(places.clone()) };
        // SAFETY: as above.
        let mut kept = finish.sums.map(|kept| unsafe { kept.part(places.clone()) });
        let normed = finish
            .normed
            .map(|normed| (normed.maps[channel], normed.residual.map(|residual| &residual[places.clone()])));
        let bias = s.splat(finish.bias.map_or(0.0, |bias| bias[channel]));
        let step = grid.write_step[1];
        if step == 2 {
            let (even, odd) =
                (self.sums_of(sums, [above, 0], row, run), self.sums_of(sums, [above, 1], row, run));
            for at in (0..run.length).step_by(S::LANES) {
                let (first, second) = s.interleave(load(s, even, at), load(s, odd, at));
                for (half, value) in [first, second].into_iter().enumerate() {
                    let at = (2 * at + half * S::LANES).min(to.len());
                    let value = s.add(value, bias);
                    if let Some(kept) = &mut kept {
                        s.store_first(&mut kept[at..], value);
                    }
                    s.store_first(&mut to[at..], finish.activation.apply(s, value));
                }
            }
            return;
        }
        for left in 0..step.min(to.len()) {
            let sums = self.sums_of(sums, [above, left], row, run);
            for at in (0..run.length).step_by(S::LANES) {
                let mut value = s.add(load(s, sums, at), bias);
                let place = (at * step + left).min(to.len());
                if let Some(kept) = &mut kept {
                    store(s, &mut kept[place..], step, value);
                }
                if let Some((map, residual)) = normed {
                    value = map.apply(s, value);
                    if let Some(residual) = residual {
                        value = s.add(value, s.load_first(&residual[place..]));
                    }
                }
                store(s, &mut to[place..], step, finish.activation.apply(s, value));
            }
        }
    }

    /// The sums of a run in a phase; `None` if no tap reaches the phase, so that all are 0.
    #[inline(always)]
    fn sums_of<'s>(&self, sums: &'s [f32], phase: [usize; 2], row: usize, run: Run) -> Option<&'s [f32]> {
        let mut outlets = self.product.grid.families.iter().flat_map(|family: &Family| &family.outlets);
        let outlet = outlets.position(|outlet| outlet.phase == phase)?;
        let start = (outlet * self.rows + row) * self.stride + run.at;
        Some(&sums[start..start + run.length])
    }
}

/// The vector of a run's sums from `at` on.
#[inline(always)]
fn load<S: Simd>(s: S, sums: Option<&[f32]>, at: usize) -> S::F32 {
    match sums {
        Some(sums) => s.load_first(&sums[at..]),
        None => s.splat(0.0),
    }
}

/// Stores lanes to places `step` apart, as many as fit.
#[inline(always)]
fn store<S: Simd>(s: S, to: &mut [f32], step: usize, value: S::F32) {
    if step == 1 {
        s.store_first(to, value);
        return;
    }
    let mut lanes = [0.0; 16];
    s.store(&mut lanes, value);
    for (place, lane) in to.iter_mut().step_by(step).zip(&lanes[..S::LANES]) {
        *place = *lane;
    }
}
