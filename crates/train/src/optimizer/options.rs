//! The parts that optimizers share: how options are declared, checked, and put in Burn's words.

use crate::TrainError;
use crate::check::{above_zero, check};
use bonfire_kernels::optimizer::Moments;
use burn::optim::decay::WeightDecayConfig;

/// Refuses an option that is no fraction below 1.
pub(super) fn fraction(key: &str, value: f64) -> Result<(), TrainError> {
    let holds = (0.0..1.0).contains(&value);
    check(&format!("optimizer.{key}"), "a number from 0 to below 1", value, holds)
}

/// Refuses an `epsilon` that could not keep a quotient finite.
pub(super) fn epsilon(value: f64) -> Result<(), TrainError> {
    above_zero("optimizer.epsilon", Some(value))
}

/// Refuses decays of Adam's two means that are no fractions below 1.
pub(super) fn betas(beta_1: f64, beta_2: f64) -> Result<(), TrainError> {
    fraction("beta_1", beta_1)?;
    fraction("beta_2", beta_2)
}

/// Adam's options in the kernels' words.
pub(super) fn moments(beta_1: f64, beta_2: f64, epsilon: f64) -> Moments {
    Moments { beta_1: beta_1 as f32, beta_2: beta_2 as f32, epsilon: epsilon as f32 }
}

/// A weight decay in the kernels' words: none where it is 0.
pub(super) fn factor(decay: f64) -> Option<f32> {
    (decay > 0.0).then_some(decay as f32)
}

/// A weight decay that is added to the gradient, in Burn's words: none where it is 0.
pub(super) fn penalty(decay: f64) -> Option<WeightDecayConfig> {
    factor(decay).map(WeightDecayConfig::new)
}
