//! A convolution as a matrix product whose right-hand side is never written down whole. Rows are output
//! channels, columns are the positions of a grid over all images, and the depth is channels times taps.

use super::columns::{PanelPacking, Source, Width, width};
use super::geometry::Geometry;
use super::point;
use super::weights::{Packed, Weight, Weights};
use super::writer::{Finish, Product, Writer};
use crate::gemm::{Columns, Sink, TILE_VECTORS, fitting_tile};
use crate::memory::for_overwriting;
use crate::prepared::{Form, kept};
use crate::simd::{Kernel, Simd, run};
use crate::threads::{self, Shared};
use burn::backend::flex::FlexTensor;
use std::ops::Range;
use std::sync::Arc;

/// The count of unfinished sums that a thread holds at a time, in its second cache.
const HELD: usize = 1 << 17;
/// The number of panels packed and written at a time, so that neighbours in memory are used while they are in
/// the cache.
const PANELS: usize = 8;

/// The convolution of `x` by `weight`.
pub(super) fn forward(geometry: Geometry, x: &[f32], weight: Weight, finish: Finish, to: &mut [f32]) {
    let geometry = geometry.simplified();
    assert_eq!(x.len(), geometry.input_length());
    assert_eq!(weight.numbers.len(), geometry.weight_length());
    assert_eq!(to.len(), geometry.output_length());
    if point::serves(geometry) {
        return point::convolve(geometry, x, weight, false, finish, to);
    }
    let Geometry { groups, inputs, outputs, .. } = geometry;
    let (taps, plane) = (geometry.taps(), geometry.input_plane());
    let (grid, to) = (geometry.forward(), Shared::new(to));
    for group in 0..groups {
        let first = group * inputs * plane;
        Product {
            images: geometry.images,
            places: taps,
            source: Source { data: x, first, image: groups * inputs * plane, size: geometry.input },
            grid: &grid,
            weights: Weights {
                data: &weight.numbers[group * outputs * inputs * taps..],
                rows: outputs,
                channels: inputs,
                row_stride: inputs * taps,
                channel_stride: taps,
                place_stride: 1,
            },
            to,
            first_channel: group * outputs,
            all_channels: groups * outputs,
            size: geometry.output,
            finish,
        }
        .compute(weight.lasting.map(|weight| (weight, groups, group)));
    }
}

/// The gradient of the convolution's input from `y`, its output's gradient: the transposed convolution of
/// `y`.
pub(super) fn backward(geometry: Geometry, y: &[f32], weight: &[f32], finish: Finish, to: &mut [f32]) {
    let geometry = geometry.simplified();
    assert_eq!(y.len(), geometry.output_length());
    assert_eq!(weight.len(), geometry.weight_length());
    assert_eq!(to.len(), geometry.input_length());
    if point::serves(geometry) {
        return point::convolve(geometry, y, Weight::passing(weight), true, finish, to);
    }
    let Geometry { groups, inputs, outputs, .. } = geometry;
    let (taps, plane) = (geometry.taps(), geometry.output_plane());
    let (grid, to) = (geometry.backward(), Shared::new(to));
    for group in 0..groups {
        let first = group * outputs * plane;
        Product {
            images: geometry.images,
            places: taps,
            source: Source { data: y, first, image: groups * outputs * plane, size: geometry.output },
            grid: &grid,
            weights: Weights {
                data: &weight[group * outputs * inputs * taps..],
                rows: inputs,
                channels: outputs,
                row_stride: taps,
                channel_stride: inputs * taps,
                place_stride: 1,
            },
            to,
            first_channel: group * inputs,
            all_channels: groups * inputs,
            size: geometry.input,
            finish,
        }
        .compute(None);
    }
}

impl Product<'_> {
    /// Computes the product. What is made of a group of a forward convolution's lasting weight is kept: of
    /// so many groups, the one of this number.
    fn compute(self, lasting: Option<(&FlexTensor, usize, usize)>) {
        let Product { images, grid, weights, .. } = self;
        let columns = images * grid.size[0] * grid.size[1];
        assert!(
            self.finish.normed.is_none() || grid.write_step == [1, 1],
            "a norm of sums that lie side by side"
        );
        let taps: usize = grid.families.iter().map(|family| family.outlets.len() * family.reach.len()).sum();
        if columns == 0 || weights.rows == 0 {
            return;
        }
        let work = weights.rows * columns * (weights.channels * taps).max(1);
        let threads = if work < 1 << 18 { 1 } else { threads::count() };
        let width = run(Width);
        let panels = columns.div_ceil(width);
        // few panels cannot be shared out evenly, and neither can few rows
        let down = if panels < 8 * threads && weights.rows >= 24 * threads { threads } else { 1 };
        let across = (threads / down).min(panels);
        let pack = || Packed::new(weights, self.places, &grid.families, down);
        let known = lasting.and_then(|(weight, groups, group)| {
            let form = Form::Panels { groups, group, lots: down };
            kept(std::slice::from_ref(weight), form, Packed::bytes(&weights, self.places), pack)
        });
        let packed = known.unwrap_or_else(|| Arc::new(pack()));
        threads::parallel(across * down, |part| {
            let panels = threads::range(panels, across, part / down, 1);
            let columns = panels.start * width..(panels.end * width).min(columns);
            run(ProductPart { product: self, columns, packed: &packed, lot: part % down });
        });
    }
}

/// A thread's part of the product: some of its rows and columns.
struct ProductPart<'a> {
    product: Product<'a>,
    columns: Range<usize>,
    packed: &'a Packed,
    lot: usize,
}

impl Kernel for ProductPart<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let ProductPart { product, columns, packed, lot } = self;
        let Product { source, grid, .. } = product;
        let width = width::<S>();
        let rows = packed.rows(lot);
        let outlets: usize = grid.families.iter().map(|family| family.outlets.len()).sum();
        let held = outlets * rows.len();
        let panels = columns.len().div_ceil(width);
        let together = (HELD / (held * width).max(1)).clamp(4, PANELS).min(panels);
        let stride = together * width;
        let mut plans: Vec<PanelPacking<S>> = (0..together).map(|_| PanelPacking::new()).collect();
        let size = packed.deepest() * width;
        let mut panels = for_overwriting(together * size);
        let mut sums = for_overwriting(held * stride);
        let mut writer =
            Writer { product, first_row: rows.start, rows: rows.len(), stride, runs: Vec::new() };
        for first in columns.clone().step_by(stride) {
            let columns = first..(first + stride).min(columns.end);
            let count = columns.len().div_ceil(width);
            let mut row = 0;
            for (number, family) in grid.families.iter().enumerate() {
                for (plan, start) in plans.iter_mut().zip(columns.clone().step_by(width)) {
                    let end = (start + width).min(columns.end);
                    plan.make(s, &source, grid, &family.reach, start..end, vectors::<S>(end - start));
                }
                let family_rows = family.outlets.len() * rows.len();
                let sums = Shared::new(&mut sums[row * stride..(row + family_rows) * stride]);
                for channels in packed.blocks(number) {
                    for channel in channels.clone() {
                        let before = (channel - channels.start) * family.reach.len() * S::LANES;
                        for (panel, plan) in plans[..count].iter().enumerate() {
                            let at = before * vectors::<S>(columns.len() - panel * width);
                            // SAFETY: the plan is this panel's, and there is room for its rows.
                            unsafe {
                                let to = panels.as_mut_ptr().add(panel * size + at);
                                plan.pack(s, &source, channel..channel + 1, to);
                            }
                        }
                    }
                    let depth = channels.len() * family.reach.len();
                    let weights = packed.block(lot, number, &channels);
                    for panel in 0..count {
                        let add = channels.start > 0;
                        let to = Held { to: sums, stride, column: panel * width, add };
                        let narrow = vectors::<S>(columns.len() - panel * width) == 1;
                        let b = panels[panel * size..][..depth * width].as_ptr();
                        for row in (0..family_rows).step_by(S::TILE_ROWS) {
                            let tile = (row, (family_rows - row).min(S::TILE_ROWS));
                            let a = weights[row * depth..].as_ptr();
                            // SAFETY: the weights were packed with this height and depth, and the panel just
                            // above, with this width; the sums are this thread's, with this many rows and
                            // columns.
                            unsafe {
                                if narrow {
                                    let columns = (0, S::LANES);
                                    fitting_tile::<S, _, 1>(
                                        s,
                                        depth,
                                        a,
                                        Columns::flowing(b, S::LANES),
                                        to,
                                        tile,
                                        columns,
                                    );
                                } else {
                                    fitting_tile::<S, _, TILE_VECTORS>(
                                        s,
                                        depth,
                                        a,
                                        Columns::flowing(b, width),
                                        to,
                                        tile,
                                        (0, width),
                                    );
                                }
                            }
                        }
                    }
                }
                row += family_rows;
            }
            writer.write(s, &sums, columns);
        }
    }
}

/// The width in vectors of the next panel, if `left` columns are left.
#[inline(always)]
fn vectors<S: Simd>(left: usize) -> usize {
    if left <= S::LANES { 1 } else { TILE_VECTORS }
}

/// A sink for the unfinished sums of some panels side by side.
#[derive(Clone, Copy)]
struct Held<'a> {
    to: Shared<'a, f32>,
    stride: usize,
    /// The panel's first column.
    column: usize,
    add: bool,
}

impl Sink for Held<'_> {
    #[inline(always)]
    unsafe fn take<S: Simd, const V: usize>(self, s: S, row: usize, _: usize, values: [S::F32; V], _: usize) {
        for (v, value) in values.into_iter().enumerate() {
            // SAFETY: the caller promises that the row and the panel are some of those that are held.
            unsafe {
                let to = self.to.pointer().add(row * self.stride + self.column + v * S::LANES);
                s.store_to(to, if self.add { s.add(s.load_from(to), value) } else { value });
            }
        }
    }
}
