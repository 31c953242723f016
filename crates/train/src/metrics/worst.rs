//! The samples that a classifier finds hardest, out of any number of them in bounded memory.

use super::classes::Answer;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// A sample of high loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Worst {
    /// Its number in its set, from 0 on.
    pub sample: u64,
    /// The negative log-probability of its class, nats.
    pub loss: f64,
    /// The index of its class.
    pub class: usize,
    /// The index of the class that the model says.
    pub predicted: usize,
    /// The probability that the model gives that class.
    pub probability: f64,
}

/// The `most` samples of the highest loss; of equal ones, those that come first in their set.
#[derive(Serialize, Deserialize)]
pub(crate) struct WorstSamples {
    most: usize,
    /// The least of them on top, which is the one to give way.
    heap: BinaryHeap<Ranked>,
}

impl WorstSamples {
    pub(crate) fn new(most: usize) -> Self {
        WorstSamples { most, heap: BinaryHeap::new() }
    }

    pub(crate) fn add(&mut self, sample: u64, class: usize, Answer { loss, predicted, probability }: Answer) {
        if self.most == 0 {
            return;
        }
        self.take(Worst { sample, loss, class, predicted, probability });
    }

    /// Takes in those that another kept.
    pub(crate) fn merge(&mut self, other: WorstSamples) {
        other.heap.into_iter().for_each(|Ranked(worst)| self.take(worst));
    }

    fn take(&mut self, worst: Worst) {
        let ranked = Ranked(worst);
        if self.heap.len() < self.most {
            self.heap.push(ranked);
        } else if let Some(mut least) = self.heap.peek_mut()
            && ranked < *least
        {
            *least = ranked;
        }
    }

    /// The highest loss first.
    pub(crate) fn sorted(self) -> Vec<Worst> {
        self.heap.into_sorted_vec().into_iter().map(|Ranked(worst)| worst).collect()
    }
}

/// A sample in the order of falling loss; a loss that is not a number stands before all.
#[derive(Serialize, Deserialize)]
struct Ranked(Worst);

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.loss.total_cmp(&self.0.loss).then(self.0.sample.cmp(&other.0.sample))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kept(losses: &[f64], most: usize) -> Vec<(u64, f64)> {
        let mut worst = WorstSamples::new(most);
        for (sample, &loss) in (0..).zip(losses) {
            worst.add(sample, 1, Answer { loss, predicted: 0, probability: 0.5 });
        }
        worst.sorted().iter().map(|worst| (worst.sample, worst.loss)).collect()
    }

    #[test]
    fn none_are_kept_where_none_are_wanted_and_a_loss_that_is_no_number_is_the_worst() {
        assert_eq!(kept(&[1.0, 2.0], 0), []);
        let found = kept(&[1.0, f64::NAN, f64::INFINITY], 2);
        assert_eq!((found[0].0, found[1].0), (1, 2));
    }

    proptest! {
        #[test]
        fn what_is_kept_is_the_beginning_of_all_sorted(
            losses in prop::collection::vec((0u8..20).prop_map(f64::from), 0..80), most in 1usize..12,
        ) {
            let mut all: Vec<(u64, f64)> = (0..).zip(losses.iter().copied()).collect();
            all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            all.truncate(most);
            prop_assert_eq!(kept(&losses, most), all);
        }
    }
}
