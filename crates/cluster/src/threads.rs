//! Ranks that are threads of one process: what trains over several machines is tested on one, without MPI.

use crate::{Bucket, Communicator, Wire};
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One of the ranks. A rank that ends early leaves the others waiting for ever; [`Communicator::abort`] ends the process.
pub struct Threads {
    rank: usize,
    shared: Arc<Shared>,
    waited: Mutex<Duration>,
}

struct Shared {
    barrier: Barrier,
    /// What each rank brings to the collective under way.
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

    fn sum_buckets(&self, buckets: &mut [Bucket], fill: &mut dyn FnMut(usize, &mut Vec<f32>)) {
        for (i, Bucket { numbers, factor, wire }) in buckets.iter_mut().enumerate() {
            fill(i, numbers);
            let rounded = |number: f32| match wire {
                Wire::F32 => number,
                Wire::Bf16 => half::bf16::from_f32(number).to_f32(),
            };
            let factors = self.gather(&factor.to_le_bytes());
            let bytes: Vec<u8> = numbers.iter().flat_map(|&number| rounded(number).to_le_bytes()).collect();
            let all = self.gather(&bytes);
            let read = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().expect("4 bytes"));
            for (at, number) in numbers.iter_mut().enumerate() {
                let of = |(factor, bytes): (&Vec<u8>, &Vec<u8>)| read(factor) * read(&bytes[4 * at..][..4]);
                *number = rounded(factors.iter().zip(&all).map(of).sum());
            }
        }
    }

    fn sum(&self, numbers: &mut [f64]) {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let all = self.gather(&bytes);
        for (at, number) in numbers.iter_mut().enumerate() {
            let of = |bytes: &Vec<u8>| f64::from_le_bytes(bytes[8 * at..][..8].try_into().expect("8 bytes"));
            *number = all.iter().map(of).sum();
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
