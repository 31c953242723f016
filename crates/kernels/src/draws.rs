//! What the random ops of a forward pass draw from, so that what is random in a row of a batch does not depend on who
//! computes it.

use crate::splitmix::{GOLDEN, scrambled};
use std::cell::Cell;

/// A seed, and which rows of a batch a process has: every `step`-th, from one on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draws {
    /// The same for all who have rows of the batch.
    pub seed: u64,
    /// The first row's place in the batch.
    pub first: u64,
    /// How far the next is from it, 1 at least.
    pub step: u64,
}

thread_local! {
    static CURRENT: Cell<Option<Draws>> = const { Cell::new(None) };
}

impl Draws {
    /// Runs `work`, in which [`dropout`](crate::dropout) and that of [`attention`](crate::attention), called from this thread
    /// and on the kernels of this crate, draw a seed each, one after the other, and take the rows of their inputs for these.
    /// Elsewhere they draw from the device's generator, and take them for the whole batch.
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

    /// Those of the work under way.
    pub(crate) fn current() -> Option<Draws> {
        CURRENT.get()
    }

    /// Begins the seeds anew, for a part of the work that may run again.
    pub(crate) fn begin(number: u64) {
        CURRENT.set(
            CURRENT.get().map(|draws| Draws { seed: scrambled(draws.seed.wrapping_add(number)), ..draws }),
        );
    }

    /// A seed of its own for an op.
    pub(crate) fn next_seed() -> Option<u64> {
        let draws = CURRENT.get()?;
        CURRENT.set(Some(Draws { seed: draws.seed.wrapping_add(GOLDEN), ..draws }));
        Some(scrambled(draws.seed))
    }
}

/// Which rows of a batch these are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    first: u64,
    step: u64,
}

impl Places {
    /// Those of the work under way.
    pub(crate) fn current() -> Self {
        Draws::current()
            .map_or(Places { first: 0, step: 1 }, |Draws { first, step, .. }| Places { first, step })
    }

    /// The place in the batch of a row that the process has.
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
        assert_eq!(draws.within(|| Places::current().of(4)), 14);
        assert_eq!(Places::current().of(4), 4);
        assert_eq!(Draws::current(), None);
    }
}
