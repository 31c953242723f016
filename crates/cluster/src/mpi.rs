//! The ranks of an MPI job, by the `mpi` crate.
//!
//! Every collective is a non-blocking one whose completion is tested for, so that a wait can be limited. MPI
//! is called from whichever thread trains, one call at a time.

mod sums;

use crate::{Bucket, Communicator, JobError, Sending, Sent};
use mpi::Threading;
use mpi::collective::SystemOperation;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::request::{Request, Scope, scope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives, Destination, MatchedReceiveVec, Root, Source};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use sums::{Flow, Peers, Room};

/// Bytes of one message, broadcast or gather: MPI counts in 32 bits.
const MOST: usize = 1 << 30;

/// The tag of a waiting rank's message to rank 0.
const WAITING: i32 = 1;

/// The time that a rank waits before it tells rank 0.
const LONG: Duration = Duration::from_secs(1);

/// The time after its patience has ended in which a rank leaves it to rank 0 to end the job.
const GRACE: Duration = Duration::from_secs(5);

/// A rank of an MPI job.
pub(crate) struct Mpi {
    rank: usize,
    hosts: Vec<String>,
    local: (usize, usize),
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Collectives begun.
    calls: u64,
    waited: Duration,
    /// The memory that each bucket takes beside its numbers.
    rooms: Vec<Room>,
    /// On rank 0: the number of the last collective that each rank is known to wait in.
    waiting: Vec<u64>,
}

/// Joins the job; the universe ends MPI when dropped.
pub(crate) fn join(patience: Duration) -> Result<(Universe, Mpi), JobError> {
    let (universe, threading) =
        mpi::initialize_with_threading(Threading::Serialized).expect("a process joins one job");
    if threading < Threading::Serialized {
        return Err(JobError::Threading(format!("{threading:?}")));
    }
    let world = universe.world();
    let nearby = world.split_shared(world.rank());
    let local = (nearby.rank() as usize, nearby.size() as usize);
    let (rank, size) = (world.rank() as usize, world.size() as usize);
    let state = Mutex::new(State { waiting: vec![0; size], ..State::default() });
    let host = mpi::environment::processor_name().unwrap_or_else(|_| "a host without a name".into());
    let mut hosts = vec!["a host not known yet".to_string(); size];
    hosts[rank].clone_from(&host);
    let mut communicator = Mpi { rank, hosts, local, patience, state };
    communicator.hosts = communicator
        .gather(host.as_bytes())
        .iter()
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    Ok((universe, communicator))
}

impl Mpi {
    fn world() -> SimpleCommunicator {
        SimpleCommunicator::world()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a collective.
    fn begin(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        state.calls += 1;
        state
    }

    /// Waits for a request, for a limited time.
    fn wait<'a, D: ?Sized, S: Scope<'a>>(&self, state: &mut State, what: &str, request: Request<'a, D, S>) {
        let mut request = Some(request);
        self.wait_until(state, what, || {
            request = request.take().and_then(|request| request.test().err());
            request.is_none()
        });
    }

    /// Tests a collective again and again until it is over, for a limited time.
    fn wait_until(&self, state: &mut State, what: &str, mut over: impl FnMut() -> bool) {
        let began = Instant::now();
        let call = state.calls;
        let first = Self::world();
        let first = first.process_at_rank(0);
        scope(|saying| {
            let mut word = None;
            let mut said = false;
            while !over() {
                let waited = began.elapsed();
                match waited {
                    // The processes of a machine may be more than its cores.
                    waited if waited < Duration::from_millis(200) => std::thread::yield_now(),
                    waited if waited < LONG => std::thread::sleep(Duration::from_micros(50)),
                    _ => {
                        if self.rank > 0 && !said {
                            // Rank 0 is told which collective this rank has come to. Rank 0 itself may be the
                            // missing rank, so that nobody waits for the message to arrive.
                            said = true;
                            word = Some(first.immediate_send_with_tag(saying, &call, WAITING));
                        }
                        word = word.and_then(|word| word.test().err());
                        self.hear_waiting(state);
                        if waited > self.patience {
                            self.give_up(state, what);
                        }
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            }
            // Everybody is there again, rank 0 too.
            word.map(Request::wait);
        });
        state.waited += began.elapsed();
    }

    fn hear_waiting(&self, state: &mut State) {
        if self.rank > 0 {
            return;
        }
        let world = Self::world();
        while let Some(matched) = world.any_process().immediate_matched_probe_with_tag(WAITING) {
            let (calls, status) = matched.matched_receive_vec::<u64>();
            let rank = status.source_rank() as usize;
            state.waiting[rank] = calls.into_iter().fold(state.waiting[rank], u64::max);
        }
    }

    /// Ends the job, and names the ranks that have not come. Rank 0 names them while it lives.
    fn give_up(&self, state: &mut State, what: &str) -> ! {
        let (rank, call, seconds) = (self.rank, state.calls, self.patience.as_secs());
        if rank == 0 {
            std::thread::sleep(LONG / 2);
            self.hear_waiting(state);
            // Others may wait for the same one in an earlier collective.
            let earliest = state.waiting[1..].iter().copied().filter(|&at| at < call).min();
            let missing: Vec<String> = (1..self.hosts.len())
                .filter(|&other| earliest == Some(state.waiting[other]))
                .map(|other| format!("rank {other} on {}", self.hosts[other]))
                .collect();
            let held_up = match missing.is_empty() {
                true => "though all ranks came: the network, or this rank, is held up".to_string(),
                false => format!("for {}", missing.join(", ")),
            };
            eprintln!(
                "error: rank 0 on {}: {what}: waited {seconds} s {held_up}; the job ends",
                self.hosts[0]
            );
        } else {
            std::thread::sleep(GRACE);
            eprintln!(
                "error: rank {rank} on {}: {what}: waited {seconds} s for rank 0 on {}, or for one that it \
                 waits for; the job ends",
                self.hosts[rank], self.hosts[0]
            );
        }
        self.abort()
    }
}

impl Communicator for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.hosts.len()
    }

    fn host(&self, rank: usize) -> &str {
        &self.hosts[rank]
    }

    fn on_this_host(&self) -> (usize, usize) {
        self.local
    }

    fn sum_buckets(
        &self,
        words: &[f64],
        buckets: &mut [Bucket],
        work: &mut dyn FnMut(&mut Sending<'_>),
    ) -> Vec<Vec<f64>> {
        let (world, ranks) = (Self::world(), self.hosts.len());
        // Not kept locked: the work may come to other collectives.
        let mut rooms = std::mem::take(&mut self.begin().rooms);
        rooms.resize_with(buckets.len().max(rooms.len()), Room::default);
        let mut all = vec![0.0; words.len() * ranks];
        let mut known: Option<Vec<Vec<f64>>> = None;
        scope(|scope| {
            let mut hearing = Some(world.immediate_all_gather_into(scope, words, &mut all[..]));
            let mut flows: Vec<Box<dyn Flow>> = buckets
                .iter()
                .zip(&mut rooms)
                .enumerate()
                .map(|(i, (bucket, room))| room.flow(bucket, i, Peers::new(&world, self.rank), scope))
                .collect();
            let mut go_on = |flows: &mut [Box<dyn Flow>]| {
                if let Some(request) = hearing.take() {
                    match request.test_with_data() {
                        Ok((_, all)) => known = Some(all.chunks(words.len()).map(<[f64]>::to_vec).collect()),
                        Err(pending) => hearing = Some(pending),
                    }
                }
                let mut over = known.is_some();
                for (bucket, flow) in buckets.iter().zip(flows) {
                    over &= flow.go_on(&|| known.as_deref().map(|words| bucket.factors(words)));
                }
                over
            };
            let mut sent = Sent::new(buckets);
            work(&mut |i, numbers| {
                sent.note(buckets, i, numbers.len());
                flows[i].send(numbers);
                go_on(&mut flows);
            });
            sent.check();
            let what = if flows.is_empty() { "what the ranks agree on" } else { "the sum of gradients" };
            let mut state = self.lock();
            self.wait_until(&mut state, what, || go_on(&mut flows));
        });
        buckets.iter_mut().zip(&mut rooms).for_each(|(bucket, room)| room.leave(bucket));
        self.lock().rooms = rooms;
        known.expect("waited for above")
    }

    fn sum(&self, numbers: &mut [f64]) {
        let world = Self::world();
        let mut state = self.begin();
        let sent = numbers.to_vec();
        scope(|scope| {
            let request = world.immediate_all_reduce_into(scope, &sent[..], numbers, SystemOperation::sum());
            self.wait(&mut state, "a sum", request);
        });
    }

    fn broadcast(&self, root: usize, mut bytes: Vec<u8>) -> Vec<u8> {
        let world = Self::world();
        let mut state = self.begin();
        let process = world.process_at_rank(root as i32);
        let mut length = [bytes.len() as u64];
        scope(|scope| {
            let request = process.immediate_broadcast_into(scope, &mut length[..]);
            self.wait(&mut state, "a broadcast", request);
        });
        bytes.resize(length[0] as usize, 0);
        for chunk in bytes.chunks_mut(MOST) {
            scope(|scope| {
                let request = process.immediate_broadcast_into(scope, chunk);
                self.wait(&mut state, "a broadcast", request);
            });
        }
        bytes
    }

    fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let ranks = self.hosts.len();
        let mut lengths = vec![0u64; ranks];
        {
            let world = Self::world();
            let mut state = self.begin();
            let length = [bytes.len() as u64];
            scope(|scope| {
                let request = world.immediate_all_gather_into(scope, &length[..], &mut lengths[..]);
                self.wait(&mut state, "a gathering", request);
            });
        }
        let total: u64 = lengths.iter().sum();
        if total == 0 {
            return vec![Vec::new(); ranks]; // which Open MPI takes for a mistake
        }
        if total > MOST as u64 {
            // One after the other, each in chunks.
            return (0..ranks)
                .map(|root| self.broadcast(root, if root == self.rank { bytes.to_vec() } else { Vec::new() }))
                .collect();
        }
        let world = Self::world();
        let mut state = self.begin();
        let counts: Vec<i32> = lengths.iter().map(|&length| length as i32).collect();
        let starts: Vec<i32> =
            counts.iter().scan(0, |next, count| Some(std::mem::replace(next, *next + count))).collect();
        let mut all = vec![0u8; total as usize];
        {
            let mut parts = PartitionMut::new(&mut all[..], &counts[..], &starts[..]);
            scope(|scope| {
                let request = world.immediate_all_gather_varcount_into(scope, bytes, &mut parts);
                self.wait(&mut state, "a gathering", request);
            });
        }
        let part = |(&start, &count): (&i32, &i32)| all[start as usize..(start + count) as usize].to_vec();
        starts.iter().zip(&counts).map(part).collect()
    }

    fn barrier(&self) {
        let mut state = self.begin();
        let request = Self::world().immediate_barrier();
        self.wait(&mut state, "a barrier", request);
    }

    fn waited(&self) -> Duration {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).waited
    }

    fn abort(&self) -> ! {
        Self::world().abort(1)
    }
}
