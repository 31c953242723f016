//! Convolutions by a kernel of a single point: a matrix product for each image, with the image itself as the
//! right-hand side.

use super::geometry::Geometry;
use super::weights::Weight;
use super::writer::Finish;
use crate::batch_norm::channels::Normed;
use crate::gemm::{self, Matrix, PackedRows, products};
use crate::prepared::{Form, kept};
use crate::simd::Simd;

/// The least size of an image's plane that is worth a product of its own. In a smaller one the last tile
/// wastes too much.
const LEAST: usize = 128;

/// True if [`convolve`] is the fastest way for this convolution and its transpose.
pub(super) fn serves(geometry: Geometry) -> bool {
    geometry.is_point() && geometry.input_plane() >= LEAST
}

/// True if the weight's gradient can read rows of the input in place. The rows of a tile, a plane apart, must
/// not share their places in the first cache.
pub(super) fn rows_lie_well(geometry: Geometry) -> bool {
    serves(geometry) && !geometry.input_plane().is_multiple_of(1024)
}

/// Multiplies each image's channels by the weight, or by its transpose, which turns the output's gradient
/// into the input's.
pub(super) fn convolve(
    geometry: Geometry,
    x: &[f32],
    weight: Weight<'_>,
    transposed: bool,
    finish: Finish,
    to: &mut [f32],
) {
    let Geometry { images, groups, inputs, outputs, .. } = geometry;
    let plane = geometry.input_plane();
    let (from, into) = if transposed { (outputs, inputs) } else { (inputs, outputs) };
    for group in 0..groups {
        let matrix = Matrix::new(&weight.numbers[group * outputs * inputs..], outputs, inputs);
        let matrix = if transposed { matrix.transposed() } else { matrix };
        let packed = weight.lasting.filter(|_| !transposed).and_then(|weight| {
            let form = Form::Rows { groups, group };
            kept(std::slice::from_ref(weight), form, PackedRows::bytes(&matrix), || PackedRows::new(matrix))
        });
        let image = |image: usize| {
            Matrix::new(&x[(image * groups + group) * from * plane..][..from * plane], from, plane)
        };
        let (first, step) = (group * into * plane, groups * into * plane);
        products(images, (matrix, packed.as_deref()), image, (&mut *to, first, step), |image| Channels {
            finish,
            channel: group * into,
            first: first + image * step,
            plane,
        });
    }
}

/// [`Finish`] for the channels from `channel` on, whose places in the output start at `first`.
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
        let Finish { bias, normed, activation, sums } = self.finish;
        let mut value = s.add(value, s.splat(bias.map_or(0.0, |bias| bias[self.channel + row])));
        let start = self.first + row * self.plane + column;
        if let Some(sums) = sums {
            // SAFETY: each place of a product is finished once, by one thread.
            s.store_first(unsafe { sums.part(start..start + columns) }, value);
        }
        if let Some(Normed { maps, residual }) = normed {
            value = maps[self.channel + row].apply(s, value);
            if let Some(residual) = residual {
                value = s.add(value, s.load_first(&residual[start..start + columns]));
            }
        }
        activation.apply(s, value)
    }
}
