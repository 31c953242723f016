//! The exchange between the ranks of a job, by which all take the same decisions.
//!
//! Every rank takes every decision itself, on numbers that all ranks have in common, so that nobody has to be
//! told what to do. A fact that one rank alone knows (a signal, an error, the clock of rank 0) is exchanged
//! here first. Every method is called by all ranks in the same order; where there is one rank, it answers
//! from what it is given.

mod first;
mod report;

pub(crate) use report::Report;

use crate::metrics::Meter;
use crate::{Interrupt, MetricConfig, TrainError};
use bonfire_checkpoint::Weights;
use bonfire_cluster::{Communicator, Failure, Wire, first_failure};
use bonfire_contract::{Share, Skipped};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::hash::{DefaultHasher, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The ranks that train together.
#[derive(Clone)]
pub(crate) struct Ranks {
    communicator: Arc<dyn Communicator>,
    /// The numbers in which gradients cross the network.
    wire: Wire,
}

impl Ranks {
    pub(crate) fn new(communicator: Arc<dyn Communicator>, wire: Wire) -> Self {
        Ranks { communicator, wire }
    }

    /// The numbers in which gradients cross the network.
    pub(crate) fn wire(&self) -> Wire {
        self.wire
    }

    pub(crate) fn count(&self) -> usize {
        self.communicator.size()
    }

    /// True for the only rank.
    pub(crate) fn alone(&self) -> bool {
        self.count() == 1
    }

    /// True for rank 0, which writes the run folder.
    pub(crate) fn is_first(&self) -> bool {
        self.communicator.rank() == 0
    }

    /// The samples of each batch that this rank computes.
    pub(crate) fn share(&self) -> Share {
        Share { rank: self.communicator.rank() as u64, ranks: self.count() as u64 }
    }

    pub(crate) fn communicator(&self) -> &dyn Communicator {
        &*self.communicator
    }

    /// The time that this rank has waited for others.
    pub(crate) fn waited(&self) -> Duration {
        self.communicator.waited()
    }

    /// The common report of all ranks.
    pub(crate) fn common_report(&self, own: Report) -> Report {
        if self.alone() {
            return own;
        }
        let all = self.communicator.sum_buckets(&own.to_numbers(), &mut [], &mut |_| ());
        Report::common(all.iter().map(Vec::as_slice))
    }

    /// A signal that needs no report to be known to all ranks: one that came to the only rank.
    pub(crate) fn signal_known_to_all(&self, interrupt: &Interrupt) -> Option<i32> {
        if self.alone() { interrupt.raised() } else { None }
    }

    /// The number of ranks for which a condition holds.
    pub(crate) fn count_where(&self, holds: bool) -> usize {
        let mut number = [f64::from(u8::from(holds))];
        self.communicator.sum(&mut number);
        number[0] as usize
    }

    /// The outcome of this rank where no rank failed; otherwise the error of the first rank that did, the
    /// same on all.
    ///
    /// # Errors
    /// When this or another rank failed.
    pub(crate) fn agreed<T>(&self, outcome: Result<T, TrainError>) -> Result<T, TrainError> {
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

    /// The values of all ranks, in their order.
    pub(crate) fn gather<T: Serialize + DeserializeOwned>(&self, value: &T) -> Vec<T> {
        let bytes = rmp_serde::to_vec(value).expect("plain numbers and strings");
        let all = self.communicator.gather(&bytes);
        all.iter()
            .map(|bytes| rmp_serde::from_slice(bytes).expect("bytes from a rank of the same build"))
            .collect()
    }

    /// The number of samples that the ranks skipped in all. A sample that several ranks met, in different
    /// epochs, counts once.
    pub(crate) fn skipped(&self, own: Skipped) -> u64 {
        if self.alone() {
            return own.count();
        }
        let all = self.gather(&own).into_iter().flat_map(|skipped| skipped.met);
        Skipped { met: all.collect(), ..own }.count()
    }

    /// The meter of all ranks' samples, from the meter of each rank's share.
    ///
    /// # Errors
    /// When the ranks' outputs are of different kinds.
    pub(crate) fn merged(&self, mut own: Meter, config: &MetricConfig) -> Result<Meter, TrainError> {
        if self.alone() {
            return Ok(own);
        }
        let mut merged = Meter::new(config);
        let samples = self.common_report(Report { samples: own.samples(), ..Report::default() }).samples;
        for sums in self.gather(own.sums(samples)) {
            merged.merge(sums)?;
        }
        Ok(merged)
    }

    /// Refuses to go on where the ranks' weights differ. Every rank takes the same steps, so that weights
    /// differ only where processors or builds compute otherwise.
    ///
    /// # Errors
    /// Names the first rank whose weights are not rank 0's.
    pub(crate) fn check_weights(&self, weights: impl FnOnce() -> Weights) -> Result<(), TrainError> {
        if self.alone() {
            return Ok(());
        }
        let mut hasher = DefaultHasher::new();
        hasher.write(&weights().to_safetensors(Path::new("weights"))?);
        let all = self.gather(&hasher.finish());
        match all.iter().position(|hash| *hash != all[0]) {
            None => Ok(()),
            Some(rank) => Err(TrainError::Rank {
                rank,
                host: self.communicator.host(rank).to_string(),
                message: format!(
                    "expected the weights of rank 0 on {}, found others: do both compute with the same build \
                     and instructions (BONFIRE_CPU)?",
                    self.communicator.host(0)
                ),
            }),
        }
    }
}
