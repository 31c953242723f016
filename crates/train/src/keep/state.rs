//! The state of training that a checkpoint holds beside tensors.

use bonfire_contract::{Better, Metric, Position};
use serde::{Deserialize, Serialize};

/// Everything that decides the next step, but for weights, optimizer, average and gradient.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// Optimizer steps done.
    pub(crate) step: u64,
    /// The start of the next piece.
    pub(crate) position: Position,
    /// Samples trained on.
    pub(crate) samples: u64,
    /// Pieces of the open step whose gradient is accumulated.
    pub(crate) pieces: u64,
    /// Their samples, those of all ranks.
    pub(crate) piece_samples: u64,
    /// Reports and evaluations that are due before the next step.
    pub(crate) due: Option<Due>,
    /// Sum of losses times samples since the last training record.
    #[serde(with = "exact")]
    pub(crate) window_loss: f64,
    /// Samples since the last training record.
    pub(crate) window_samples: u64,
    /// The best evaluation.
    pub(crate) best: Option<Best>,
    /// Evaluations since the best.
    pub(crate) stale: u64,
    /// The figures of the last evaluation.
    pub(crate) last: Vec<Figure>,
    /// The step that the last evaluation was made at.
    pub(crate) evaluated: Option<u64>,
    /// Seconds of training so far.
    pub(crate) seconds: f64,
    /// The length of `metrics.jsonl`.
    pub(crate) log_bytes: u64,
}

impl State {
    /// The open step as it stands.
    pub(crate) fn open_step(&self) -> OpenStep {
        OpenStep { number: self.step, pieces: self.pieces, samples: self.piece_samples }
    }

    /// Counts the pieces of the open step no longer: it was taken, dropped or undone.
    pub(crate) fn close_step(&mut self) {
        (self.pieces, self.piece_samples) = (0, 0);
    }
}

/// A step before its update.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenStep {
    /// Its number, from 0.
    pub(crate) number: u64,
    /// Its pieces so far.
    pub(crate) pieces: u64,
    /// Its samples so far, those of all ranks.
    pub(crate) samples: u64,
}

/// The ends that were just reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Due {
    /// A step ended.
    pub(crate) step: bool,
    /// An epoch ended.
    pub(crate) epoch: bool,
}

/// The best evaluation so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Best {
    /// The checkpoint that holds its weights, where there is a run folder.
    pub(crate) checkpoint: Option<String>,
    #[serde(with = "exact")]
    pub(crate) value: f64,
    pub(crate) metrics: Vec<Figure>,
}

/// A [`Metric`] whose value comes back bit for bit, numbers that are none included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    name: String,
    #[serde(with = "exact")]
    value: f64,
    better: Better,
}

pub(crate) fn to_figures(metrics: &[Metric]) -> Vec<Figure> {
    metrics.iter().map(|m| Figure { name: m.name.clone(), value: m.value, better: m.better }).collect()
}

pub(crate) fn to_metrics(figures: &[Figure]) -> Vec<Metric> {
    figures.iter().map(|f| Metric { name: f.name.clone(), value: f.value, better: f.better }).collect()
}

/// An f64 as the shortest decimal that reads back as the same number; JSON has no NaN, and
/// `serde_json` reads the last digit of a number inexactly.
mod exact {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:?}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back_bit_for_bit(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            let state = State { window_loss: value, ..State::default() };
            let text = serde_json::to_string(&state).unwrap();
            let back: State = serde_json::from_str(&text).unwrap();
            prop_assert!(back.window_loss.to_bits() == bits || (value.is_nan() && back.window_loss.is_nan()));
        }
    }
}
