//! The length of training, in steps.

use crate::config::Limit;
use crate::feed::piece_size;
use crate::keep::State;
use crate::{BatchSize, FitConfig, Select, TrainError};
use bonfire_contract::Position;

/// The number of steps of training, and their samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Length {
    /// Samples an epoch.
    pub(crate) epoch: u64,
    /// Samples a step; an epoch's last step may have fewer.
    pub(crate) step: u64,
    /// Samples on the devices of all ranks at once.
    pub(crate) piece: usize,
    /// Steps in all.
    pub(crate) total_steps: u64,
    pub(crate) limit: Limit,
}

impl Length {
    /// The length of a job of `ranks` that trains on `epoch` samples an epoch.
    ///
    /// # Errors
    /// When there are too few samples, or a setting needs a validation set and there is none.
    pub(crate) fn new(
        config: &FitConfig,
        epoch: u64,
        validated: bool,
        ranks: usize,
    ) -> Result<Self, TrainError> {
        let train = &config.train;
        if epoch == 0 {
            let expected = "at least one sample".to_string();
            return Err(TrainError::Empty { set: "training", expected, found: "none".into() });
        }
        let at_once = train.piece_size.saturating_mul(ranks);
        let (step, piece) = match train.batch() {
            BatchSize::Full => (epoch, at_once.min(epoch.try_into().unwrap_or(usize::MAX))),
            BatchSize::Samples(batch) => {
                let batch = batch as u64;
                // A step is within an epoch, so a larger batch is one epoch, here as everywhere.
                let batch_here = batch.min(epoch);
                if batch_here < ranks as u64 {
                    let expected = format!("at least the {ranks} ranks of the job, which share each batch");
                    return Err(TrainError::config("train.batch_size", expected, batch_here));
                }
                // An even division may leave a rank without samples.
                let even = piece_size(batch_here, at_once);
                let piece = if even < ranks { at_once.min(batch_here as usize) } else { even };
                (batch.saturating_mul(train.accumulate), piece)
            }
        };
        if train.drop_last && step > epoch {
            let expected = format!("at least the {step} samples of one step (train.drop_last)");
            return Err(TrainError::Empty { set: "training", expected, found: epoch.to_string() });
        }
        let step = step.min(epoch);
        if let (false, Some(monitor)) = (validated, &train.monitor) {
            return Err(TrainError::config("train.monitor", "none without a validation set", monitor));
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
        Ok(Length { epoch, step, piece, total_steps, limit })
    }

    /// True once all epochs or steps are done.
    pub(crate) fn is_reached(&self, state: &State) -> bool {
        match self.limit {
            Limit::Steps(steps) => state.step >= steps,
            Limit::Epochs(epochs) => state.position.epoch >= epochs,
        }
    }

    /// Samples of an epoch that are trained on.
    pub(crate) fn trained_samples(&self, drop_last: bool) -> u64 {
        if drop_last { self.epoch / self.step * self.step } else { self.epoch }
    }

    /// Refuses to continue a run that is longer already than this length.
    ///
    /// # Errors
    /// Names the recipe's key and the least that it may be.
    pub(crate) fn check_reached(&self, state: &State) -> Result<(), TrainError> {
        let (done, Position { epoch, samples }) = (state.step, state.position);
        match self.limit {
            Limit::Steps(steps) if done > steps => {
                let expected = format!("at least the {done} steps that the run has done");
                Err(TrainError::config("train.steps", expected, steps))
            }
            // Pieces of a step that is still open are left out, as they are of `steps`.
            Limit::Epochs(epochs) if epoch > epochs || (epoch == epochs && samples >= self.step) => {
                let begun = epoch + u64::from(samples > 0);
                let expected = format!("at least {begun}, as the run has done {done} steps");
                Err(TrainError::config("train.epochs", expected, epochs))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TrainConfig;

    fn length(batch: usize, accumulate: u64, piece_size: usize) -> Length {
        let batch_size = BatchSize::Samples(batch);
        let train = TrainConfig { batch_size, accumulate, piece_size, ..TrainConfig::default() };
        Length::new(&FitConfig { train, ..FitConfig::default() }, 100, false, 1).unwrap()
    }

    #[test]
    fn a_step_is_at_most_an_epoch_however_large_the_numbers() {
        let sizes = |length: Length| (length.step, length.piece, length.total_steps);
        assert_eq!(sizes(length(4, 3, 1024)), (12, 4, 90));
        assert_eq!(sizes(length(64, 1, 1024)), (64, 64, 20));
        assert_eq!(sizes(length(4, 1 << 62, 1024)), (100, 4, 10));
        assert_eq!(sizes(length(1_000_000_000_000_000_003, 1, 8)), (100, 5, 10));
        assert_eq!(sizes(length(usize::MAX, u64::MAX, 1024)), (100, 100, 10));
    }

    #[test]
    fn a_run_is_never_shorter_than_it_is() {
        let at = |step: u64, epoch: u64, samples: u64, piece_samples: u64| State {
            step,
            position: Position { epoch, samples },
            piece_samples,
            ..State::default()
        };
        let check = |limit: Limit, state: State| {
            let error = Length { limit, ..length(10, 1, 1024) }.check_reached(&state).err();
            error.map(|error| error.to_string())
        };
        assert_eq!(check(Limit::Steps(20), at(20, 2, 5, 5)), None);
        let error = "train.steps: expected at least the 20 steps that the run has done, found 19";
        assert_eq!(check(Limit::Steps(19), at(20, 2, 0, 0)).unwrap(), error);
        assert_eq!(check(Limit::Epochs(2), at(20, 2, 0, 0)), None);
        assert_eq!(check(Limit::Epochs(2), at(20, 2, 5, 5)), None);
        let error = "train.epochs: expected at least 3, as the run has done 21 steps, found 2";
        assert_eq!(check(Limit::Epochs(2), at(21, 2, 15, 5)).unwrap(), error);
        assert!(check(Limit::Epochs(1), at(20, 2, 0, 0)).is_some());
    }
}
