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

/// Refuses a probability of leaving a block out that leaves out all, or is none.
pub(crate) fn drop_path(model: &'static str, drop_path: f64) -> Result<(), ConfigError> {
    ConfigError::check(
        (0.0..1.0).contains(&drop_path),
        model,
        "drop_path",
        "at least 0 and below 1",
        drop_path,
    )
}

/// Refuses stages without a block.
pub(crate) fn layers(model: &'static str, layers: &[usize]) -> Result<(), ConfigError> {
    let filled = layers.iter().all(|count| *count > 0);
    ConfigError::check(filled, model, "layers", "at least 1 block a stage", format!("{layers:?}"))
}
