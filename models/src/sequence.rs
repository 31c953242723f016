//! From a vector a token to a vector a text. `B` texts, `T` tokens, `D` width.

use bonfire_kernels::like;
use burn::tensor::{Bool, Tensor, assert_shape};
use serde::{Deserialize, Serialize};

/// The pooling of a text's token vectors into one vector. Padding never takes part; an empty text is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The mean over the tokens.
    #[default]
    Mean,
    /// The vector where reading ended: at the last token, and for a layer that reads backwards at the first.
    Last,
}

/// 1 where a position carries text, 0 where it is padding, `[B, T]`.
pub(crate) fn carries_text(padding: Tensor<2, Bool>) -> Tensor<2> {
    padding.bool_not().float()
}

/// The mean of the vectors that carry text.
///
/// # Shapes
/// - vectors: `[B, T, D]`
/// - text: `[B, T]`, of [`carries_text`]
/// - output: `[B, D]`
pub(crate) fn mean_over_text(vectors: Tensor<3>, text: Tensor<2>) -> Tensor<2> {
    let count = text.clone().sum_dim(1).clamp_min(1.0); // [B, 1]
    weighted_sum(vectors, text / count)
}

/// The vector of the last position that carries text; padding stands at the end alone.
///
/// # Shapes
/// - vectors: `[B, T, D]`
/// - text: `[B, T]`, of [`carries_text`]
/// - output: `[B, D]`
pub(crate) fn last_of_text(vectors: Tensor<3>, text: Tensor<2>) -> Tensor<2> {
    let [batch, tokens] = text.dims();
    let after = Tensor::cat(
        vec![text.clone().narrow(1, 1, tokens - 1), Tensor::zeros([batch, 1], &text.device())],
        1,
    ); // [B, T]: whether the next position carries text
    weighted_sum(vectors, text - after)
}

/// `sum_t weights[b, t] * vectors[b, t, :]`, `[B, D]`.
pub(crate) fn weighted_sum(vectors: Tensor<3>, weights: Tensor<2>) -> Tensor<2> {
    let [batch, tokens, _] = vectors.dims();
    assert_shape!(weights, [batch, tokens]);
    let weights = like(weights, &vectors);
    let sums = weights.unsqueeze_dim::<3>(1).matmul(vectors); // [B, 1, D]
    sums.squeeze_dim(1) // [B, D]
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tolerance};

    fn vectors() -> Tensor<3> {
        let data = [[[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]], [[3.0, 30.0], [50.0, 9.0], [70.0, 9.0]]];
        Tensor::from_data(data, &Device::flex())
    }

    fn text(padding: [[bool; 3]; 2]) -> Tensor<2> {
        carries_text(Tensor::from_data(padding, &Device::flex()))
    }

    fn assert_rows(found: Tensor<2>, expected: [[f32; 2]; 2]) {
        let expected = Tensor::<2>::from_data(expected, &Device::flex());
        found.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-6));
    }

    #[test]
    fn padding_takes_no_part() {
        let padding = [[false, false, false], [false, true, true]];
        assert_rows(mean_over_text(vectors(), text(padding)), [[3.0, 30.0], [3.0, 30.0]]);
        assert_rows(last_of_text(vectors(), text(padding)), [[6.0, 60.0], [3.0, 30.0]]);
    }

    #[test]
    fn an_empty_text_is_zero() {
        let padding = [[false, false, true], [true, true, true]];
        assert_rows(mean_over_text(vectors(), text(padding)), [[1.5, 15.0], [0.0, 0.0]]);
        assert_rows(last_of_text(vectors(), text(padding)), [[2.0, 20.0], [0.0, 0.0]]);
    }
}
