//! The confusion matrix, of which the cells that are not 0 are kept: ten thousand classes have a hundred
//! million cells, and a test set has far fewer samples.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counts of samples by their true class and the one that was predicted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    classes: usize,
    counts: BTreeMap<(u32, u32), u64>,
}

impl Confusion {
    /// That of no sample.
    pub fn new(classes: usize) -> Self {
        Confusion { classes, counts: BTreeMap::new() }
    }

    /// That of a matrix, row the true class, column the predicted one.
    pub fn of_rows(rows: &[Vec<u64>]) -> Self {
        let mut confusion = Confusion::new(rows.len());
        for (class, row) in rows.iter().enumerate() {
            for (predicted, &count) in row.iter().enumerate().filter(|(_, count)| **count > 0) {
                confusion.counts.insert((class as u32, predicted as u32), count);
            }
        }
        confusion
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The pairs of a true and a predicted class that occur, in their order, and how often each does.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize, u64)> {
        self.counts.iter().map(|(&(class, predicted), &count)| (class as usize, predicted as usize, count))
    }

    /// The whole matrix, row the true class, column the predicted one: for few classes.
    pub fn rows(&self) -> Vec<Vec<u64>> {
        let mut rows = vec![vec![0; self.classes]; self.classes];
        self.pairs().for_each(|(class, predicted, count)| rows[class][predicted] = count);
        rows
    }

    /// Counts a sample in.
    pub(crate) fn add(&mut self, class: usize, predicted: usize) {
        *self.counts.entry((class as u32, predicted as u32)).or_default() += 1;
    }

    /// Counts the samples of another in, which has as many classes.
    pub(crate) fn merge(&mut self, other: &Confusion) {
        for (&pair, count) in &other.counts {
            *self.counts.entry(pair).or_default() += count;
        }
    }
}
