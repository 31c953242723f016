//! A job of one process.

use crate::{Bucket, Communicator, Sending, Sent};
use std::time::Duration;

/// The only rank: its own numbers are the sums.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Communicator for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn host(&self, _rank: usize) -> &str {
        "this machine"
    }

    fn on_this_host(&self) -> (usize, usize) {
        (0, 1)
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
        let words = vec![words.to_vec()];
        for bucket in buckets {
            let factor = bucket.factors(&words)[0];
            bucket.sums.iter_mut().for_each(|number| *number *= factor);
        }
        words
    }

    fn sum(&self, _numbers: &mut [f64]) {}

    fn broadcast(&self, root: usize, bytes: Vec<u8>) -> Vec<u8> {
        assert_eq!(root, 0, "the only rank is 0");
        bytes
    }

    fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        vec![bytes.to_vec()]
    }

    fn barrier(&self) {}

    fn waited(&self) -> Duration {
        Duration::ZERO
    }

    fn abort(&self) -> ! {
        std::process::exit(1)
    }
}
