//! The ranks of a job: one process alone, or those that `mpirun`, `srun` or an MPI operator started.
//!
//! ```text
//! launcher -> Job::join -> Communicator: Alone (one rank) or Mpi (feature `mpi`); Threads for tests
//!                               sums, broadcasts, gathers          -> train
//! ```
//!
//! Every rank calls the same collectives in the same sequence. A [`Communicator`] waits for the others for a limited time;
//! after that, or on [`Communicator::abort`], the whole job ends. So there is no error to return: a job that has lost a
//! rank has nothing to go on with but its last checkpoint.

mod alone;
mod failure;
mod files;
mod job;
mod launcher;
#[cfg(feature = "mpi")]
mod mpi;
mod threads;

pub use alone::Alone;
pub use failure::{Failure, first_failure};
pub use files::broadcast_files;
pub use job::{Job, JobError};
pub use threads::Threads;

use std::time::Duration;

/// Numbers that are summed over the ranks; all of it but `sums` is the same on each of them.
#[derive(Clone, Debug, Default)]
pub struct Bucket {
    /// How many numbers it has; over MPI, a rank's part of them is at most 2^31 - 1.
    pub length: usize,
    /// How they cross the network.
    pub wire: Wire,
    /// The place of the word that says how often a rank's numbers count.
    pub times: usize,
    /// The place of the word whose sum over the ranks the sum is divided by.
    pub over: usize,
    /// What came of it.
    pub sums: Vec<f32>,
}

impl Bucket {
    /// What each rank's numbers are multiplied with: nothing where there is nothing to divide by.
    fn factors(&self, words: &[Vec<f64>]) -> Vec<f32> {
        let over: f64 = words.iter().map(|words| words[self.over]).sum();
        let times = words.iter().map(|words| words[self.times]);
        times.map(|times| if over == 0.0 { 0.0 } else { (times / over) as f32 }).collect()
    }
}

/// Hands the numbers of a bucket, by its place, to the other ranks.
pub type Sending<'a> = dyn FnMut(usize, Vec<f32>) + 'a;

/// Which buckets are sent.
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

    /// Notes it, and keeps its numbers where the sums will be.
    fn take(&mut self, buckets: &mut [Bucket], i: usize, numbers: Vec<f32>) {
        self.note(buckets, i, numbers.len());
        buckets[i].sums = numbers;
    }

    fn check(&self) {
        assert!(self.0.iter().all(|sent| *sent), "every bucket is sent: {:?}", self.0);
    }
}

/// How the numbers of a bucket cross the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wire {
    /// As they are.
    #[default]
    F32,
    /// Rounded to 16 bits (bfloat16), each number and each sum once; added up in f32.
    Bf16,
}

/// Collectives over the ranks of a job. All ranks get the same bits, so that decisions taken on them agree.
pub trait Communicator: Send + Sync {
    /// The number of this process, from 0 on.
    fn rank(&self) -> usize;

    /// How many ranks there are.
    fn size(&self) -> usize;

    /// The name of a rank's machine.
    fn host(&self, rank: usize) -> &str;

    /// The number of this process among those of its machine, and how many these are.
    fn on_this_host(&self) -> (usize, usize);

    /// The sum of each bucket over the ranks: each rank's numbers times its word at `times`, divided by the sum of all
    /// ranks' words at `over`. `work` sends each bucket once, in any sequence, as soon as its numbers are there: what it
    /// does between one and the next goes on while those before are on their way. It may call [`sum`](Self::sum), as every
    /// rank then does. What the ranks had to say comes back: each one's words, in their sequence.
    ///
    /// # Panics
    /// When a bucket is not sent once, or has another number of numbers than its length.
    fn sum_buckets(
        &self,
        words: &[f64],
        buckets: &mut [Bucket],
        work: &mut dyn FnMut(&mut Sending<'_>),
    ) -> Vec<Vec<f64>>;

    /// Replaces numbers by their sums over the ranks.
    fn sum(&self, numbers: &mut [f64]);

    /// What rank `root` has, on every rank.
    fn broadcast(&self, root: usize, bytes: Vec<u8>) -> Vec<u8>;

    /// What each rank has, in their sequence, on every rank.
    fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>>;

    /// Returns when every rank has called it.
    fn barrier(&self);

    /// How long this rank has waited within collectives so far.
    fn waited(&self) -> Duration;

    /// Ends the whole job at once.
    fn abort(&self) -> !;
}
