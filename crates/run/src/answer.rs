//! Answers with types, out of the tensors of a model's output.

use crate::RunError;
use bonfire_contract::Output;
use bonfire_train::{TrainError, ValueScale};
use burn::tensor::activation::softmax;
use burn::tensor::{Tensor, TensorData};

/// A model's answer about one sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// One of the run's classes.
    Class {
        /// The likeliest class, as an index into [`Predictor::labels`](crate::Predictor::labels).
        class: usize,
        /// The probability of each class, in the order of the labels; they sum to 1.
        probabilities: Vec<f32>,
    },
    /// Values in the unit of the target, one an output.
    Values(Vec<f64>),
    /// The sample, described again.
    Reconstruction {
        /// Mean squared error over the numbers of the sample, as the model reads them: pixels are normalised.
        error: f32,
        /// The numbers of the sample as the model gives them back.
        output: Vec<f32>,
    },
    /// The continuation of a prompt.
    Text(String),
}

/// One answer a sample. Values are brought from standard deviations of the target to its own unit by `scale`.
///
/// # Errors
/// When the output is not one a sample: a language model's.
pub(crate) fn answers(output: Output, scale: Option<&ValueScale>) -> Result<Vec<Answer>, RunError> {
    Ok(match output {
        Output::Logits(logits) => rows(softmax(logits, 1)).into_iter().map(class).collect(),
        Output::Values(values) => {
            let unit = |value: f32| match scale {
                Some(scale) => f64::from(value) * scale.std + scale.mean,
                None => f64::from(value),
            };
            let values = rows(values).into_iter();
            values.map(|row| Answer::Values(row.into_iter().map(unit).collect())).collect()
        }
        Output::Reconstruction { output, input } => {
            let error = rows((output.clone() - input).square().mean_dim(1)); // [B, 1]
            let answers = error.into_iter().zip(rows(output));
            answers.map(|(error, output)| Answer::Reconstruction { error: error[0], output }).collect()
        }
        Output::TokenLogits(_) => {
            let (expected, found) = ("an answer for each sample", "logits of tokens");
            return Err(TrainError::Mismatch { expected: expected.into(), found: found.into() }.into());
        }
    })
}

/// The likeliest class; of equally likely ones the last.
fn class(probabilities: Vec<f32>) -> Answer {
    let likeliest = (0..probabilities.len()).max_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
    Answer::Class { class: likeliest.unwrap_or(0), probabilities }
}

/// The rows of a tensor `[B, K]` on the host.
fn rows(tensor: Tensor<2>) -> Vec<Vec<f32>> {
    let [batch, width] = tensor.dims();
    let values = numbers(tensor.into_data());
    (0..batch).map(|row| values[row * width..(row + 1) * width].to_vec()).collect()
}

/// Numbers on the host, in single precision.
pub(crate) fn numbers(data: TensorData) -> Vec<f32> {
    data.convert::<f32>().try_to_vec().expect("numbers that were made f32")
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn each_output_has_its_answer() {
        let device = Device::flex();
        let logits = Tensor::from_data([[0.0f32, 3f32.ln()]], &device);
        let [Answer::Class { class, probabilities }] = &answers(Output::Logits(logits), None).unwrap()[..]
        else {
            panic!("expected a class")
        };
        assert!(*class == 1 && (probabilities[1] - 0.75).abs() < 1e-6, "{probabilities:?}");
        let scale = ValueScale { mean: 10.0, std: 2.0 };
        let values = Tensor::from_data([[1.5f32], [-1.0]], &device);
        let found = answers(Output::Values(values), Some(&scale)).unwrap();
        assert_eq!(found, [Answer::Values(vec![13.0]), Answer::Values(vec![8.0])]);
        let (output, input) =
            (Tensor::from_data([[1.0f32, 2.0]], &device), Tensor::from_data([[1.0f32, 0.0]], &device));
        let found = answers(Output::Reconstruction { output, input }, None).unwrap();
        assert_eq!(found, [Answer::Reconstruction { error: 2.0, output: vec![1.0, 2.0] }]);
        assert!(answers(Output::TokenLogits(Tensor::zeros([1, 2, 3], &device)), None).is_err());
    }
}
