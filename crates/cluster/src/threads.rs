//! Ranks that are threads of one process: training over several machines is tested on one, without MPI.

use crate::{Bucket, Communicator, Sending, Sent, Wire};
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One of the ranks. A rank that ends early leaves the others waiting for ever; [`Communicator::abort`] ends
/// the process.
pub struct Threads {
    rank: usize,
    shared: Arc<Shared>,
    waited: Mutex<Duration>,
}

struct Shared {
    barrier: Barrier,
    /// The bytes of each rank in the collective under way.
    brought: Mutex<Vec<Vec<u8>>>,
}

impl Threads {
    /// The ranks of a job, one for each thread.
    pub fn ranks(count: usize) -> Vec<Arc<dyn Communicator>> {
        let brought = Mutex::new(vec![Vec::new(); count]);
        let shared = Arc::new(Shared { barrier: Barrier::new(count), brought });
        let rank = |rank| Threads { rank, shared: shared.clone(), waited: Mutex::default() };
        (0..count).map(|number| Arc::new(rank(number)) as Arc<dyn Communicator>).collect()
    }

    fn wait(&self) {
        let began = Instant::now();
        self.shared.barrier.wait();
        *self.waited.lock().unwrap_or_else(PoisonError::into_inner) += began.elapsed();
    }
}

fn to_bytes(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn numbers(bytes: &[u8]) -> Vec<f64> {
    bytes.chunks_exact(8).map(|bytes| f64::from_le_bytes(bytes.try_into().expect("8 bytes"))).collect()
}

impl Communicator for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.shared.brought.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn host(&self, _rank: usize) -> &str {
        "this machine"
    }

    fn on_this_host(&self) -> (usize, usize) {
        (self.rank, self.size())
    }

    fn sum_buckets(
        &self,
        words: &[f64],
        buckets: &mut [Bucket],
        work: &mut dyn FnMut(&mut Sending<'_>),
    ) -> Vec<Vec<f64>> {
        let mut sent = Sent::new(buckets);
        work(&mut |i, numbers| sent.take(buckets, i, numbers));
        sent.check();
        let words: Vec<Vec<f64>> = self.gather(&to_bytes(words)).iter().map(|bytes| numbers(bytes)).collect();
        for bucket in buckets {
            let rounded = |number: f64| match bucket.wire {
                Wire::F32 => number as f32,
                Wire::Bf16 => half::bf16::from_f32(number as f32).to_f32(),
            };
            let own: Vec<f64> = bucket.sums.iter().map(|&number| f64::from(rounded(number.into()))).collect();
            let all: Vec<Vec<f64>> =
                self.gather(&to_bytes(&own)).iter().map(|bytes| numbers(bytes)).collect();
            let factors = bucket.factors(&words);
            for (at, sum) in bucket.sums.iter_mut().enumerate() {
                // In f32, as over MPI.
                let of = |(factor, numbers): (&f32, &Vec<f64>)| factor * numbers[at] as f32;
                *sum = rounded(factors.iter().zip(&all).map(of).sum::<f32>().into());
            }
        }
        words
    }

    fn sum(&self, sums: &mut [f64]) {
        let all: Vec<Vec<f64>> = self.gather(&to_bytes(sums)).iter().map(|bytes| numbers(bytes)).collect();
        for (at, sum) in sums.iter_mut().enumerate() {
            *sum = all.iter().map(|numbers| numbers[at]).sum();
        }
    }

    fn broadcast(&self, root: usize, bytes: Vec<u8>) -> Vec<u8> {
        self.gather(&bytes).swap_remove(root)
    }

    fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.shared.brought.lock().unwrap_or_else(PoisonError::into_inner)[self.rank] = bytes.to_vec();
        self.wait();
        let all = self.shared.brought.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.wait();
        all
    }

    fn barrier(&self) {
        self.wait();
    }

    fn waited(&self) -> Duration {
        *self.waited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn abort(&self) -> ! {
        std::process::exit(1)
    }
}
