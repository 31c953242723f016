//! What a model of language offers beyond a task: the distribution of the next token.
//! `B` texts, `T` tokens, `V` words.

use bonfire_contract::{Target, Tokens};
use burn::tensor::{Bool, Int, Tensor, assert_shape};

/// A causal model of token sequences, from which text can be sampled.
pub trait LanguageModel {
    /// The number of last tokens that a prediction looks back on.
    fn context(&self) -> usize;

    /// The number of tokens it knows, `V`.
    fn vocabulary(&self) -> usize;

    /// Unnormalised log-probabilities of the token after the last of each row. Tokens before the last
    /// [`context`](LanguageModel::context) are not looked at.
    ///
    /// # Shapes
    /// - tokens: `[B, T]`, without padding
    /// - output: `[B, V]`
    ///
    /// # Panics
    /// When there is no token to continue from.
    fn next_logits(&self, tokens: Tensor<2, Int>) -> Tensor<2>;
}

/// The last `context` tokens of each row, `[B, min(T, context)]`.
pub(crate) fn last_tokens(tokens: Tensor<2, Int>, context: usize) -> Tensor<2, Int> {
    let [_, length] = tokens.dims();
    assert!(length > 0, "a text of at least one token was expected, found none");
    let kept = length.min(context);
    tokens.narrow(1, length - kept, kept)
}

/// Tokens without padding, `[B, T]`.
pub(crate) fn without_padding(tokens: Tensor<2, Int>) -> Tokens {
    let padding = Tensor::full(tokens.shape(), false, &tokens.device());
    Tokens { tokens, padding }
}

/// Cross-entropy of the tokens that follow, in nats a token, `[1]`: each text's mean over the positions that
/// are not padding, then the mean over texts. A text of padding alone counts as 0.
///
/// # Shapes
/// - logits: `[B, T, V]`
/// - padding: `[B, T]`, of the input
/// - target: next tokens `[B, T]`
///
/// # Panics
/// When the target is not of next tokens.
pub(crate) fn next_token_loss(logits: Tensor<3>, padding: Tensor<2, Bool>, target: Target) -> Tensor<1> {
    let Target::NextTokens(next) = target else {
        panic!("a target of next tokens was expected of a language model");
    };
    let [batch, tokens, _] = logits.dims();
    assert_shape!(next, [batch, tokens]);
    let text = crate::sequence::carries_text(padding); // [B, T]
    let count = text.clone().sum_dim(1).clamp_min(1.0); // [B, 1]
    // The mean is over all positions, and that of a text over its own.
    let weights = text * (count.recip() * tokens as f64); // [B, T]
    let positions = [batch * tokens];
    let (next, weights) = (next.reshape(positions), weights.reshape(positions)); // [B * T]
    bonfire_kernels::cross_entropy(logits.flatten(0, 1), next, Some(weights), 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn loss_leaves_padding_out_and_weighs_texts_evenly() {
        let device = Device::flex();
        let row = |p: f32| [p.ln(), (1.0 - p).ln()];
        let logits = Tensor::from_data([[row(0.5), row(0.25)], [row(0.8), row(1e-6)]], &device);
        let padding = Tensor::from_data([[false, false], [false, true]], &device);
        let target = Target::NextTokens(Tensor::from_data([[0, 0], [0, 0]], &device));
        let loss = next_token_loss(logits, padding, target).into_scalar::<f32>();
        let expected = ((0.5f32.ln() + 0.25f32.ln()) / -2.0 - 0.8f32.ln()) / 2.0;
        assert!((loss - expected).abs() < 1e-6, "{loss} is not {expected}");
    }

    #[test]
    fn only_the_last_tokens_are_kept() {
        let tokens = Tensor::<2, Int>::from_data([[1, 2, 3], [4, 5, 6]], &Device::flex());
        let kept = last_tokens(tokens.clone(), 2).into_data().iter::<i64>().collect::<Vec<_>>();
        assert_eq!(kept, [2, 3, 5, 6]);
        assert_eq!(last_tokens(tokens, 9).dims(), [2, 3]);
    }
}
