//! The parts in which ranks add up a bucket.
//!
//! ```text
//! own numbers -> parts to the others (tag 2 i + 2)
//!                their parts of mine -> add up -> my sum to the others (tag 2 i + 3)
//!                                                 their sums
//! ```
//!
//! Every rank owns one part of each bucket. It receives this part from all others, adds it up in the order of
//! the ranks, and sends the sum to them. A ring sends as many bytes; `MPI_Iallreduce` of Open MPI sends whole
//! buckets there and back between few ranks. Each bucket advances by itself, as far as it can whenever
//! [`Flow::go_on`] is called. Numbers are sent from the memory in which the backward pass left them; that
//! memory takes the sums of the next exchange.

use crate::{Bucket, Wire};
use half::bf16;
use mpi::datatype::Equivalence;
use mpi::request::{LocalScope, Request};
use mpi::topology::{Process, SimpleCommunicator};
use mpi::traits::{Communicator as _, Destination, Source};
use std::collections::VecDeque;
use std::ops::Range;

/// Numbers that are added up at a time: as many as registers hold.
const AT_ONCE: usize = 32;

/// The memory that a bucket takes beside its numbers. The next sum uses it again.
#[derive(Default)]
pub(super) struct Room {
    whole: Buffers<f32>,
    rounded: Buffers<u16>,
}

#[derive(Default)]
struct Buffers<N> {
    sent: Vec<N>,
    /// This rank's part, as each other rank has it.
    arrived: Vec<N>,
    sums: Vec<N>,
}

/// The ranks of the job, seen from one.
#[derive(Clone, Copy)]
pub(super) struct Peers<'a> {
    world: &'a SimpleCommunicator,
    rank: usize,
    ranks: usize,
}

impl<'a> Peers<'a> {
    pub(super) fn new(world: &'a SimpleCommunicator, rank: usize) -> Self {
        Peers { world, rank, ranks: world.size() as usize }
    }

    fn process(self, rank: usize) -> Process<'a> {
        self.world.process_at_rank(rank as i32)
    }

    /// The others, each rank's next first, so that not all send to rank 0 at once.
    fn others(self) -> impl Iterator<Item = usize> {
        (1..self.ranks).map(move |step| (self.rank + step) % self.ranks)
    }

    fn parts(self, length: usize) -> impl Iterator<Item = Range<usize>> {
        (0..self.ranks).map(move |rank| part(length, rank, self.ranks))
    }
}

impl Room {
    /// A bucket on its way, the `i`-th. It must be followed to its end before the scope is left.
    pub(super) fn flow<'a: 's, 's>(
        &'a mut self,
        bucket: &Bucket,
        i: usize,
        peers: Peers<'s>,
        scope: &'s LocalScope<'a>,
    ) -> Box<dyn Flow + 's> {
        match bucket.wire {
            Wire::F32 => Box::new(Path::new(&mut self.whole, bucket.length, i, peers, scope)),
            Wire::Bf16 => Box::new(Path::new(&mut self.rounded, bucket.length, i, peers, scope)),
        }
    }

    /// Hands the sums over.
    pub(super) fn leave(&mut self, bucket: &mut Bucket) {
        match bucket.wire {
            Wire::F32 => {
                bucket.sums = std::mem::take(&mut self.whole.sums);
                std::mem::swap(&mut self.whole.sums, &mut self.whole.sent);
            }
            Wire::Bf16 => {
                bucket.sums.clear();
                bucket.sums.extend(self.rounded.sums.iter().map(|sum| sum.number()));
            }
        }
    }
}

/// A bucket on its way.
pub(super) trait Flow {
    /// Sends this rank's numbers.
    fn send(&mut self, numbers: Vec<f32>);

    /// Goes as far as it can without waiting; true once all is done. The factors of the ranks are asked for
    /// once there is something to add up, and may not be known yet.
    fn go_on(&mut self, factors: &dyn Fn() -> Option<Vec<f32>>) -> bool;
}

type Pending<'a, 's, N> = VecDeque<Request<'a, [N], &'s LocalScope<'a>>>;

struct Path<'a, 's, N> {
    length: usize,
    tag: i32,
    peers: Peers<'s>,
    scope: &'s LocalScope<'a>,
    /// The memory that the numbers will be sent from.
    place: Option<&'a mut Vec<N>>,
    sent: &'a [N],
    /// The messages from the other ranks, in their order.
    arriving: Pending<'a, 's, N>,
    arrived: Vec<&'a [N]>,
    /// The memory of this rank's sum.
    own: Option<&'a mut [N]>,
    /// The others' sums, and what this rank sends.
    rest: Pending<'a, 's, N>,
}

impl<'a, 's, N: Number> Path<'a, 's, N> {
    fn new(
        buffers: &'a mut Buffers<N>,
        length: usize,
        i: usize,
        peers: Peers<'s>,
        scope: &'s LocalScope<'a>,
    ) -> Self {
        let own = part(length, peers.rank, peers.ranks).len();
        buffers.arrived.resize(own * (peers.ranks - 1), N::default());
        buffers.sums.resize(length, N::default());
        let mut path = Path {
            length,
            tag: 2 * i as i32 + 2,
            peers,
            scope,
            place: Some(&mut buffers.sent),
            sent: &[],
            arriving: VecDeque::new(),
            arrived: Vec::new(),
            own: None,
            rest: VecDeque::new(),
        };
        // A message that finds a waiting receiver is copied once.
        let (mut arrived, mut sums) = (&mut buffers.arrived[..], &mut buffers.sums[..]);
        for (rank, part) in peers.parts(length).enumerate() {
            let sum = sums.split_off_mut(..part.len()).expect("parts cover the bucket");
            if rank == peers.rank {
                path.own = Some(sum);
                continue;
            }
            let from = peers.process(rank);
            if !sum.is_empty() {
                path.rest.push_back(from.immediate_receive_into_with_tag(scope, sum, path.tag + 1));
            }
            let arriving = arrived.split_off_mut(..own).expect("room for a part of each other rank");
            if own > 0 {
                path.arriving.push_back(from.immediate_receive_into_with_tag(scope, arriving, path.tag));
            }
        }
        path
    }

    fn send_to(&mut self, rank: usize, numbers: &'a [N], tag: i32) {
        if !numbers.is_empty() {
            let to = self.peers.process(rank);
            self.rest.push_back(to.immediate_send_with_tag(self.scope, numbers, tag));
        }
    }
}

impl<N: Number> Flow for Path<'_, '_, N> {
    fn send(&mut self, numbers: Vec<f32>) {
        let place = self.place.take().expect("a bucket is sent once");
        N::put(numbers, place);
        self.sent = place;
        for other in self.peers.others() {
            let part = part(self.length, other, self.peers.ranks);
            self.send_to(other, &self.sent[part], self.tag);
        }
    }

    fn go_on(&mut self, factors: &dyn Fn() -> Option<Vec<f32>>) -> bool {
        if self.place.is_some() {
            return false;
        }
        while let Some(numbers) = first(&mut self.arriving) {
            self.arrived.push(numbers);
        }
        let Peers { rank, ranks, .. } = self.peers;
        if self.arriving.is_empty()
            && self.own.is_some()
            && let Some(factors) = factors()
            && let Some(own) = self.own.take()
        {
            let mine = &self.sent[part(self.length, rank, ranks)];
            add_up(own, mine, &self.arrived, rank, &factors);
            let own: &[N] = own;
            self.peers.others().for_each(|other| self.send_to(other, own, self.tag + 1));
        }
        while first(&mut self.rest).is_some() {}
        self.own.is_none() && self.rest.is_empty()
    }
}

/// Takes the first request, if it is done. Those behind it wait for it, so that asking takes no time for
/// each.
fn first<'a, N>(pending: &mut Pending<'a, '_, N>) -> Option<&'a [N]> {
    match pending.pop_front()?.test_with_data() {
        Ok((_, numbers)) => Some(numbers),
        Err(request) => {
            pending.push_front(request);
            None
        }
    }
}

/// The numbers of a bucket of `length` that a rank adds up.
fn part(length: usize, rank: usize, ranks: usize) -> Range<usize> {
    length * rank / ranks..length * (rank + 1) / ranks
}

/// A number in the form in which it crosses the network.
trait Number: Equivalence + Copy + Default {
    fn of(number: f32) -> Self;
    fn number(self) -> f32;

    /// Puts numbers into the memory that they are sent from.
    fn put(numbers: Vec<f32>, place: &mut Vec<Self>);
}

impl Number for f32 {
    fn of(number: f32) -> Self {
        number
    }

    fn number(self) -> f32 {
        self
    }

    fn put(numbers: Vec<f32>, place: &mut Vec<f32>) {
        *place = numbers;
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

    fn put(numbers: Vec<f32>, place: &mut Vec<u16>) {
        place.clear();
        place.extend(numbers.into_iter().map(u16::of));
    }
}

/// The sum over the ranks of each one's numbers times its factor: `own` of this rank, `others` in their
/// sequence.
fn add_up<N: Number>(sums: &mut [N], own: &[N], others: &[&[N]], rank: usize, factors: &[f32]) {
    if sums.is_empty() {
        return; // and nothing came
    }
    let of = |other: usize| if other == rank { own } else { others[other - usize::from(other > rank)] };
    let all: Vec<(&[N], f32)> =
        factors.iter().enumerate().map(|(other, &factor)| (of(other), factor)).collect();
    let (chunks, rest) = sums.as_chunks_mut::<AT_ONCE>();
    let whole = chunks.len() * AT_ONCE;
    for (at, sums) in chunks.iter_mut().enumerate() {
        let mut total = [0.0; AT_ONCE];
        for (numbers, factor) in &all {
            let (numbers, _) = numbers[at * AT_ONCE..].as_chunks::<AT_ONCE>();
            total.iter_mut().zip(&numbers[0]).for_each(|(total, number)| *total += factor * number.number());
        }
        sums.iter_mut().zip(total).for_each(|(sum, total)| *sum = N::of(total));
    }
    for (at, sum) in rest.iter_mut().enumerate() {
        *sum = N::of(
            all.iter().fold(0.0, |total, (numbers, factor)| total + factor * numbers[whole + at].number()),
        );
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
            let others: Vec<&[f32]> =
                (0..3).filter(|&other| other != rank).map(|other| &each[other][..]).collect();
            let mut sums = [0.0; 300];
            add_up(&mut sums, &each[rank], &others, rank, &factors);
            assert_eq!(sums, [1.0; 300], "rank {rank}");
        }
    }
}
