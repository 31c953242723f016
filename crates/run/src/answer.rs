//! Answers with types, out of the tensors of a model's output.

use crate::RunError;
use bonfire_contract::{Output, argmax};
use bonfire_datasets::DataError;
use bonfire_train::{TrainError, ValueScale};
use burn::tensor::activation::{sigmoid, softmax};
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
    /// Any number of the run's labels.
    Labels {
        /// The probability of each label, in the order of the labels; each is a question of its own, and they do
        /// not sum to 1.
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

/// Numbers of a model that are no answer, as one of them is infinite or not a number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NotFinite {
    /// The first of them.
    found: String,
}

impl NotFinite {
    /// The error about the record at `place`.
    pub(crate) fn at(&self, place: impl ToString) -> DataError {
        DataError::source(place, "finite numbers from the model", &self.found)
    }
}

/// The numbers again, where each is finite.
pub(crate) fn finite<T: Copy + Into<f64>>(numbers: Vec<T>) -> Result<Vec<T>, NotFinite> {
    let mut values = numbers.iter().map(|&number| number.into());
    match values.position(|number: f64| !number.is_finite()) {
        None => Ok(numbers),
        Some(at) => {
            let number: f64 = numbers[at].into();
            Err(NotFinite { found: format!("{number} in place {} of {}", at + 1, numbers.len()) })
        }
    }
}

/// One answer a sample, where the model's numbers about it are finite. Values are brought from standard
/// deviations of the target to its own unit by `scale`; logits are those of a class, or of `several` labels.
///
/// # Errors
/// When the output is not one a sample: a language model's.
pub(crate) fn answers(
    output: Output,
    scale: Option<&ValueScale>,
    several: bool,
) -> Result<Vec<Result<Answer, NotFinite>>, RunError> {
    Ok(match output {
        Output::Logits(logits) if several => {
            let answers = rows(logits.clone()).into_iter().zip(rows(sigmoid(logits)));
            let labels = |(logits, probabilities)| {
                finite::<f32>(logits)?;
                Ok(Answer::Labels { probabilities })
            };
            answers.map(labels).collect()
        }
        Output::Logits(logits) => {
            let answers = rows(logits.clone()).into_iter().zip(rows(softmax(logits, 1)));
            answers.map(|(logits, probabilities)| class(logits, probabilities)).collect()
        }
        Output::Values(values) => {
            let unit = |value: f32| match scale {
                Some(scale) => f64::from(value) * scale.std + scale.mean,
                None => f64::from(value),
            };
            let values = rows(values).into_iter();
            values.map(|row| finite(row.into_iter().map(unit).collect()).map(Answer::Values)).collect()
        }
        Output::Reconstruction { output, input } => {
            let error = rows((output.clone() - input).square().mean_dim(1)); // [B, 1]
            let answers = error.into_iter().zip(rows(output));
            let answer = |(error, output)| {
                let error = finite(error)?[0];
                Ok(Answer::Reconstruction { error, output: finite(output)? })
            };
            answers.map(answer).collect()
        }
        Output::TokenLogits(_) => {
            let (expected, found) = ("an answer for each sample", "logits of tokens");
            return Err(TrainError::Mismatch { expected: expected.into(), found: found.into() }.into());
        }
    })
}

/// The likeliest class, of which evaluation says the same: probabilities of distinct logits may be equal.
fn class(logits: Vec<f32>, probabilities: Vec<f32>) -> Result<Answer, NotFinite> {
    let class = argmax(&finite(logits)?);
    Ok(Answer::Class { class, probabilities: finite(probabilities)? })
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
        let [Ok(Answer::Class { class, probabilities })] =
            &answers(Output::Logits(logits), None, false).unwrap()[..]
        else {
            panic!("expected a class")
        };
        assert!(*class == 1 && (probabilities[1] - 0.75).abs() < 1e-6, "{probabilities:?}");
        let scale = ValueScale { mean: 10.0, std: 2.0 };
        let values = Tensor::from_data([[1.5f32], [-1.0]], &device);
        let found = answers(Output::Values(values), Some(&scale), false).unwrap();
        assert_eq!(found, [Ok(Answer::Values(vec![13.0])), Ok(Answer::Values(vec![8.0]))]);
        let (output, input) =
            (Tensor::from_data([[1.0f32, 2.0]], &device), Tensor::from_data([[1.0f32, 0.0]], &device));
        let found = answers(Output::Reconstruction { output, input }, None, false).unwrap();
        assert_eq!(found, [Ok(Answer::Reconstruction { error: 2.0, output: vec![1.0, 2.0] })]);
        assert!(answers(Output::TokenLogits(Tensor::zeros([1, 2, 3], &device)), None, false).is_err());
    }

    #[test]
    fn each_label_is_a_question_of_its_own() {
        let logits = Tensor::from_data([[0.0f32, 3f32.ln()]], &Device::flex());
        let found = answers(Output::Logits(logits), None, true).unwrap();
        let [Ok(Answer::Labels { probabilities })] = &found[..] else { panic!("expected labels") };
        assert!((probabilities[0] - 0.5).abs() < 1e-6 && (probabilities[1] - 0.75).abs() < 1e-6);
        let logits = Tensor::from_data([[f32::NAN, 1.0]], &Device::flex());
        assert!(answers(Output::Logits(logits), None, true).unwrap()[0].is_err());
    }

    #[test]
    fn numbers_that_are_not_finite_are_no_answer_to_their_sample_alone() {
        let device = Device::flex();
        let two = |rows: [[f32; 2]; 2]| Tensor::from_data(rows, &device);
        let message = |answer: &Result<Answer, NotFinite>| {
            answer.as_ref().unwrap_err().at("request, record 3").to_string()
        };
        let found = answers(Output::Logits(two([[f32::NAN, 1.0], [0.0, 1.0]])), None, false).unwrap();
        assert_eq!(
            message(&found[0]),
            "request, record 3: expected finite numbers from the model, found NaN in place 1 of 2"
        );
        assert!(matches!(found[1], Ok(Answer::Class { class: 1, .. })));
        let found = answers(Output::Values(two([[1.0, 2.0], [3.0, f32::INFINITY]])), None, false).unwrap();
        assert_eq!(found[0], Ok(Answer::Values(vec![1.0, 2.0])));
        assert!(message(&found[1]).ends_with("found inf in place 2 of 2"), "{found:?}");
        // A finite number of deviations may be no number in the target's unit.
        let scale = ValueScale { mean: 0.0, std: 1e300 };
        let found = answers(Output::Values(two([[1e30, 0.0], [1.0, 0.0]])), Some(&scale), false).unwrap();
        assert!(found[0].is_err() && found[1].is_ok());
        // The mean squared error of finite numbers overflows.
        let (output, input) = (two([[1e30, 0.0], [1.0, 0.0]]), two([[0.0; 2]; 2]));
        let found = answers(Output::Reconstruction { output, input }, None, false).unwrap();
        assert!(found[0].is_err() && found[1].is_ok());
    }

    #[test]
    fn of_equal_classes_the_first_wins_and_the_logits_decide_where_probabilities_are_equal() {
        let class = |logits: [f32; 3]| {
            let logits = Tensor::from_data([logits], &Device::flex());
            match answers(Output::Logits(logits), None, false).unwrap().remove(0) {
                Ok(Answer::Class { class, probabilities }) => (class, probabilities),
                other => panic!("expected a class, found {other:?}"),
            }
        };
        assert_eq!(class([2.0, 5.0, 5.0]).0, 1);
        // Logits 7e-9 apart: the ratio of their probabilities rounds to 1.
        let (highest, probabilities) = class([-3.0, 0.1, 0.1f32.next_up()]);
        assert_eq!((highest, probabilities[1]), (2, probabilities[2]));
    }
}
