//! The machine's limits, measured at run time. No op exceeds the rate of additions and multiplications. No op
//! that reads its numbers from memory exceeds the rate of bytes.

use bonfire_kernels::threads;
use burn::tensor::{Device, Distribution, Tensor};
use std::time::Instant;

/// The side of the square matrices that are multiplied.
const SIDE: usize = 1024;
/// Numbers in each of the two blocks of a copy: 512 MiB, more than most caches.
const COPIED: usize = 1 << 27;

/// The machine's two limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceilings {
    /// The rate of a matrix product in 10⁹ additions and multiplications a second, the best of several.
    pub gflops: f64,
    /// The rate of a large copy in 10⁹ bytes a second, bytes read and bytes written, the best of several.
    pub gigabytes: f64,
}

impl Ceilings {
    /// Measures both limits with all threads that compute.
    pub fn measure(device: &Device) -> Self {
        let random = || Tensor::<2>::random([SIDE, SIDE], Distribution::Default, device);
        let (a, b) = (random(), random());
        let product = best(30, || drop(a.clone().matmul(b.clone())));
        let from = vec![1.0f32; COPIED];
        let mut to = vec![0.0f32; COPIED];
        let copy = best(5, || copy(&from, &mut to));
        let flops = 2.0 * (SIDE * SIDE * SIDE) as f64;
        Ceilings { gflops: flops / product / 1e9, gigabytes: (8 * COPIED) as f64 / copy / 1e9 }
    }
}

/// The time of the fastest of `times` runs, in seconds.
fn best(times: usize, work: impl FnMut()) -> f64 {
    let mut work = work;
    let seconds = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    (0..times).map(seconds).fold(f64::INFINITY, f64::min)
}

/// Copies with all threads, each a part.
fn copy(from: &[f32], to: &mut [f32]) {
    let part = from.len().div_ceil(threads::count());
    std::thread::scope(|scope| {
        for (from, to) in from.chunks(part).zip(to.chunks_mut(part)) {
            scope.spawn(move || to.copy_from_slice(from));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_whole() {
        let from: Vec<f32> = (0..1001).map(|number| number as f32).collect();
        let mut to = vec![0.0; 1001];
        copy(&from, &mut to);
        assert_eq!(from, to);
    }
}
