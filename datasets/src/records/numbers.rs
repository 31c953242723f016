//! Numbers as a schema keeps them.

/// Rounds to 12 significant digits, far beyond what an f32 tells apart: few enough for JSON to give back the
/// same f64, so that a saved schema encodes bit for bit like the fresh one.
pub(crate) fn round(number: f64) -> f64 {
    format!("{number:.11e}").parse().unwrap_or(number)
}
