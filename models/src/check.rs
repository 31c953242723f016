//! What the sizes of every architecture must hold to.

use bonfire_contract::ConfigError;

/// Refuses a share of dropped outputs that leaves none, or is no share.
pub(crate) fn dropout(model: &'static str, dropout: f64) -> Result<(), ConfigError> {
    ConfigError::check((0.0..1.0).contains(&dropout), model, "dropout", "at least 0 and below 1", dropout)
}

/// Refuses a size of zero.
pub(crate) fn positive(model: &'static str, field: &'static str, size: usize) -> Result<(), ConfigError> {
    ConfigError::check(size > 0, model, field, "at least 1", size)
}
