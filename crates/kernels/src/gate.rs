//! A weight for each channel of each image, as squeeze and excitation has it (Hu et al. 2018).

use crate::elementwise::{LEAST, close, opens};
use crate::memory::for_overwriting;
use crate::pixels;
use crate::simd::{Kernel, Simd, run};
use crate::threads::{self, Shared};
use burn::backend::Flex;
use burn::tensor::Tensor;
use std::ops::Range;

/// `x * gate`. Where channels lie side by side and nothing is trained, the order stays.
///
/// # Shapes
/// - x, output: `[B, C, H, W]`
/// - gate: `[B, C, 1, 1]`
///
/// # Panics
/// When the shapes do not fit each other.
pub fn gated(x: Tensor<4>, gate: Tensor<4>) -> Tensor<4> {
    let [images, channels, height, width] = x.dims();
    assert_eq!(gate.dims(), [images, channels, 1, 1], "a gate for each channel of {:?}", x.dims());
    if !opens(&x) || !opens(&gate) {
        return x * gate;
    }
    let image = x.try_into_primitive::<Flex>().expect("a tensor that opens");
    if !pixels::come_first(&image) {
        return close::<4>(image) * gate;
    }
    let (x, gate) = (pixels::of(image), gate.try_into_primitive::<Flex>().expect("a tensor that opens"));
    let gate = pixels::of(gate);
    let mut output = for_overwriting(x.len());
    let (x, gate, to, plane) = (&x[..], &gate[..], Shared::new(&mut output), height * width);
    threads::ranges(images * plane, LEAST.div_ceil(channels.max(1)), |pixels| {
        run(Gate { x, gate, to, plane, channels, pixels });
    });
    close(pixels::image(output, [images, height, width, channels]))
}

/// Multiplies the channels of some pixels.
struct Gate<'a> {
    x: &'a [f32],
    gate: &'a [f32],
    to: Shared<'a, f32>,
    plane: usize,
    channels: usize,
    pixels: Range<usize>,
}

impl Kernel for Gate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Gate { x, gate, to, plane, channels, pixels } = self;
        for pixel in pixels {
            let (image, numbers) = (pixel / plane, pixel * channels..(pixel + 1) * channels);
            let gate = &gate[image * channels..(image + 1) * channels];
            // SAFETY: each pixel is one thread's.
            let to = unsafe { to.part(numbers.clone()) };
            let parts = x[numbers].chunks(S::LANES).zip(gate.chunks(S::LANES));
            for ((x, gate), to) in parts.zip(to.chunks_mut(S::LANES)) {
                s.store_first(to, s.mul(s.load_first(x), s.load_first(gate)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn any_order_has_burns_product() {
        let device = Device::flex();
        for [images, channels, height, width] in [[2, 19, 3, 5], [1, 1, 4, 4], [3, 8, 1, 1], [0, 3, 2, 2]] {
            let tensor = |shape: [usize; 4], seed| {
                Tensor::<4>::from_data(TensorData::new(random(&shape, seed).values, shape), &device)
            };
            let x = tensor([images, channels, height, width], 1);
            let gate = tensor([images, channels, 1, 1], 2);
            let last = x.clone().permute([0, 2, 3, 1]);
            let last = Tensor::<4>::from_data(last.into_data(), &device).permute([0, 3, 1, 2]);
            let expected = (x.clone() * gate.clone()).into_data();
            assert_eq!(gated(x, gate.clone()).into_data(), expected);
            assert_eq!(gated(last, gate).into_data(), expected);
        }
    }
}
