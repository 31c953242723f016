//! How long training is, in steps.

use crate::config::Limit;
use crate::feed::piece_size;
use crate::{BatchSize, FitConfig, Select, TrainError};

/// How many steps of how many samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Samples an epoch.
    pub(crate) epoch: u64,
    /// Samples a step; an epoch's last step may have fewer.
    pub(crate) step: u64,
    /// Samples on the device at once.
    pub(crate) piece: usize,
    /// Steps in all.
    pub(crate) total_steps: u64,
    pub(crate) limit: Limit,
}

impl Plan {
    pub(crate) fn new(config: &FitConfig, epoch: u64, validated: bool) -> Result<Self, TrainError> {
        let train = &config.train;
        if epoch == 0 {
            let expected = "at least one sample".to_string();
            return Err(TrainError::Empty { set: "training", expected, found: "none".into() });
        }
        let (step, piece) = match train.batch_size {
            BatchSize::Full => (epoch, train.piece_size.min(epoch.try_into().unwrap_or(usize::MAX))),
            BatchSize::Samples(batch) => {
                (batch as u64 * train.accumulate, piece_size(batch as u64, train.piece_size))
            }
        };
        if train.drop_last && step > epoch {
            let expected = format!("at least the {step} samples of one step (train.drop_last)");
            return Err(TrainError::Empty { set: "training", expected, found: epoch.to_string() });
        }
        if !validated && train.select == Select::Best {
            return Err(TrainError::config("train.select", "\"last\" without a validation set", "\"best\""));
        }
        if !validated && let Some(patience) = train.early_stopping {
            return Err(TrainError::config(
                "train.early_stopping",
                "none without a validation set",
                patience,
            ));
        }
        let per_epoch = if train.drop_last { epoch / step } else { epoch.div_ceil(step) };
        let limit = config.limit();
        let total_steps = match limit {
            Limit::Steps(steps) => steps,
            Limit::Epochs(epochs) => epochs.saturating_mul(per_epoch),
        };
        Ok(Plan { epoch, step, piece, total_steps, limit })
    }
}
