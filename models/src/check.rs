//! Bounds that the sizes of every architecture keep to. A field that is out of bounds is refused with its
//! name.
//!
//! Sizes that a recipe gives have an upper bound too, beyond any machine, so that a slip of the pen is
//! refused before memory is asked for. Sizes of the data have none: the data are there.

use bonfire_contract::ConfigError;

/// The largest size of a layer that a recipe may give.
const LARGEST: usize = 1 << 20;

/// The most layers on top of each other.
pub(crate) const MOST_LAYERS: usize = 1000;

/// Refuses a size of zero.
pub(crate) fn positive(model: &'static str, field: &'static str, size: usize) -> Result<(), ConfigError> {
    ConfigError::check(size > 0, model, field, "at least 1", size)
}

/// Refuses a size of zero, and one beyond any machine.
pub(crate) fn size(model: &'static str, field: &'static str, size: usize) -> Result<(), ConfigError> {
    positive(model, field, size)?;
    at_most(LARGEST, model, field, size)
}

/// Refuses a size beyond any machine. Zero leaves the layer out.
pub(crate) fn optional_size(
    model: &'static str,
    field: &'static str,
    size: usize,
) -> Result<(), ConfigError> {
    at_most(LARGEST, model, field, size)
}

/// Refuses widths of layers of which one is zero or beyond any machine, and more layers than any model has.
pub(crate) fn sizes(model: &'static str, field: &'static str, sizes: &[usize]) -> Result<(), ConfigError> {
    let found = || format!("{sizes:?}");
    let filled = sizes.iter().all(|size| *size > 0);
    ConfigError::check(filled, model, field, "positive widths", found())?;
    let bounded = sizes.iter().all(|size| *size <= LARGEST);
    ConfigError::check(bounded, model, field, format!("at most {LARGEST}"), found())?;
    let expected = format!("at most {MOST_LAYERS} layers");
    ConfigError::check(sizes.len() <= MOST_LAYERS, model, field, expected, sizes.len())
}

/// Refuses a stack of no layers, and one deeper than any model.
pub(crate) fn layers(model: &'static str, field: &'static str, layers: usize) -> Result<(), ConfigError> {
    positive(model, field, layers)?;
    at_most(MOST_LAYERS, model, field, layers)
}

/// Refuses a stage without a block, and one deeper than any model.
pub(crate) fn stages(model: &'static str, field: &'static str, layers: &[usize]) -> Result<(), ConfigError> {
    let found = || format!("{layers:?}");
    let filled = layers.iter().all(|count| *count > 0);
    ConfigError::check(filled, model, field, "at least 1 block a stage", found())?;
    let bounded = layers.iter().all(|count| *count <= MOST_LAYERS);
    ConfigError::check(bounded, model, field, format!("at most {MOST_LAYERS}"), found())
}

/// Refuses a share of dropped outputs that leaves none, or is no share.
pub(crate) fn dropout(model: &'static str, dropout: f64) -> Result<(), ConfigError> {
    share(model, "dropout", dropout)
}

/// Refuses a probability of leaving a block out that leaves out all, or is none.
pub(crate) fn drop_path(model: &'static str, drop_path: f64) -> Result<(), ConfigError> {
    share(model, "drop_path", drop_path)
}

fn share(model: &'static str, field: &'static str, share: f64) -> Result<(), ConfigError> {
    ConfigError::check((0.0..1.0).contains(&share), model, field, "at least 0 and below 1", share)
}

fn at_most(most: usize, model: &'static str, field: &'static str, size: usize) -> Result<(), ConfigError> {
    ConfigError::check(size <= most, model, field, format!("at most {most}"), size)
}
