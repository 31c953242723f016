//! The bridge between Burn and the kernels: tensors of the flex backend as slices of `f32`, and ops with
//! their own backward pass on Burn's autodiff graph.

use crate::uses;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, DispatchDevice, DispatchTensor, Flex, TensorMetadata};
use burn::tensor::{DType, Tensor, TensorData};
use std::fmt::Debug;
use std::marker::PhantomData;
use std::ops::Range;

/// True if kernels can run on this tensor: `f32` on the flex backend, tracked or not.
pub(crate) fn runs_on<const D: usize>(tensor: &Tensor<D>) -> bool {
    #[cfg(test)]
    if crate::testing::twins_run() {
        return false;
    }
    let device = tensor.device().inner();
    tensor.dtype() == DType::F32 && matches!(device.as_dispatch(), DispatchDevice::Flex(_))
}

/// A tensor's numbers row after row. They are copied only if they lie otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Floats {
    tensor: FlexTensor,
    /// The places of the numbers in the tensor's buffer, found once: kernels read them channel by channel.
    places: Range<usize>,
}

impl Floats {
    pub(crate) fn new(tensor: FlexTensor) -> Self {
        let tensor = tensor.to_contiguous();
        debug_assert_eq!(tensor.dtype(), DType::F32);
        let (start, end) = tensor.layout().contiguous_offsets().expect("contiguous numbers");
        Floats { tensor, places: start..end }
    }

    pub(crate) fn dims(&self) -> &[usize] {
        self.tensor.layout().shape().as_slice()
    }

    pub(crate) fn tensor(self) -> FlexTensor {
        self.tensor
    }
}

impl std::ops::Deref for Floats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.tensor.storage()[self.places.clone()]
    }
}

/// A tensor of `shape` with these numbers.
///
/// # Panics
/// When the shape's size is not the count of numbers.
pub(crate) fn tensor(numbers: Vec<f32>, shape: &[usize]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(numbers, shape.to_vec()))
}

/// The state that an op of `N` inputs keeps for its backward pass, and that pass.
pub(crate) trait Saved<const N: usize>: Clone + Debug + Send + 'static {
    /// The gradient of each `wanted` input, from `gradient`, the output's gradient.
    fn backward(self, gradient: FlexTensor, wanted: [bool; N]) -> [Option<FlexTensor>; N];
}

/// Puts an op on the graph. `forward` returns the output, and the state for the backward pass if one may
/// follow.
pub(crate) fn track<C: CheckpointStrategy, S: Saved<N>, const N: usize>(
    inputs: [Tracked; N],
    forward: impl FnOnce([FlexTensor; N], Keep) -> (FlexTensor, Option<S>),
) -> Tracked {
    let parts = inputs.map(|input| input.into_parts());
    let mut guards = Vec::with_capacity(N);
    let primitives = parts.map(|(primitive, guard)| {
        guards.push(guard);
        primitive
    });
    let guards: [_; N] = guards.try_into().expect("as many guards as inputs");
    uses::used(&guards);
    match Node::<S>(PhantomData).prepare::<C>(guards).compute_bound().stateful() {
        OpsKind::Tracked(node) => {
            let (output, saved) = forward(primitives, Keep::ForBackward);
            node.finish(saved.expect("an op keeps what its backward pass needs"), output)
        }
        OpsKind::UnTracked(node) => node.finish(forward(primitives, Keep::Nothing).0),
    }
}

/// The kind of forward pass: one that keeps state for a backward pass, or one that keeps nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    ForBackward,
    Nothing,
}

/// A tensor of Burn's autodiff around the flex backend, for any checkpointing strategy.
pub(crate) type Tracked = FloatTensor<Autodiff<Flex, NoCheckpointing>>;

/// An optional input as an extension takes it: an empty tensor stands for none, because Burn's extension
/// macro knows no optional tensors.
pub(crate) fn or_empty<const D: usize, const E: usize>(
    input: Option<Tensor<D>>,
    like: &Tensor<E>,
) -> DispatchTensor {
    let input = input.unwrap_or_else(|| Tensor::empty([0; D], &like.device().inner()));
    input.into_dispatch()
}

/// The inverse of [`or_empty`].
pub(crate) fn unless_empty(input: FlexTensor) -> Option<Floats> {
    (input.shape().num_elements() > 0).then(|| Floats::new(input))
}

#[derive(Debug)]
struct Node<S>(PhantomData<S>);

impl<S: Saved<N>, const N: usize> Backward<Flex, N> for Node<S> {
    type State = S;

    fn backward(self, ops: Ops<S, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = ops.state.backward(gradient, wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(parent), Some(gradient)) = (parent, gradient)
                && let Some(gradient) = uses::found(parent.id, gradient)
            {
                gradients.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

/// The dimensions of a backend's tensor.
pub(crate) fn dims(tensor: &FlexTensor) -> Vec<usize> {
    tensor.shape().as_slice().to_vec()
}
