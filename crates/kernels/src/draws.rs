//! The seeds of a forward pass's random ops. They make the random numbers of a batch's row independent of the
//! process that computes the row.

use crate::splitmix::{GOLDEN, scrambled};
use std::cell::Cell;

/// A seed for random ops, and a process's rows of a batch: row `first` and every `step`-th row after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws {
    /// The seed, the same for all processes with rows of the batch.
    pub seed: u64,
    /// The place in the batch of the process's first row.
    pub first: u64,
    /// The distance in the batch from one row of the process to its next, at least 1.
    pub step: u64,
}

thread_local! {
    static CURRENT: Cell<Option<Draws>> = const { Cell::new(None) };
}

impl Draws {
    /// Runs `work` with these draws. In it, each call of [`dropout`](crate::dropout) and of
    /// [`attention`](crate::attention) with dropout takes a seed of its own from this one, and takes the rows
    /// of its input for the rows described here. This holds for calls from this thread that run on this
    /// crate's kernels.
    ///
    /// Outside of it the ops draw from the device's generator and take their input for the whole batch.
    pub fn within<R>(self, work: impl FnOnce() -> R) -> R {
        struct Before(Option<Draws>);
        impl Drop for Before {
            fn drop(&mut self) {
                CURRENT.set(self.0);
            }
        }
        let _before = Before(CURRENT.replace(Some(self)));
        work()
    }

    /// The draws of the [`Draws::within`] under way.
    pub(crate) fn current() -> Option<Draws> {
        CURRENT.get()
    }

    /// Restarts the seeds for part `number` of the work, which may run again.
    pub(crate) fn begin(number: u64) {
        CURRENT.set(
            CURRENT.get().map(|draws| Draws { seed: scrambled(draws.seed.wrapping_add(number)), ..draws }),
        );
    }

    /// The next op's seed.
    pub(crate) fn next_seed() -> Option<u64> {
        let draws = CURRENT.get()?;
        CURRENT.set(Some(Draws { seed: draws.seed.wrapping_add(GOLDEN), ..draws }));
        Some(scrambled(draws.seed))
    }
}

/// The places in the batch of a process's rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchRows {
    first: u64,
    step: u64,
}

impl BatchRows {
    /// The places of the [`Draws::within`] under way.
    pub(crate) fn current() -> Self {
        Draws::current()
            .map_or(BatchRows { first: 0, step: 1 }, |Draws { first, step, .. }| BatchRows { first, step })
    }

    /// The place in the batch of the process's row `row`.
    #[inline(always)]
    pub(crate) fn of(self, row: usize) -> u64 {
        self.first.wrapping_add(self.step.wrapping_mul(row as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_op_has_a_seed_of_its_own_and_a_part_that_runs_again_the_same() {
        assert_eq!(Draws::next_seed(), None);
        let draws = Draws { seed: 5, first: 2, step: 3 };
        let seeds = || draws.within(|| [(); 4].map(|()| Draws::next_seed().unwrap()));
        let mut all = seeds().to_vec();
        assert_eq!(all, seeds());
        let part = |number| {
            draws.within(|| {
                Draws::begin(number);
                [Draws::next_seed().unwrap(), Draws::next_seed().unwrap()]
            })
        };
        assert_eq!(part(1), part(1));
        all.extend((1..50).flat_map(part));
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(draws.within(|| BatchRows::current().of(4)), 14);
        assert_eq!(BatchRows::current().of(4), 4);
        assert_eq!(Draws::current(), None);
    }
}
