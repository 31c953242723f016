//! The labels of a table and their training rows, counted block by block.

use crate::bounds;
use crate::records::Cells;
use std::collections::BTreeMap;

/// The labels of a table, each with its training rows.
#[derive(Debug)]
pub(crate) struct Labels(Option<BTreeMap<String, u64>>);

impl Default for Labels {
    fn default() -> Self {
        Labels(Some(BTreeMap::new()))
    }
}

impl From<Option<BTreeMap<String, u64>>> for Labels {
    fn from(counts: Option<BTreeMap<String, u64>>) -> Self {
        Labels(counts)
    }
}

impl Labels {
    /// Every label of some cells as `spell` has it, and how many of `training`, which ascend, have it.
    pub(crate) fn of(cells: &Cells, training: &[usize], spell: impl Fn(&str) -> String) -> Self {
        let (mut texts, mut counts): (Vec<String>, Vec<u64>) = Default::default();
        let all: Vec<usize> = (0..cells.len()).collect();
        let mut training = training.iter().copied().peekable();
        let place = |text: &str| {
            texts.push(spell(text));
            texts.len() - 1
        };
        cells.each(&all, place, |row, place| {
            let trains = training.next_if_eq(&row).is_some();
            let Some(place) = place else { return };
            if place >= counts.len() {
                counts.resize(place + 1, 0);
            }
            counts[place] += u64::from(trains);
        });
        let mut labels = Labels::default();
        texts.into_iter().zip(counts).for_each(|(label, count)| labels.add(label, count));
        labels
    }

    fn add(&mut self, label: String, count: u64) {
        if let Some(known) = &mut self.0 {
            *known.entry(label).or_default() += count;
            if known.len() > bounds::MOST_CLASSES {
                self.0 = None;
            }
        }
    }

    /// Adds the labels of other rows.
    pub(crate) fn merge(&mut self, other: Labels) {
        match other.0 {
            Some(labels) => labels.into_iter().for_each(|(label, count)| self.add(label, count)),
            None => self.0 = None,
        }
    }

    /// The number of labels; `None` where there are too many for classes.
    pub(super) fn number(&self) -> Option<usize> {
        self.0.as_ref().map(BTreeMap::len)
    }

    /// Every label with its training rows; none where there are too many for classes.
    pub(super) fn counts(self) -> Option<BTreeMap<String, u64>> {
        self.0
    }
}
