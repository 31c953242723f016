//! The gradients of the sums and of the bias, from the gradient of the activated sums, in one pass.

use crate::activation::Activation;
use crate::memory::for_overwriting;
use crate::simd::{Kernel, Simd, run};
use crate::threads::{self, Shared};

/// Returns the gradient before the activation, empty for the identity, and its sum for each channel if that
/// is `wanted`. `activated` holds the sums before the activation, or the output if the derivative follows
/// from it.
pub(super) fn slope(
    activation: Activation,
    activated: &[f32],
    gradient: &[f32],
    channels: usize,
    plane: usize,
    wanted: bool,
) -> (Vec<f32>, Vec<f32>) {
    let scales = activation != Activation::Identity;
    let mut scaled = for_overwriting(if scales { gradient.len() } else { 0 });
    let mut sums = vec![0.0; if wanted { channels } else { 0 }];
    let images = gradient.len().checked_div(channels * plane).unwrap_or(0);
    if images > 0 && (scales || wanted) {
        assert!(!scales || activated.len() == gradient.len());
        let (to, sums) = (Shared::new(&mut scaled), Shared::new(&mut sums));
        threads::ranges(channels, (1 << 14) / (plane * images) + 1, |range| {
            run(Planes { activation, activated, gradient, images, channels, range, plane, wanted, to, sums });
        });
    }
    (scaled, sums)
}

struct Planes<'a> {
    activation: Activation,
    activated: &'a [f32],
    gradient: &'a [f32],
    images: usize,
    channels: usize,
    range: std::ops::Range<usize>,
    plane: usize,
    wanted: bool,
    to: Shared<'a, f32>,
    sums: Shared<'a, f32>,
}

impl Kernel for Planes<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Planes { activation, activated, gradient, images, channels, range, plane, wanted, to, sums } =
            self;
        let scales = activation != Activation::Identity;
        for image in 0..images {
            for channel in range.clone() {
                let start = (image * channels + channel) * plane;
                let gradient = &gradient[start..start + plane];
                let mut sum = s.splat(0.0);
                if scales {
                    let activated = &activated[start..start + plane];
                    // SAFETY: each channel of each image is one thread's.
                    let to = unsafe { to.part(start..start + plane) };
                    let both = gradient.chunks(S::LANES).zip(activated.chunks(S::LANES));
                    for ((gradient, activated), to) in both.zip(to.chunks_mut(S::LANES)) {
                        let slope = activation.derivative(s, s.load_first(activated));
                        let value = s.mul(slope, s.load_first(gradient));
                        sum = s.add(sum, value);
                        s.store_first(to, value);
                    }
                } else {
                    for gradient in gradient.chunks(S::LANES) {
                        sum = s.add(sum, s.load_first(gradient));
                    }
                }
                if wanted {
                    // SAFETY: each channel's sum is one thread's.
                    unsafe { sums.part(channel..channel + 1)[0] += s.sum(sum) };
                }
            }
        }
    }
}
