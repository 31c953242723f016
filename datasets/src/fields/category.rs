//! Columns of categories.

use super::{EncodeCells, Field, Kept, Refuse, Scaling, Slots, UnseenCells};
use crate::records::{Cells, canonical, shortened, sort_labels};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// A column of categories. Index 0 is kept for the unknown and the missing, so the first has index 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Category {
    /// Sorted; by value where all are numbers.
    pub categories: Vec<String>,
    /// Cells of the training rows that `max_categories` left to the unknown slot.
    pub rare: u64,
}

impl Category {
    /// The `most` frequent of the counted categories, ties in the order of their text.
    pub(super) fn most_frequent(counts: HashMap<String, u64>, most: usize) -> Self {
        let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let rare = counts.iter().skip(most).map(|(_, count)| count).sum();
        let mut categories: Vec<String> = counts.into_iter().take(most).map(|(text, _)| text).collect();
        sort_labels(&mut categories);
        Category { categories, rare }
    }
}

impl Field for Category {
    fn kept(&self) -> Kept {
        Kept { numbers: 0, indices: 1 }
    }

    fn number_names(&self, _: &str) -> Vec<String> {
        Vec::new()
    }

    fn categories(&self) -> &[String] {
        &self.categories
    }

    fn encoder(&self, _: Scaling) -> Box<dyn EncodeCells> {
        Box::new(CategoryEncoder { places: Places::new(&self.categories) })
    }
}

/// The encoder of categories.
#[derive(Debug)]
struct CategoryEncoder {
    places: Places,
}

impl EncodeCells for CategoryEncoder {
    /// Any cell is a category, if an unknown one.
    fn check(&self, _: &Cells, _: &[usize], _: Refuse<'_>) {}

    fn encode(&self, cells: &Cells, rows: &[usize], out: &mut Slots<'_>) {
        let index = |text: &str| self.places.of(text).map_or(0, |place| place + 1);
        cells.each(rows, index, |row, index| *out.index(row) = index.unwrap_or(0));
    }

    fn unseen(&self, cells: &Cells, rows: &[usize]) -> UnseenCells {
        let (mut missing, mut unknown, mut examples) = (0, 0, Vec::new());
        let known = |text: &str| {
            let known = self.places.of(text).is_some();
            if !known && examples.len() < UnseenCells::EXAMPLES {
                examples.push(shortened(text));
            }
            known
        };
        cells.each(rows, known, |_, known| {
            missing += u64::from(known.is_none());
            unknown += u64::from(known == Some(false));
        });
        UnseenCells { missing, unknown, examples }
    }
}

/// The places of labels or categories, which are found in any spelling that is of one of them alone.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// As the schema spells them.
    spelled: HashMap<String, i32>,
    /// In their canonical spelling; none where two labels share it.
    canonical: HashMap<String, Option<i32>>,
}

impl Places {
    pub(super) fn new(labels: &[String]) -> Self {
        let mut places = Places::default();
        for (label, place) in labels.iter().zip(0..) {
            places.spelled.insert(label.clone(), place);
            let alone = places.canonical.entry(canonical(label).into_owned());
            alone.and_modify(|place| *place = None).or_insert(Some(place));
        }
        places
    }

    /// The place of a label.
    pub(super) fn of(&self, text: &str) -> Option<i32> {
        let as_spelled = self.spelled.get(text).copied();
        as_spelled.or_else(|| *self.canonical.get(&*canonical(text))?)
    }
}

/// True where two labels are spellings of one value: they are told apart by their letters alone then.
pub(crate) fn share_spellings(labels: &[String]) -> bool {
    let mut seen = HashSet::with_capacity(labels.len());
    !labels.iter().all(|label| seen.insert(canonical(label)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_in_every_spelling_that_is_of_one_alone() {
        let labels = ["1", "1.0", "2.50", "true", "01"].map(String::from);
        let places = Places::new(&labels);
        let found = ["1", "1.0", "1.00", "2.5", "2.50", "True", "01", "x"].map(|text| places.of(text));
        assert_eq!(found, [Some(0), Some(1), None, Some(2), Some(2), Some(3), Some(4), None]);
        assert!(share_spellings(&labels) && !share_spellings(&labels[1..]));
    }
}
