//! The ranks of a job: one process alone, or those that `mpirun`, `srun` or an MPI operator started.
//!
//! ```text
//! launcher -> Job::join -> Communicator: Alone (one rank) or Mpi (feature `mpi`); Threads for tests
//!                               sums, broadcasts, gathers          -> train
//! ```
//!
//! A collective is an operation that every rank calls, and that ends once all have called it. Every rank
//! calls the same collectives in the same order. A [`Communicator`] waits for the other ranks for a limited
//! time; after that, or on [`Communicator::abort`], the whole job ends. Collectives return no error: a job
//! that has lost a rank can only start again from its last checkpoint.

mod alone;
mod error;
mod failure;
mod files;
mod job;
mod launcher;
#[cfg(feature = "mpi")]
mod mpi;
mod threads;

pub use alone::Alone;
pub use error::JobError;
pub use failure::{Failure, first_failure};
pub use files::broadcast_files;
pub use job::Job;
pub use threads::Threads;

use std::time::Duration;

/// A vector of numbers that is averaged over the ranks:
///
/// ```text
/// sums = (sum over ranks of words[times] * numbers) / (sum over ranks of words[over])
/// ```
///
/// `words` are a few numbers that each rank sends beside its buckets (see [`Communicator::sum_buckets`]).
/// Every rank describes the bucket in the same way.
#[derive(Clone, Debug, Default)]
pub struct Bucket {
    /// The number of its elements. Over MPI each rank adds up a part of them, of at most 2^31 - 1.
    pub length: usize,
    /// The form in which the numbers cross the network.
    pub wire: Wire,
    /// The place of the word that a rank's numbers are multiplied by: how often they count.
    pub times: usize,
    /// The place of the word whose sum over the ranks divides the result.
    pub over: usize,
    /// The result, the same bits on all ranks.
    pub sums: Vec<f32>,
}

impl Bucket {
    /// The factor on each rank's numbers; 0 where the divisor is 0.
    fn factors(&self, words: &[Vec<f64>]) -> Vec<f32> {
        let over: f64 = words.iter().map(|words| words[self.over]).sum();
        let times = words.iter().map(|words| words[self.times]);
        times.map(|times| if over == 0.0 { 0.0 } else { (times / over) as f32 }).collect()
    }
}

/// Sends the numbers of one bucket, named by its place among the buckets, to the other ranks.
pub type Sending<'a> = dyn FnMut(usize, Vec<f32>) + 'a;

/// Checks that each bucket is sent once.
struct Sent(Vec<bool>);

impl Sent {
    fn new(buckets: &[Bucket]) -> Self {
        Sent(vec![false; buckets.len()])
    }

    /// Notes that a bucket of so many numbers is sent.
    fn note(&mut self, buckets: &[Bucket], i: usize, numbers: usize) {
        assert_eq!(numbers, buckets[i].length, "numbers of bucket {i}");
        assert!(!std::mem::replace(&mut self.0[i], true), "bucket {i} is sent once");
    }

    /// Notes that a bucket is sent, and keeps its numbers where the sums will be.
    fn take(&mut self, buckets: &mut [Bucket], i: usize, numbers: Vec<f32>) {
        self.note(buckets, i, numbers.len());
        buckets[i].sums = numbers;
    }

    fn check(&self) {
        assert!(self.0.iter().all(|sent| *sent), "every bucket is sent: {:?}", self.0);
    }
}

/// The form in which the numbers of a bucket cross the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wire {
    /// 32 bits, as they are.
    #[default]
    F32,
    /// 16 bits (bfloat16). Each number is rounded before it is sent, and each sum after it was added up in
    /// f32.
    Bf16,
}

/// Collectives over the ranks of a job. All ranks get the same bits, so that all take the same decision on a
/// result.
pub trait Communicator: Send + Sync {
    /// The number of this process, from 0 on.
    fn rank(&self) -> usize;

    /// The number of ranks.
    fn size(&self) -> usize;

    /// The name of a rank's machine.
    fn host(&self, rank: usize) -> &str;

    /// The number of this process among those of its machine, and how many these are.
    fn on_this_host(&self) -> (usize, usize);

    /// Averages buckets over the ranks, each as its [`Bucket`] says, while `work` computes the numbers.
    ///
    /// `work` gets a function that sends a bucket, and calls it once for each bucket, in any order, as soon
    /// as the bucket's numbers are computed. Sent buckets cross the network while `work` computes the next.
    /// `work` may call [`sum`](Self::sum) in between, if the work of every rank does.
    ///
    /// `words` are numbers of this rank, among them the `times` and `over` of the buckets. The words of all
    /// ranks come back, in the order of the ranks. With no bucket the call exchanges words alone.
    ///
    /// # Panics
    /// When a bucket is not sent once, or has another number of numbers than its length.
    fn sum_buckets(
        &self,
        words: &[f64],
        buckets: &mut [Bucket],
        work: &mut dyn FnMut(&mut Sending<'_>),
    ) -> Vec<Vec<f64>>;

    /// Replaces each number by its sum over the ranks.
    fn sum(&self, numbers: &mut [f64]);

    /// The bytes of rank `root`, on every rank; the bytes of the other ranks do not count.
    fn broadcast(&self, root: usize, bytes: Vec<u8>) -> Vec<u8>;

    /// The bytes of each rank, in the order of the ranks, on every rank.
    fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>>;

    /// Returns once every rank has called it.
    fn barrier(&self);

    /// The time that this rank has waited within collectives so far.
    fn waited(&self) -> Duration;

    /// Ends the whole job at once.
    fn abort(&self) -> !;
}
