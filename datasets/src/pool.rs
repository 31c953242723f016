//! Threads that do many jobs, several at once, and the results in the order of the jobs.
//!
//! ```text
//! jobs --numbered--> queue --> workers --> results, whichever is done first --> put in order --> taken
//! ```
//!
//! [`in_order`] is the whole of it for work that a caller waits for: indexing, surveying, checking, packing,
//! measuring. [`Background`] serves those whose threads outlive a call.

use crossbeam_channel::{Receiver, Sender, unbounded};
use std::any::Any;
use std::collections::BTreeMap;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};

/// The processors of this machine, for work that computes.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Threads for work that waits for disks and servers: four at least, as a server answers several requests
/// faster than one.
pub(crate) fn requests() -> usize {
    processors().max(4)
}

/// Does `work` for each of `items` on `threads` threads and hands the results to `take`, on the caller's own,
/// in the order of `items`. At most two items a thread are under way or wait to be taken.
///
/// # Errors
/// The first of `work` or `take`, in the order of `items`; the results before it were taken, and no item is
/// begun any more once one has failed.
///
/// # Panics
/// With what `work` panicked with, in the place of its result.
pub(crate) fn in_order<I: Send, T: Send, E: Send>(
    threads: usize,
    items: impl IntoIterator<Item = I>,
    work: impl Fn(I) -> Result<T, E> + Sync,
    mut take: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let mut items = items.into_iter();
    let threads = threads.max(1).min(items.size_hint().1.unwrap_or(usize::MAX));
    // The first item that has failed: those before it are still worth doing.
    let failed = AtomicU64::new(u64::MAX);
    let work = |number, item| {
        let wanted = number < failed.load(Ordering::Relaxed);
        wanted.then(|| {
            work(item).inspect_err(|_| {
                failed.fetch_min(number, Ordering::Relaxed);
            })
        })
    };
    std::thread::scope(|scope| {
        let (mut jobs, worker) = jobs(2 * threads);
        let begun = (0..threads).filter(|_| {
            let (worker, work) = (worker.clone(), &work);
            Builder::new().spawn_scoped(scope, move || worker.run(work)).is_ok()
        });
        let begun = begun.count();
        loop {
            jobs.give(&mut items);
            if begun == 0 {
                // The system gives no thread: the caller's own does the work.
                worker.run_given(&work);
            }
            match jobs.next() {
                Some(result) => take(result.expect("an item is left out behind one that failed alone")?)?,
                None => return Ok(()),
            }
        }
    })
}

/// The end of the one who gives jobs out and takes their results. The workers stop with it.
pub(crate) struct Jobs<J, R> {
    queue: Sender<(u64, J)>,
    results: Receiver<(u64, Outcome<R>)>,
    /// Results that wait for an earlier one.
    early: BTreeMap<u64, Outcome<R>>,
    /// Jobs given out, and results taken, so far.
    given: u64,
    taken: u64,
    /// Jobs under way at the most.
    most: u64,
    stop: Arc<AtomicBool>,
}

/// The result of a job, or what it panicked with.
type Outcome<R> = Result<R, Box<dyn Any + Send>>;

/// The end of a thread that works.
pub(crate) struct Worker<J, R> {
    queue: Receiver<(u64, J)>,
    results: Sender<(u64, Outcome<R>)>,
    stop: Arc<AtomicBool>,
}

/// Both ends, for at most so many jobs under way or waiting to be taken.
fn jobs<J, R>(most: usize) -> (Jobs<J, R>, Worker<J, R>) {
    // Neither queue can grow past `most`: no more jobs than that are ever given out.
    let (queue, given) = unbounded();
    let (done, results) = unbounded();
    let stop = Arc::new(AtomicBool::new(false));
    let worker = Worker { queue: given, results: done, stop: stop.clone() };
    let jobs = Jobs { queue, results, early: BTreeMap::new(), given: 0, taken: 0, most: most as u64, stop };
    (jobs, worker)
}

impl<J, R> Jobs<J, R> {
    /// Gives out jobs, as many as may be under way.
    pub(crate) fn give(&mut self, jobs: &mut impl Iterator<Item = J>) {
        while self.given - self.taken < self.most
            && let Some(job) = jobs.next()
        {
            self.queue.send((self.given, job)).expect("workers live as long as the queue");
            self.given += 1;
        }
    }

    /// Waits for the result of the next job in order; `None` when none is under way.
    ///
    /// # Panics
    /// With what the job panicked with.
    pub(crate) fn next(&mut self) -> Option<R> {
        if self.taken == self.given {
            return None;
        }
        let outcome = loop {
            if let Some(outcome) = self.early.remove(&self.taken) {
                break outcome;
            }
            let (number, outcome) =
                self.results.recv().expect("a worker answers every job, panicking or not");
            self.early.insert(number, outcome);
        };
        self.taken += 1;
        Some(outcome.unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

impl<J, R> Drop for Jobs<J, R> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl<J, R> Worker<J, R> {
    /// Does jobs until no more can come; `work` gets the number of each, from 0 on.
    pub(crate) fn run(&self, work: impl Fn(u64, J) -> R) {
        for (number, job) in &self.queue {
            if self.stopped() {
                break;
            }
            let outcome = catch_unwind(AssertUnwindSafe(|| work(number, job)));
            if self.results.send((number, outcome)).is_err() {
                break;
            }
        }
    }

    /// Does the jobs that are given out already.
    fn run_given(&self, work: impl Fn(u64, J) -> R) {
        while let Ok((number, job)) = self.queue.try_recv() {
            let outcome = catch_unwind(AssertUnwindSafe(|| work(number, job)));
            let _ = self.results.send((number, outcome));
        }
    }

    /// True once nobody waits for results any more.
    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl<J, R> Clone for Worker<J, R> {
    fn clone(&self) -> Self {
        Worker { queue: self.queue.clone(), results: self.results.clone(), stop: self.stop.clone() }
    }
}

/// Jobs for threads whose owner takes the results when it pleases. Dropped, it waits for each thread to end
/// the job that it is doing.
pub(crate) struct Background<J, R> {
    // Dropped before the threads are waited for.
    pub(crate) jobs: Jobs<J, R>,
    _threads: Threads,
}

impl<J: Send + 'static, R: Send + 'static> Background<J, R> {
    /// Starts so many threads, for at most so many jobs under way or waiting to be taken; fewer where the system
    /// gives no more, and none at all where it gives not one.
    pub(crate) fn start(
        threads: usize,
        most: usize,
        work: impl Fn(J, &Worker<J, R>) -> R + Send + Sync + 'static,
    ) -> Option<Self> {
        let (jobs, worker) = jobs(most);
        let work = Arc::new(work);
        let run = || {
            let (worker, work) = (worker.clone(), work.clone());
            move || worker.run(|_, job| work(job, &worker))
        };
        let threads: Vec<_> = (0..threads).filter_map(|_| Builder::new().spawn(run()).ok()).collect();
        (!threads.is_empty()).then_some(Background { jobs, _threads: Threads(threads) })
    }
}

/// Threads that are waited for when they are dropped.
struct Threads(Vec<JoinHandle<()>>);

impl Drop for Threads {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            // Panics were caught and handed over as results.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    #[test]
    fn results_come_in_order_and_few_are_ahead() {
        let (begun, mut taken) = (AtomicUsize::new(0), Vec::new());
        let work = |item: usize| {
            begun.fetch_add(1, Ordering::SeqCst);
            // The first of every three is the slowest.
            std::thread::sleep(Duration::from_micros(300 * u64::from(item.is_multiple_of(3))));
            Ok::<_, ()>(item * item)
        };
        in_order(3, 0..200, work, |result| {
            assert!(begun.load(Ordering::SeqCst) <= taken.len() + 6);
            taken.push(result);
            Ok(())
        })
        .unwrap();
        assert_eq!(taken, (0..200).map(|item| item * item).collect::<Vec<_>>());
        in_order(3, 0..0, work, |_| Err(())).unwrap();
    }

    #[test]
    fn the_first_error_in_order_ends_it_and_what_came_before_is_taken() {
        for _ in 0..50 {
            let (begun, mut taken) = (AtomicUsize::new(0), Vec::new());
            let work = |item: usize| {
                begun.fetch_add(1, Ordering::SeqCst);
                // The later error is there first.
                std::thread::sleep(Duration::from_micros(if item == 6 { 0 } else { 100 }));
                if item == 5 || item == 6 { Err(item) } else { Ok(item) }
            };
            let result = in_order(4, 0.., work, |item| {
                taken.push(item);
                Ok(())
            });
            assert_eq!((result, taken), (Err(5), vec![0, 1, 2, 3, 4]));
            assert!(begun.into_inner() <= 6 + 4);
        }
        let refused = in_order(2, 0.., Ok, |item: usize| if item == 3 { Err("full") } else { Ok(()) });
        assert_eq!(refused, Err("full"));
    }

    #[test]
    fn a_panic_is_passed_on_in_its_place() {
        let mut taken = 0;
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let work = |item: usize| if item == 7 { panic!("on purpose") } else { Ok::<_, ()>(()) };
            in_order(2, 0..100, work, |()| {
                taken += 1;
                Ok(())
            })
        }));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"on purpose"));
        assert_eq!(taken, 7);
    }
}
