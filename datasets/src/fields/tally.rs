//! The cells of one column over the training rows, counted: block by block, as its type is not known before the
//! last one.

use super::label::TableTarget;
use super::moments::Moments;
use super::number::{FINITE, INPUT, each_number};
use super::{Category, Column, Encoding, Number};
use crate::records::{Cells, Frame, canonical, shortened, sort_labels};
use crate::{DataError, OnCorrupt, bounds};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

/// Different categories that are counted of a column where not all rows are in memory.
const MOST_CATEGORIES: usize = bounds::MOST_CLASSES;

/// Different whole numbers of a target column that is a class.
const MOST_CLASSES: usize = 20;

/// The recipe's wishes about a column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wishes {
    /// True where it is to hold numbers, false where it is not to; absent where its cells decide.
    pub numeric: Option<bool>,
    /// Categories that are kept, the most frequent first.
    pub max_categories: usize,
    /// The fate of a cell that is none of the column's type.
    pub on_corrupt: OnCorrupt,
}

/// The counting of a column's different cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counting {
    /// Spellings of one value are one category.
    Values,
    /// Every spelling is a category: the recipe calls them so.
    Spellings,
    /// They are numbers, or nothing to be learned from.
    None,
}

/// The training cells of a column.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub missing: u64,
    values: u64,
    moments: Moments,
    /// Cells that are numbers, whether an f32 holds them or not.
    numbers: u64,
    /// The first cell that is no number, and the first that no f32 holds.
    not_a_number: Option<DataError>,
    not_finite: Option<DataError>,
    /// The first row without a value.
    absent: Option<DataError>,
    /// `None` when they are not counted, or too many.
    categories: Option<HashMap<String, u64>>,
    /// Different numbers, as many as decide whether a target is a value; whether one is not whole.
    different: Vec<f64>,
    fractions: bool,
}

impl Tally {
    /// The cells of `missing` rows that lack the column.
    pub(crate) fn lacking(missing: u64) -> Self {
        Tally { missing, categories: Some(HashMap::new()), ..Tally::default() }
    }

    /// The cells of an input column in `rows`, of which the different ones are counted as `counting` says.
    pub(crate) fn of_input(frame: &Frame, index: usize, rows: &[usize], counting: Counting) -> Self {
        let mut tally = Tally::of(frame, index, rows, INPUT);
        let cells = &frame.columns[index];
        tally.categories = match counting {
            Counting::Values => Some(counted(cells, rows, canonical)),
            Counting::Spellings => Some(counted(cells, rows, |text| Cow::Borrowed(text))),
            Counting::None => None,
        };
        tally
    }

    /// The cells of the target in `rows`.
    pub(crate) fn of_target(frame: &Frame, index: usize, rows: &[usize]) -> Self {
        let (name, cells) = (&frame.names[index], &frame.columns[index]);
        let mut tally = Tally::of(frame, index, rows, "a number");
        each_number(cells, rows, |place, number| match number {
            None if tally.absent.is_none() => {
                tally.absent = Some(frame.cell_error(rows[place], name, "a target", "no value"));
            }
            Some(Ok(number)) => tally.see_different(number),
            None | Some(Err(_)) => {}
        });
        tally
    }

    fn of(frame: &Frame, index: usize, rows: &[usize], expected: &str) -> Self {
        let (name, cells) = (&frame.names[index], &frame.columns[index]);
        let mut tally = Tally::default();
        let mut finite = Vec::with_capacity(rows.len());
        each_number(cells, rows, |place, number| match number {
            None => tally.missing += 1,
            Some(Ok(number)) => {
                tally.numbers += 1;
                if (number as f32).is_finite() {
                    finite.push(number);
                } else if tally.not_finite.is_none() {
                    tally.not_finite = Some(frame.cell_error(rows[place], name, FINITE, number));
                }
            }
            Some(Err(cell)) if tally.not_a_number.is_none() => {
                let found = format!("`{}`", shortened(cell));
                tally.not_a_number = Some(frame.cell_error(rows[place], name, expected, found));
            }
            Some(Err(_)) => {}
        });
        tally.values = rows.len() as u64 - tally.missing;
        tally.moments = Moments::of(&finite);
        tally
    }

    /// Takes note of a number that decides whether the target is a value.
    fn see_different(&mut self, number: f64) {
        self.fractions |= number.fract() != 0.0;
        if self.different.len() <= MOST_CLASSES && !self.different.contains(&number) {
            self.different.push(number);
        }
    }

    /// Adds the cells of the rows that come next.
    pub(crate) fn merge(&mut self, other: Tally) {
        self.missing += other.missing;
        self.values += other.values;
        self.numbers += other.numbers;
        self.moments.merge(other.moments);
        for (first, next) in [
            (&mut self.not_a_number, other.not_a_number),
            (&mut self.not_finite, other.not_finite),
            (&mut self.absent, other.absent),
        ] {
            if first.is_none() {
                *first = next;
            }
        }
        self.fractions |= other.fractions;
        other.different.into_iter().for_each(|number| self.see_different(number));
        self.categories = match (self.categories.take(), other.categories) {
            (Some(mut counts), Some(more)) => {
                more.into_iter().for_each(|(text, count)| *counts.entry(text).or_default() += count);
                Some(counts)
            }
            _ => None,
        };
    }

    /// True where the column reads as numbers: at least three in four of its values are. One stray cell is then
    /// an error with its line, where it would otherwise turn the column into categories.
    fn reads_as_numbers(&self) -> bool {
        self.numbers > 0 && 4 * self.numbers >= 3 * self.values
    }

    /// True where an input column holds numbers: as the recipe says, or as it reads.
    fn is_numeric(&self, wishes: Wishes) -> bool {
        wishes.numeric.unwrap_or_else(|| self.reads_as_numbers())
    }

    /// Stops counting the different numbers of a column; refuses a text that is different everywhere.
    pub(crate) fn check_categories(&mut self, uri: &str, name: &str) -> Result<(), DataError> {
        if self.categories.as_ref().is_none_or(|categories| categories.len() <= MOST_CATEGORIES) {
            return Ok(());
        }
        if self.reads_as_numbers() {
            self.categories = None;
            return Ok(());
        }
        let expected =
            format!("at most {MOST_CATEGORIES} different categories (or the column in data.ignore)");
        Err(DataError::malformed(uri, format!("column `{name}`"), expected, "more"))
    }

    /// An input column.
    pub(crate) fn column(self, uri: &str, name: String, wishes: Wishes) -> Result<Column, DataError> {
        if self.values == 0 {
            return Err(no_value(uri, &name));
        }
        let missing = self.missing;
        if !self.is_numeric(wishes) {
            let Some(counts) = self.categories else {
                let expected = "a column of one type (its name in data.numeric or data.categorical)";
                let found = "more different numbers than categories may be, and then text";
                return Err(DataError::malformed(uri, format!("column `{name}`"), expected, found));
            };
            let category = Category::most_frequent(counts, wishes.max_categories);
            return Ok(Column { name, missing, encoding: Encoding::Categorical(category) });
        }
        let (mean, std) = self.statistics(uri, &name, wishes.on_corrupt)?;
        let encoding = Encoding::Numeric(Number { mean, std, indicator: missing > 0 });
        Ok(Column { name, missing, encoding })
    }

    /// Mean and deviation of numbers; a cell that is none stops here, unless it is to be skipped.
    fn statistics(self, uri: &str, name: &str, on_corrupt: OnCorrupt) -> Result<(f64, f64), DataError> {
        if on_corrupt == OnCorrupt::Stop
            && let Some(error) = self.not_a_number.or(self.not_finite)
        {
            return Err(error);
        }
        let (mean, std) = self.moments.mean_and_std();
        if mean.is_finite() && std.is_finite() {
            return Ok((mean, std));
        }
        let found = format!("mean {mean}, standard deviation {std}");
        let place = format!("column `{name}`");
        Err(DataError::malformed(uri, place, "numbers of a finite mean and spread", found))
    }

    /// The column to predict: a value where its numbers are not whole or more than 20 differ, unless the
    /// recipe says which. `labels` are the different ones, `None` when they are too many.
    pub(crate) fn target(
        self,
        uri: &str,
        name: String,
        labels: Option<BTreeSet<String>>,
        wishes: Wishes,
    ) -> Result<TableTarget, DataError> {
        if wishes.on_corrupt == OnCorrupt::Stop
            && let Some(error) = self.absent
        {
            return Err(error);
        }
        let reads_as_value =
            self.reads_as_numbers() && (self.fractions || self.different.len() > MOST_CLASSES);
        if wishes.numeric.unwrap_or(reads_as_value) {
            let (mean, std) = self.statistics(uri, &name, wishes.on_corrupt)?;
            return Ok(TableTarget::Value { name, mean, std });
        }
        match labels {
            Some(labels) => classes(uri, name, labels),
            None => {
                Err(bounds::classes(uri, &name, usize::MAX).err().unwrap_or_else(|| no_value(uri, &name)))
            }
        }
    }
}

/// The categories in `rows`, each with the number of its cells.
fn counted(cells: &Cells, rows: &[usize], spell: fn(&str) -> Cow<'_, str>) -> HashMap<String, u64> {
    let (mut texts, mut counts) = (Vec::new(), Vec::new());
    let place = |text: &str| {
        texts.push(text.to_string());
        texts.len() - 1
    };
    cells.each(rows, place, |_, place| {
        let Some(place) = place else { return };
        if place >= counts.len() {
            counts.resize(place + 1, 0);
        }
        counts[place] += 1;
    });
    let mut categories = HashMap::with_capacity(texts.len());
    for (text, count) in texts.iter().zip(counts) {
        *categories.entry(spell(text).into_owned()).or_default() += count;
    }
    categories
}

/// A target of these labels.
fn classes(uri: &str, name: String, labels: BTreeSet<String>) -> Result<TableTarget, DataError> {
    let mut labels: Vec<String> = labels.into_iter().collect();
    sort_labels(&mut labels);
    if labels.len() < 2 {
        let found = labels.first().map_or("none".to_string(), |label| format!("only `{label}`"));
        let place = format!("column `{name}`");
        return Err(DataError::malformed(uri, place, "at least two classes", found));
    }
    Ok(TableTarget::Classes { name, labels })
}

/// The error of a column without a value.
fn no_value(uri: &str, name: &str) -> DataError {
    let expected = "a value in some training row (or the column in data.ignore)";
    DataError::malformed(uri, format!("column `{name}`"), expected, "none")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::TextCells;

    /// The tally of a column of these cells, as an input or as the target.
    fn tally(cells: &[&str], is_target: bool) -> Tally {
        let mut column = TextCells::default();
        cells.iter().for_each(|&cell| column.push((!cell.is_empty()).then_some(cell)));
        let lines = (1..=cells.len() as u64).collect();
        let frame = Frame::new("t.csv", vec!["x".to_string()], vec![Cells::Text(column)], lines, "line");
        let rows: Vec<usize> = (0..cells.len()).collect();
        match is_target {
            true => Tally::of_target(&frame, 0, &rows),
            false => Tally::of_input(&frame, 0, &rows, Counting::Values),
        }
    }

    #[test]
    fn a_stray_cell_does_not_turn_numbers_into_categories() {
        let check = |cells: &[&str]| tally(cells, false).reads_as_numbers();
        assert!(check(&["1", "2.5", "-3e4", "oops"]));
        assert!(check(&["", "1"]));
        assert!(!check(&["1", "x"]));
        assert!(!check(&["", ""]));
    }

    #[test]
    fn values_are_fractions_or_many_numbers() {
        let check = |cells: &[&str]| {
            let wishes = Wishes { numeric: None, max_categories: 9, on_corrupt: OnCorrupt::Stop };
            let labels = Some(cells.iter().map(|cell| cell.to_string()).collect());
            let target = tally(cells, true).target("t", "x".to_string(), labels, wishes);
            matches!(target.unwrap(), TableTarget::Value { .. })
        };
        assert!(check(&["1", "2.5"]));
        assert!(!check(&["0", "1", "1", "0"]));
        assert!(!check(&["yes", "no"]));
        let many: Vec<String> = (0..21).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(check(&many) && !check(&many[..20]));
    }
}
