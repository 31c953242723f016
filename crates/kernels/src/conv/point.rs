//! Convolutions by a kernel of one point: a matrix product an image, whose right-hand side is the image as it lies.

use super::geometry::Geometry;
use super::writer::Finish;
use crate::gemm::{self, Matrix, products};
use crate::simd::Simd;

/// Positions of an image from which on it is worth a product of its own: the last tile of fewer wastes too much.
const LEAST: usize = 128;

/// Whether [`convolve`] and its transpose do this best.
pub(super) fn serves(geometry: Geometry) -> bool {
    geometry.is_point() && geometry.input_plane() >= LEAST
}

/// Whether rows of the input can be read as they lie for the gradient of the weight: a tile's rows, a plane apart, must
/// not share their places in the first cache.
pub(super) fn rows_lie_well(geometry: Geometry) -> bool {
    serves(geometry) && !geometry.input_plane().is_multiple_of(1024)
}

/// Each image's channels, multiplied by the weight, or by its transpose: the gradient of the input, of the output's.
pub(super) fn convolve(
    geometry: Geometry,
    x: &[f32],
    weight: &[f32],
    transposed: bool,
    finish: Finish,
    to: &mut [f32],
) {
    let Geometry { images, groups, inputs, outputs, .. } = geometry;
    let plane = geometry.input_plane();
    let (from, into) = if transposed { (outputs, inputs) } else { (inputs, outputs) };
    for group in 0..groups {
        let weight = Matrix::new(&weight[group * outputs * inputs..], outputs, inputs);
        let image = |image: usize| {
            Matrix::new(&x[(image * groups + group) * from * plane..][..from * plane], from, plane)
        };
        let (first, step) = (group * into * plane, groups * into * plane);
        products(
            images,
            if transposed { weight.transposed() } else { weight },
            image,
            (&mut *to, first, step),
            |image| Channels { finish, channel: group * into, first: first + image * step, plane },
        );
    }
}

/// [`Finish`] of the channels from `channel` on, whose sums are kept from `first` on.
#[derive(Clone, Copy)]
struct Channels<'a> {
    finish: Finish<'a>,
    channel: usize,
    first: usize,
    plane: usize,
}

impl gemm::Finish for Channels<'_> {
    #[inline(always)]
    fn finish<S: Simd>(self, s: S, value: S::F32, row: usize, column: usize, columns: usize) -> S::F32 {
        let Finish { bias, activation, sums } = self.finish;
        let value = s.add(value, s.splat(bias.map_or(0.0, |bias| bias[self.channel + row])));
        if let Some(sums) = sums {
            let start = self.first + row * self.plane + column;
            // SAFETY: each place of a product is finished once, by one thread.
            s.store_first(unsafe { sums.part(start..start + columns) }, value);
        }
        activation.apply(s, value)
    }
}
