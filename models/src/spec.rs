//! The sizes of the data and the question asked of a model: everything that a config takes from the data.

use crate::objective::{LossKind, Objective};
use bonfire_contract::{AnyInput, Bags, Images, Table, Tokens};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

/// The sizes of the data and the question asked of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The shape of a sample.
    pub sample: Sample,
    /// The question asked about it.
    pub question: Question,
    /// The recipe's `[loss]` section.
    pub loss: LossConfig,
}

/// The shape of a sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Sample {
    /// `[channels, height, width]`
    Image([usize; 3]),
    /// Token sequences.
    Text {
        /// Words in the vocabulary.
        vocabulary: usize,
        /// The longest sequence, in tokens.
        max_tokens: usize,
    },
    /// Texts as weighted features.
    Bag {
        /// Different features.
        features: usize,
    },
    /// Table rows.
    Table {
        /// Numeric columns.
        num_numeric: usize,
        /// Categories of each categorical column, the unknown one included.
        category_sizes: Vec<usize>,
    },
}

/// The question asked about a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// One of so many classes.
    Class(usize),
    /// Each of so many labels, or not.
    Labels(usize),
    /// So many values.
    Value(usize),
    /// The token after each token.
    NextToken,
    /// The sample itself.
    Reconstruction,
}

/// The `[loss]` section of a recipe: the loss of a model with a target of classes or values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossConfig {
    /// The loss; by default cross-entropy for classes and squared error for values.
    pub name: Option<LossKind>,
    /// Share of probability spread over all classes, in `[0, 1)`.
    pub label_smoothing: f64,
    /// A factor for each class, in the order of the labels.
    pub class_weights: Option<Vec<f64>>,
    /// The error at which the Huber loss turns from squared to absolute, in standard deviations of the
    /// target.
    pub huber_delta: f64,
}

impl Default for LossConfig {
    fn default() -> Self {
        LossConfig { name: None, label_smoothing: 0.0, class_weights: None, huber_delta: 1.0 }
    }
}

/// A model that cannot be built for the data, by the key of the recipe that would have to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: expected {expected}, found {found}")]
pub struct Misfit {
    /// The key below the recipe's root.
    pub key: &'static str,
    /// A value that would fit.
    pub expected: String,
    /// The recipe's value, and the data's size.
    pub found: String,
}

impl Misfit {
    fn new(key: &'static str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Misfit { key, expected: expected.into(), found: found.into() }
    }
}

type Fit<T> = Result<T, Misfit>;

impl Sample {
    /// `table`, `image` or `text`.
    pub fn kind(&self) -> &'static str {
        match self {
            Sample::Table { .. } => "table",
            Sample::Image(_) => "image",
            Sample::Text { .. } | Sample::Bag { .. } => "text",
        }
    }

    /// A batch of one sample, all its numbers zero.
    pub fn zeros(&self, device: &Device) -> AnyInput {
        match self {
            Sample::Image([channels, height, width]) => {
                AnyInput::Images(Images { pixels: Tensor::zeros([1, *channels, *height, *width], device) })
            }
            Sample::Table { num_numeric, category_sizes } => AnyInput::Table(Table {
                numeric: Tensor::zeros([1, *num_numeric], device),
                categories: Tensor::zeros([1, category_sizes.len()], device),
            }),
            Sample::Text { max_tokens, .. } => AnyInput::Tokens(Tokens {
                tokens: Tensor::zeros([1, *max_tokens], device),
                padding: Tensor::full([1, *max_tokens], false, device),
            }),
            Sample::Bag { .. } => AnyInput::Bags(Bags {
                features: Tensor::zeros([1, 1], device),
                weights: Tensor::zeros([1, 1], device),
            }),
        }
    }
}

impl Spec {
    /// `[channels, height, width]` for models that eat pictures.
    pub fn image(&self) -> Fit<[usize; 3]> {
        match self.sample {
            Sample::Image(shape) => Ok(shape),
            _ => self.wrong_sample("one that eats pictures"),
        }
    }

    /// The vocabulary's size and the longest sequence, for models that eat text.
    pub fn text(&self) -> Fit<(usize, usize)> {
        match self.sample {
            Sample::Text { vocabulary, max_tokens } => Ok((vocabulary, max_tokens)),
            _ => self.wrong_sample("one that eats text"),
        }
    }

    /// The number of different features, for models that eat texts as bags of them.
    pub fn bag(&self) -> Fit<usize> {
        match self.sample {
            Sample::Bag { features } => Ok(features),
            _ => self.wrong_sample("one that eats counted n-grams"),
        }
    }

    /// Numeric columns and category sizes, for models that eat tables; pictures are flattened.
    pub fn table(&self) -> Fit<(usize, Vec<usize>)> {
        match &self.sample {
            Sample::Table { num_numeric, category_sizes } => Ok((*num_numeric, category_sizes.clone())),
            Sample::Image(shape) => Ok((shape.iter().product(), Vec::new())),
            Sample::Text { .. } => self.wrong_sample(
                "one that eats table rows (linear and logistic also eat texts as n-grams: \
                                   data.vocabulary = \"ngrams\")",
            ),
            Sample::Bag { .. } => self.wrong_sample("one that eats table rows"),
        }
    }

    /// Numeric columns, for models without embeddings.
    pub fn numeric(&self) -> Fit<usize> {
        let (num_numeric, category_sizes) = self.table()?;
        if category_sizes.is_empty() && num_numeric > 0 {
            return Ok(num_numeric);
        }
        let expected = "true: this model reads numeric columns only";
        let found = format!("{} columns of category indices", category_sizes.len());
        Err(Misfit::new("data.one_hot", expected, found))
    }

    /// Head and loss, for models that answer with a class or a value.
    pub fn objective(&self) -> Fit<Objective> {
        let loss = &self.loss;
        let (outputs, kind) = self.outputs_and_loss()?;
        if let Some(weights) = &loss.class_weights
            && weights.len() != outputs
        {
            let expected = format!("{outputs} weights, one a class");
            return Err(Misfit::new("loss.class_weights", expected, format!("{} weights", weights.len())));
        }
        Ok(Objective::new(outputs, kind)
            .with_label_smoothing(loss.label_smoothing)
            .with_class_weights(loss.class_weights.clone())
            .with_huber_delta(loss.huber_delta))
    }

    /// The classes or values that are predicted, and the loss that the recipe or the question names.
    fn outputs_and_loss(&self) -> Fit<(usize, LossKind)> {
        use LossKind::*;
        let wrong = |expected: &str, found: &str| Err(Misfit::new("loss.name", expected, found));
        match (self.question, self.loss.name) {
            (Question::Class(classes), None | Some(CrossEntropy)) => Ok((classes, CrossEntropy)),
            (Question::Class(classes), Some(SigmoidCrossEntropy)) => Ok((classes, SigmoidCrossEntropy)),
            (Question::Class(2), Some(BinaryCrossEntropy)) => Ok((2, BinaryCrossEntropy)),
            (Question::Class(classes), Some(BinaryCrossEntropy)) => wrong(
                "cross_entropy or sigmoid_cross_entropy, as binary_cross_entropy is for 2 classes",
                &format!("binary_cross_entropy with {classes} classes"),
            ),
            (Question::Class(_), Some(_)) => wrong(
                "cross_entropy, sigmoid_cross_entropy or binary_cross_entropy for a target of classes",
                "a loss for values",
            ),
            (Question::Labels(labels), None | Some(SigmoidCrossEntropy)) => Ok((labels, SigmoidCrossEntropy)),
            (Question::Labels(_), Some(_)) => {
                wrong("sigmoid_cross_entropy, as a sample may have several labels", "another loss")
            }
            (Question::Value(values), None) => Ok((values, Squared)),
            (Question::Value(values), Some(kind @ (Squared | Absolute | Huber))) => Ok((values, kind)),
            (Question::Value(_), Some(_)) => {
                wrong("squared, absolute or huber for a target of values", "a loss for classes")
            }
            (Question::NextToken | Question::Reconstruction, _) => {
                self.wrong_question("a classifier or regression model")
            }
        }
    }

    /// [`objective`](Self::objective), for models that answer with a class only.
    pub fn classes(&self) -> Fit<Objective> {
        match self.question {
            Question::Class(_) | Question::Labels(_) => self.objective(),
            _ => self.wrong_question("a classifier"),
        }
    }

    /// [`objective`](Self::objective), for models that answer with values only.
    pub fn values(&self) -> Fit<Objective> {
        match self.question {
            Question::Value(_) => self.objective(),
            _ => self.wrong_question("a regression model"),
        }
    }

    /// The vocabulary's size and the context, for models asked for the token after each token. Their loss is
    /// its cross-entropy.
    pub fn language(&self) -> Fit<(usize, usize)> {
        match self.question {
            Question::NextToken => self.text(),
            _ => self.wrong_question("a language model"),
        }
    }

    /// The same spec, when the model is asked for its input. Its loss is its own.
    pub fn reconstruction(&self) -> Fit<&Self> {
        match self.question {
            Question::Reconstruction => Ok(self),
            _ => self.wrong_question("an autoencoder"),
        }
    }

    /// Refuses keys of `[loss]` that a model asked this question has no use for. A model is built in spite of
    /// them: they change nothing about it, and a run that was trained with one is a run all the same.
    ///
    /// # Errors
    /// With the first of these keys.
    pub fn check_loss(&self) -> Fit<()> {
        match self.question {
            Question::NextToken => self.usual_loss("with a language model", Some(LossKind::CrossEntropy)),
            Question::Reconstruction => self.usual_loss("with an autoencoder", None),
            Question::Class(_) | Question::Labels(_) | Question::Value(_) => match self.outputs_and_loss()? {
                (_, LossKind::Huber) => Ok(()),
                _ => self.usual_huber_delta("with another loss than huber"),
            },
        }
    }

    /// Refuses keys of `[loss]` of a model that has a loss of its own; `own` is the name of that loss, if it
    /// has one.
    fn usual_loss(&self, model: &str, own: Option<LossKind>) -> Fit<()> {
        let LossConfig { name, label_smoothing, class_weights, .. } = &self.loss;
        if name.is_some() && *name != own {
            return Err(Misfit::new("loss.name", format!("none {model}"), "a loss for classes or values"));
        }
        if *label_smoothing != 0.0 {
            let found = label_smoothing.to_string();
            return Err(Misfit::new("loss.label_smoothing", format!("0 {model}"), found));
        }
        if let Some(weights) = class_weights {
            let found = format!("{weights:?}");
            return Err(Misfit::new("loss.class_weights", format!("none {model}"), found));
        }
        self.usual_huber_delta(model)
    }

    /// Refuses a `huber_delta` that the loss has no use for, `with` what it is used.
    fn usual_huber_delta(&self, with: &str) -> Fit<()> {
        let (usual, found) = (LossConfig::default().huber_delta, self.loss.huber_delta);
        if found == usual {
            return Ok(());
        }
        Err(Misfit::new("loss.huber_delta", format!("{usual:?}, the default, {with}"), found.to_string()))
    }

    fn wrong_sample<T>(&self, found: &str) -> Fit<T> {
        let kind = match self.sample {
            Sample::Image(_) => "pictures",
            Sample::Text { .. } => "text",
            Sample::Bag { .. } => "text as counted n-grams (linear or logistic)",
            Sample::Table { .. } => "table rows",
        };
        let expected = format!("a model that eats {kind}, as the data are");
        Err(Misfit::new("model.name", expected, found))
    }

    fn wrong_question<T>(&self, found: &str) -> Fit<T> {
        let expected = match self.question {
            Question::Class(classes) => format!("a classifier, as the target has {classes} classes"),
            Question::Labels(labels) => format!("a classifier, as the target is {labels} labels"),
            Question::Value(_) => "a regression model, as the target is a value".to_string(),
            Question::NextToken => "a language model, as the target is the next token".to_string(),
            Question::Reconstruction => "an autoencoder, as the target is the input".to_string(),
        };
        Err(Misfit::new("model.name", expected, found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_loss_without_a_use_are_refused_by_name() {
        let text = Sample::Text { vocabulary: 9, max_tokens: 5 };
        let rows = Sample::Table { num_numeric: 3, category_sizes: Vec::new() };
        let refused = |question: Question, change: fn(&mut LossConfig)| {
            let mut loss = LossConfig::default();
            change(&mut loss);
            let sample = if question == Question::NextToken { text.clone() } else { rows.clone() };
            let spec = Spec { sample, question, loss };
            // The model is built all the same.
            let built = match question {
                Question::NextToken => spec.language().err(),
                Question::Reconstruction => spec.reconstruction().err(),
                _ => spec.objective().err(),
            };
            assert_eq!(built, None);
            let misfit = spec.check_loss().err();
            misfit.map_or(String::new(), |misfit| misfit.to_string())
        };
        for question in [Question::NextToken, Question::Reconstruction] {
            assert_eq!(refused(question, |_| ()), "");
            for (key, change) in [
                ("loss.name", (|loss| loss.name = Some(LossKind::Huber)) as fn(&mut LossConfig)),
                ("loss.label_smoothing", |loss| loss.label_smoothing = 0.3),
                ("loss.class_weights", |loss| loss.class_weights = Some(vec![1.0; 9])),
                ("loss.huber_delta", |loss| loss.huber_delta = 2.0),
            ] {
                let error = refused(question, change);
                assert!(error.starts_with(&format!("{key}: expected ")), "{question:?} {key}: {error}");
            }
        }
        let cross_entropy: fn(&mut LossConfig) = |loss| loss.name = Some(LossKind::CrossEntropy);
        assert_eq!(refused(Question::NextToken, cross_entropy), "");
        assert!(!refused(Question::Reconstruction, cross_entropy).is_empty());
        let delta: fn(&mut LossConfig) = |loss| loss.huber_delta = 2.0;
        let expected = "loss.huber_delta: expected 1.0, the default, with another loss than huber, found 2";
        assert_eq!(refused(Question::Class(3), delta), expected);
        assert_eq!(refused(Question::Value(1), delta), expected);
        let huber: fn(&mut LossConfig) = |loss| (loss.name, loss.huber_delta) = (Some(LossKind::Huber), 2.0);
        assert_eq!(refused(Question::Value(1), huber), "");
    }
}
