//! Recurrent models of text: LSTM and GRU, each as a classifier and as a language model.
//!
//! Burn's [`Lstm`](burn::nn::Lstm) and [`Gru`](burn::nn::Gru) are [`Recurrent`] layers;
//! [`RecurrentClassifier`] and [`RecurrentLanguageModel`] are written once over these.

mod classifier;
mod gru;
mod language_model;
mod lstm;
mod recurrent;
mod stack;

pub use classifier::RecurrentClassifier;
pub use gru::{GruClassifier, GruClassifierConfig, GruLanguageModel, GruLanguageModelConfig};
pub use language_model::RecurrentLanguageModel;
pub use lstm::{LstmClassifier, LstmClassifierConfig, LstmLanguageModel, LstmLanguageModelConfig};
pub use recurrent::Recurrent;

#[cfg(test)]
pub(crate) mod tests {
    //! Properties that every model of text must have.

    use crate::language::{LanguageModel, without_padding};
    use bonfire_contract::Tokens;
    use burn::tensor::{Device, Int, Tensor, Tolerance};

    /// Two texts of 5 and 2 tokens of a vocabulary of 7, padded to `length` with `filler`.
    fn texts(length: usize, filler: i64) -> Tokens {
        let row = |text: &[i64]| -> Vec<i64> {
            (0..length).map(|at| text.get(at).copied().unwrap_or(filler)).collect()
        };
        let tokens = [row(&[1, 4, 2, 6, 3]), row(&[5, 2])].concat();
        let mask: Vec<bool> = [5, 2].iter().flat_map(|end| (0..length).map(move |at| at >= *end)).collect();
        let device = Device::flex();
        Tokens {
            tokens: Tensor::<1, Int>::from_data(tokens.as_slice(), &device).reshape([2, length]),
            padding: Tensor::<1, burn::tensor::Bool>::from_data(mask.as_slice(), &device)
                .reshape([2, length]),
        }
    }

    /// Neither the amount of padding nor what stands in it may change a text's answer.
    pub(crate) fn assert_padding_changes_nothing(forward: impl Fn(Tokens) -> Tensor<2>) {
        let reference = forward(texts(5, 0)).into_data();
        for (length, filler) in [(5, 6), (6, 1), (9, 0)] {
            forward(texts(length, filler))
                .into_data()
                .assert_approx_eq::<f32>(&reference, Tolerance::absolute(1e-6));
        }
        let alone = texts(2, 0).tokens.narrow(0, 1, 1);
        let short = forward(without_padding(alone)).into_data();
        let expected = forward(texts(7, 3)).narrow(0, 1, 1).into_data();
        short.assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
    }

    /// A changed token may change the logits at its position and after, and must change those, never before.
    pub(crate) fn assert_causal(vocabulary: usize, forward: impl Fn(Tokens) -> Tensor<3>) {
        let device = Device::flex();
        let logits = |tokens: [[i64; 6]; 1]| {
            let tokens = Tensor::<2, Int>::from_data(tokens, &device);
            forward(without_padding(tokens))
        };
        let (before, after) = (logits([[1, 2, 3, 4, 5, 6]]), logits([[1, 2, 3, 0, 5, 6]]));
        assert_eq!(before.dims(), [1, 6, vocabulary]);
        let part = |x: &Tensor<3>, start, length| x.clone().narrow(1, start, length).into_data();
        part(&before, 0, 3).assert_approx_eq::<f32>(&part(&after, 0, 3), Tolerance::absolute(1e-6));
        for at in 3..6 {
            assert_ne!(part(&before, at, 1), part(&after, at, 1), "position {at} looks back");
        }
    }
    /// The next token's logits are bit by bit those after the last token: of a text longer than the context,
    /// of its last tokens alone, and of a padded text, as without its padding.
    pub(crate) fn assert_samples_from_the_last_token(
        model: &dyn LanguageModel,
        forward: impl Fn(Tokens) -> Tensor<3>,
    ) {
        let device = Device::flex();
        let context = model.context() as i64;
        let text = |length: i64| {
            (Tensor::<1, Int>::arange(0..length, &device) * 3 + 1).remainder_scalar(7).unsqueeze::<2>() // [1, T]
        };
        for length in 1..=context + 3 {
            let kept = length.min(context) as usize;
            let window = text(length).narrow(1, length as usize - kept, kept); // [1, kept]
            let expected = forward(without_padding(window)).narrow(1, kept - 1, 1).squeeze_dim::<2>(1); // [1, V]
            let next = model.next_logits(without_padding(text(length)));
            assert_eq!(next.dims(), [1, model.vocabulary()]);
            next.into_data().assert_eq(&expected.clone().into_data(), true);

            let padding = Tensor::zeros([1, 4], &device);
            let padded = Tensor::cat(vec![text(length), padding], 1); // [1, T + 4]
            let places = Tensor::<1, Int>::arange(0..length + 4, &device).unsqueeze::<2>();
            let next =
                model.next_logits(Tokens { tokens: padded, padding: places.greater_equal_elem(length) });
            next.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-6));
        }
    }
}
