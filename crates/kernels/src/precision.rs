//! Casts between number types, as PyTorch's `autocast` makes them around its ops, decided by the types of the
//! weights.
//!
//! In a model with weights in bf16 and norms in f32, products are computed in bf16 for input of any type.
//! Norms, the softmax of attention and losses are computed in f32, and a norm's output has its input's type
//! again. In a model of one type nothing is cast.

use burn::tensor::{DType, FloatDType, Tensor};

/// `x` in the type of `other`, for numbers of a model's own beside an op's.
pub fn like<const D: usize, const E: usize>(x: Tensor<D>, other: &Tensor<E>) -> Tensor<D> {
    match other.dtype() {
        dtype if x.dtype() == dtype => x,
        dtype => x.cast(FloatDType::from(dtype)),
    }
}

/// `x` in f32 if its type has fewer digits, for sums and exponentials that need them.
pub fn widened<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    match x.dtype() {
        DType::F16 | DType::BF16 => x.cast(FloatDType::F32),
        _ => x,
    }
}

#[cfg(test)]
mod tests {
    //! Ops with weights in bf16 against the same ops in f32.

    use crate::testing::random;
    use crate::*;
    use burn::tensor::{DType, Device, FloatDType, Int, Tensor, TensorData};

    fn tensor<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
        let values = random(&shape, seed).values;
        Tensor::from_data(TensorData::new(values, shape), &Device::flex().autodiff())
    }

    fn narrow<const D: usize>(x: Tensor<D>) -> Tensor<D> {
        x.cast(FloatDType::BF16)
    }

    /// Asserts that two tensors agree to the precision of bf16, which has 8 binary digits.
    fn assert_near<const D: usize>(found: Tensor<D>, expected: Tensor<D>, dtype: DType) {
        assert_eq!(found.dtype(), dtype);
        let values = |x: Tensor<D>| x.cast(FloatDType::F32).into_data().try_into_vec::<f32>().unwrap();
        let expected = values(expected);
        let largest = expected.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        for (found, expected) in values(found).into_iter().zip(expected) {
            assert!((found - expected).abs() <= 0.03 * largest, "{found} is not {expected}");
        }
    }

    #[test]
    fn products_are_in_the_type_of_their_weight() {
        let (x, weight, bias) = (tensor([3, 8], 1), tensor([8, 5], 2), tensor([5], 3));
        let expected = linear(x.clone(), weight.clone(), Some(bias.clone()), Activation::Gelu);
        let found = linear(x, narrow(weight.clone()), Some(narrow(bias)), Activation::Gelu);
        assert_near(found, expected, DType::BF16);

        let (x, kernel) = (tensor([2, 3, 6, 5], 4), tensor([4, 3, 3, 3], 5));
        let options = ConvOptions { stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 1 };
        let expected = conv2d(x.clone(), kernel.clone(), None, options, Activation::Relu);
        assert_near(conv2d(x, narrow(kernel), None, options, Activation::Relu), expected, DType::BF16);

        let table = tensor([7, 5], 6);
        let tokens = Tensor::<2, Int>::from_data([[0, 6, 3]], &Device::flex());
        assert_near(embedding(narrow(table.clone()), tokens.clone()), embedding(table, tokens), DType::BF16);

        let (qkv, mask) = (tensor([2, 4, 12], 7), Tensor::ones([2, 4], &Device::flex()));
        let options = AttentionOptions { causal: true, dropout: 0.0 };
        let expected = attention(qkv.clone(), 2, options, Some(mask.clone()));
        assert_near(attention(narrow(qkv), 2, options, Some(mask)), expected, DType::BF16);
    }

    #[test]
    fn norms_are_in_their_own_type_and_give_their_inputs_back() {
        let (x, weight, bias) = (tensor([4, 6, 5], 1), tensor([5], 2), tensor([5], 3));
        let expected = layer_norm(x.clone(), weight.clone(), Some(bias.clone()), 1e-5);
        assert_near(layer_norm(narrow(x.clone()), weight.clone(), Some(bias), 1e-5), expected, DType::BF16);
        let expected = rms_norm(x.clone(), weight.clone(), 1e-5);
        assert_near(rms_norm(narrow(x.clone()), weight, 1e-5), expected, DType::BF16);
        let (weight, bias) = (tensor([6], 4), tensor([6], 5));
        let expected = group_norm(x.clone(), 2, weight.clone(), bias.clone(), 1e-5);
        let found = group_norm(narrow(x.clone()), 2, weight.clone(), bias.clone(), 1e-5);
        assert_near(found, expected, DType::BF16);
        let normal = |x: Tensor<3>| {
            let residual = Some(x.clone());
            batch_norm_train(x, weight.clone(), bias.clone(), residual, 1e-5, Activation::Relu)
        };
        let (expected, found) = (normal(x.clone()), normal(narrow(x)));
        assert_near(found.0, expected.0, DType::BF16);
        assert_near(found.1, expected.1, DType::F32);
        assert_near(found.2, expected.2, DType::F32);
    }

    #[test]
    fn losses_are_in_f32_and_their_gradients_in_the_type_of_the_logits() {
        let logits = narrow(tensor([3, 4], 1)).require_grad();
        let classes = Tensor::<1, Int>::from_data([0, 3, 1], &Device::flex());
        let loss = cross_entropy(logits.clone(), classes, None, 0.1);
        assert_eq!(loss.dtype(), DType::F32);
        assert_eq!(logits.grad(&loss.backward()).unwrap().dtype(), DType::BF16);
        let target = tensor([3, 4], 2).detach();
        for loss in [
            cross_entropy_soft(logits.clone(), target.clone()),
            mean_error(logits.clone(), target, ErrorOfValue::Squared),
        ] {
            assert_eq!(loss.dtype(), DType::F32);
        }
    }
}
