//! The errors of training. Each says where, what was expected and what was found.

use bonfire_checkpoint::CheckpointError;
use bonfire_contract::LoadError;

/// An error of training or evaluation. Its message is one line.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A recipe's key with a value that no run can have.
    #[error("{key}: expected {expected}, found {found}")]
    Config {
        /// The recipe's key, such as `train.batch_size`.
        key: String,
        /// The possible values.
        expected: String,
        /// The value found.
        found: String,
    },
    /// The loss or a weight is no number any more.
    #[error(
        "step {step}: expected a finite {what}, found {found}{kept}; start a new run with a lower \
         optimizer.learning_rate or with train.clip_norm"
    )]
    Diverged {
        /// The step, counted from 1.
        step: u64,
        /// `loss`, or the tensor's path.
        what: String,
        /// `NaN`, `inf`, or another finding.
        found: String,
        /// After which checkpoint nothing is saved; empty where nothing ever is.
        kept: String,
    },
    /// A training or evaluation set without samples to use.
    #[error("{set} set: expected {expected}, found {found}")]
    Empty {
        /// `training` or `evaluation`.
        set: &'static str,
        /// The samples that it needs.
        expected: String,
        /// The samples that it has.
        found: String,
    },
    /// A model's output and the target it is compared with do not go together.
    #[error("metrics: expected {expected}, found {found}")]
    Mismatch {
        /// The targets that the output can be compared with.
        expected: String,
        /// The target found.
        found: String,
    },
    /// A number that no figure can be made of, in the evaluation of one sample.
    #[error("evaluation, sample {sample} in batch {batch}: expected finite {expected}, found {found}")]
    NotFinite {
        /// The number of the sample in its set, from 0 on.
        sample: u64,
        /// The batch, counted from 1; of those of one rank.
        batch: u64,
        /// `logits`, or what else should be finite.
        expected: &'static str,
        /// `NaN`, `inf` or `-inf`.
        found: String,
    },
    /// A batch could not be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The run folder could not be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The state of a checkpoint does not fit this run.
    #[error("checkpoint {name}: expected {expected}, found {found}")]
    Resume {
        /// The checkpoint.
        name: String,
        /// The content that it should have.
        expected: String,
        /// The content found.
        found: String,
    },
    /// Another rank of the job, or this one, failed, and all know it.
    #[error("rank {rank} on {host}: {message}")]
    Rank {
        /// The rank that failed; the first of several.
        rank: usize,
        /// Its machine.
        host: String,
        /// Its error.
        message: String,
    },
    /// The system refused to watch for SIGINT, SIGTERM and SIGUSR1.
    #[error("cannot watch for signals: {0}")]
    Signals(std::io::Error),
}

impl TrainError {
    /// True where every rank of a job ends with this error: it was exchanged, or all ranks come to it on
    /// settings and numbers that they have in common.
    pub fn is_known_to_all(&self) -> bool {
        use TrainError::{Config, Diverged, Empty, Rank};
        matches!(self, Rank { .. } | Config { .. } | Diverged { .. } | Empty { .. })
    }

    pub(crate) fn config(key: &str, expected: impl ToString, found: impl ToString) -> Self {
        TrainError::Config { key: key.into(), expected: expected.to_string(), found: found.to_string() }
    }

    pub(crate) fn mismatch(expected: impl ToString, found: impl ToString) -> Self {
        TrainError::Mismatch { expected: expected.to_string(), found: found.to_string() }
    }
}
