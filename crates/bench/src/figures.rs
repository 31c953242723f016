//! The figures of one case, as both sides print them.

use bonfire_kernels::threads;
use serde::{Deserialize, Serialize};

/// One line of JSON: a case's times and memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// The case's name.
    pub case: String,
    /// The median of the measured times, in milliseconds.
    pub median_ms: f64,
    /// The shortest of the measured times, in milliseconds.
    pub min_ms: f64,
    /// Threads that computed.
    pub threads: usize,
    /// The process's peak memory in MiB, including its start and its warm-up.
    #[serde(alias = "peak_rss_mb_so_far")]
    pub peak_rss_mb: u64,
}

impl Figures {
    /// The figures of this process.
    ///
    /// # Panics
    /// When `times` is empty.
    pub fn here(case: &str, times: &[f64]) -> Self {
        Figures {
            case: case.into(),
            median_ms: fine(median(times)),
            min_ms: fine(times.iter().copied().fold(f64::INFINITY, f64::min)),
            threads: threads::count(),
            peak_rss_mb: bonfire_train::peak_memory_bytes() >> 20,
        }
    }
}

/// The middle one of the sorted numbers, the greater if two are in the middle.
///
/// # Panics
/// When `numbers` is empty.
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The geometric mean; 1 if there are no numbers.
pub fn geometric_mean(numbers: &[f64]) -> f64 {
    let sum: f64 = numbers.iter().map(|number| number.ln()).sum();
    (sum / numbers.len().max(1) as f64).exp()
}

/// Rounds to three decimals.
pub(crate) fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

/// Rounds milliseconds to a tenth of a microsecond: a prediction of one row takes only a few microseconds.
fn fine(milliseconds: f64) -> f64 {
    (milliseconds * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_means_of_known_numbers() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 3.0);
        assert_eq!(median(&[7.0]), 7.0);
        assert!((geometric_mean(&[0.5, 8.0]) - 2.0).abs() < 1e-12);
        assert_eq!(geometric_mean(&[]), 1.0);
    }

    #[test]
    fn a_line_has_exactly_its_keys() {
        let figures = Figures::here("mlp_b128", &[2.0, 1.00004, 3.0]);
        assert_eq!((figures.median_ms, figures.min_ms), (2.0, 1.0));
        let line = serde_json::to_value(&figures).unwrap();
        let keys: Vec<&String> = line.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 5);
        for key in ["case", "median_ms", "min_ms", "threads", "peak_rss_mb"] {
            assert!(line.get(key).is_some(), "{key}");
        }
    }

    #[test]
    fn pytorchs_line_is_read() {
        let line = concat!(
            r#"{"case": "mlp_b128", "median_ms": 4.1, "min_ms": 3.9, "threads": 2, "#,
            r#""peak_rss_mb_so_far": 400, "torch": "2.15"}"#
        );
        assert_eq!(serde_json::from_str::<Figures>(line).unwrap().peak_rss_mb, 400);
    }
}
