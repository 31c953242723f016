//! Winograd's minimal filtering of 3x3 kernels at stride 1 (Lavin and Gray 2015, arXiv 1509.09308): tiles of
//! `T` by `T` outputs from `N` by `N` inputs, `N = T + 2`, as `A^T [(G g G^T) (B^T d B)] A`.
//!
//! ```text
//! input       -> transformed  [place in the tile, N * N][tile][input channel]
//! transformed -> products     [place in the tile, N * N][tile][output channel of a panel]
//! products    -> sums         [pixel][output channel of a panel]
//! ```
//!
//! F(2x2) errs as little as a plain sum in `f32`. F(4x4) errs about ten times as much, as its transforms
//! multiply by up to 8 and cancel. Both grow numbers on the way: F(4x4) up to 100 times the input's largest,
//! and a product's up to 361 times, so that numbers near the largest of `f32` overflow early.

use super::direct::place;
use super::finish::Finisher;
use super::pack::Panel;
use super::tile::{Even, MOST_VECTORS, Piece, blocks, product};
use super::{Layer, shares};
use crate::memory::for_overwriting;
use crate::simd::{Kernel, Simd, run as run_kernel};
use crate::threads::{self, Shared};
use crate::windows::Windows;
use std::ops::Range;

/// The most channels of a layer by F(4x4). Beyond, its weights, four times the layer's own, take longer to
/// read than F(2x2) takes to multiply.
pub(super) const MOST_OF_FOUR: usize = 128;

/// `G` of F(2x2, 3x3).
pub(super) const KERNEL_OF_TWO: [[f64; 3]; 4] =
    [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];

/// `G` of F(4x4, 3x3).
pub(super) const KERNEL_OF_FOUR: [[f64; 3]; 6] = [
    [0.25, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

/// The transformed numbers that a thread holds at a time, about what a second cache holds.
const HELD: usize = 1 << 17;
/// The numbers of a panel that are multiplied at a time: half of a first cache.
const PANEL: usize = 1 << 12;
/// The least tiles for a panel's numbers to be worth reading.
const LEAST_TILES: usize = 12;

/// The tiles of all images.
#[derive(Clone, Copy)]
struct Tiles {
    windows: Windows,
    /// The tiles of an image, down and across.
    grid: [usize; 2],
    /// The outputs of a tile on one axis.
    step: usize,
}

impl Tiles {
    /// The image of a tile, and its first output.
    fn at(&self, tile: usize) -> (usize, [usize; 2]) {
        let [down, across] = self.grid;
        let (image, place) = (tile / (down * across), tile % (down * across));
        (image, [place / across * self.step, place % across * self.step])
    }
}

/// `T` is the outputs of a tile on one axis, `N` its inputs.
pub(super) fn run<const T: usize, const N: usize>(
    layer: &Layer,
    x: &[f32],
    images: usize,
    windows: Windows,
    finisher: &Finisher,
) {
    let tiles = Tiles { windows, grid: windows.out.map(|size| size.div_ceil(T)), step: T };
    let count = images * tiles.grid[0] * tiles.grid[1];
    let inputs = layer.inputs;
    let panels = layer.packed.panels.len();
    let [across, down] = shares(count, layer.packed.depth, &layer.packed);
    if down == 1 {
        threads::parallel(across, |part| {
            let part = threads::range(count, across, part, 1);
            let together = (HELD / (N * N * inputs).max(1)).max(LEAST_TILES).min(part.len());
            let mut transformed = for_overwriting(N * N * together * inputs);
            for first in part.clone().step_by(together.max(1)) {
                let tiles_now = first..(first + together).min(part.end);
                let to = Shared::new(&mut transformed);
                run_kernel(Transform::<N> {
                    layer,
                    x,
                    tiles,
                    now: tiles_now.clone(),
                    channels: 0..inputs,
                    to,
                });
                let panels = 0..panels;
                run_kernel(Multiply::<T, N> {
                    layer,
                    tiles,
                    now: tiles_now,
                    panels,
                    transformed: &transformed,
                    finisher,
                });
            }
        });
        return;
    }
    // Few tiles and many weights: threads transform some channels each, and then share the panels.
    let together = (threads::count() * HELD / (N * N * inputs).max(1)).max(4 * LEAST_TILES).min(count);
    let mut transformed = for_overwriting(N * N * together * inputs);
    for first in (0..count).step_by(together) {
        let now = first..(first + together).min(count);
        let to = Shared::new(&mut transformed);
        threads::parallel(down, |part| {
            let channels = threads::range(inputs, down, part, 16);
            run_kernel(Transform::<N> { layer, x, tiles, now: now.clone(), channels, to });
        });
        threads::parallel(down, |part| {
            let panels = threads::range(panels, down, part, 1);
            let now = now.clone();
            run_kernel(Multiply::<T, N> { layer, tiles, now, panels, transformed: &transformed, finisher });
        });
    }
}

/// Transforms some channels of some tiles.
struct Transform<'a, const N: usize> {
    layer: &'a Layer,
    x: &'a [f32],
    tiles: Tiles,
    now: Range<usize>,
    channels: Range<usize>,
    to: Shared<'a, f32>,
}

impl<const N: usize> Kernel for Transform<'_, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Transform { layer, x, tiles, now, channels, to } = self;
        let Windows { size, padding, .. } = tiles.windows;
        let inputs = layer.inputs;
        // places lie `between` numbers apart
        let between = now.len() * inputs;
        let mut pixels = [[layer.zeros.as_ptr(); N]; N];
        for (number, tile) in now.enumerate() {
            let (image, corner) = tiles.at(tile);
            let image = &x[image * size[0] * size[1] * inputs..][..size[0] * size[1] * inputs];
            for (i, row) in pixels.iter_mut().enumerate() {
                for (j, pixel) in row.iter_mut().enumerate() {
                    let y = (corner[0] + i).cast_signed() - padding[0].cast_signed();
                    let x = (corner[1] + j).cast_signed() - padding[1].cast_signed();
                    *pixel = match place([y, x], size) {
                        Some(place) => image[place * inputs..][..inputs].as_ptr(),
                        None => layer.zeros.as_ptr(),
                    };
                }
            }
            for channel in channels.clone().step_by(S::LANES) {
                let left = (channels.end - channel).min(S::LANES);
                let mut half = [[s.splat(0.0); N]; N];
                for (half, pixels) in half.iter_mut().zip(&pixels) {
                    let mut line = [s.splat(0.0); N];
                    for (vector, pixel) in line.iter_mut().zip(pixels) {
                        // SAFETY: each pixel, and the row of zeros, has `inputs` numbers, and `left` of them
                        // remain from `channel` on.
                        *vector = unsafe {
                            if left == S::LANES {
                                s.load_from(pixel.add(channel))
                            } else {
                                s.load_first_from(pixel.add(channel), left)
                            }
                        };
                    }
                    *half = input_line(s, line);
                }
                for j in 0..N {
                    let mut line = [s.splat(0.0); N];
                    for i in 0..N {
                        line[i] = half[i][j];
                    }
                    for (i, value) in input_line(s, line).into_iter().enumerate() {
                        // SAFETY: the transformed numbers have `N * N` places of these tiles and channels,
                        // and these channels are this thread's.
                        unsafe {
                            let at = (i * N + j) * between + number * inputs + channel;
                            debug_assert!(at + left <= N * N * between);
                            let to = to.pointer().add(at);
                            if left == S::LANES {
                                s.store_to(to, value);
                            } else {
                                s.store_first_to(to, value, left);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Multiplies the transformed numbers of some tiles by some panels, and finishes them.
struct Multiply<'a, const T: usize, const N: usize> {
    layer: &'a Layer,
    tiles: Tiles,
    now: Range<usize>,
    panels: Range<usize>,
    transformed: &'a [f32],
    finisher: &'a Finisher<'a>,
}

/// The rows of sums of one tile, by its outputs: `None` outside of the image.
type Slots<const T: usize> = [[Option<usize>; T]; T];

impl<const T: usize, const N: usize> Kernel for Multiply<'_, T, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Multiply { layer, tiles, now, panels, transformed, finisher } = self;
        assert_eq!(layer.packed.lanes, S::LANES, "weights are packed for the instruction set that runs");
        let (inputs, count) = (layer.inputs, now.len());
        assert!(transformed.len() >= N * N * count * inputs);
        let most = MOST_VECTORS * S::LANES;
        let mut products = for_overwriting(N * N * count * most);
        let mut sums = for_overwriting(T * T * count * most);
        let pieces = blocks(1, inputs, PANEL / (2 * S::LANES));
        let mut places = Vec::with_capacity(T * T * count);
        let slots: Vec<Slots<T>> = now.map(|tile| slots(&tiles, tile, &mut places)).collect();
        for panel in &layer.packed.panels[panels] {
            let Panel { first, vectors } = *panel;
            let width = vectors * S::LANES;
            let mut weights = layer.packed.panel(*panel).as_ptr();
            for place in 0..N * N {
                let rows = Even { first: transformed[place * count * inputs..].as_ptr(), distance: inputs };
                for (number, pieces) in pieces.iter().enumerate() {
                    let taken: usize = pieces.iter().map(|piece: &Piece| piece.length).sum();
                    // SAFETY: a place has `count` rows of `inputs` numbers, which the pieces together are. The
                    // panel has as many groups for each place. The products have room for `count` rows of the
                    // widest panel at each place, and the first block overwrites them.
                    unsafe {
                        let to = products.as_mut_ptr().add(place * count * width);
                        product(s, rows, count, pieces, weights, vectors, to, number > 0);
                        weights = weights.add(taken * width);
                    }
                }
            }
            for (number, slots) in slots.iter().enumerate() {
                for v in 0..vectors {
                    // SAFETY: the products of all places and tiles were written above with this width. Slots
                    // count the rows of sums up to the number of places, at most `T * T` a tile.
                    unsafe {
                        let from = products.as_ptr().add(number * width + v * S::LANES);
                        let to = sums.as_mut_ptr().add(v * S::LANES);
                        untransform::<S, T, N>(s, from, count * width, slots, to, width);
                    }
                }
            }
            // SAFETY: the sums of all places were written above; the pixels of these tiles and the panel's
            // channels are this thread's alone.
            unsafe { finisher.rows(s, sums.as_ptr(), width, first, &places) };
        }
    }
}

/// The rows of a tile's outputs among `places`, which are extended by the pixels they belong to.
fn slots<const T: usize>(tiles: &Tiles, tile: usize, places: &mut Vec<usize>) -> Slots<T> {
    let (image, [top, left]) = tiles.at(tile);
    let [height, width] = tiles.windows.out;
    let mut slots = [[None; T]; T];
    for (i, row) in slots.iter_mut().enumerate() {
        for (j, slot) in row.iter_mut().enumerate() {
            if top + i < height && left + j < width {
                *slot = Some(places.len());
                places.push((image * height + top + i) * width + left + j);
            }
        }
    }
    slots
}

/// Turns one vector of each place of a tile, `distance` numbers apart, into sums of its outputs.
///
/// # Safety
/// The vectors must be readable, and the rows of the slots writable.
#[inline(always)]
unsafe fn untransform<S: Simd, const T: usize, const N: usize>(
    s: S,
    from: *const f32,
    distance: usize,
    slots: &Slots<T>,
    to: *mut f32,
    width: usize,
) {
    let mut half = [[s.splat(0.0); T]; N];
    for (i, half) in half.iter_mut().enumerate() {
        let mut line = [s.splat(0.0); N];
        for (j, vector) in line.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *vector = unsafe { s.load_from(from.add((i * N + j) * distance)) };
        }
        *half = output_line(s, line);
    }
    for j in 0..T {
        let mut line = [s.splat(0.0); N];
        for i in 0..N {
            line[i] = half[i][j];
        }
        let values: [S::F32; T] = output_line(s, line);
        for (i, value) in values.into_iter().enumerate() {
            if let Some(row) = slots[i][j] {
                // SAFETY: the caller's promise.
                unsafe { s.store_to(to.add(row * width), value) };
            }
        }
    }
}

/// `B^T d` for a line of a tile.
#[inline(always)]
fn input_line<S: Simd, const N: usize>(s: S, d: [S::F32; N]) -> [S::F32; N] {
    let mut out = d;
    if N == 4 {
        out[0] = s.sub(d[0], d[2]);
        out[1] = s.add(d[1], d[2]);
        out[2] = s.sub(d[2], d[1]);
        out[3] = s.sub(d[1], d[3]);
        return out;
    }
    let (two, four, five) = (s.splat(2.0), s.splat(4.0), s.splat(5.0));
    // 4 d0 - 5 d2 + d4
    out[0] = s.mul_add(four, d[0], s.neg_mul_add(five, d[2], d[N - 2]));
    // -4 d2 + d4, with and without the sign of -4 d1 + d3
    let (even, odd) = (s.neg_mul_add(four, d[2], d[N - 2]), s.neg_mul_add(four, d[1], d[3]));
    out[1] = s.add(even, odd);
    out[2] = s.sub(even, odd);
    // d4 - d2, with and without the sign of 2 (d3 - d1)
    let (even, odd) = (s.sub(d[N - 2], d[2]), s.mul(two, s.sub(d[3], d[1])));
    out[3] = s.add(even, odd);
    out[N - 2] = s.sub(even, odd);
    // 4 d1 - 5 d3 + d5
    out[N - 1] = s.mul_add(four, d[1], s.neg_mul_add(five, d[3], d[N - 1]));
    out
}

/// `A^T m` for a line of a tile.
#[inline(always)]
fn output_line<S: Simd, const T: usize, const N: usize>(s: S, m: [S::F32; N]) -> [S::F32; T] {
    let mut out = [m[0]; T];
    if N == 4 {
        out[0] = s.add(m[0], s.add(m[1], m[2]));
        out[1] = s.sub(s.sub(m[1], m[2]), m[3]);
        return out;
    }
    let (two, four, eight) = (s.splat(2.0), s.splat(4.0), s.splat(8.0));
    let (sum, difference) = (s.add(m[1], m[2]), s.sub(m[1], m[2]));
    let (far_sum, far_difference) = (s.add(m[3], m[N - 2]), s.sub(m[3], m[N - 2]));
    out[0] = s.add(m[0], s.add(sum, far_sum));
    out[1] = s.mul_add(two, far_difference, difference);
    out[T - 2] = s.mul_add(four, far_sum, sum);
    out[T - 1] = s.add(s.mul_add(eight, far_difference, difference), m[N - 1]);
    out
}
