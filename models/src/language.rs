//! The distribution of the next token, which a language model gives beyond a task. `B` texts, `T` tokens, `D`
//! width, `V` words.

use bonfire_contract::{Target, Tokens};
use burn::tensor::{Bool, Int, Tensor, assert_shape};

/// A causal model of token sequences, from which text can be sampled.
pub trait LanguageModel {
    /// The number of last tokens that a prediction looks back on.
    fn context(&self) -> usize;

    /// The number of tokens in the vocabulary, `V`.
    fn vocabulary(&self) -> usize;

    /// Unnormalised log-probabilities of the token after the last token of each text that is not padding. The
    /// last [`context`](LanguageModel::context) tokens of a text decide them; the tokens before are not read.
    ///
    /// # Shapes
    /// - input: tokens and padding, `[B, T]`; a text has one token at least, and its padding stands at its
    ///   end
    /// - output: `[B, V]`
    ///
    /// # Panics
    /// When `T` is 0.
    fn next_logits(&self, input: Tokens) -> Tensor<2>;
}

/// The last `context` tokens of each text, `[B, min(T, context)]`; the padding stays at the end.
pub(crate) fn last_tokens(input: Tokens, context: usize) -> Tokens {
    let [batch, length] = input.tokens.dims();
    assert_shape!(input.padding, [batch, length]);
    assert!(length > 0, "texts of at least one token were expected, found none");
    if length <= context {
        return input;
    }
    let counts = lengths(input.padding); // [B, 1]
    let first = (counts.clone() - context as i64).clamp_min(0); // [B, 1]
    let places = Tensor::<1, Int>::arange(0..context as i64, &counts.device()); // [context]
    let places = places.unsqueeze::<2>() + first; // [B, context]
    let padding = places.clone().greater_equal(counts.expand([batch, context])); // [B, context]
    Tokens { tokens: input.tokens.gather(1, places), padding }
}

/// The vector of each text's last token that is not padding.
///
/// # Shapes
/// - vectors: `[B, T, D]`
/// - padding: `[B, T]`
/// - output: `[B, D]`
pub(crate) fn at_last_token(vectors: Tensor<3>, padding: Tensor<2, Bool>) -> Tensor<2> {
    let [batch, _, width] = vectors.dims();
    let last = (lengths(padding) - 1).clamp_min(0); // [B, 1]
    let last = last.unsqueeze_dim::<3>(2).expand([batch, 1, width]); // [B, 1, D]
    vectors.gather(1, last).squeeze_dim(1) // [B, D]
}

/// The number of tokens of each text that are not padding, `[B, 1]`.
fn lengths(padding: Tensor<2, Bool>) -> Tensor<2, Int> {
    padding.bool_not().int().sum_dim(1)
}

/// Tokens without padding, `[B, T]`.
#[cfg(test)]
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
    // The mean below is over all positions; these weights make it a text's mean over its own.
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
        let device = Device::flex();
        let texts = || Tokens {
            tokens: Tensor::from_data([[1, 2, 3, 4], [5, 6, 7, 0], [8, 0, 0, 0]], &device),
            padding: Tensor::from_data(
                [[false, false, false, false], [false, false, false, true], [false, true, true, true]],
                &device,
            ),
        };
        let kept = last_tokens(texts(), 2);
        assert_eq!(kept.tokens.into_data().iter::<i64>().collect::<Vec<_>>(), [3, 4, 6, 7, 8, 0]);
        let padded: Vec<bool> = kept.padding.into_data().iter().collect();
        assert_eq!(padded, [false, false, false, false, false, true]);
        assert_eq!(last_tokens(texts(), 9).tokens.dims(), [3, 4]);

        let vectors = texts().tokens.float().unsqueeze_dim::<3>(2).repeat_dim(2, 5); // [3, 4, 5]
        let last = at_last_token(vectors, texts().padding);
        assert_eq!(last.dims(), [3, 5]);
        assert_eq!(last.narrow(1, 4, 1).into_data().iter::<f32>().collect::<Vec<_>>(), [4.0, 7.0, 8.0]);
    }
}
