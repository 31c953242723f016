//! Between Burn and kernels: tensors of the flex backend as slices of `f32`, and ops with a backward pass of their own
//! on Burn's autodiff graph.

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

/// Whether kernels can run on this tensor: `f32` on the flex backend, tracked or not.
pub(crate) fn runs_on<const D: usize>(tensor: &Tensor<D>) -> bool {
    #[cfg(test)]
    if crate::testing::twins_run() {
        return false;
    }
    let device = tensor.device().inner();
    tensor.dtype() == DType::F32 && matches!(device.as_dispatch(), DispatchDevice::Flex(_))
}

/// The numbers of a tensor row after row, copied only where they do not lie so.
#[derive(Clone, Debug)]
pub(crate) struct Floats(FlexTensor);

impl Floats {
    pub(crate) fn new(tensor: FlexTensor) -> Self {
        let floats = Floats(tensor.to_contiguous());
        debug_assert_eq!(floats.0.dtype(), DType::F32);
        floats
    }

    pub(crate) fn dims(&self) -> &[usize] {
        self.0.layout().shape().as_slice()
    }

    pub(crate) fn tensor(self) -> FlexTensor {
        self.0
    }
}

impl std::ops::Deref for Floats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        self.0.as_slice().expect("contiguous f32")
    }
}

/// A tensor of these numbers.
///
/// # Panics
/// When the shape is of another size.
pub(crate) fn tensor(numbers: Vec<f32>, shape: &[usize]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(numbers, shape.to_vec()))
}

/// What an op keeps for its backward pass, and that pass. `N` is the number of its inputs.
pub(crate) trait Saved<const N: usize>: Clone + Debug + Send + 'static {
    /// The gradient of each input that is `wanted`, of the gradient of the output.
    fn backward(self, gradient: FlexTensor, wanted: [bool; N]) -> [Option<FlexTensor>; N];
}

/// Puts an op on the graph. `forward` makes the output, and what the backward pass needs where one may come.
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

/// Whether a backward pass may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    ForBackward,
    Nothing,
}

/// A tensor of Burn's autodiff around the flex backend; the same whatever the checkpointing strategy.
pub(crate) type Tracked = FloatTensor<Autodiff<Flex, NoCheckpointing>>;

/// An input that may not be there, as an extension takes it: empty where it is not. An extension's macro knows tensors,
/// and no options of them.
pub(crate) fn or_empty<const D: usize, const E: usize>(
    input: Option<Tensor<D>>,
    like: &Tensor<E>,
) -> DispatchTensor {
    let input = input.unwrap_or_else(|| Tensor::empty([0; D], &like.device().inner()));
    input.into_dispatch()
}

/// The other end of [`or_empty`].
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
