//! Samples of consecutive positions, decoded ahead by worker threads and handed out in order.
//!
//! ```text
//! positions --chunks--> jobs queue --> workers --> results queue --> put in order --> samples
//! ```

use super::{PipelineConfig, Plan, Windows};
use crate::{DataError, Dataset};
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::iter::StepBy;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Samples that one job reads at most: enough to make the queues' cost small beside reading a row
/// of a table, few enough that a batch of pictures is shared among the workers.
const CHUNK: usize = 32;

/// Samples of a batch that count for how far to read ahead; bounds the memory of huge batches.
const AHEAD: usize = 1024;

/// How far to read ahead.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    /// Samples of one job.
    chunk: usize,
    /// Jobs under way.
    jobs: usize,
}

impl Ahead {
    /// About two batches and a job a worker, or what fits into `prefetch_bytes` where samples are
    /// known to be of `sample_bytes`; at least one sample a worker.
    pub(super) fn new(config: &PipelineConfig, sample_bytes: u64, batch_size: usize) -> Self {
        let workers = config.workers.max(1);
        let fit = config.prefetch_bytes.checked_div(sample_bytes).unwrap_or(u64::MAX);
        let fit = usize::try_from(fit).unwrap_or(usize::MAX).max(workers);
        let chunk = batch_size.div_ceil(workers).min(CHUNK).min(fit / workers);
        let jobs = (2 * batch_size.min(AHEAD)).div_ceil(chunk) + workers;
        Ahead { chunk, jobs: jobs.min(fit / chunk) }
    }
}

type Positions = StepBy<Range<u64>>;
type Sample<D> = Result<<D as Dataset>::Sample, DataError>;
/// What became of one job: its samples in order, or what a panicking worker said.
type Outcome<D> = Result<Vec<Sample<D>>, Box<dyn Any + Send>>;

/// Samples in the order of their positions.
pub(super) struct Samples<D: Dataset> {
    dataset: Arc<D>,
    plan: Plan,
    /// The share's that are not yet given out.
    positions: Positions,
    /// Decoded samples whose turn it is.
    ready: VecDeque<Sample<D>>,
    workers: Option<Workers<D>>,
}

impl<D: Dataset> Samples<D> {
    /// Reads the share's positions of `plan` with that many threads, or on the caller's own with none.
    pub(super) fn new(dataset: Arc<D>, plan: Plan, windows: &Windows, workers: usize, ahead: Ahead) -> Self {
        let positions = windows.of_share();
        let left = positions.size_hint().0.div_ceil(ahead.chunk);
        let threads = workers.min(left);
        let workers = (threads > 0).then(|| Workers::start(&dataset, &plan, threads, ahead));
        Samples { dataset, plan, positions, ready: VecDeque::new(), workers }
    }
}

impl<D: Dataset> Iterator for Samples<D> {
    type Item = Sample<D>;

    fn next(&mut self) -> Option<Sample<D>> {
        let Some(workers) = &mut self.workers else {
            return self.positions.next().map(|position| self.plan.read(&*self.dataset, position));
        };
        if self.ready.is_empty() {
            workers.give_out(&mut self.positions);
            self.ready.extend(workers.take_next()?);
        }
        self.ready.pop_front()
    }
}

/// The threads, and the jobs between them and the caller.
struct Workers<D: Dataset> {
    jobs: Option<Sender<(u64, Vec<u64>)>>,
    outcomes: Receiver<(u64, Outcome<D>)>,
    /// Finished jobs that wait for an earlier one.
    early: BTreeMap<u64, Outcome<D>>,
    /// Jobs given out, and jobs taken back, so far.
    given: u64,
    taken: u64,
    ahead: Ahead,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl<D: Dataset> Workers<D> {
    fn start(dataset: &Arc<D>, plan: &Plan, threads: usize, ahead: Ahead) -> Self {
        let (jobs, queue) = unbounded::<(u64, Vec<u64>)>();
        // Neither queue can grow past `ahead.jobs`: no more jobs than that are ever under way.
        let (results, outcomes) = unbounded();
        let stop = Arc::new(AtomicBool::new(false));
        let work = || {
            let (dataset, plan, queue, results, stop) =
                (dataset.clone(), plan.clone(), queue.clone(), results.clone(), stop.clone());
            move || {
                for (number, positions) in queue {
                    let outcome = catch_unwind(AssertUnwindSafe(|| {
                        positions
                            .into_iter()
                            .take_while(|_| !stop.load(Ordering::Relaxed))
                            .map(|position| plan.read(&*dataset, position))
                            .collect()
                    }));
                    if stop.load(Ordering::Relaxed) || results.send((number, outcome)).is_err() {
                        break;
                    }
                }
            }
        };
        let threads = (0..threads).map(|_| std::thread::spawn(work())).collect();
        let early = BTreeMap::new();
        Workers { jobs: Some(jobs), outcomes, early, given: 0, taken: 0, ahead, stop, threads }
    }

    /// Fills the jobs queue from `positions`, up to the bound.
    fn give_out(&mut self, positions: &mut Positions) {
        while self.given - self.taken < self.ahead.jobs as u64 {
            let job: Vec<u64> = positions.take(self.ahead.chunk).collect();
            if job.is_empty() {
                break;
            }
            self.jobs
                .as_ref()
                .expect("the queue is open until the workers are dropped")
                .send((self.given, job))
                .expect("workers live as long as the queue");
            self.given += 1;
        }
    }

    /// Waits for the samples of the next job in order; `None` when none is under way.
    fn take_next(&mut self) -> Option<Vec<Sample<D>>> {
        if self.taken == self.given {
            return None;
        }
        let outcome = loop {
            if let Some(outcome) = self.early.remove(&self.taken) {
                break outcome;
            }
            let (number, outcome) =
                self.outcomes.recv().expect("a worker answers every job, panicking or not");
            self.early.insert(number, outcome);
        };
        self.taken += 1;
        Some(outcome.unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

impl<D: Dataset> Drop for Workers<D> {
    /// Ends the threads after the sample that each is reading.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // Panics were caught and handed over as outcomes.
            let _ = thread.join();
        }
    }
}
