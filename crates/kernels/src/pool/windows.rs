//! Windows over a plane, and the kernels that slide over it.

use crate::simd::{Kernel, Simd};
use crate::threads::Shared;
use crate::windows::Windows;
use std::ops::Range;

impl Windows {
    /// True if there is one window, the plane itself.
    pub(crate) fn is_whole_plane(&self) -> bool {
        self.kernel == self.size && self.padding == [0; 2] && self.dilation == [1; 2]
    }

    /// The taps of a window that lie in the plane, along one axis.
    #[inline(always)]
    pub(super) fn inside(&self, axis: usize, window: usize) -> Range<usize> {
        let (start, step) = (window * self.stride[axis], self.dilation[axis]);
        let first = self.padding[axis].saturating_sub(start).div_ceil(step).min(self.kernel[axis]);
        let room = (self.size[axis] + self.padding[axis]).saturating_sub(start);
        first..room.div_ceil(step).clamp(first, self.kernel[axis])
    }

    /// The place of a tap in the plane, along one axis. The tap must lie in the plane.
    #[inline(always)]
    pub(super) fn place(&self, axis: usize, window: usize, tap: usize) -> usize {
        window * self.stride[axis] + tap * self.dilation[axis] - self.padding[axis]
    }

    /// The windows with all their taps in the plane's width.
    fn whole(&self) -> Range<usize> {
        let first = self.padding[1].div_ceil(self.stride[1]).min(self.out[1]);
        let reach = self.dilation[1] * (self.kernel[1] - 1);
        let end = (self.size[1] + self.padding[1])
            .checked_sub(reach + 1)
            .map_or(0, |last| last / self.stride[1] + 1);
        first..end.clamp(first, self.out[1])
    }
}

/// Computes the mean of each plane.
pub(crate) struct Means<'a> {
    pub x: &'a [f32],
    pub plane: usize,
    pub to: &'a mut [f32],
}

impl Kernel for Means<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (plane, to) in self.x.chunks_exact(self.plane).zip(self.to) {
            let mut sums = [s.splat(0.0); 4];
            let fours = plane.chunks_exact(4 * S::LANES);
            for x in fours.remainder().chunks(S::LANES) {
                sums[0] = s.add(sums[0], s.load_first(x));
            }
            for x in fours {
                for (i, sum) in sums.iter_mut().enumerate() {
                    *sum = s.add(*sum, s.load(&x[i * S::LANES..]));
                }
            }
            *to = s.sum(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3]))) / self.plane as f32;
        }
    }
}

/// The tap of a window that lies outside of the plane: none.
pub(crate) const NONE: u8 = 255;

/// `count` numbers from `start` on, `stride` apart. The other lanes are unspecified.
#[inline(always)]
fn strided<S: Simd>(s: S, from: &[f32], start: usize, count: usize, stride: usize) -> S::F32 {
    match stride {
        1 => s.load_first(&from[start..start + count]),
        2 => {
            let from = &from[start..];
            if from.len() >= 2 * S::LANES {
                return s.evens(s.load(from), s.load(&from[S::LANES..]));
            }
            s.evens(s.load_first(from), s.load_first(&from[S::LANES.min(from.len())..]))
        }
        _ => {
            let mut numbers = [0.0; 64];
            for (lane, number) in numbers.iter_mut().enumerate().take(count) {
                *number = from[start + lane * stride];
            }
            s.load(&numbers)
        }
    }
}

/// Computes the largest number of each window and its tap: the first of equal numbers, or the last NaN.
/// Without `MAX`, computes the mean. Windows are in the order of [`Windows`].
pub(crate) struct Slide<'a, const MAX: bool> {
    pub windows: Windows,
    pub x: &'a [f32],
    pub to: Shared<'a, f32>,
    /// The taps; empty if they are not wanted.
    pub taps: Shared<'a, u8>,
    pub taps_wanted: bool,
    pub count_padding: bool,
    pub planes: Range<usize>,
}

impl<const MAX: bool> Slide<'_, MAX> {
    #[inline(always)]
    fn one(&self, x: &[f32], window: [usize; 2]) -> (f32, u8) {
        let w = &self.windows;
        let (mut best, mut tap, mut sum) = (f32::NEG_INFINITY, NONE, 0.0);
        let (rows, columns) = (w.inside(0, window[0]), w.inside(1, window[1]));
        for i in rows.clone() {
            for j in columns.clone() {
                let value = x[w.place(0, window[0], i) * w.size[1] + w.place(1, window[1], j)];
                if MAX {
                    if tap == NONE || value > best || value.is_nan() {
                        (best, tap) = (value, (i * w.kernel[1] + j) as u8);
                    }
                } else {
                    sum += value;
                }
            }
        }
        if MAX { (best, tap) } else { (sum * self.share(rows.len() * columns.len()), NONE) }
    }

    #[inline(always)]
    fn share(&self, inside: usize) -> f32 {
        let count = if self.count_padding { self.windows.taps() } else { inside };
        1.0 / count.max(1) as f32
    }

    /// A vector of windows that are whole along the width.
    #[inline(always)]
    fn many<S: Simd>(&self, s: S, x: &[f32], row: usize, column: usize, count: usize) -> (S::F32, S::F32) {
        let w = &self.windows;
        let rows = w.inside(0, row);
        if rows.is_empty() {
            let nothing = if MAX { f32::NEG_INFINITY } else { 0.0 };
            return (s.splat(nothing), s.splat(NONE as f32));
        }
        let (mut best, mut tap, mut first) = (s.splat(0.0), s.splat(0.0), true);
        for i in rows.clone() {
            let start = w.place(0, row, i) * w.size[1] + w.place(1, column, 0);
            for j in 0..w.kernel[1] {
                let value = strided(s, x, start + j * w.dilation[1], count, w.stride[1]);
                if MAX {
                    let this = s.splat((i * w.kernel[1] + j) as f32);
                    if first {
                        (best, tap, first) = (value, this, false);
                    } else {
                        let better = s.less_or_nan(best, value);
                        best = s.select(better, value, best);
                        tap = s.select(better, this, tap);
                    }
                } else {
                    best = s.add(best, value);
                }
            }
        }
        if MAX { (best, tap) } else { (s.mul(best, s.splat(self.share(rows.len() * w.kernel[1]))), tap) }
    }
}

impl<const MAX: bool> Kernel for Slide<'_, MAX> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (w, whole) = (self.windows, self.windows.whole());
        for plane in self.planes.clone() {
            let x = &self.x[plane * w.plane()..(plane + 1) * w.plane()];
            for row in 0..w.out[0] {
                let start = plane * w.plane_out() + row * w.out[1];
                let places = start..start + w.out[1];
                // SAFETY: each plane is one thread's.
                let to = unsafe { self.to.part(places.clone()) };
                let taps: &mut [u8] =
                    // SAFETY: as above.
                    if self.taps_wanted { unsafe { self.taps.part(places) } } else { &mut [] };
                let mut column = 0;
                while column < w.out[1] {
                    if !whole.contains(&column) {
                        let (value, tap) = self.one(x, [row, column]);
                        to[column] = value;
                        if self.taps_wanted {
                            taps[column] = tap;
                        }
                        column += 1;
                        continue;
                    }
                    let end = whole.end.min(column + S::LANES);
                    let (values, tap) = self.many(s, x, row, column, end - column);
                    s.store_first(&mut to[column..end], values);
                    if self.taps_wanted {
                        store_bytes(s, &mut taps[column..end], tap);
                    }
                    column = end;
                }
            }
        }
    }
}

#[inline(always)]
fn store_bytes<S: Simd>(s: S, to: &mut [u8], value: S::F32) {
    let mut lanes = [0.0f32; 16];
    s.store(&mut lanes, value);
    // SAFETY: taps are numbers of bytes.
    let bytes = lanes.map(|lane| unsafe { lane.to_int_unchecked::<i32>() } as u8);
    if to.len() == 16 {
        to.copy_from_slice(&bytes);
    } else {
        for (to, byte) in to.iter_mut().zip(bytes) {
            *to = byte;
        }
    }
}

/// Computes the input's gradient from [`Slide`]'s output's. Each place gathers from the windows that contain
/// it, so it is written once. Planes of windows lie in a frame of zeros, which stand for missing windows.
pub(crate) struct Gather<'a, const MAX: bool> {
    pub windows: Windows,
    pub gradient: &'a [f32],
    pub taps: &'a [u8],
    pub to: Shared<'a, f32>,
    pub count_padding: bool,
    pub planes: Range<usize>,
}

/// The lanes of the widest vector: the room that a loop over vectors needs behind a row.
const ROOM: usize = 16;

impl<const MAX: bool> Kernel for Gather<'_, MAX> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let w = self.windows;
        let stride = w.stride[1];
        if stride > 2 {
            return self.scatter();
        }
        // (phase of the column, tap, distance in windows from the column's share)
        let mut links = Vec::new();
        for phase in 0..stride {
            for tap in 0..w.kernel[1] {
                let ahead = (phase + w.padding[1]) as isize - (tap * w.dilation[1]) as isize;
                if ahead.rem_euclid(stride as isize) == 0 {
                    links.push((phase, tap, ahead / stride as isize));
                }
            }
        }
        let left = links.iter().map(|link| -link.2).max().unwrap_or(0).max(0) as usize;
        let right = links.iter().map(|link| link.2).max().unwrap_or(0).max(0) as usize;
        let shares = w.size[1].div_ceil(stride).next_multiple_of(ROOM);
        let width = left + (shares + right).max(w.out[1]) + ROOM;
        let mut gradients = vec![0.0f32; width * w.out[0]];
        let mut taps = vec![0.0f32; if MAX { gradients.len() } else { 0 }];
        for plane in self.planes.clone() {
            for row in 0..w.out[0] {
                let start = plane * w.plane_out() + row * w.out[1];
                let inner = row * width + left..row * width + left + w.out[1];
                let from = &self.gradient[start..start + w.out[1]];
                if MAX {
                    for (to, from) in gradients[inner.clone()].chunks_mut(S::LANES).zip(from.chunks(S::LANES))
                    {
                        s.store_first(to, s.load_first(from));
                    }
                    for (to, from) in taps[inner].iter_mut().zip(&self.taps[start..start + w.out[1]]) {
                        *to = *from as f32;
                    }
                } else {
                    let rows = w.inside(0, row).len();
                    for (column, (to, from)) in gradients[inner].iter_mut().zip(from).enumerate() {
                        let count =
                            if self.count_padding { w.taps() } else { rows * w.inside(1, column).len() };
                        *to = *from * (1.0 / count.max(1) as f32);
                    }
                }
            }
            for row in 0..w.size[0] {
                let start = plane * w.plane() + row * w.size[1];
                // SAFETY: each plane is one thread's.
                let to = unsafe { self.to.part(start..start + w.size[1]) };
                let mut share = 0;
                while share * stride < w.size[1] {
                    let mut sums = [s.splat(0.0); 2];
                    for i in 0..w.kernel[0] {
                        let Some(ahead) = (row + w.padding[0]).checked_sub(i * w.dilation[0]) else {
                            continue;
                        };
                        if ahead % w.stride[0] != 0 || ahead / w.stride[0] >= w.out[0] {
                            continue;
                        }
                        let line = ahead / w.stride[0] * width + left + share;
                        for &(phase, j, offset) in &links {
                            let at = line.wrapping_add_signed(offset);
                            let mut value = s.load(&gradients[at..]);
                            if MAX {
                                let tap = s.splat((i * w.kernel[1] + j) as f32);
                                let apart = s.abs(s.sub(s.load(&taps[at..]), tap));
                                value = s.select(s.less(apart, s.splat(0.5)), value, s.splat(0.0));
                            }
                            sums[phase] = s.add(sums[phase], value);
                        }
                    }
                    let to = &mut to[share * stride..];
                    if stride == 1 {
                        s.store_first(to, sums[0]);
                    } else {
                        let (first, second) = s.interleave(sums[0], sums[1]);
                        s.store_first(to, first);
                        if to.len() > S::LANES {
                            s.store_first(&mut to[S::LANES..], second);
                        }
                    }
                    share += S::LANES;
                }
            }
        }
    }
}

impl<const MAX: bool> Gather<'_, MAX> {
    /// Computes the gradient for strides without a vectorised path.
    fn scatter(&self) {
        let w = &self.windows;
        for plane in self.planes.clone() {
            // SAFETY: each plane is one thread's.
            let to = unsafe { self.to.part(plane * w.plane()..(plane + 1) * w.plane()) };
            to.fill(0.0);
            for row in 0..w.out[0] {
                for column in 0..w.out[1] {
                    let from = plane * w.plane_out() + row * w.out[1] + column;
                    let at = |i: usize, j: usize| w.place(0, row, i) * w.size[1] + w.place(1, column, j);
                    if MAX {
                        let tap = self.taps[from] as usize;
                        if self.taps[from] != NONE {
                            to[at(tap / w.kernel[1], tap % w.kernel[1])] += self.gradient[from];
                        }
                        continue;
                    }
                    let (rows, columns) = (w.inside(0, row), w.inside(1, column));
                    let inside = rows.len() * columns.len();
                    let count = if self.count_padding { w.taps() } else { inside };
                    let part = self.gradient[from] * (1.0 / count.max(1) as f32);
                    for i in rows {
                        for j in columns.clone() {
                            to[at(i, j)] += part;
                        }
                    }
                }
            }
        }
    }
}
