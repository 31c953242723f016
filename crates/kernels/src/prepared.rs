//! Packed weights and the like, as kernels make them before they multiply, kept from one prediction to the next.
//!
//! It is also where a prediction is known to be one: convolutions hand images on channels last there.
//!
//! Products read weights in panels. Packing them takes as long as a small batch takes to multiply, and each
//! prediction would pack the same weights again. Within [`Prepared::run`] they are packed once.
//!
//! A thing made is found by the buffers of the tensors that it was made of, and it is kept beside clones of
//! them. So such a buffer is not freed, and its place is not given to others. Burn writes a tensor in place
//! only where nobody else holds its buffer, and a clone holds it: a weight that an optimizer changes moves to
//! a buffer of its own. What is found is therefore never out of date.

use crate::conv::ConvOptions;
use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use std::any::Any;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most bytes that a [`Prepared`] keeps, unless it is made with another bound: 1 GiB. A packed weight is
/// about as large as the weight.
pub const MOST_BYTES: usize = 1 << 30;

/// Weights as kernels read them, kept for the predictions of one model.
///
/// It must not span steps of a training: an optimizer copies each weight that is held here, in place of
/// changing it where it lies. Its answers would still be those of the new weights.
#[derive(Clone)]
pub struct Prepared(Arc<Store>);

struct Store {
    most: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    made: HashMap<Key, Made>,
    /// A clone for each buffer that something was made of. It holds the buffer.
    held: HashMap<usize, FlexTensor>,
    /// The bytes of all that was made.
    bytes: usize,
}

struct Made {
    what: Arc<dyn Any + Send + Sync>,
    bytes: usize,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    of: Vec<Place>,
    form: Form,
}

/// The numbers of a tensor: a view of a buffer.
#[derive(PartialEq, Eq, Hash)]
struct Place {
    buffer: usize,
    start: usize,
    shape: Vec<usize>,
    strides: Vec<isize>,
}

/// A form in which kernels read tensors. Each is of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// The panels of one group of a convolution's weight, its rows in so many lots.
    Panels { groups: usize, group: usize, lots: usize },
    /// The rows of one group of the weight of a convolution by a point.
    Rows { groups: usize, group: usize },
    /// The columns of a matrix.
    Columns,
    /// The weight of a convolution of pixels, or of planes to pixels.
    Pixels { options: ConvOptions, planes: bool },
    /// The maps of a norm with this epsilon, by its bits.
    Maps { epsilon: u64 },
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Store>>> = const { RefCell::new(None) };
}

impl Prepared {
    /// Keeps at most [`MOST_BYTES`].
    pub fn new() -> Self {
        Prepared::within(MOST_BYTES)
    }

    /// Keeps at most this many bytes. What would exceed them is made anew by each prediction.
    pub fn within(bytes: usize) -> Self {
        Prepared(Arc::new(Store { most: bytes, kept: Mutex::default() }))
    }

    /// Runs predictions on this thread. Products have the bits that they have outside. Convolutions whose images
    /// come channels last add in another order, and some of them go Winograd's way: answers agree to some 1e-6
    /// of their size, and a sample's are the same in any batch.
    ///
    /// At the end, what was made of tensors that nobody else holds any more is dropped.
    pub fn run<R>(&self, predict: impl FnOnce() -> R) -> R {
        struct Leave(Option<Arc<Store>>);
        impl Drop for Leave {
            fn drop(&mut self) {
                let before = self.0.take();
                if let Some(store) = CURRENT.replace(before) {
                    store.kept().drop_orphans();
                }
            }
        }
        let _leave = Leave(CURRENT.replace(Some(Arc::clone(&self.0))));
        predict()
    }

    /// The bytes that are kept now, without the weights themselves.
    pub fn bytes(&self) -> usize {
        self.0.kept().bytes
    }
}

impl Default for Prepared {
    fn default() -> Self {
        Prepared::new()
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("most", &self.0.most).field("bytes", &self.bytes()).finish()
    }
}

impl Store {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing that can panic runs between two changes that belong together.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Drops what was made of a buffer that is held here alone, so that nobody will ask for it again.
    fn drop_orphans(&mut self) {
        let alone = self.held.iter().filter(|(_, tensor)| tensor.is_unique());
        let alone: HashSet<usize> = alone.map(|(buffer, _)| *buffer).collect();
        if alone.is_empty() {
            return;
        }
        let Kept { made, held, bytes } = self;
        made.retain(|key, made| {
            let stays = !key.of.iter().any(|place| alone.contains(&place.buffer));
            *bytes -= if stays { 0 } else { made.bytes };
            stays
        });
        held.retain(|buffer, _| !alone.contains(buffer));
    }
}

impl Place {
    fn of(tensor: &FlexTensor) -> Self {
        let layout = tensor.layout();
        Place {
            buffer: Arc::as_ptr(&tensor.data_arc()) as usize,
            start: layout.start_offset(),
            shape: tensor.shape().as_slice().to_vec(),
            strides: layout.strides().to_vec(),
        }
    }
}

/// True within [`Prepared::run`].
pub(crate) fn is_predicting() -> bool {
    CURRENT.with_borrow(Option::is_some)
}

/// A clone of the tensor, if what is made of it may be kept: within [`Prepared::run`], and if somebody else
/// holds it too. A weight that was computed for this one call will not come again.
pub(crate) fn lasting(tensor: &FlexTensor) -> Option<FlexTensor> {
    (is_predicting() && !tensor.is_unique()).then(|| tensor.clone())
}

/// The thing that `make` makes of the tensors, or made of them before. `None` if its `bytes` exceed the bound,
/// or outside of [`Prepared::run`].
///
/// # Panics
/// When another type was kept by the same form.
pub(crate) fn kept<T: Any + Send + Sync>(
    of: &[FlexTensor],
    form: Form,
    bytes: usize,
    make: impl FnOnce() -> T,
) -> Option<Arc<T>> {
    let store = CURRENT.with_borrow(Option::clone)?;
    let key = Key { of: of.iter().map(Place::of).collect(), form };
    let known = |made: &Made| Arc::clone(&made.what).downcast().expect("one type for each form");
    {
        let mut kept = store.kept();
        if let Some(made) = kept.made.get(&key) {
            return Some(known(made));
        }
        if kept.bytes.saturating_add(bytes) > store.most {
            kept.drop_orphans();
            if kept.bytes.saturating_add(bytes) > store.most {
                return None;
            }
        }
        kept.bytes += bytes;
    }
    // The lock is free meanwhile: a thread that waits for parts of `make` may run other work, which may ask
    // for something, too.
    let promised = Promised { store: &store, bytes };
    let what = Arc::new(make());
    let mut kept = store.kept();
    if let Some(made) = kept.made.get(&key) {
        // Another thread was faster. Its own is dropped, and so is the promise.
        let found = known(made);
        drop(kept);
        return Some(found);
    }
    for (place, tensor) in key.of.iter().zip(of) {
        kept.held.entry(place.buffer).or_insert_with(|| tensor.clone());
    }
    kept.made.insert(key, Made { what: Arc::clone(&what) as Arc<dyn Any + Send + Sync>, bytes });
    std::mem::forget(promised);
    Some(what)
}

/// Bytes that are counted for what is being made. They are given back if it is not kept.
struct Promised<'a> {
    store: &'a Store,
    bytes: usize,
}

impl Drop for Promised<'_> {
    fn drop(&mut self) {
        self.store.kept().bytes -= self.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random;
    use crate::{Activation, ConvOptions, conv_transpose2d, conv2d, linear};
    use burn::tensor::{Device, Tensor, TensorData};

    fn tensor<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
        Tensor::from_data(TensorData::new(random(&shape, seed).values, shape), &Device::flex())
    }

    fn bits<const D: usize>(tensor: Tensor<D>) -> Vec<u32> {
        tensor.into_data().iter::<f32>().map(f32::to_bits).collect()
    }

    /// Convolutions by `[C_out, C_in / groups, k, k]`: the engine's panels, with rows for one thread and for
    /// two, products of points, small planes of points, groups.
    const CONVOLUTIONS: [([usize; 4], [usize; 4], usize); 8] = [
        ([2, 5, 12, 13], [7, 5, 3, 3], 1),
        ([1, 40, 7, 7], [70, 40, 3, 3], 1),
        ([1, 300, 9, 9], [50, 300, 3, 3], 1),
        ([2, 30, 14, 14], [61, 30, 1, 1], 1),
        ([1, 600, 12, 12], [130, 600, 1, 1], 1),
        ([2, 30, 7, 7], [61, 30, 1, 1], 1),
        ([1, 12, 16, 16], [26, 6, 1, 1], 2),
        ([1, 12, 9, 9], [26, 6, 3, 3], 2),
    ];

    fn convolve(x: &Tensor<4>, weight: &Tensor<4>, groups: usize) -> Tensor<4> {
        let padding = [weight.dims()[2] / 2; 2];
        let options = ConvOptions { padding, groups, ..Default::default() };
        conv2d(x.clone(), weight.clone(), None, options, Activation::Relu)
    }

    #[test]
    fn answers_have_the_same_bits_inside_and_outside() {
        let prepared = Prepared::new();
        for (x, weight, groups) in CONVOLUTIONS {
            let (x, weight) = (tensor(x, 1), tensor(weight, 2));
            // the last lies otherwise in memory, with the same numbers
            let turned = weight.clone().swap_dims(0, 1).mul_scalar(1.0).swap_dims(0, 1);
            for weight in [weight, turned] {
                let expected = bits(convolve(&x, &weight, groups));
                let first = prepared.run(|| bits(convolve(&x, &weight, groups)));
                let bytes = prepared.bytes();
                assert!(bytes >= weight.shape().num_elements() * 4, "{:?}: {bytes} bytes", weight.dims());
                let second = prepared.run(|| bits(convolve(&x, &weight, groups)));
                assert_eq!(prepared.bytes(), bytes, "made once");
                assert!(first == expected && second == expected, "{:?} by {:?}", x.dims(), weight.dims());
            }
        }
        for (inputs, outputs) in [(1, 7), (40, 33), (300, 65), (513, 1100)] {
            let weight: Tensor<2> = tensor([inputs, outputs], 3);
            let transposed: Tensor<2> = tensor([outputs, inputs], 4);
            for weight in [weight, transposed.transpose()] {
                for rows in [1, 2, 13, 257, 600] {
                    let x: Tensor<2> = tensor([rows, inputs], 5);
                    let run = || bits(linear(x.clone(), weight.clone(), None, Activation::Gelu));
                    let expected = run();
                    let found = [prepared.run(run), prepared.run(run)];
                    assert!(found.iter().all(|found| *found == expected), "{rows} x {inputs} x {outputs}");
                }
            }
        }
    }

    /// A transposed convolution and another number of groups read the same weight otherwise.
    #[test]
    fn ways_to_read_a_weight_stand_apart() {
        let (x, weight): (Tensor<4>, Tensor<4>) = (tensor([1, 8, 12, 12], 1), tensor([8, 4, 3, 3], 2));
        let up =
            || bits(conv_transpose2d(x.clone(), weight.clone(), None, Default::default(), Activation::Relu));
        let down = || bits(convolve(&x, &weight, 2));
        let alone = || bits(convolve(&x.clone().slice([0..1, 0..4]), &weight, 1));
        let halves = weight.clone().slice(4..8);
        let half = || bits(convolve(&x.clone().slice([0..1, 0..4]), &halves, 1));
        let expected = [up(), down(), alone(), half()];
        let prepared = Prepared::new();
        for _ in 0..2 {
            assert_eq!(prepared.run(|| [up(), down(), alone(), half()]), expected);
        }
    }

    #[test]
    fn a_weight_that_changes_is_prepared_anew() {
        let (x, prepared): (Tensor<4>, _) = (tensor([1, 6, 14, 14], 1), Prepared::new());
        for shape in [[9, 6, 3, 3], [9, 6, 1, 1]] {
            let mut weight: Tensor<4> = tensor(shape, 2);
            for step in 0..5 {
                let expected = bits(convolve(&x, &weight, 1));
                assert_eq!(prepared.run(|| bits(convolve(&x, &weight, 1))), expected, "step {step}");
                // in place, where nobody else holds the numbers
                weight = crate::scaled(weight, 0.5) + 0.25;
            }
        }
    }

    /// A new weight often lies where one lay that was freed.
    #[test]
    fn weights_that_come_and_go_are_not_mistaken_for_each_other() {
        let (x, prepared): (Tensor<2>, _) = (tensor([20, 64], 1), Prepared::new());
        for seed in 0..50 {
            let weight: Tensor<2> = tensor([64, 48], seed);
            let expected = bits(linear(x.clone(), weight.clone(), None, Activation::Identity));
            let found = prepared.run(|| linear(x.clone(), weight.clone(), None, Activation::Identity));
            assert_eq!(bits(found), expected, "seed {seed}");
            assert_eq!(prepared.bytes(), 64 * 48 * 4, "what nobody holds is dropped");
            drop(weight);
            prepared.run(|| ());
            assert_eq!(prepared.bytes(), 0, "a weight that is gone");
        }
    }

    #[test]
    fn a_bound_is_kept_and_computed_weights_are_not() {
        let (x, weight): (Tensor<2>, Tensor<2>) = (tensor([20, 64], 1), tensor([64, 48], 2));
        let run = |weight: Tensor<2>| bits(linear(x.clone(), weight, None, Activation::Identity));
        let expected = run(weight.clone());
        let bytes = 64 * 48 * 4;
        for (most, kept) in [(0, 0), (bytes - 1, 0), (bytes, bytes), (2 * bytes, bytes)] {
            let prepared = Prepared::within(most);
            assert_eq!(prepared.run(|| run(weight.clone())), expected);
            assert_eq!(prepared.bytes(), kept, "of {most}");
        }
        let prepared = Prepared::new();
        let inside = || {
            run(weight.clone() * 2.0);
            CURRENT.with_borrow(|store| store.as_ref().map(|store| store.kept().bytes))
        };
        assert_eq!(prepared.run(inside), Some(0));
        // nor is anything kept outside
        run(weight);
        assert_eq!(prepared.bytes(), 0);
    }

    #[test]
    fn nothing_is_kept_on_a_graph() {
        let device = Device::flex().autodiff();
        let leaf = |shape: [usize; 2], seed| {
            let data = TensorData::new(random(&shape, seed).values, shape);
            Tensor::<2>::from_data(data, &device).require_grad()
        };
        let (x, weight) = (leaf([20, 64], 1), leaf([64, 48], 2));
        let prepared = Prepared::new();
        prepared.run(|| linear(x, weight.clone(), None, Activation::Gelu).sum().backward());
        assert_eq!(prepared.bytes(), 0);
    }

    #[test]
    fn scopes_nest_and_end_with_a_panic() {
        let (x, weight): (Tensor<2>, Tensor<2>) = (tensor([20, 64], 1), tensor([64, 48], 2));
        let run = || bits(linear(x.clone(), weight.clone(), None, Activation::Identity));
        let (outer, inner) = (Prepared::new(), Prepared::new());
        outer.run(|| {
            inner.run(run);
            assert!(inner.bytes() > 0 && outer.bytes() == 0);
            run();
            assert!(outer.bytes() > 0);
        });
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| outer.run(|| panic!("no"))));
        assert!(caught.is_err() && CURRENT.with_borrow(Option::is_none));
        // what panics while it is made is not kept, and its bytes are not counted
        let one = tensor::<1>([3], 1).try_into_primitive::<burn::backend::Flex>().unwrap();
        let other = one.clone();
        let make = || kept(&[other], Form::Columns, 12, || -> Vec<f32> { panic!("no") });
        let fresh = Prepared::new();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fresh.run(make)));
        assert!(caught.is_err());
        assert_eq!(fresh.bytes(), 0);
        drop(one);
    }

    #[test]
    fn two_threads_with_two_scopes_and_with_one() {
        let models: Vec<(Tensor<4>, Tensor<4>)> =
            (0..2).map(|model| (tensor([1, 24, 14, 14], model), tensor([30, 24, 3, 3], 5 + model))).collect();
        let expected: Vec<_> = models.iter().map(|(x, weight)| bits(convolve(x, weight, 1))).collect();
        let shared = Prepared::new();
        for one in [false, true] {
            std::thread::scope(|scope| {
                for ((x, weight), expected) in models.iter().zip(&expected) {
                    let prepared = if one { shared.clone() } else { Prepared::new() };
                    scope.spawn(move || {
                        for _ in 0..20 {
                            assert_eq!(&prepared.run(|| bits(convolve(x, weight, 1))), expected);
                        }
                    });
                }
            });
        }
        assert!(shared.bytes() >= 2 * 30 * 24 * 9 * 4);
    }
}
