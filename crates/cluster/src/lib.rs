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

/// Numbers of this rank that are summed over all ranks.
#[derive(Clone, Debug, Default)]
pub struct Bucket {
    /// As many as in the other ranks' bucket.
    pub numbers: Vec<f32>,
    /// How often this rank's numbers count.
    pub factor: f32,
    /// The same for all ranks.
    pub wire: Wire,
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

    /// Replaces the numbers of each bucket by the sum, over the ranks, of each rank's numbers times its factor. `fill`
    /// writes or replaces those of bucket `i` just before they are sent, so that later ones are packed while earlier ones
    /// are on their way.
    fn sum_buckets(&self, buckets: &mut [Bucket], fill: &mut dyn FnMut(usize, &mut Vec<f32>));

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
