//! Max and average pooling.
//!
//! Axes: `B` images, `C` channels, `H` by `W` places of a plane, `P` by `Q` windows over it.
//!
//! Max pooling keeps the tap of each max in a byte. The backward passes gather: each place of the input is
//! written once, with the sum over the windows that contain it. So threads never write the same place, and
//! memory needs no zeroing.

mod last;
mod windows;

use crate::flex::{self, Floats, Keep, Saved};
use crate::memory::for_overwriting;
use crate::pixels;
use crate::simd::run;
use crate::threads::{self, Shared};
use crate::windows::Windows;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use std::sync::Arc;
use windows::{Gather, Means, NONE, Slide};

/// The largest number of each window. NaN counts as the largest, and padding never does. The first of equal
/// numbers gets the gradient. All pairs are `[height, width]`.
///
/// # Shapes
/// - x: `[B, C, H, W]`
/// - output: `[B, C, P, Q]`, where `P = (H + 2 padding - dilation (kernel - 1) - 1) / stride + 1`, rounded
///   down
///
/// # Panics
/// When a kernel, a stride or a dilation is 0, or the kernel is larger than the padded plane.
pub fn max_pool2d(
    x: Tensor<4>,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
) -> Tensor<4> {
    let [.., height, width] = x.dims();
    let windows = Windows::new([height, width], kernel, stride, padding, dilation);
    if !flex::runs_on(&x) || windows.taps() > NONE as usize {
        return plain_max(x, kernel, stride, padding, dilation);
    }
    Tensor::from_dispatch(Dispatch::max_pooled(x.into_dispatch(), windows))
}

/// The mean of each window. Padding counts as zeros if `count_include_pad`, else not at all. All pairs are
/// `[height, width]`.
///
/// # Shapes
/// - x: `[B, C, H, W]`
/// - output: `[B, C, P, Q]`, where `P = (H + 2 padding - kernel) / stride + 1`, rounded down
///
/// # Panics
/// When a kernel or a stride is 0, or the kernel is larger than the padded plane.
pub fn avg_pool2d(
    x: Tensor<4>,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    count_include_pad: bool,
) -> Tensor<4> {
    let [.., height, width] = x.dims();
    let windows = Windows::new([height, width], kernel, stride, padding, [1; 2]);
    if !flex::runs_on(&x) {
        return plain_average(x, kernel, stride, padding, count_include_pad);
    }
    Tensor::from_dispatch(Dispatch::average_pooled(x.into_dispatch(), windows, count_include_pad))
}

/// The mean of each plane.
///
/// # Shapes
/// - x: `[B, C, H, W]`
/// - output: `[B, C]`
///
/// # Panics
/// When the planes are empty.
pub fn global_avg_pool(x: Tensor<4>) -> Tensor<2> {
    let [images, channels, height, width] = x.dims();
    avg_pool2d(x, [height, width], [1; 2], [0; 2], true).reshape([images, channels])
}

/// The twin of [`max_pool2d`], Burn's own op.
pub(crate) fn plain_max(
    x: Tensor<4>,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
) -> Tensor<4> {
    let options = MaxPoolOptions {
        kernel_size: kernel,
        stride,
        padding: padding.map(|padding| (padding, padding)),
        dilation,
        ceil_mode: false,
    };
    burn::tensor::module::max_pool2d(x, options)
}

/// The twin of [`avg_pool2d`], Burn's own op.
pub(crate) fn plain_average(
    x: Tensor<4>,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    count_include_pad: bool,
) -> Tensor<4> {
    let options = AvgPoolOptions {
        kernel_size: kernel,
        stride,
        padding: padding.map(|padding| (padding, padding)),
        count_include_pad,
        ceil_mode: false,
    };
    burn::tensor::module::avg_pool2d(x, options)
}

/// The ops as an extension of Burn's CPU backend.
#[backend_extension(Autodiff, Flex)]
pub trait PoolOps: Backend {
    /// See [`max_pool2d`].
    fn max_pooled(x: FloatTensor<Self>, windows: Windows) -> FloatTensor<Self>;
    /// See [`avg_pool2d`].
    fn average_pooled(x: FloatTensor<Self>, windows: Windows, count_include_pad: bool) -> FloatTensor<Self>;
}

impl PoolOps for Flex {
    fn max_pooled(x: FlexTensor, windows: Windows) -> FlexTensor {
        predict(x, windows, Kind::Max)
    }

    fn average_pooled(x: FlexTensor, windows: Windows, count_include_pad: bool) -> FlexTensor {
        predict(x, windows, Kind::Average { count_include_pad })
    }
}

impl<C: CheckpointStrategy> PoolOps for Autodiff<Flex, C> {
    fn max_pooled(x: FloatTensor<Self>, windows: Windows) -> FloatTensor<Self> {
        flex::track::<C, _, 1>([x], |[x], keep| forward(x, windows, Kind::Max, keep))
    }

    fn average_pooled(x: FloatTensor<Self>, windows: Windows, count_include_pad: bool) -> FloatTensor<Self> {
        let kind = Kind::Average { count_include_pad };
        flex::track::<C, _, 1>([x], |[x], keep| forward(x, windows, kind, keep))
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Max,
    Average { count_include_pad: bool },
}

/// The state that the backward pass needs.
#[derive(Clone, Debug)]
struct Pool {
    windows: Windows,
    shape: Vec<usize>,
    kind: Kind,
    /// The tap of each max; empty for means.
    taps: Arc<Vec<u8>>,
}

/// The least count of the input's numbers that is worth a thread.
const LEAST: usize = 1 << 14;

/// The pooled windows, in the order that the input's numbers have.
fn predict(x: FlexTensor, windows: Windows, kind: Kind) -> FlexTensor {
    if !pixels::come_first(&x) {
        return forward(x, windows, kind, Keep::Nothing).0;
    }
    let [images, channels, ..] = x.shape().dims::<4>();
    let (x, sizes) = (pixels::of(x), [images, channels]);
    let output = match kind {
        Kind::Max => last::pool::<true>(&x, sizes, windows, false),
        Kind::Average { count_include_pad } => last::pool::<false>(&x, sizes, windows, count_include_pad),
    };
    pixels::image(output, [images, windows.out[0], windows.out[1], channels])
}

fn forward(x: FlexTensor, windows: Windows, kind: Kind, keep: Keep) -> (FlexTensor, Option<Pool>) {
    let x = Floats::new(x);
    let shape = x.dims().to_vec();
    let planes = shape[0] * shape[1];
    let mut output = for_overwriting(planes * windows.plane_out());
    let taps_wanted = keep == Keep::ForBackward && matches!(kind, Kind::Max);
    let mut taps = vec![0u8; if taps_wanted { output.len() } else { 0 }];
    {
        let (x, to, taps) = (&x, Shared::new(&mut output), Shared::new(&mut taps));
        threads::ranges(planes, LEAST.div_ceil(windows.plane().max(1)), |planes| match kind {
            Kind::Max => {
                run(Slide::<true> { windows, x, to, taps, taps_wanted, count_padding: false, planes })
            }
            Kind::Average { .. } if windows.is_whole_plane() => {
                // SAFETY: each plane is one thread's.
                let to = unsafe { to.part(planes.clone()) };
                let plane = windows.plane();
                run(Means { x: &x[planes.start * plane..planes.end * plane], plane, to });
            }
            Kind::Average { count_include_pad: count_padding } => {
                run(Slide::<false> { windows, x, to, taps, taps_wanted, count_padding, planes })
            }
        });
    }
    let output = flex::tensor(output, &[shape[0], shape[1], windows.out[0], windows.out[1]]);
    let saved = (keep == Keep::ForBackward).then(|| Pool { windows, shape, kind, taps: Arc::new(taps) });
    (output, saved)
}

impl Saved<1> for Pool {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let gradient = Floats::new(gradient);
        let (windows, planes) = (self.windows, self.shape[0] * self.shape[1]);
        [wanted[0].then(|| {
            let mut of_x = for_overwriting(planes * windows.plane());
            let (to, gradient, taps) = (Shared::new(&mut of_x), &*gradient, &self.taps[..]);
            threads::ranges(planes, LEAST.div_ceil(windows.plane().max(1)), |planes| match self.kind {
                Kind::Max => {
                    run(Gather::<true> { windows, gradient, taps, to, count_padding: false, planes })
                }
                Kind::Average { .. } if windows.is_whole_plane() => {
                    let plane = windows.plane();
                    // SAFETY: each plane is one thread's.
                    let to = unsafe { to.part(planes.start * plane..planes.end * plane) };
                    for (to, gradient) in to.chunks_exact_mut(plane).zip(&gradient[planes]) {
                        to.fill(gradient / plane as f32);
                    }
                }
                Kind::Average { count_include_pad: count_padding } => {
                    run(Gather::<false> { windows, gradient, taps, to, count_padding, planes })
                }
            });
            flex::tensor(of_x, &self.shape)
        })]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sample, check, random};
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    /// Random numbers with many equal ones among them.
    fn ties(shape: &[usize], seed: u64) -> Sample {
        random(shape, seed).map(|value| (value * 3.0).round())
    }

    fn both(
        size: [usize; 2],
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
        dilation: [usize; 2],
    ) {
        let shape = [2, 3, size[0], size[1]];
        let name = format!("{kernel:?} over {size:?}, stride {stride:?}, padding {padding:?}, {dilation:?}");
        check(
            &name,
            &[ties(&shape, 1)],
            |i| max_pool2d(i.get(0), kernel, stride, padding, dilation),
            |i| plain_max(i.get(0), kernel, stride, padding, dilation),
        );
        if dilation != [1; 2] {
            return;
        }
        for count in [false, true] {
            check(
                &name,
                &[random(&shape, 2)],
                |i| avg_pool2d(i.get(0), kernel, stride, padding, count),
                |i| plain_average(i.get(0), kernel, stride, padding, count),
            );
        }
    }

    #[test]
    fn agrees_with_its_twin() {
        both([1, 1], [1, 1], [1, 1], [0, 0], [1, 1]);
        both([8, 9], [2, 2], [2, 2], [0, 0], [1, 1]);
        both([13, 70], [3, 3], [2, 2], [1, 1], [1, 1]);
        both([7, 40], [3, 3], [1, 1], [1, 1], [1, 1]);
        both([9, 21], [3, 2], [1, 3], [1, 1], [2, 1]);
        both([20, 33], [5, 3], [2, 2], [2, 1], [1, 2]);
        both([9, 34], [2, 4], [3, 4], [0, 2], [1, 1]);
    }

    #[test]
    fn strided_inputs_and_empty_ones() {
        check(
            "a permuted input",
            &[ties(&[5, 6, 2, 7], 3)],
            |i| max_pool2d(i.get::<4>(0).permute([2, 0, 1, 3]), [2; 2], [2; 2], [1; 2], [1; 2]),
            |i| plain_max(i.get::<4>(0).permute([2, 0, 1, 3]), [2; 2], [2; 2], [1; 2], [1; 2]),
        );
        let empty = Tensor::<4>::zeros([0, 3, 8, 8], &Device::flex());
        assert_eq!(max_pool2d(empty.clone(), [2; 2], [2; 2], [0; 2], [1; 2]).dims(), [0, 3, 4, 4]);
        assert_eq!(avg_pool2d(empty, [2; 2], [2; 2], [0; 2], true).dims(), [0, 3, 4, 4]);
    }

    #[test]
    fn what_is_no_number_is_the_largest() {
        let mut x = random(&[1, 2, 9, 40], 4);
        for place in (0..x.values.len()).step_by(11) {
            x.values[place] = [f32::NAN, f32::NEG_INFINITY, f32::INFINITY][place % 3];
        }
        check(
            "numbers that are none, and infinite ones",
            &[x],
            |i| max_pool2d(i.get(0), [3; 2], [2; 2], [1; 2], [1; 2]),
            |i| plain_max(i.get(0), [3; 2], [2; 2], [1; 2], [1; 2]),
        );
    }

    #[test]
    fn a_plane_has_a_mean() {
        check(
            "global average",
            &[random(&[3, 5, 7, 6], 5)],
            |i| global_avg_pool(i.get(0)),
            |i| i.get::<4>(0).mean_dim(3).mean_dim(2).reshape([3, 5]),
        );
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn a_kernel_beyond_its_plane_is_refused() {
        let x = Tensor::<4>::from_data(TensorData::new(vec![0.0f32; 4], [1, 1, 2, 2]), &Device::flex());
        max_pool2d(x, [3; 2], [1; 2], [0; 2], [1; 2]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn any_windows(
            height in 5usize..12, width in 5usize..40, kernel in 1usize..4, stride in 1usize..4, padding in 0usize..2,
        ) {
            let padding = padding.min(kernel / 2);
            both([height, width], [kernel; 2], [stride; 2], [padding; 2], [1; 2]);
        }
    }
}
