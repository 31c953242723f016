//! What the ranks of a job tell each other: decisions, errors, files.
//!
//! Every rank takes every decision itself, on numbers that all ranks have in common, so that nobody has to be told what
//! to do. What one rank alone knows (a signal, an error, the clock of rank 0) is exchanged here first.

use crate::TrainError;
use crate::tensors::hash;
use bonfire_checkpoint::{Files, Weights};
use bonfire_cluster::{Communicator, Failure, Wire, broadcast_files, first_failure};
use bonfire_contract::{Share, Skipped};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The ranks that train together.
#[derive(Clone)]
pub(crate) struct Ranks {
    communicator: Arc<dyn Communicator>,
    pub(crate) wire: Wire,
}

/// What a rank has to say after a piece of work; and what all say together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Word {
    /// Samples of the piece.
    pub(crate) samples: u64,
    /// The sum of their losses.
    pub(crate) loss: f64,
    /// A signal came.
    pub(crate) signal: Option<i32>,
    /// Something went wrong.
    pub(crate) failed: bool,
    /// By the clock of rank 0, a checkpoint is due.
    pub(crate) clock: bool,
}

impl Word {
    /// As numbers, to be sent.
    pub(crate) fn numbers(self) -> [f64; 5] {
        let Word { samples, loss, signal, failed, clock } = self;
        let one = |yes: bool| f64::from(u8::from(yes));
        [samples as f64, loss, signal.map_or(0.0, f64::from), one(failed), one(clock)]
    }

    /// What the ranks say together, by the numbers of each.
    pub(crate) fn of_all<'a>(all: impl Iterator<Item = &'a [f64]>) -> Word {
        let mut together = Word::default();
        for (rank, numbers) in all.enumerate() {
            together.samples += numbers[0] as u64;
            together.loss += numbers[1];
            let signal = Some(numbers[2] as i32).filter(|&signal| signal > 0);
            // One of several, the same for all ranks.
            together.signal = together.signal.or(signal);
            together.failed |= numbers[3] > 0.0;
            together.clock |= rank == 0 && numbers[4] > 0.0;
        }
        together
    }
}

impl Ranks {
    pub(crate) fn new(communicator: Arc<dyn Communicator>, wire: Wire) -> Self {
        Ranks { communicator, wire }
    }

    pub(crate) fn count(&self) -> usize {
        self.communicator.size()
    }

    pub(crate) fn rank(&self) -> usize {
        self.communicator.rank()
    }

    /// Whether this is the only rank.
    pub(crate) fn alone(&self) -> bool {
        self.count() == 1
    }

    /// Whether this rank writes the run folder.
    pub(crate) fn writes(&self) -> bool {
        self.rank() == 0
    }

    pub(crate) fn share(&self) -> Share {
        Share { rank: self.rank() as u64, ranks: self.count() as u64 }
    }

    pub(crate) fn communicator(&self) -> &dyn Communicator {
        &*self.communicator
    }

    /// How long this rank has waited for others.
    pub(crate) fn waited(&self) -> Duration {
        self.communicator.waited()
    }

    /// What all ranks say together.
    pub(crate) fn agree(&self, word: Word) -> Word {
        if self.alone() {
            return word;
        }
        Word::of_all(
            self.communicator.sum_buckets(&word.numbers(), &mut [], &mut |_| ()).iter().map(Vec::as_slice),
        )
    }

    /// How many ranks say yes.
    pub(crate) fn saying(&self, yes: bool) -> usize {
        let mut number = [f64::from(u8::from(yes))];
        self.communicator.sum(&mut number);
        number[0] as usize
    }

    /// What this rank came to, unless any rank failed: then the error of the first of them, the same on all ranks.
    ///
    /// # Errors
    /// When this or another rank failed.
    pub(crate) fn together<T>(&self, outcome: Result<T, TrainError>) -> Result<T, TrainError> {
        if self.alone() {
            return outcome;
        }
        let message = outcome.as_ref().err().map(|error| match error {
            // Known to all already, by the rank's own name.
            TrainError::Rank { message, .. } => message.clone(),
            error => error.to_string(),
        });
        match first_failure(self.communicator(), message.as_deref()) {
            None => outcome,
            Some(Failure { rank, host, message, .. }) => Err(TrainError::Rank { rank, host, message }),
        }
    }

    /// Each rank's value, in their sequence.
    pub(crate) fn gather<T: Serialize + DeserializeOwned>(&self, value: &T) -> Vec<T> {
        let bytes = rmp_serde::to_vec(value).expect("plain numbers and strings");
        let all = self.communicator.gather(&bytes);
        all.iter()
            .map(|bytes| rmp_serde::from_slice(bytes).expect("what a rank of the same build wrote"))
            .collect()
    }

    /// Rank 0's number.
    pub(crate) fn number_of_first(&self, mine: f32) -> f32 {
        let bytes = self.communicator.broadcast(0, mine.to_le_bytes().to_vec());
        f32::from_le_bytes(bytes.try_into().expect("4 bytes"))
    }

    /// A value of rank 0, and files with it.
    pub(crate) fn of_first<T: Serialize + DeserializeOwned>(&self, mine: Option<(T, Files)>) -> (T, Files) {
        let (head, files) = match mine {
            Some((value, files)) => (rmp_serde::to_vec(&value).expect("plain numbers and strings"), files),
            None => (Vec::new(), Files::new()),
        };
        let head = self.communicator.broadcast(0, head);
        let value = rmp_serde::from_slice(&head).expect("what rank 0 of the same build wrote");
        (value, broadcast_files(&*self.communicator, files))
    }

    /// How many samples the ranks skipped together: one that several met, in different epochs, is one.
    pub(crate) fn skipped(&self, mine: Skipped) -> u64 {
        if self.alone() {
            return mine.count();
        }
        let all = self.gather(&mine).into_iter().flat_map(|skipped| skipped.met);
        Skipped { met: all.collect(), ..mine }.count()
    }

    /// Refuses to go on where the ranks' weights differ: every rank takes the same steps, so that they do not, unless
    /// their processors or builds compute otherwise.
    ///
    /// # Errors
    /// Names the first rank whose weights are not rank 0's.
    pub(crate) fn check_weights(&self, weights: impl FnOnce() -> Weights) -> Result<(), TrainError> {
        if self.alone() {
            return Ok(());
        }
        let bytes = weights().to_safetensors(Path::new("weights"))?;
        let all = self.gather(&hash(&bytes));
        match all.iter().position(|hash| *hash != all[0]) {
            None => Ok(()),
            Some(rank) => Err(TrainError::Rank {
                rank,
                host: self.communicator.host(rank).to_string(),
                message: format!(
                    "expected the weights of rank 0 on {}, found others: do both compute with the same build and instructions (BONFIRE_CPU)?",
                    self.communicator.host(0)
                ),
            }),
        }
    }
}
