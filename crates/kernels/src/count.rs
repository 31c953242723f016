//! Multiply-adds of a forward pass, counted by the ops as they run.

use std::cell::Cell;

thread_local! {
    static COUNT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Runs `run` on this thread. Returns its result and the multiply-adds of its convolutions, affine maps,
/// recurrent layers and attention.
///
/// They are counted as papers count them: the products of a layer's input with weights or attention, without
/// biases, norms, activations and pooling.
pub fn multiply_adds<T>(run: impl FnOnce() -> T) -> (T, u64) {
    let before = COUNT.replace(Some(0));
    let outcome = run();
    let count = COUNT.replace(before).unwrap_or(0);
    (outcome, count)
}

/// Adds the product of the factors to the count, if there is one.
pub(crate) fn add(factors: &[usize]) {
    COUNT.with(|count| {
        if let Some(so_far) = count.get() {
            let product = factors.iter().map(|factor| *factor as u64).product::<u64>();
            count.set(Some(so_far + product));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, AttentionOptions, ConvOptions, attention, conv2d, linear, linear_onto};
    use burn::tensor::{Device, Tensor};

    fn ones<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        Tensor::ones(shape, &Device::flex())
    }

    fn of(run: impl FnOnce() -> Tensor<4>) -> u64 {
        multiply_adds(run).1
    }

    #[test]
    fn ops_count_their_products() {
        let options = |groups| ConvOptions { stride: [2, 2], padding: [1, 1], dilation: [1, 1], groups };
        let convolution = |groups: usize| {
            of(|| {
                let weight = ones([6, 4 / groups, 3, 3]);
                conv2d(ones([2, 4, 7, 5]), weight, None, options(groups), Activation::Relu)
            })
        };
        assert_eq!(convolution(1), 2 * 6 * (4 * 3) * (4 * 9));
        assert_eq!(convolution(2), 2 * 6 * (4 * 3) * (2 * 9));
        let depthwise =
            of(|| conv2d(ones([2, 4, 7, 5]), ones([4, 1, 3, 3]), None, options(4), Activation::Relu));
        assert_eq!(depthwise, 2 * 4 * (4 * 3) * 9);
        let (_, count) = multiply_adds(|| {
            let x = linear(ones([2, 3, 5]), ones([5, 7]), Some(ones([7])), Activation::Gelu);
            linear_onto(ones([2, 3, 5]), x, ones([7, 5]), None)
        });
        assert_eq!(count, 2 * (2 * 3 * 5 * 7));
        let options = AttentionOptions { causal: false, dropout: 0.0 };
        let (_, count) = multiply_adds(|| attention(ones([2, 5, 3 * 8]), 2, options, None));
        assert_eq!(count, 2 * (2 * 5 * 5 * 8));
    }

    #[test]
    fn counts_stand_apart_and_end_with_their_closure() {
        let map = || linear(ones([1, 2]), ones([2, 3]), None, Activation::Identity);
        let ((_, inner), outer) = multiply_adds(|| {
            map();
            multiply_adds(map)
        });
        assert_eq!([inner, outer], [6, 6]);
        map();
        assert_eq!(COUNT.get(), None);
    }
}
