//! Depthwise convolution of channels-last pixels, for predictions. Vectors run along the channels, so that
//! any kernel, stride and dilation is served alike, without a frame around the image.
//!
//! Some pixels side by side are summed together, as a vector of weights then serves all of them. Additions
//! come in the order of the taps, whatever pixels stand together.

use crate::conv::last::{Finish, Finisher};
use crate::memory::for_overwriting;
use crate::simd::{Kernel, Simd, run as run_kernel};
use crate::threads;
use crate::windows::Windows;
use std::ops::Range;

/// The least count of multiplications that is worth a thread.
const LEAST: usize = 1 << 16;
/// The pixels that are summed together.
const PIXELS: usize = 4;
/// The channels whose sums wait to be finished together.
const CHANNELS: usize = 64;

/// A weight `[C, 1, kernel height, kernel width]` in the order of the taps, `[tap][channel]`.
pub(crate) struct Layer {
    channels: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    weight: Vec<f32>,
}

impl Layer {
    /// Packs the weight of `channels` kernels. All pairs are `[height, width]`.
    ///
    /// # Panics
    /// When `weight` has another length.
    pub(crate) fn new(
        weight: &[f32],
        channels: usize,
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
        dilation: [usize; 2],
    ) -> Self {
        let taps = kernel[0] * kernel[1];
        assert_eq!(weight.len(), channels * taps, "a weight of {channels} kernels of {kernel:?}");
        let packed = (0..taps).flat_map(|tap| (0..channels).map(move |channel| weight[channel * taps + tap]));
        Layer { channels, kernel, stride, padding, dilation, weight: packed.collect() }
    }

    /// The height and width of the output of an image.
    ///
    /// # Panics
    /// When the kernel is larger than the padded image, or a stride or a dilation is 0.
    #[cfg(test)]
    pub(crate) fn out(&self, size: [usize; 2]) -> [usize; 2] {
        self.windows(size).out
    }

    fn windows(&self, size: [usize; 2]) -> Windows {
        Windows::new(size, self.kernel, self.stride, self.padding, self.dilation)
    }

    /// Convolves `x` and writes all of `to`.
    ///
    /// # Shapes
    /// - x: `[B, H, W, C]`
    /// - to and the residual: `[B, H', W', C]` with `[H', W']` the windows' count
    /// - scale and shift: `[C]`
    ///
    /// # Panics
    /// When the slices do not have these shapes, or the kernel is larger than the padded image.
    pub(crate) fn run(&self, x: &[f32], images: usize, size: [usize; 2], finish: Finish, to: &mut [f32]) {
        let (windows, channels) = (self.windows(size), self.channels);
        assert_eq!(x.len(), images * windows.plane() * channels, "the input of {images} images of {size:?}");
        assert_eq!(to.len(), images * windows.plane_out() * channels, "the output of {images} images");
        let finisher = Finisher::new(finish, channels, to);
        let rows = images * windows.out[0];
        if rows * windows.out[1] * channels == 0 {
            return;
        }
        let parts = threads::parts(images * windows.plane_out() * channels * windows.taps(), LEAST);
        // where rows are few, threads share the channels, at whole cache lines
        let lines = channels.div_ceil(16);
        let down = if rows >= 8 * parts { 1 } else { parts.min(lines) };
        let across = (parts / down).min(rows);
        threads::parallel(across * down, |part| {
            run_kernel(Part {
                layer: self,
                x,
                windows,
                finisher: &finisher,
                rows: threads::range(rows, across, part / down, 1),
                channels: threads::range(channels, down, part % down, 16),
            });
        });
    }
}

/// A thread's part: some rows of the output, and some channels.
struct Part<'a> {
    layer: &'a Layer,
    x: &'a [f32],
    windows: Windows,
    finisher: &'a Finisher<'a>,
    rows: Range<usize>,
    channels: Range<usize>,
}

/// The taps along one axis that lie inside the image, for the window that begins at `start`.
#[inline(always)]
fn inside(start: isize, kernel: usize, dilation: usize, size: usize) -> Range<usize> {
    let first = start.min(0).unsigned_abs().div_ceil(dilation).min(kernel);
    let room = (size.cast_signed() - start).max(0).unsigned_abs();
    first..room.div_ceil(dilation).min(kernel).max(first)
}

impl Kernel for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Windows { size, kernel, stride, padding, dilation, out } = self.windows;
        let mut sums = for_overwriting(PIXELS * CHANNELS);
        let start = |axis: usize, at: usize| (at * stride[axis]).cast_signed() - padding[axis].cast_signed();
        let columns: Vec<_> = (0..out[1])
            .map(|column| {
                let left = start(1, column);
                (left, inside(left, kernel[1], dilation[1], size[1]))
            })
            .collect();
        for row in self.rows.clone() {
            let (image, top) = (row / out[0], start(0, row % out[0]));
            let lines = inside(top, kernel[0], dilation[0], size[0]);
            let mut column = 0;
            while column < out[1] {
                let across = &columns[column].1;
                let whole = column + PIXELS <= out[1] && {
                    let last = &columns[column + PIXELS - 1].1;
                    *across == (0..kernel[1]) && *last == (0..kernel[1])
                };
                let count = if whole { PIXELS } else { 1 };
                let first_pixel = row * out[1] + column;
                let places: [usize; PIXELS] =
                    [first_pixel, first_pixel + 1, first_pixel + 2, first_pixel + 3];
                let window =
                    Window { image, corner: [top, columns[column].0], taps: [lines.clone(), across.clone()] };
                for first in self.channels.clone().step_by(CHANNELS) {
                    let channels = first..(first + CHANNELS).min(self.channels.end);
                    if whole {
                        self.sum::<S, PIXELS>(s, &window, channels, &mut sums);
                    } else {
                        self.sum::<S, 1>(s, &window, channels, &mut sums);
                    }
                    // SAFETY: `CHANNELS` sums of each pixel were written, or as many as there are channels
                    // left, in whole vectors. The rows and channels are this thread's alone, and the latter
                    // begin at a multiple of 16.
                    unsafe { self.finish(s, &sums, first, &places[..count]) };
                }
                column += count;
            }
        }
    }
}

/// The windows of some pixels side by side.
struct Window {
    image: usize,
    /// The first pixel that the first window reads, if it is inside of the image.
    corner: [isize; 2],
    /// The taps inside of the image.
    taps: [Range<usize>; 2],
}

impl Part<'_> {
    /// Sums the windows of `P` pixels for at most [`CHANNELS`] channels into rows of `CHANNELS` sums.
    #[inline(always)]
    fn sum<S: Simd, const P: usize>(&self, s: S, window: &Window, channels: Range<usize>, sums: &mut [f32]) {
        let Windows { size, kernel, stride, dilation, .. } = self.windows;
        let all = self.layer.channels;
        let Window { image, corner: [top, left], taps: [lines, across] } = window;
        assert!(sums.len() >= P * CHANNELS);
        let vectors = channels.len().div_ceil(S::LANES);
        let mut vector = 0;
        while vector < vectors {
            let channel = channels.start + vector * S::LANES;
            let place = vector * S::LANES;
            // two vectors at a time, as one alone would wait for its sums
            let pair = channel + 2 * S::LANES <= channels.end;
            let left_over = (channels.end - channel).min(S::LANES);
            let mut held = [[s.splat(0.0); 2]; P];
            for i in lines.clone() {
                let y = (top + (i * dilation[0]).cast_signed()).cast_unsigned();
                for j in across.clone() {
                    let x = (left + (j * dilation[1]).cast_signed()).cast_unsigned();
                    debug_assert!(y < size[0] && x + (P - 1) * stride[1] < size[1]);
                    let at = ((image * size[0] + y) * size[1] + x) * all + channel;
                    let tap = (i * kernel[1] + j) * all + channel;
                    // SAFETY: these taps of all `P` windows lie inside of the image, and from `channel` on
                    // there are two vectors of channels if `pair`, or `left_over` channels.
                    unsafe {
                        let (x, weight) = (self.x.as_ptr().add(at), self.layer.weight.as_ptr().add(tap));
                        if pair {
                            let weights = [s.load_from(weight), s.load_from(weight.add(S::LANES))];
                            for (p, held) in held.iter_mut().enumerate() {
                                let x = x.add(p * stride[1] * all);
                                held[0] = s.mul_add(s.load_from(x), weights[0], held[0]);
                                held[1] = s.mul_add(s.load_from(x.add(S::LANES)), weights[1], held[1]);
                            }
                        } else if left_over == S::LANES {
                            let weight = s.load_from(weight);
                            for (p, held) in held.iter_mut().enumerate() {
                                let x = s.load_from(x.add(p * stride[1] * all));
                                held[0] = s.mul_add(x, weight, held[0]);
                            }
                        } else {
                            let weight = s.load_first_from(weight, left_over);
                            for (p, held) in held.iter_mut().enumerate() {
                                let x = s.load_first_from(x.add(p * stride[1] * all), left_over);
                                held[0] = s.mul_add(x, weight, held[0]);
                            }
                        }
                    }
                }
            }
            for (p, held) in held.iter().enumerate() {
                s.store(&mut sums[p * CHANNELS + place..], held[0]);
                if pair {
                    s.store(&mut sums[p * CHANNELS + place + S::LANES..], held[1]);
                }
            }
            vector += if pair { 2 } else { 1 };
        }
    }

    /// Finishes the sums of some pixels for the channels from `first` on.
    ///
    /// # Safety
    /// As [`Finisher::rows`]'s.
    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, s: S, sums: &[f32], first: usize, pixels: &[usize]) {
        // a thread's channels end at its part, others' sums are not here
        let count = (self.channels.end - first).min(CHANNELS).next_multiple_of(S::LANES);
        for (row, pixel) in pixels.iter().enumerate() {
            let sums = &sums[row * CHANNELS..][..count];
            // SAFETY: the caller's promise, for one of the pixels.
            unsafe { self.finisher.rows(s, sums.as_ptr(), count, first, std::slice::from_ref(pixel)) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Activation;
    use crate::testing::random;

    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        random(&[count], seed).values
    }

    #[derive(Clone, Copy, Debug)]
    struct Case {
        images: usize,
        size: [usize; 2],
        channels: usize,
        kernel: [usize; 2],
        stride: usize,
        padding: usize,
        dilation: usize,
    }

    impl Case {
        fn of(images: usize, size: usize, channels: usize, kernel: usize, stride: usize) -> Case {
            let (size, kernel, padding) = ([size; 2], [kernel; 2], kernel / 2);
            Case { images, size, channels, kernel, stride, padding, dilation: 1 }
        }

        fn layer(&self) -> Layer {
            let Case { channels, kernel, stride, padding, dilation, .. } = *self;
            let weight = numbers(channels * kernel[0] * kernel[1], 5);
            Layer::new(&weight, channels, kernel, [stride; 2], [padding; 2], [dilation; 2])
        }

        fn input(&self) -> Vec<f32> {
            numbers(self.images * self.size[0] * self.size[1] * self.channels, 3)
        }

        fn run(&self, x: &[f32], finish: Finish) -> Vec<f32> {
            let layer = self.layer();
            let out = layer.out(self.size);
            let mut to = vec![f32::NAN; self.images * out[0] * out[1] * self.channels];
            layer.run(x, self.images, self.size, finish, &mut to);
            to
        }

        fn twin(&self, x: &[f32]) -> Vec<f64> {
            let Case { images, size: [height, width], channels, kernel, stride, padding, dilation } = *self;
            let (layer, weight) = (self.layer(), numbers(channels * kernel[0] * kernel[1], 5));
            let out = layer.out(self.size);
            let mut sums = Vec::new();
            for place in 0..images * out[0] * out[1] {
                let (image, i, j) = (place / (out[0] * out[1]), place / out[1] % out[0], place % out[1]);
                for channel in 0..channels {
                    let mut sum = 0.0;
                    for tap in 0..kernel[0] * kernel[1] {
                        let y = (i * stride + tap / kernel[1] * dilation).wrapping_sub(padding);
                        let z = (j * stride + tap % kernel[1] * dilation).wrapping_sub(padding);
                        if y < height && z < width {
                            let x = x[((image * height + y) * width + z) * channels + channel];
                            sum += f64::from(x) * f64::from(weight[channel * kernel[0] * kernel[1] + tap]);
                        }
                    }
                    sums.push(sum);
                }
            }
            sums
        }

        fn check(&self) {
            let x = self.input();
            let found = self.run(&x, Finish::default());
            let expected = self.twin(&x);
            assert_eq!(found.len(), expected.len());
            for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let close = (f64::from(*found) - expected).abs() <= 1e-5;
                assert!(close, "{self:?}: {found} at {place}, expected {expected}");
            }
        }
    }

    #[test]
    fn channels_last_finds_the_sums_of_loops() {
        for channels in [1, 3, 8, 15, 16, 17, 24, 64, 72, 130] {
            for (size, kernel, stride) in [
                (1, 1, 1),
                (1, 3, 1),
                (2, 3, 1),
                (7, 3, 1),
                (9, 3, 2),
                (14, 5, 1),
                (12, 5, 3),
                (8, 7, 2),
                (3, 3, 4),
            ] {
                Case::of(2, size, channels, kernel, stride).check();
            }
        }
        Case::of(1, 4, 1000, 3, 1).check();
        Case::of(1, 40, 96, 3, 2).check();
        let case = Case::of(2, 11, 20, 3, 1);
        Case { size: [5, 23], kernel: [2, 4], padding: 0, ..case }.check();
        Case { dilation: 3, padding: 2, ..case }.check();
        Case { padding: 5, ..case }.check();
        Case { padding: 4, size: [1, 1], ..case }.check();
    }

    #[test]
    fn channels_last_is_scaled_shifted_and_added_to() {
        let case = Case::of(2, 9, 21, 3, 1);
        let x = case.input();
        let sums = case.twin(&x);
        let (scale, shift, residual) = (numbers(21, 7), numbers(21, 9), numbers(sums.len(), 11));
        let finish = Finish {
            scale: Some(&scale),
            shift: Some(&shift),
            residual: Some(&residual),
            activation: Activation::Relu6,
        };
        for (place, found) in case.run(&x, finish).into_iter().enumerate() {
            let channel = place % 21;
            let value = f64::from(scale[channel]) * sums[place] + f64::from(shift[channel]);
            let expected = (value + f64::from(residual[place])).clamp(0.0, 6.0);
            assert!((f64::from(found) - expected).abs() <= 1e-5, "{found} at {place}, expected {expected}");
        }
    }

    #[test]
    fn channels_last_has_the_same_bits_in_any_batch_and_for_any_threads() {
        for case in [Case::of(5, 7, 200, 3, 1), Case::of(5, 30, 24, 3, 2)] {
            let x = case.input();
            let all = case.run(&x, Finish::default());
            let (one, out) = (Case { images: 1, ..case }, all.len() / 5);
            for threads in [1, 2, 3, 5] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    assert!(case.run(&x, Finish::default()) == all, "{case:?} by {threads} threads");
                    for (image, x) in x.chunks_exact(x.len() / 5).enumerate() {
                        let alone = one.run(x, Finish::default());
                        assert!(
                            alone == all[image * out..(image + 1) * out],
                            "{case:?}: image {image} alone"
                        );
                    }
                });
            }
        }
    }

    #[test]
    fn channels_last_keeps_infinities_and_nan_within_their_windows() {
        let case = Case::of(1, 8, 19, 3, 1);
        for value in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            let mut x = case.input();
            x[(4 * 8 + 5) * 19 + 7] = value;
            for (place, found) in case.run(&x, Finish::default()).into_iter().enumerate() {
                let (i, j, channel) = (place / 19 / 8, place / 19 % 8, place % 19);
                let reached = channel == 7 && i.abs_diff(4) <= 1 && j.abs_diff(5) <= 1;
                assert_eq!(!found.is_finite(), reached, "{value} at {i}, {j}, {channel}: {found}");
            }
        }
    }

    #[test]
    fn channels_last_of_nothing_is_nothing() {
        assert!(Case::of(0, 5, 8, 3, 1).run(&[], Finish::default()).is_empty());
        assert!(Case::of(2, 5, 0, 3, 1).run(&[], Finish::default()).is_empty());
    }

    /// Run alone: `cargo test --release -p bonfire-kernels depthwise::last -- --ignored --nocapture`.
    #[test]
    #[ignore = "times are for people to read"]
    fn layers_beside_planes() {
        use super::super::Forward;
        use crate::memory::TIMED;
        use crate::threads::Shared;
        use std::sync::atomic::Ordering;
        use std::time::Instant;
        TIMED.store(true, Ordering::Relaxed);
        threads::inside(|| {
            for (images, size, channels, stride) in [
                (1, 112, 32, 1),
                (1, 112, 96, 2),
                (1, 56, 144, 1),
                (1, 56, 144, 2),
                (1, 28, 192, 2),
                (1, 14, 384, 1),
                (1, 14, 576, 2),
                (1, 7, 960, 1),
                (8, 56, 144, 1),
                (8, 14, 384, 1),
            ] {
                let case = Case::of(images, size, channels, 3, stride);
                let (layer, x, weights) = (case.layer(), case.input(), numbers(channels * 9, 5));
                let (sizes, bias) = (layer.windows(case.size), vec![0.1; channels]);
                let mut to = vec![0.0; images * sizes.plane_out() * channels];
                let mut quickest = [f64::INFINITY; 2];
                for _ in 0..200 {
                    let start = Instant::now();
                    let shared = Shared::new(&mut to);
                    let parts = threads::count();
                    threads::parallel(parts, |part| {
                        run_kernel(Forward {
                            sizes,
                            x: &x,
                            weights: &weights,
                            bias: Some(&bias),
                            normed: None,
                            activation: Activation::Relu6,
                            to: shared,
                            sums: None,
                            all_channels: channels,
                            channels: threads::range(channels, parts, part, 1),
                            images: 0..images,
                        });
                    });
                    quickest[0] = quickest[0].min(start.elapsed().as_secs_f64());
                    let start = Instant::now();
                    let activation = Activation::Relu6;
                    let finish = Finish { shift: Some(&bias), activation, ..Finish::default() };
                    layer.run(&x, images, case.size, finish, &mut to);
                    quickest[1] = quickest[1].min(start.elapsed().as_secs_f64());
                }
                let work = 2.0 * (to.len() * 9) as f64 / 1e9;
                let [planes, last] = quickest;
                println!(
                    "b{images} {channels} s{stride} at {size}: planes {:.3} ms ({:.0}), last {:.3} ms ({:.0}, {:.2}x)",
                    planes * 1e3,
                    work / planes,
                    last * 1e3,
                    work / last,
                    planes / last
                );
            }
        });
        TIMED.store(false, Ordering::Relaxed);
    }
}
