//! Columns of categories.

use super::{EncodeCells, Field, Kept, Refuse, Scaling, Slots};
use crate::records::{Cells, canonical, sort_labels};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

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
        Box::new(CategoryEncoder { places: places(&self.categories) })
    }
}

/// The encoder of categories.
#[derive(Debug)]
struct CategoryEncoder {
    places: HashMap<String, i32>,
}

impl EncodeCells for CategoryEncoder {
    /// Any cell is a category, if an unknown one.
    fn check(&self, _: &Cells, _: &[usize], _: Refuse<'_>) {}

    fn encode(&self, cells: &Cells, rows: &[usize], out: &mut Slots<'_>) {
        let index = |text: &str| self.places.get(text).map_or(0, |place| place + 1);
        cells.each(rows, index, |row, index| *out.index(row) = index.unwrap_or(0));
    }
}

/// The place of each label, by its canonical spelling: an older schema may have it in another.
pub(super) fn places(labels: &[String]) -> HashMap<String, i32> {
    let mut places = HashMap::with_capacity(labels.len());
    for (label, place) in labels.iter().zip(0..) {
        places.entry(canonical(label).into_owned()).or_insert(place);
    }
    places
}
