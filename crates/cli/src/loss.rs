//! The `[loss]` section: what a model with a target is trained to lower.

use bonfire_models::LossKind;
use serde::{Deserialize, Serialize};

/// The `[loss]` section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossConfig {
    /// The loss; by default cross-entropy for classes and squared error for values.
    pub name: Option<LossKind>,
    /// Share of probability spread over all classes, in `[0, 1)`.
    pub label_smoothing: f64,
    /// A factor for each class, in the order of the labels.
    pub class_weights: Option<Vec<f64>>,
    /// Where the Huber loss turns from squared to absolute, in standard deviations of the target.
    pub huber_delta: f64,
}

impl Default for LossConfig {
    fn default() -> Self {
        LossConfig { name: None, label_smoothing: 0.0, class_weights: None, huber_delta: 1.0 }
    }
}
