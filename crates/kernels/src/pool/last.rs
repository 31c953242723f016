//! Windows over planes whose channels lie side by side: vectors run along the channels.

use crate::memory::for_overwriting;
use crate::simd::{Kernel, Simd, run};
use crate::threads::{self, Shared};
use crate::windows::Windows;
use std::ops::Range;

/// The channels that are pooled together.
const CHANNELS: usize = 64;

/// The least count of numbers read that is worth a thread.
const LEAST: usize = 1 << 14;

/// The largest number of each window, by the rule of [`Slide`](super::windows::Slide), or with `MAX` unset its
/// mean.
///
/// # Shapes
/// - x: `[B, H, W, C]`
/// - output: `[B, P, Q, C]` for `P` by `Q` windows
pub(super) fn pool<const MAX: bool>(
    x: &[f32],
    [images, channels]: [usize; 2],
    windows: Windows,
    count_padding: bool,
) -> Vec<f32> {
    assert_eq!(x.len(), images * windows.plane() * channels, "the pixels of {images} images");
    let mut output = for_overwriting(images * windows.plane_out() * channels);
    let to = Shared::new(&mut output);
    let parts = channels.div_ceil(CHANNELS);
    let least = LEAST.div_ceil(windows.taps() * channels.clamp(1, CHANNELS));
    threads::ranges(images * windows.plane_out() * parts, least, |units| {
        run(Pool::<MAX> { x, to, channels, windows, count_padding, units });
    });
    output
}

/// Pools some channels of some windows: the units are all parts of the channels of one window, then of the next.
struct Pool<'a, const MAX: bool> {
    x: &'a [f32],
    to: Shared<'a, f32>,
    channels: usize,
    windows: Windows,
    count_padding: bool,
    units: Range<usize>,
}

impl<const MAX: bool> Kernel for Pool<'_, MAX> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Pool { x, to, channels, windows: w, count_padding, units } = self;
        let parts = channels.div_ceil(CHANNELS);
        for unit in units {
            let (window, first) = (unit / parts, unit % parts * CHANNELS);
            let (image, place) = (window / w.plane_out(), window % w.plane_out());
            let (row, column) = (place / w.out[1], place % w.out[1]);
            let (rows, columns) = (w.inside(0, row), w.inside(1, column));
            let count = if count_padding { w.taps() } else { rows.len() * columns.len() };
            let share = s.splat(1.0 / count.max(1) as f32);
            let end = channels.min(first + CHANNELS);
            // SAFETY: each unit is one thread's.
            let to = unsafe { to.part(window * channels + first..window * channels + end) };
            for (number, to) in to.chunks_mut(S::LANES).enumerate() {
                let channel = first + number * S::LANES;
                let mut found = s.splat(if MAX { f32::NEG_INFINITY } else { 0.0 });
                for i in rows.clone() {
                    for j in columns.clone() {
                        let pixel =
                            image * w.plane() + w.place(0, row, i) * w.size[1] + w.place(1, column, j);
                        let at = pixel * channels + channel;
                        let value = s.load_first(&x[at..at + to.len()]);
                        found = match MAX {
                            true => s.select(s.less_or_nan(found, value), value, found),
                            false => s.add(found, value),
                        };
                    }
                }
                s.store_first(to, if MAX { found } else { s.mul(found, share) });
            }
        }
    }
}
