//! Bounds of the values of a recipe.

use crate::TrainError;

/// `Ok` when `holds`, otherwise an error that names the key and both values.
pub(crate) fn check(key: &str, expected: &str, found: impl ToString, holds: bool) -> Result<(), TrainError> {
    if holds { Ok(()) } else { Err(TrainError::config(key, expected, found)) }
}

pub(crate) fn positive(key: &str, value: Option<u64>) -> Result<(), TrainError> {
    check(key, "a whole number from 1 on", value.unwrap_or(1), value != Some(0))
}

pub(crate) fn above_zero(key: &str, value: Option<f64>) -> Result<(), TrainError> {
    let value = value.unwrap_or(1.0);
    check(key, "a finite number above 0", value, value.is_finite() && value > 0.0)
}
