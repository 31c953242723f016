//! What a model must know of the data before it can be built.

use crate::loss::LossConfig;
use bonfire_models::{LossKind, Objective};

/// The sizes of the data and the question asked of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// What a sample looks like.
    pub sample: Sample,
    /// What is asked about it.
    pub question: Question,
    /// The recipe's loss section.
    pub loss: LossConfig,
}

/// What a sample looks like.
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
    /// Table rows.
    Table {
        /// Numeric columns.
        num_numeric: usize,
        /// Categories of each categorical column, the unknown one included.
        category_sizes: Vec<usize>,
    },
}

/// What is asked about a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// One of so many classes.
    Class(usize),
    /// So many values.
    Value(usize),
    /// The token after each token.
    NextToken,
    /// The sample itself.
    Reconstruction,
}

/// Why a model cannot be built for the data: the recipe's key, expected and found.
#[derive(Debug, PartialEq)]
pub struct Misfit {
    /// The key below the recipe's root.
    pub key: &'static str,
    /// What would fit.
    pub expected: String,
    /// What the recipe and the data say.
    pub found: String,
}

type Fit<T> = Result<T, Misfit>;

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

    /// Numeric columns and category sizes, for models that eat tables; pictures are flattened.
    pub fn table(&self) -> Fit<(usize, Vec<usize>)> {
        match &self.sample {
            Sample::Table { num_numeric, category_sizes } => Ok((*num_numeric, category_sizes.clone())),
            Sample::Image(shape) => Ok((shape.iter().product(), Vec::new())),
            Sample::Text { .. } => self.wrong_sample("one that eats table rows"),
        }
    }

    /// Numeric columns, for models without embeddings.
    pub fn numeric(&self) -> Fit<usize> {
        let (num_numeric, category_sizes) = self.table()?;
        match category_sizes.is_empty() && num_numeric > 0 {
            true => Ok(num_numeric),
            false => Err(Misfit {
                key: "data.one_hot",
                expected: "true: this model reads numeric columns only".to_string(),
                found: format!("{} columns of category indices", category_sizes.len()),
            }),
        }
    }

    /// Head and loss, for models that answer with a class or a value.
    pub fn objective(&self) -> Fit<Objective> {
        use LossKind::*;
        let loss = &self.loss;
        let (outputs, kind) = match (self.question, loss.name) {
            (Question::Class(classes), None | Some(CrossEntropy)) => (classes, CrossEntropy),
            (Question::Class(classes), Some(SigmoidCrossEntropy)) => (classes, SigmoidCrossEntropy),
            (Question::Class(2), Some(BinaryCrossEntropy)) => (2, BinaryCrossEntropy),
            (Question::Class(classes), Some(BinaryCrossEntropy)) => {
                return Err(Misfit {
                    key: "loss.name",
                    expected:
                        "cross_entropy or sigmoid_cross_entropy, as binary_cross_entropy is for 2 classes"
                            .to_string(),
                    found: format!("binary_cross_entropy with {classes} classes"),
                });
            }
            (Question::Value(values), None) => (values, Squared),
            (Question::Value(values), Some(kind @ (Squared | Absolute | Huber))) => (values, kind),
            (Question::Class(_), Some(_)) => {
                return Err(Misfit {
                    key: "loss.name",
                    expected:
                        "cross_entropy, sigmoid_cross_entropy or binary_cross_entropy for a target of classes"
                            .to_string(),
                    found: "a loss for values".to_string(),
                });
            }
            (Question::Value(_), Some(_)) => {
                return Err(Misfit {
                    key: "loss.name",
                    expected: "squared, absolute or huber for a target of values".to_string(),
                    found: "a loss for classes".to_string(),
                });
            }
            (Question::NextToken | Question::Reconstruction, _) => {
                return self.wrong_question("a classifier or regression model");
            }
        };
        if let Some(weights) = &loss.class_weights
            && weights.len() != outputs
        {
            return Err(Misfit {
                key: "loss.class_weights",
                expected: format!("{outputs} weights, one a class"),
                found: format!("{} weights", weights.len()),
            });
        }
        Ok(Objective::new(outputs, kind)
            .with_label_smoothing(loss.label_smoothing)
            .with_class_weights(loss.class_weights.clone())
            .with_huber_delta(loss.huber_delta))
    }

    /// [`objective`](Self::objective), for models that answer with a class only.
    pub fn classes(&self) -> Fit<Objective> {
        match self.question {
            Question::Class(_) => self.objective(),
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

    /// The vocabulary's size and the context, for models asked for the token after each token.
    pub fn language(&self) -> Fit<(usize, usize)> {
        match self.question {
            Question::NextToken => self.text(),
            _ => self.wrong_question("a language model"),
        }
    }

    /// The same spec, when the model is asked for its input.
    pub fn reconstruction(&self) -> Fit<&Self> {
        match self.question {
            Question::Reconstruction => Ok(self),
            _ => self.wrong_question("an autoencoder"),
        }
    }

    fn wrong_sample<T>(&self, found: &str) -> Fit<T> {
        let kind = match self.sample {
            Sample::Image(_) => "pictures",
            Sample::Text { .. } => "text",
            Sample::Table { .. } => "table rows",
        };
        let expected = format!("a model that eats {kind}, as the data are");
        Err(Misfit { key: "model.name", expected, found: found.to_string() })
    }

    fn wrong_question<T>(&self, found: &str) -> Fit<T> {
        let expected = match self.question {
            Question::Class(classes) => format!("a classifier, as the target has {classes} classes"),
            Question::Value(_) => "a regression model, as the target is a value".to_string(),
            Question::NextToken => "a language model, as the target is the next token".to_string(),
            Question::Reconstruction => "an autoencoder, as the target is the input".to_string(),
        };
        Err(Misfit { key: "model.name", expected, found: found.to_string() })
    }
}
