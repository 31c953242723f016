//! One figure of a report.

use serde::{Deserialize, Serialize};

/// The direction in which a figure improves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Losses and errors.
    Lower,
    /// Accuracies and scores.
    Higher,
}

/// A named figure, such as `accuracy = 0.91`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// The field's name for it, in snake case: `accuracy`, `auroc`, `bits_per_character`.
    pub name: String,
    /// Its value: a fraction of 1 for rates, nats for losses, the target's own unit for errors.
    pub value: f64,
    /// The direction in which it improves.
    pub better: Better,
}

impl Metric {
    /// A figure that improves downwards.
    pub fn lower(name: impl Into<String>, value: f64) -> Self {
        Metric { name: name.into(), value, better: Better::Lower }
    }

    /// A figure that improves upwards.
    pub fn higher(name: impl Into<String>, value: f64) -> Self {
        Metric { name: name.into(), value, better: Better::Higher }
    }

    /// True when this value is strictly better than `other`; a value that is not a number never is.
    pub fn beats(&self, other: f64) -> bool {
        match self.better {
            Better::Lower => self.value < other || (other.is_nan() && !self.value.is_nan()),
            Better::Higher => self.value > other || (other.is_nan() && !self.value.is_nan()),
        }
    }
}
