//! Each optimizer's options, with their defaults.

#[cfg(doc)]
use super::OptimizerConfig;
use serde::{Deserialize, Serialize};

/// Declares an optimizer's options with the default of each.
macro_rules! options {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default,)* }
            }
        }
    };
}

options! {
    /// Options of [`OptimizerConfig::Sgd`].
    Sgd {
        /// The peak learning rate.
        learning_rate: f64 = 0.01,
        /// How much of the last update is kept; 0 for plain gradient descent.
        momentum: f64 = 0.0,
        /// How much of the gradient is left out of the momentum.
        dampening: f64 = 0.0,
        /// Look ahead along the momentum.
        nesterov: bool = false,
        /// Added to the gradient, times the weight.
        weight_decay: f64 = 0.0,
    }
}

options! {
    /// Options of [`OptimizerConfig::Adam`].
    Adam {
        /// The peak learning rate.
        learning_rate: f64 = 1e-3,
        /// Decay of the mean of gradients.
        beta_1: f64 = 0.9,
        /// Decay of the mean of squares.
        beta_2: f64 = 0.999,
        /// Added to the root of the squares.
        epsilon: f64 = 1e-8,
        /// Added to the gradient, times the weight.
        weight_decay: f64 = 0.0,
        /// Keep the largest mean of squares (Reddi et al. 2018).
        amsgrad: bool = false,
    }
}

options! {
    /// Options of [`OptimizerConfig::AdamW`].
    AdamW {
        /// The peak learning rate.
        learning_rate: f64 = 1e-3,
        /// Decay of the mean of gradients.
        beta_1: f64 = 0.9,
        /// Decay of the mean of squares.
        beta_2: f64 = 0.999,
        /// Added to the root of the squares.
        epsilon: f64 = 1e-8,
        /// The fraction of a weight, times the learning rate, that a step takes away.
        weight_decay: f64 = 0.01,
        /// Keep the largest mean of squares (Reddi et al. 2018).
        amsgrad: bool = false,
    }
}

options! {
    /// Options of [`OptimizerConfig::Lion`].
    Lion {
        /// The peak learning rate; a third to a tenth of AdamW's.
        learning_rate: f64 = 1e-4,
        /// Interpolation of the update's direction.
        beta_1: f64 = 0.9,
        /// Decay of the momentum.
        beta_2: f64 = 0.99,
        /// The fraction of a weight, times the learning rate, that a step takes away.
        weight_decay: f64 = 0.0,
    }
}

options! {
    /// Options of [`OptimizerConfig::Lamb`].
    Lamb {
        /// The peak learning rate.
        learning_rate: f64 = 1e-3,
        /// Decay of the mean of gradients.
        beta_1: f64 = 0.9,
        /// Decay of the mean of squares.
        beta_2: f64 = 0.999,
        /// Added to the root of the squares.
        epsilon: f64 = 1e-6,
        /// Added to the update before its trust ratio, times the weight.
        weight_decay: f64 = 0.0,
    }
}

options! {
    /// Options of [`OptimizerConfig::Adafactor`].
    Adafactor {
        /// The peak learning rate.
        learning_rate: f64 = 1e-2,
        /// The largest root mean square of an update.
        clip_threshold: f64 = 1.0,
        /// Exponent of the second moment's decay, below 0.
        decay_rate: f64 = -0.8,
        /// Cap the rate by one over the root of the step.
        relative_step: bool = true,
        /// Multiply the rate by the parameter's root mean square.
        scale_parameter: bool = true,
        /// The fraction of a weight, times the learning rate, that a step takes away.
        weight_decay: f64 = 0.0,
    }
}

options! {
    /// Options of [`OptimizerConfig::Muon`]. It takes the parameters of two dimensions whose path
    /// contains none of `embed`, `position`, `token`, `head` and `output`, so that look-up tables and
    /// last layers, as far as their names tell, are left to AdamW with all the rest.
    Muon {
        /// The peak learning rate of both; matrices are scaled to AdamW's size of update (Liu et
        /// al. 2025).
        learning_rate: f64 = 1e-3,
        /// How much of the last update of a matrix is kept.
        momentum: f64 = 0.95,
        /// Look ahead along the momentum.
        nesterov: bool = true,
        /// AdamW's decay of the mean of gradients.
        beta_1: f64 = 0.9,
        /// AdamW's decay of the mean of squares.
        beta_2: f64 = 0.999,
        /// AdamW's addition to the root of the squares.
        epsilon: f64 = 1e-8,
        /// The fraction of a weight, times the learning rate, that a step takes away.
        weight_decay: f64 = 0.01,
    }
}

options! {
    /// Options of [`OptimizerConfig::Adagrad`].
    Adagrad {
        /// The peak learning rate.
        learning_rate: f64 = 1e-2,
        /// The rate is divided by 1 plus this times the step.
        learning_rate_decay: f64 = 0.0,
        /// Added to the root of the squares.
        epsilon: f64 = 1e-10,
        /// Added to the gradient, times the weight.
        weight_decay: f64 = 0.0,
    }
}

options! {
    /// Options of [`OptimizerConfig::RmsProp`].
    RmsProp {
        /// The peak learning rate.
        learning_rate: f64 = 1e-2,
        /// Decay of the mean of squares.
        alpha: f64 = 0.99,
        /// How much of the last update is kept.
        momentum: f64 = 0.0,
        /// Added to the root of the squares.
        epsilon: f64 = 1e-8,
        /// Divide by the variance of gradients instead of their mean square.
        centered: bool = false,
        /// Added to the gradient, times the weight.
        weight_decay: f64 = 0.0,
    }
}

options! {
    /// Options of [`OptimizerConfig::Adan`].
    Adan {
        /// The peak learning rate.
        learning_rate: f64 = 1e-3,
        /// Decay of the mean of gradients.
        beta_1: f64 = 0.98,
        /// Decay of the mean of gradient differences.
        beta_2: f64 = 0.92,
        /// Decay of the mean of squares.
        beta_3: f64 = 0.99,
        /// Added to the root of the squares.
        epsilon: f64 = 1e-8,
        /// The fraction of a weight, times the learning rate, that a step takes away.
        weight_decay: f64 = 0.0,
    }
}
