//! Dropout with a mask that is a function of a seed, so that nothing is kept for the backward pass.

use crate::Draws;
use crate::draws::BatchRows;
use crate::flex::{self, Floats, Keep, Saved};
use crate::memory::for_overwriting;
use crate::simd::{Kernel, Simd, run};
use crate::splitmix;
use crate::threads::{self, Shared};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::nn::Dropout;
use burn::tensor::{Distribution, Tensor, TensorData};

/// Burn's dropout layer on `x`, `[B, ...]`. In training, each number is dropped with the layer's probability
/// and otherwise scaled by `1 / (1 - probability)` (Srivastava et al. 2014). Outside training nothing
/// happens.
///
/// The layer trains, as in Burn, on a device with autodiff unless it is frozen. The mask follows from a seed
/// drawn from the device's generator. In `f32` on Burn's CPU backend, [`Draws`] set the seed and the rows'
/// places in the batch instead.
pub fn dropout<const D: usize>(layer: &Dropout, x: Tensor<D>) -> Tensor<D> {
    dropout_along(layer, x, 0)
}

/// [`dropout`] of an input whose batch lies along axis `batch`.
pub fn dropout_along<const D: usize>(layer: &Dropout, x: Tensor<D>, batch: usize) -> Tensor<D> {
    let device = x.device();
    let off = !layer.training.is_enabled() || !device.is_autodiff() || layer.prob == 0.0;
    if off || !flex::runs_on(&x) {
        return layer.forward(x);
    }
    let drawn = || {
        // 24 bits each
        let drawn = Tensor::<1>::random([2], Distribution::Default, &device.inner()).into_data();
        let numbers = drawn.as_slice::<f32>().expect("f32").iter();
        numbers.fold(0, |seed, number| (seed << 24) | (f64::from(*number) * f64::from(1u32 << 24)) as u64)
    };
    dropout_with(x, layer.prob, Draws::next_seed().unwrap_or_else(drawn), batch)
}

/// Drops each number with this probability and scales the others by `1 / (1 - probability)`, in training or
/// not.
///
/// A number's fate depends on the seed, its row's place in the batch and its place within the row, and on
/// nothing else. Rows lie along axis `batch`; [`Draws`] give their places.
///
/// # Panics
/// When the probability is not in `[0, 1)`, or `x` has no axis `batch`.
pub fn dropout_with<const D: usize>(x: Tensor<D>, probability: f64, seed: u64, batch: usize) -> Tensor<D> {
    assert!((0.0..1.0).contains(&probability), "a probability in [0, 1) was expected, found {probability}");
    assert!(batch < D, "an axis of {D} was expected, found {batch}");
    if !flex::runs_on(&x) {
        return plain(x, probability, seed, batch);
    }
    let mask = Mask::new(probability, seed, batch);
    Tensor::from_dispatch(Dispatch::dropout_by(x.into_dispatch(), mask))
}

/// The twin, made of Burn's own ops.
pub(crate) fn plain<const D: usize>(x: Tensor<D>, probability: f64, seed: u64, batch: usize) -> Tensor<D> {
    let (mask, dims) = (Mask::new(probability, seed, batch), x.dims());
    let layout = Layout::new(&dims, batch);
    let factors: Vec<f32> = (0..x.shape().num_elements())
        .map(|place| {
            let (row, within) = layout.at(place);
            mask.factor(row, within)
        })
        .collect();
    let factors = TensorData::new(factors, dims);
    let factors = Tensor::from_data(factors, (&x.device(), x.dtype()));
    x * factors
}

/// The op as an extension of Burn's CPU backend.
#[backend_extension(Autodiff, Flex)]
pub trait DropoutOps: Backend {
    /// See [`dropout_with`].
    fn dropout_by(x: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self>;
}

impl DropoutOps for Flex {
    fn dropout_by(x: FlexTensor, mask: Mask) -> FlexTensor {
        masked(x, mask)
    }
}

impl<C: CheckpointStrategy> DropoutOps for Autodiff<Flex, C> {
    fn dropout_by(x: FloatTensor<Self>, mask: Mask) -> FloatTensor<Self> {
        flex::track::<C, _, 1>([x], |[x], keep| {
            (masked(x, mask), (keep == Keep::ForBackward).then_some(mask))
        })
    }
}

impl Saved<1> for Mask {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [wanted[0].then(|| masked(gradient, self))]
    }
}

/// The mask of dropout: a function of the row and of the place within the row.
///
/// The bits at a place are Wellons' `triple32` of the place ("Prospecting for hash functions", 2018; the
/// worst bias of its bits is 0.02 %), with one half of a key added before its first product and the other
/// after it. The key is SplitMix64's of the seed and the row (Steele et al. 2014). A row of more than 2^32
/// numbers repeats its mask.
#[derive(Clone, Copy, Debug)]
pub struct Mask {
    seed: u64,
    /// A number whose bits are below it is dropped.
    threshold: u32,
    scale: f32,
    /// The axis of the batch.
    batch: usize,
    rows: BatchRows,
}

impl Mask {
    fn new(probability: f64, seed: u64, batch: usize) -> Self {
        let threshold = (probability * 4_294_967_296.0).min(4_294_967_295.0) as u32;
        Mask { seed, threshold, scale: (1.0 / (1.0 - probability)) as f32, batch, rows: BatchRows::current() }
    }

    /// The key of a row of the tensor.
    #[inline(always)]
    fn key(self, row: usize) -> [u32; 2] {
        let bits = splitmix::at(self.seed, self.rows.of(row));
        [bits as u32, (bits >> 32) as u32]
    }

    /// The factor of the number at place `within` of a row.
    fn factor(self, row: usize, within: usize) -> f32 {
        if bits(within as u32, self.key(row)) < self.threshold { 0.0 } else { self.scale }
    }
}

/// The layout of rows in the tensor's memory: `[before, rows, behind]`.
#[derive(Clone, Copy)]
struct Layout {
    rows: usize,
    behind: usize,
}

impl Layout {
    fn new(dims: &[usize], batch: usize) -> Self {
        Layout { rows: dims[batch], behind: dims[batch + 1..].iter().product() }
    }

    /// The row of the number at `place`, and its place within the row.
    #[inline(always)]
    fn at(self, place: usize) -> (usize, usize) {
        let (run, behind) = (place / self.behind, place % self.behind);
        (run % self.rows, run / self.rows * self.behind + behind)
    }
}

/// Evenly distributed bits for a place, by a row's key.
#[inline(always)]
fn bits(place: u32, [first, second]: [u32; 2]) -> u32 {
    let mut x = place.wrapping_add(first);
    x = (x ^ (x >> 17)).wrapping_mul(0xed5a_d4bb) ^ second;
    x = (x ^ (x >> 11)).wrapping_mul(0xac4c_1b51);
    x = (x ^ (x >> 15)).wrapping_mul(0x3184_8bab);
    x ^ (x >> 14)
}

/// Multiplies each number with its factor, in place if nobody else holds the numbers.
fn masked(x: FlexTensor, mask: Mask) -> FlexTensor {
    let layout = Layout::new(&flex::dims(&x), mask.batch);
    let mut x = x.to_contiguous();
    if let Some(place) = x.try_storage_mut::<f32>() {
        let (length, to) = (place.len(), Shared::new(place));
        apply(to.pointer().cast_const(), to, length, layout, mask);
        return x;
    }
    let from = Floats::new(x);
    let mut to = for_overwriting(from.len());
    apply(from.as_ptr(), Shared::new(&mut to), from.len(), layout, mask);
    flex::tensor(to, from.dims())
}

/// Writes `from` times the mask's factors to `to`, which may be the same memory.
fn apply(from: *const f32, to: Shared<'_, f32>, length: usize, layout: Layout, mask: Mask) {
    #[derive(Clone, Copy)]
    struct From(*const f32);
    // SAFETY: each thread reads the places that it writes.
    unsafe impl Send for From {}
    // SAFETY: as above.
    unsafe impl Sync for From {}

    struct Masking<'a> {
        from: From,
        to: &'a mut [f32],
        start: usize,
        layout: Layout,
        mask: Mask,
    }
    impl Kernel for Masking<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            // arithmetic on whole numbers is left to the compiler, which vectorises such loops for the
            // enabled instructions
            const CHUNK: usize = 32;
            let Mask { threshold, scale, .. } = self.mask;
            let mut done = 0;
            while done < self.to.len() {
                let (row, within) = self.layout.at(self.start + done);
                // to the end of the row's contiguous run of numbers
                let together = self.layout.behind - within % self.layout.behind;
                let end = self.to.len().min(done + together);
                let key = self.mask.key(row);
                for (index, to) in self.to[done..end].chunks_mut(CHUNK).enumerate() {
                    let place = (within + index * CHUNK) as u32;
                    let mut factors = [0.0f32; CHUNK];
                    for (lane, factor) in factors.iter_mut().enumerate() {
                        let keeps = bits(place.wrapping_add(lane as u32), key) >= threshold;
                        *factor = if keeps { scale } else { 0.0 };
                    }
                    // SAFETY: the part is inside the tensor.
                    let from = unsafe { self.from.0.add(self.start + done + index * CHUNK) };
                    for (lane, to) in (0..CHUNK).step_by(S::LANES).zip(to.chunks_mut(S::LANES)) {
                        // SAFETY: as many numbers are at `from` as there is room at `to`.
                        let x = unsafe {
                            if to.len() >= S::LANES {
                                s.load_from(from.add(lane))
                            } else {
                                s.load_first_from(from.add(lane), to.len())
                            }
                        };
                        s.store_first(to, s.mul(x, s.load(&factors[lane..])));
                    }
                }
                done = end;
            }
        }
    }
    let from = From(from);
    let parts = threads::parts(length, 1 << 14);
    threads::parallel(parts, |part| {
        let range = threads::range(length, parts, part, 64);
        let start = range.start;
        // SAFETY: the ranges do not overlap.
        run(Masking { from, to: unsafe { to.part(range) }, start, layout, mask });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, random};
    use burn::nn::DropoutConfig;
    use burn::tensor::Device;

    #[test]
    fn agrees_with_its_twin() {
        for shape in [[1, 1], [3, 5], [4, 16], [7, 33], [300, 257], [0, 4]] {
            for (probability, seed) in [(0.0, 1), (0.1, 2), (0.5, u64::MAX), (0.999, 4)] {
                for batch in 0..2 {
                    check(
                        &format!("{shape:?}, {probability}, rows along {batch}"),
                        &[random(&shape, 1)],
                        |i| dropout_with(i.get::<2>(0), probability, seed, batch),
                        |i| plain(i.get::<2>(0), probability, seed, batch),
                    );
                    check(
                        &format!("{shape:?}, {probability}, rows along {batch}, transposed and fresh"),
                        &[random(&shape, 1)],
                        |i| dropout_with(i.get::<2>(0).transpose() * 2.0, probability, seed, batch),
                        |i| plain(i.get::<2>(0).transpose() * 2.0, probability, seed, batch),
                    );
                }
            }
        }
    }

    #[test]
    fn drops_as_often_as_it_should_and_evenly() {
        let count = 1 << 18;
        for probability in [0.1, 0.5, 0.9] {
            for seed in 0..4 {
                // Rows of one number, of a few and of many: no layout is special.
                let width = [count, 1, 7, 512][seed as usize];
                let of = |mask: Mask, place: usize| mask.factor(place / width, place % width) == 0.0;
                let mask = Mask::new(probability, seed, 0);
                let dropped: Vec<bool> = (0..count).map(|place| of(mask, place)).collect();
                let share = |dropped: &mut dyn Iterator<Item = bool>| {
                    let (mut all, mut hits) = (0.0, 0.0);
                    for dropped in dropped {
                        all += 1.0;
                        hits += f64::from(dropped);
                    }
                    (all, hits / all)
                };
                let within = |(all, share): (f64, f64), expected: f64, what: &str| {
                    let deviation = (expected * (1.0 - expected) / all).sqrt();
                    assert!((share - expected).abs() < 4.5 * deviation, "{what}, {probability}: {share}");
                };
                within(share(&mut dropped.iter().copied()), probability, "all");
                for step in [2, 7, 16, 64, 256] {
                    within(share(&mut dropped.iter().copied().step_by(step)), probability, "every few");
                }
                let other = Mask::new(probability, seed + 100, 0);
                for distance in [1, 2, 16, 1024] {
                    let both = &mut (0..count - distance).map(|i| dropped[i] && dropped[i + distance]);
                    within(share(both), probability * probability, "pairs");
                }
                let both = &mut (0..count).map(|i| dropped[i] && of(other, i));
                within(share(both), probability * probability, "two seeds");
            }
        }
    }

    #[test]
    fn stands_in_for_burns_layer() {
        let _alone = crate::testing::alone();
        let device = Device::flex();
        let layer = DropoutConfig::new(0.5).init();
        let plain = Tensor::<2>::ones([8, 8], &device);
        let values = |tensor: Tensor<2>| tensor.into_data().try_into_vec::<f32>().unwrap();
        assert_eq!(
            values(dropout(&layer, plain.clone())),
            values(plain),
            "nothing drops where nothing trains"
        );
        let training = || Tensor::<2>::ones([8, 8], &device.clone().autodiff());
        device.seed(4);
        let first = values(dropout(&layer, training()));
        let second = values(dropout(&layer, training()));
        device.seed(4);
        assert_eq!(values(dropout(&layer, training())), first);
        assert_ne!(first, second);
        assert!(first.iter().all(|x| *x == 0.0 || *x == 2.0));
        let none = DropoutConfig::new(0.0).init();
        assert_eq!(values(dropout(&none, training())), values(training()));
    }

    /// A share of a batch drops the same numbers as the whole batch, for any number of processes and in
    /// either layout. So does a batch of shorter texts.
    #[test]
    fn rows_keep_their_numbers_wherever_they_are() {
        let device = Device::flex();
        let whole = dropout_with(Tensor::<3>::ones([13, 9, 5], &device), 0.5, 6, 0);
        let in_time = dropout_with(Tensor::<3>::ones([9, 13, 5], &device), 0.5, 6, 1);
        in_time.clone().swap_dims(0, 1).into_data().assert_eq(&whole.clone().into_data(), true);
        for (first, step) in [(0, 1), (2, 1), (0, 2), (1, 3), (12, 4)] {
            let rows = whole.clone().slice_dim(0, burn::tensor::s![first..;step]);
            let [count, ..] = rows.dims();
            let share = Draws { seed: 0, first: first as u64, step: step as u64 };
            for times in [9, 4, 1] {
                let expected = rows.clone().narrow(1, 0, times);
                let part = share.within(|| dropout_with(expected.clone() * 0.0 + 1.0, 0.5, 6, 0));
                part.into_data().assert_eq(&expected.into_data(), true);
            }
            let part = share.within(|| dropout_with(Tensor::<3>::ones([9, count, 5], &device), 0.5, 6, 1));
            part.swap_dims(0, 1).into_data().assert_eq(&rows.into_data(), true);
        }
    }

    #[test]
    #[should_panic(expected = "a probability in [0, 1) was expected, found 1")]
    fn dropping_everything_is_refused() {
        dropout_with(Tensor::<1>::ones([2], &Device::flex()), 1.0, 0, 0);
    }
}
