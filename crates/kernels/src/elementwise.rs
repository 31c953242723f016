//! Passes over whole tensors that are on no graph, such as gradients and averages, in place if nobody else
//! holds the tensor.

use crate::simd::{Kernel, Simd, run};
use crate::threads::{self, Shared};
use burn::backend::flex::FlexTensor;
use burn::backend::{DispatchDevice, Flex};
use burn::tensor::{DType, Device, Tensor};

/// The least count of numbers that is worth a thread.
pub(crate) const LEAST: usize = 1 << 14;

/// True if the tensor is on the CPU backend, on no graph and of `f32`.
pub(crate) fn opens<const D: usize>(tensor: &Tensor<D>) -> bool {
    #[cfg(test)]
    if crate::testing::twins_run() {
        return false;
    }
    tensor.dtype() == DType::F32 && matches!(tensor.device().as_dispatch(), DispatchDevice::Flex(_))
}

/// True if this crate's kernels compute for the device. Its work then belongs on a thread of their pool.
pub fn serve(device: &Device) -> bool {
    matches!(device.clone().inner().as_dispatch(), DispatchDevice::Flex(_))
}

/// A tensor that [`opens`] as Burn's CPU tensor, row after row. Its numbers can be written in place if nobody
/// else holds them.
pub(crate) fn open<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
    // the borrowing call would leave a second handle to the numbers
    tensor.try_into_primitive::<Flex>().expect("a tensor that opens").to_contiguous()
}

/// The inverse of [`open`].
pub(crate) fn close<const D: usize>(tensor: FlexTensor) -> Tensor<D> {
    Tensor::from_primitive::<Flex>(tensor)
}

/// The sum of the squares of a tensor's numbers, in double precision. `None` if the tensor is on a graph, not
/// on the CPU backend, or not of `f32`.
pub fn sum_of_squares<const D: usize>(tensor: &Tensor<D>) -> Option<f64> {
    opens(tensor).then(|| {
        let tensor = open(tensor.clone());
        squares(tensor.as_slice().expect("row after row"))
    })
}

/// `tensor * factor`, in place if nobody else holds the tensor.
pub fn scaled<const D: usize>(tensor: Tensor<D>, factor: f64) -> Tensor<D> {
    if !opens(&tensor) {
        return tensor.mul_scalar(factor);
    }
    let mut tensor = open(tensor);
    scale(tensor.storage_mut(), factor as f32);
    close(tensor)
}

/// `a * share + b * (1 - share)`, in place of `a` if nobody else holds it.
///
/// # Panics
/// When the shapes differ.
pub fn blended<const D: usize>(a: Tensor<D>, b: Tensor<D>, share: f64) -> Tensor<D> {
    assert_eq!(a.dims(), b.dims(), "the shapes of what is blended");
    if !opens(&a) || !opens(&b) {
        return a.mul_scalar(share) + b.mul_scalar(1.0 - share);
    }
    let (mut a, b) = (open(a), open(b));
    blend(a.storage_mut(), b.as_slice().expect("row after row"), share as f32, (1.0 - share) as f32);
    close(a)
}

/// The sum of the squares. Blocks of a fixed size are summed and added in order, so the result is the same on
/// any number of threads.
pub(crate) fn squares(values: &[f32]) -> f64 {
    struct Block<'a>(&'a [f32]);
    impl Kernel for Block<'_> {
        type Output = f32;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> f32 {
            let mut sums = [s.splat(0.0); 4];
            for chunk in self.0.chunks(4 * S::LANES) {
                for (sum, part) in sums.iter_mut().zip(chunk.chunks(S::LANES)) {
                    let x = s.load_first(part);
                    *sum = s.mul_add(x, x, *sum);
                }
            }
            s.sum(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
        }
    }
    block_sums(values.len(), |range| f64::from(run(Block(&values[range]))))
}

/// The sum of `of_block` over the blocks of `0..length`. The blocks run on all threads and are added in
/// order.
pub(crate) fn block_sums(length: usize, of_block: impl Fn(std::ops::Range<usize>) -> f64 + Sync) -> f64 {
    const BLOCK: usize = 1 << 12;
    let blocks = length.div_ceil(BLOCK);
    let mut sums = vec![0.0f64; blocks];
    let shared = Shared::new(&mut sums);
    threads::ranges(blocks, LEAST / BLOCK, |blocks| {
        // SAFETY: the ranges do not overlap.
        let sums = unsafe { shared.part(blocks.clone()) };
        for (block, sum) in blocks.zip(sums) {
            *sum = of_block(block * BLOCK..((block + 1) * BLOCK).min(length));
        }
    });
    sums.iter().sum()
}

/// `values *= factor`
pub(crate) fn scale(values: &mut [f32], factor: f32) {
    struct Scale<'a>(&'a mut [f32], f32);
    impl Kernel for Scale<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let factor = s.splat(self.1);
            for part in self.0.chunks_mut(S::LANES) {
                let x = s.load_first(part);
                s.store_first(part, s.mul(x, factor));
            }
        }
    }
    let length = values.len();
    let shared = Shared::new(values);
    threads::ranges(length, 2 * LEAST, |range| {
        // SAFETY: the ranges do not overlap.
        run(Scale(unsafe { shared.part(range) }, factor));
    });
}

/// `a = a * of_a + b * of_b`
fn blend(a: &mut [f32], b: &[f32], of_a: f32, of_b: f32) {
    struct Blend<'a>(&'a mut [f32], &'a [f32], f32, f32);
    impl Kernel for Blend<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let (of_a, of_b) = (s.splat(self.2), s.splat(self.3));
            for (a, b) in self.0.chunks_mut(S::LANES).zip(self.1.chunks(S::LANES)) {
                let mixed = s.mul_add(s.load_first(a), of_a, s.mul(s.load_first(b), of_b));
                s.store_first(a, mixed);
            }
        }
    }
    let length = a.len();
    assert_eq!(length, b.len());
    let shared = Shared::new(a);
    threads::ranges(length, LEAST, |range| {
        // SAFETY: the ranges do not overlap.
        run(Blend(unsafe { shared.part(range.clone()) }, &b[range], of_a, of_b));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;
    use burn::tensor::TensorData;

    fn tensor(length: usize, seed: u64) -> Tensor<1> {
        Tensor::from_data(TensorData::new(random(&[length], seed).values, [length]), &Device::flex())
    }

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    #[test]
    fn agree_with_their_formulas_at_any_length() {
        for length in [0, 1, 15, 16, 17, 63, 4096, 4097, 100_003] {
            let (a, b) = (tensor(length, 1), tensor(length, 2));
            let expected: f64 = values(a.clone()).iter().map(|x| f64::from(*x).powi(2)).sum();
            let found = sum_of_squares(&a).unwrap();
            assert!((found - expected).abs() <= 1e-6 * expected, "{length}: {found} against {expected}");
            let expected: Vec<f32> = values(a.clone()).iter().map(|x| x * 0.25).collect();
            assert_eq!(values(scaled(a.clone(), 0.25)), expected, "{length}");
            let expected: Vec<f32> =
                values(a.clone()).iter().zip(values(b.clone())).map(|(a, b)| a * 0.75 + b * 0.25).collect();
            for (found, expected) in values(blended(a.clone(), b.clone(), 0.75)).iter().zip(expected) {
                assert!((found - expected).abs() < 1e-6, "{length}: {found} against {expected}");
            }
        }
    }

    #[test]
    fn shared_and_strided_tensors_are_left_as_they_are() {
        let a = tensor(12, 1).reshape([3, 4]);
        let before = values(a.clone());
        let doubled = values(scaled(a.clone().transpose(), 2.0));
        assert_eq!(values(a.clone()), before, "held by another handle");
        assert_eq!(doubled, values(a.clone().transpose().mul_scalar(2.0)));
        let row = a.clone().narrow(0, 1, 1);
        let square = sum_of_squares(&row).unwrap();
        assert!((square - values(row).iter().map(|x| f64::from(*x).powi(2)).sum::<f64>()).abs() < 1e-6);
        assert_eq!(values(scaled(a.clone().narrow(0, 1, 1), 3.0)), values(a.narrow(0, 1, 1).mul_scalar(3.0)));
    }

    #[test]
    fn a_tensor_of_a_graph_goes_to_burns_own_ops() {
        let tracked = Tensor::<1>::ones([3], &Device::flex().autodiff());
        assert_eq!(sum_of_squares(&tracked), None);
        assert_eq!(values(scaled(tracked.clone(), 2.0)), [2.0; 3]);
        assert_eq!(values(blended(tracked.clone(), tracked, 0.5)), [1.0; 3]);
    }
}
