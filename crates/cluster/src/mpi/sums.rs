//! The parts in which ranks add up a bucket.
//!
//! Of each bucket every rank gets one part from all others, adds it up in the sequence of the ranks, and gives the sum to
//! them: a ring sends as much, and `MPI_Iallreduce` of Open MPI sends whole buckets there and back between few ranks. What
//! is sent lies in the bucket itself, and so does what comes back.

use crate::{Bucket, Wire};
use bytemuck::{Pod, cast_slice_mut};
use half::bf16;
use std::ops::Range;

/// What a bucket takes beside its numbers. Used again by the next sum.
#[derive(Default)]
pub(super) struct Room {
    /// Its numbers as they are sent, where they are rounded.
    rounded: Vec<u16>,
    /// This rank's part, as each other rank has it: one of the two.
    arrived: Vec<f32>,
    arrived_rounded: Vec<u16>,
}

/// A bucket and its room, as bytes: where its parts lie, what is sent of them, and room for this rank's.
pub(super) struct Parted<'a> {
    /// For each rank, the bytes of its part.
    pub(super) parts: Vec<Range<usize>>,
    pub(super) sent: &'a mut [u8],
    pub(super) arrived: &'a mut [u8],
}

impl Room {
    /// Gets ready to send a bucket from rank `rank` of `ranks`.
    pub(super) fn ready(&mut self, bucket: &Bucket, rank: usize, ranks: usize) {
        let own = part(bucket.numbers.len(), rank, ranks).len() * (ranks - 1);
        match bucket.wire {
            Wire::F32 => self.arrived.resize(own, 0.0),
            Wire::Bf16 => {
                self.arrived_rounded.resize(own, 0);
                self.rounded.clear();
                self.rounded.extend(bucket.numbers.iter().map(|&number| u16::of(number)));
            }
        }
    }

    /// What is sent and what arrives.
    pub(super) fn parted<'a>(&'a mut self, bucket: &'a mut Bucket, ranks: usize) -> Parted<'a> {
        let (length, width) = (bucket.numbers.len(), if bucket.wire == Wire::F32 { 4 } else { 2 });
        let in_bytes = |part: Range<usize>| part.start * width..part.end * width;
        let parts = (0..ranks).map(|rank| in_bytes(part(length, rank, ranks))).collect();
        let (sent, arrived) = match bucket.wire {
            Wire::F32 => (cast_slice_mut(&mut bucket.numbers), cast_slice_mut(&mut self.arrived)),
            Wire::Bf16 => (cast_slice_mut(&mut self.rounded), cast_slice_mut(&mut self.arrived_rounded)),
        };
        Parted { parts, sent, arrived }
    }

    /// Replaces this rank's part of what is sent by its sum, by the factors of each rank.
    pub(super) fn add_up(&mut self, bucket: &mut Bucket, rank: usize, factors: &[f32]) {
        let own = part(bucket.numbers.len(), rank, factors.len());
        match bucket.wire {
            Wire::F32 => add_up(&mut bucket.numbers[own], &self.arrived, rank, factors),
            Wire::Bf16 => add_up(&mut self.rounded[own], &self.arrived_rounded, rank, factors),
        }
    }

    /// Takes over the sums that came back.
    pub(super) fn take_over(&self, bucket: &mut Bucket) {
        if bucket.wire == Wire::Bf16 {
            let sums = self.rounded.iter().map(|sum| sum.number());
            bucket.numbers.iter_mut().zip(sums).for_each(|(number, sum)| *number = sum);
        }
    }
}

/// The numbers of a bucket of `length` that a rank adds up.
fn part(length: usize, rank: usize, ranks: usize) -> Range<usize> {
    length * rank / ranks..length * (rank + 1) / ranks
}

/// How a number crosses the network.
trait Number: Pod {
    fn of(number: f32) -> Self;
    fn number(self) -> f32;
}

impl Number for f32 {
    fn of(number: f32) -> Self {
        number
    }

    fn number(self) -> f32 {
        self
    }
}

/// The bits of a bfloat16.
impl Number for u16 {
    fn of(number: f32) -> Self {
        bf16::from_f32(number).to_bits()
    }

    fn number(self) -> f32 {
        bf16::from_bits(self).to_f32()
    }
}

/// Replaces a rank's numbers by the sum over the ranks of each one's times its factor; those of the others follow each
/// other.
fn add_up<N: Number>(own: &mut [N], others: &[N], rank: usize, factors: &[f32]) {
    /// Numbers that are added up at a time: what a register file and the first cache hold.
    const AT_ONCE: usize = 256;
    let part = own.len();
    for (at, own) in own.chunks_mut(AT_ONCE).enumerate() {
        let mut total = [0.0; AT_ONCE];
        for (other, factor) in factors.iter().enumerate() {
            let numbers = match other {
                other if other == rank => &*own,
                other => &others[part * (other - usize::from(other > rank)) + at * AT_ONCE..][..own.len()],
            };
            total.iter_mut().zip(numbers).for_each(|(total, number)| *total += factor * number.number());
        }
        own.iter_mut().zip(total).for_each(|(own, sum)| *own = N::of(sum));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_a_bucket_once() {
        for length in [0, 1, 2, 5, 300_007] {
            for ranks in 1..6 {
                let parts: Vec<usize> = (0..ranks).flat_map(|rank| part(length, rank, ranks)).collect();
                assert_eq!(parts, (0..length).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn sums_follow_the_sequence_of_the_ranks() {
        // In f32 these three sum to 0 or to 1 by their sequence.
        let (factors, big) = ([2.0, 1.0, 1.0], 1e8f32);
        for rank in 0..3 {
            let each = [[big / 2.0; 300], [-big; 300], [1.0; 300]];
            let mut own = each[rank];
            let others: Vec<f32> =
                (0..3).filter(|&other| other != rank).flat_map(|other| each[other]).collect();
            add_up(&mut own, &others, rank, &factors);
            assert_eq!(own, [1.0; 300], "rank {rank}");
        }
    }
}
