//! Both passes over ranges of channels, some images of a channel at a time.

use super::convolve::{Convolve, Correlate, Emit, Gather, links, strips};
use super::frame::{Frame, ROOM, Zeros};
use crate::activation::{Activation, activate, chosen, slopes as slopes_of};
use crate::batch_norm::channels::Normed;
use crate::simd::{Kernel, Simd};
use crate::threads::Shared;
use crate::windows::Windows;
use std::ops::Range;

/// The number of images convolved at once: enough strips to keep several sums under way.
fn images_at_once(sizes: &Windows) -> usize {
    4usize.div_ceil(sizes.out[1].div_ceil(ROOM)).max(1)
}

/// Computes the output of a range of channels and, for each, of a range of images.
pub(super) struct Forward<'a> {
    pub sizes: Windows,
    pub x: &'a [f32],
    pub weights: &'a [f32],
    pub bias: Option<&'a [f32]>,
    pub normed: Option<Normed<'a>>,
    pub activation: Activation,
    pub to: Shared<'a, f32>,
    pub sums: Option<Shared<'a, f32>>,
    pub all_channels: usize,
    pub channels: Range<usize>,
    pub images: Range<usize>,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (sizes, frame) = (self.sizes, Frame::of_input(&self.sizes));
        let together = images_at_once(&sizes).min(self.images.len()).max(1);
        let mut frames = Zeros::new(frame.len() * together);
        let offsets = frame.offsets(&sizes);
        let (mut all, mut starts) = (Vec::new(), Vec::new());
        for channel in self.channels.clone() {
            let weights = &self.weights[channel * sizes.taps()..(channel + 1) * sizes.taps()];
            let bias = self.bias.map_or(0.0, |bias| bias[channel]);
            let mut image = self.images.start;
            while image < self.images.end {
                let images = image..self.images.end.min(image + together);
                image = images.end;
                starts.clear();
                for (image, to) in images.zip(frames.chunks_exact_mut(frame.len().max(1))) {
                    let plane = image * self.all_channels + channel;
                    frame.fill(
                        s,
                        &self.x[plane * sizes.plane()..(plane + 1) * sizes.plane()],
                        sizes.size[1],
                        to,
                    );
                    starts.push(plane * sizes.plane_out());
                }
                strips(s, &sizes, &frame, &starts, &mut all);
                let normed = self.normed.map(|normed| (normed.maps[channel], normed.residual));
                let emit = Emit { to: self.to, sums: self.sums, bias, normed, activation: self.activation };
                Convolve { sizes, frame, frames: &frames, offsets: &offsets, weights, emit }.run(s, &all);
                if !self.activation.is_cheap() {
                    for &start in &starts {
                        // SAFETY: each plane of the output is one thread's.
                        let to = unsafe { self.to.part(start..start + sizes.plane_out()) };
                        chosen!(self.activation, |activation| activate(s, activation, to));
                    }
                }
            }
        }
    }
}

/// Computes the gradients of a range of channels.
pub(super) struct Backward<'a> {
    pub sizes: Windows,
    pub x: &'a [f32],
    pub weights: &'a [f32],
    pub gradient: &'a [f32],
    /// The numbers from which the activation's derivative follows.
    pub activated: Option<&'a [f32]>,
    pub activation: Activation,
    pub of_x: Option<Shared<'a, f32>>,
    pub of_weights: Option<Shared<'a, f32>>,
    pub of_bias: Option<Shared<'a, f32>>,
    pub all_channels: usize,
    pub images: usize,
    pub channels: Range<usize>,
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let sizes = self.sizes;
        let taps = sizes.taps();
        let plain = sizes.stride == [1; 2];
        let back = if plain { sizes.back() } else { sizes };
        let (links, left, read) = links(&sizes);
        let input = Frame::of_input(&sizes);
        let frame = if plain { Frame::of_input(&back) } else { Frame::of_gradient(&sizes, left, read) };
        let together = if plain { images_at_once(&back).min(self.images).max(1) } else { 1 };
        let mut gradients = Zeros::new(frame.len() * together);
        let mut x = Zeros::new(if self.of_weights.is_some() { input.len() } else { 0 });
        let (offsets, back_offsets) = (input.offsets(&sizes), frame.offsets(&back));
        let mut holders = Vec::new();
        let (mut all, mut starts) = (Vec::new(), Vec::new());
        let mut slopes = vec![0.0; if self.activated.is_some() { sizes.plane_out() } else { 0 }];
        let mut sums = vec![0.0; taps * ROOM];
        let mut flipped = vec![0.0; taps];
        for channel in self.channels.clone() {
            let weights = &self.weights[channel * taps..(channel + 1) * taps];
            for (to, from) in flipped.iter_mut().zip(weights.iter().rev()) {
                *to = *from;
            }
            sums.fill(0.0);
            let mut total = 0.0f64;
            let mut image = 0;
            while image < self.images {
                let images = image..self.images.min(image + together);
                image = images.end;
                starts.clear();
                for (image, to) in images.zip(gradients.chunks_exact_mut(frame.len())) {
                    let plane = image * self.all_channels + channel;
                    let places = plane * sizes.plane_out()..(plane + 1) * sizes.plane_out();
                    let mut slope = &self.gradient[places.clone()];
                    if let Some(activated) = self.activated {
                        let (activated, to) = (&activated[places], &mut slopes);
                        chosen!(self.activation, |activation| slopes_of(s, activation, activated, slope, to));
                        slope = &slopes;
                    }
                    if self.of_bias.is_some() {
                        total += sum(s, slope) as f64;
                    }
                    frame.fill(s, slope, sizes.out[1], to);
                    starts.push(plane * sizes.plane());
                    if self.of_weights.is_some() {
                        let places = plane * sizes.plane()..(plane + 1) * sizes.plane();
                        input.fill(s, &self.x[places], sizes.size[1], &mut x);
                        Correlate {
                            sizes,
                            frame: input,
                            offsets: &offsets,
                            x: &x,
                            gradient_frame: frame,
                            gradient: to,
                        }
                        .run(s, &mut sums);
                    }
                    if let (Some(of_x), false) = (self.of_x, plain) {
                        let start = plane * sizes.plane();
                        Gather { sizes, frame, gradient: to, weights, to: of_x, start }.run(
                            s,
                            &links,
                            &mut holders,
                        );
                    }
                }
                if let (Some(of_x), true) = (self.of_x, plain) {
                    strips(s, &back, &frame, &starts, &mut all);
                    let activation = Activation::Identity;
                    let emit = Emit { to: of_x, sums: None, bias: 0.0, normed: None, activation };
                    Convolve {
                        sizes: back,
                        frame,
                        frames: &gradients,
                        offsets: &back_offsets,
                        weights: &flipped,
                        emit,
                    }
                    .run(s, &all);
                }
            }
            if let Some(to) = self.of_weights {
                // SAFETY: each channel is one thread's.
                let to = unsafe { to.part(channel * taps..(channel + 1) * taps) };
                for (to, sums) in to.iter_mut().zip(sums.chunks_exact(ROOM)) {
                    *to = s.sum(s.load(sums));
                }
            }
            if let Some(to) = self.of_bias {
                // SAFETY: as above.
                unsafe { to.part(channel..channel + 1)[0] = total as f32 };
            }
        }
    }
}

#[inline(always)]
fn sum<S: Simd>(s: S, numbers: &[f32]) -> f32 {
    let mut sums = [s.splat(0.0); 2];
    for pair in numbers.chunks(2 * S::LANES) {
        sums[0] = s.add(sums[0], s.load_first(&pair[..pair.len().min(S::LANES)]));
        sums[1] = s.add(sums[1], s.load_first(&pair[pair.len().min(S::LANES)..]));
    }
    s.sum(s.add(sums[0], sums[1]))
}
