//! Work split over one pool of threads, rayon's, which Burn's CPU backend uses too.
//!
//! Work is cut into parts by sizes alone, each part writes its own numbers, and sums over parts are added in
//! the parts' order. So results are the same from run to run at the same number of threads, whichever thread
//! runs a part.

use std::cell::Cell;
use std::error::Error;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// The number of threads of the caller's pool.
pub fn count() -> usize {
    rayon::current_num_threads()
}

/// Sets the number of the pool's threads. 0 means `RAYON_NUM_THREADS`, or one thread a processor if that is
/// unset. Must be called before anything else uses the pool.
///
/// # Errors
/// When the pool already exists.
pub fn set_count(threads: usize) -> Result<(), rayon::ThreadPoolBuildError> {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()
}

/// Makes the pool where there is none yet; what asks for it first would make it, and panic where it cannot.
///
/// # Errors
/// When the system refuses a thread.
pub fn prepare() -> Result<(), rayon::ThreadPoolBuildError> {
    match set_count(0) {
        Err(error) if error.source().is_some() => Err(error),
        // It exists already.
        _ => Ok(()),
    }
}

/// Runs `work` on a thread of the pool and keeps the pool's other threads awake until it is done.
///
/// A thread outside the pool wakes it for each op and waits for it, and a pool's thread that sleeps starts
/// its part late: some ten to hundreds of microseconds, as long as many an op takes. Inside, the caller runs
/// parts itself and the other threads look for work all the while.
///
/// While several threads outside the pool call this at once, no thread is kept awake. Otherwise a thread in
/// the midst of a part of one work could look for parts of the other, and delay the first.
pub fn inside<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    if count() == 1 || IN_THE_MIDST.get() > 0 {
        return work();
    }
    rayon::scope(|scope| {
        let done = Arc::new(AtomicBool::new(false));
        let _done = SetWhenDropped(Arc::clone(&done));
        let (_live, before) = Live::begin();
        if before == 0 {
            scope.spawn_broadcast(move |_, _| {
                if IN_THE_MIDST.get() == 0 {
                    look_for_work(&done);
                }
            });
        }
        let _midst = Midst::new();
        work()
    })
}

/// The number of works inside now, in all pools.
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// One work inside; dropping it ends the count.
struct Live;

impl Live {
    /// Counts one work more. Also returns the number of works before it.
    fn begin() -> (Self, usize) {
        (Live, LIVE.fetch_add(1, Ordering::SeqCst))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

thread_local! {
    /// The number of works and parts that this thread has begun and not ended. While it waits for a part that
    /// another thread took, it may run other work.
    static IN_THE_MIDST: Cell<u32> = const { Cell::new(0) };
}

/// One begun work or part of this thread; dropping it ends the count.
struct Midst;

impl Midst {
    fn new() -> Self {
        IN_THE_MIDST.set(IN_THE_MIDST.get() + 1);
        Midst
    }
}

impl Drop for Midst {
    fn drop(&mut self) {
        IN_THE_MIDST.set(IN_THE_MIDST.get() - 1);
    }
}

/// Runs the pool's tasks until `done`, or until another work is inside too. Without a task it first spins,
/// then yields to the machine's other threads, and after some milliseconds, as while data are awaited, it
/// naps.
fn look_for_work(done: &AtomicBool) {
    let mut idle = 0u32;
    while !done.load(Ordering::Acquire) && LIVE.load(Ordering::Relaxed) <= 1 {
        if rayon::yield_now() == Some(rayon::Yield::Executed) {
            idle = 0;
            continue;
        }
        idle = idle.saturating_add(1);
        match idle {
            0..4_000 => std::hint::spin_loop(),
            4_000..20_000 => std::thread::yield_now(),
            _ => std::thread::sleep(Duration::from_micros(50)),
        }
    }
}

/// Sets the flag when dropped, so that the threads that look for work stop even if the work panics.
struct SetWhenDropped(Arc<AtomicBool>);

impl Drop for SetWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Calls `work` with each part of `0..parts`, on all threads.
pub(crate) fn parallel(parts: usize, work: impl Fn(usize) + Sync) {
    fn halves(parts: Range<usize>, work: &(impl Fn(usize) + Sync)) {
        let _midst = Midst::new();
        match parts.len() {
            0 => {}
            1 => work(parts.start),
            length => {
                let middle = parts.start + length.div_ceil(2);
                rayon::join(|| halves(parts.start..middle, work), || halves(middle..parts.end, work));
            }
        }
    }
    if parts <= 1 || count() == 1 {
        (0..parts).for_each(work);
    } else {
        halves(0..parts, &work);
    }
}

/// The number of parts for `length` pieces of work, if `least` pieces are worth a thread.
pub(crate) fn parts(length: usize, least: usize) -> usize {
    (length / least.max(1)).clamp(1, count())
}

/// Part `part` of `parts` nearly equal ranges of `0..length`. All bounds but the end are multiples of `step`.
pub(crate) fn range(length: usize, parts: usize, part: usize, step: usize) -> Range<usize> {
    let steps = length.div_ceil(step);
    let bound = |part: usize| (steps * part / parts * step).min(length);
    bound(part)..bound(part + 1)
}

/// Calls `work` on all threads with ranges that together are `0..length`, each of at least about `least`
/// numbers.
pub(crate) fn ranges(length: usize, least: usize, work: impl Fn(Range<usize>) + Sync) {
    let parts = parts(length, least);
    parallel(parts, |part| work(range(length, parts, part, 1)));
}

/// A slice of which threads write disjoint parts.
pub(crate) struct Shared<'a, T> {
    start: *mut T,
    length: usize,
    slice: PhantomData<&'a mut [T]>,
}

impl<T> Clone for Shared<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<'_, T> {}

// SAFETY: this is a borrowed slice, and the callers of `part` promise that parts in use do not overlap.
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Shared { start: slice.as_mut_ptr(), length: slice.len(), slice: PhantomData }
    }

    /// A part of the slice, for writing.
    ///
    /// # Safety
    /// No other part in use may overlap it.
    ///
    /// # Panics
    /// When the range is not inside the slice.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &'a mut [T] {
        assert!(range.start <= range.end && range.end <= self.length);
        // SAFETY: the range is inside the slice, and by the caller's promise nobody else's.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.end - range.start) }
    }

    /// The slice's first number.
    #[inline(always)]
    pub(crate) fn pointer(&self) -> *mut T {
        self.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_runs_once() {
        for parts in [0, 1, 2, 3, 17] {
            let counts: Vec<AtomicUsize> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
            parallel(parts, |part| {
                counts[part].fetch_add(1, Ordering::Relaxed);
            });
            assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
        }
    }

    #[test]
    fn work_inside_may_nest_share_out_and_panic() {
        let sum = inside(|| {
            let sum = AtomicUsize::new(0);
            parallel(9, |part| {
                sum.fetch_add(part, Ordering::Relaxed);
            });
            inside(|| {
                parallel(9, |part| {
                    sum.fetch_add(part, Ordering::Relaxed);
                })
            });
            sum.into_inner()
        });
        assert_eq!(sum, 72);
        let caught = std::panic::catch_unwind(|| inside(|| panic!("as a test asks for")));
        assert!(caught.is_err());
        assert_eq!(inside(|| 5), 5);
    }

    #[test]
    fn works_inside_at_the_same_time_do_not_wait_for_each_other() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
        let sum = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        pool.install(|| {
                            inside(|| {
                                for _ in 0..5 {
                                    parallel(8, |part| {
                                        sum.fetch_add(part, Ordering::Relaxed);
                                    });
                                }
                            })
                        });
                    }
                });
            }
        });
        assert_eq!(sum.into_inner(), 3 * 200 * 5 * 28);
    }

    #[test]
    fn ranges_cover_without_overlap() {
        for (length, count, step) in [(0, 3, 4), (1, 2, 1), (17, 4, 4), (100, 7, 8), (5, 9, 1)] {
            let mut end = 0;
            for part in 0..count {
                let range = range(length, count, part, step);
                assert_eq!(range.start, end);
                assert!(range.end == length || range.end.is_multiple_of(step));
                end = range.end;
            }
            assert_eq!(end, length);
        }
    }

    #[test]
    #[should_panic]
    fn a_part_outside_is_refused() {
        let mut numbers = [0; 4];
        let shared = Shared::new(&mut numbers);
        // SAFETY: no other part is in use.
        unsafe { shared.part(2..5) };
    }
}
