//! The cells of one column over the training rows, counted.

use super::columns::{Column, Encoding, TableTarget};
use super::config::{TableConfig, TargetKind};
use super::moments::Moments;
use crate::records::{Cells, Frame, shortened, sort_labels};
use crate::{DataError, OnCorrupt, bounds};
use std::collections::{BTreeSet, HashMap};

/// Different categories that are counted of a column.
const MOST_CATEGORIES: usize = bounds::MOST_CLASSES;

/// Different whole numbers of a target column that is a class.
const MOST_CLASSES: usize = 20;

/// The share of a table that some rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it, in memory: a column is looked at as often as need be.
    Whole,
    /// A part, which others follow: a column is looked at once, and may yet turn out to be of any type.
    Block,
}

/// The training cells of a column.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub missing: u64,
    values: u64,
    moments: Moments,
    /// Cells that are numbers, whether an f32 holds them or not.
    numbers: u64,
    /// The first cell that is no number, and the first that no f32 holds.
    not_a_number: Option<DataError>,
    not_finite: Option<DataError>,
    /// The first row without a value, where the column is the target.
    absent: Option<DataError>,
    /// `None` when they are numbers, or too many.
    categories: Option<HashMap<String, u64>>,
    /// Different numbers, as many as decide whether a target is a value; whether one is not whole.
    different: Vec<f64>,
    fractions: bool,
}

impl Tally {
    /// The cells of `missing` rows that lack the column.
    pub(super) fn absent(missing: u64) -> Self {
        Tally { missing, categories: Some(HashMap::new()), ..Tally::default() }
    }

    /// The cells of a column in `rows`.
    pub(super) fn of(
        frame: &Frame,
        index: usize,
        rows: &[usize],
        config: &TableConfig,
        extent: Extent,
    ) -> Self {
        let (name, cells) = (&frame.names[index], &frame.columns[index]);
        let is_target = *name == config.target;
        let mut tally = Tally::default();
        for &row in rows {
            match cells.number(row) {
                None => {
                    tally.missing += 1;
                    if is_target && tally.absent.is_none() {
                        tally.absent = Some(frame.cell_error(row, name, "a target", "no value"));
                    }
                    continue;
                }
                Some(Ok(number)) => {
                    tally.see_number(number, frame, row, name, is_target);
                    if extent == Extent::Block && (number as f32).is_finite() {
                        tally.moments.add(number);
                    }
                }
                Some(Err(cell)) if tally.not_a_number.is_none() => {
                    let expected =
                        "a number (or its mark in data.missing, or the column in data.categorical)";
                    let found = format!("`{}`", shortened(cell));
                    tally.not_a_number = Some(frame.cell_error(row, name, expected, found));
                }
                Some(Err(_)) => {}
            }
            tally.values += 1;
        }
        // Numbers that Parquet knows as such are categories only where the recipe says so.
        let may_be_categories = match cells {
            Cells::Numbers(_) => config.categorical.contains(name),
            Cells::Text(_) => !config.numeric.contains(name) && !is_target,
        };
        match extent {
            Extent::Block => tally.categories = may_be_categories.then(|| counted(cells, rows)),
            Extent::Whole if is_target || tally.is_numeric(name, config) => {
                let numbers = rows.iter().filter_map(|&row| cells.number(row)).flatten();
                tally.moments = Moments::of(numbers.filter(|&number| (number as f32).is_finite()));
            }
            Extent::Whole => tally.categories = Some(counted(cells, rows)),
        }
        tally
    }

    fn see_number(&mut self, number: f64, frame: &Frame, row: usize, name: &str, is_target: bool) {
        self.numbers += 1;
        if !(number as f32).is_finite() && self.not_finite.is_none() {
            let expected = "a finite number of single precision";
            self.not_finite = Some(frame.cell_error(row, name, expected, number));
        }
        if is_target {
            self.see_different(number);
        }
    }

    /// Takes note of a number that decides whether the target is a value.
    fn see_different(&mut self, number: f64) {
        self.fractions |= number.fract() != 0.0;
        if self.different.len() <= MOST_CLASSES && !self.different.contains(&number) {
            self.different.push(number);
        }
    }

    /// Adds the cells of the rows that come next.
    pub(super) fn merge(&mut self, other: Tally) {
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
    fn is_numeric(&self, name: &String, config: &TableConfig) -> bool {
        config.numeric.contains(name) || !config.categorical.contains(name) && self.reads_as_numbers()
    }

    /// Stops counting the different numbers of a column; refuses a text that is different everywhere.
    pub(super) fn check_categories(&mut self, uri: &str, name: &str) -> Result<(), DataError> {
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
    pub(super) fn column(self, uri: &str, name: String, config: &TableConfig) -> Result<Column, DataError> {
        if self.values == 0 {
            return Err(no_value(uri, &name));
        }
        let missing = self.missing;
        if !self.is_numeric(&name, config) {
            let Some(counts) = self.categories else {
                let expected = "a column of one type (its name in data.numeric or data.categorical)";
                let found = "more different numbers than categories may be, and then text";
                return Err(DataError::malformed(uri, format!("column `{name}`"), expected, found));
            };
            let encoding = Encoding::most_frequent(counts, config.max_categories);
            return Ok(Column { name, missing, encoding });
        }
        let (mean, std) = self.statistics(uri, &name, config)?;
        Ok(Column { name, missing, encoding: Encoding::Numeric { mean, std, indicator: missing > 0 } })
    }

    /// Mean and deviation of numbers; a cell that is none stops here, unless it is to be skipped.
    fn statistics(self, uri: &str, name: &str, config: &TableConfig) -> Result<(f64, f64), DataError> {
        if config.on_corrupt == OnCorrupt::Stop
            && let Some(error) = self.not_a_number.or(self.not_finite)
        {
            return Err(error);
        }
        let (mean, std) = self.moments.mean_and_std();
        match mean.is_finite() && std.is_finite() {
            true => Ok((mean, std)),
            false => {
                let found = format!("mean {mean}, standard deviation {std}");
                let place = format!("column `{name}`");
                Err(DataError::malformed(uri, place, "numbers of a finite mean and spread", found))
            }
        }
    }

    /// The column to predict: a value where its numbers are not whole or more than 20 differ, unless the
    /// recipe says which. `labels` are the different ones, `None` when they are too many.
    pub(super) fn target(
        self,
        uri: &str,
        name: String,
        labels: Option<BTreeSet<String>>,
        config: &TableConfig,
    ) -> Result<TableTarget, DataError> {
        if config.on_corrupt == OnCorrupt::Stop
            && let Some(error) = self.absent
        {
            return Err(error);
        }
        let value = self.reads_as_numbers() && (self.fractions || self.different.len() > MOST_CLASSES);
        let kind = config.target_kind.unwrap_or(if value { TargetKind::Value } else { TargetKind::Class });
        match (kind, labels) {
            (TargetKind::Value, _) => {
                let tally = Tally { absent: None, ..self };
                let (mean, std) = tally.statistics(uri, &name, config)?;
                Ok(TableTarget::Value { name, mean, std })
            }
            (TargetKind::Class, Some(labels)) => classes(uri, name, labels),
            (TargetKind::Class, None) => {
                Err(bounds::classes(uri, &name, usize::MAX).err().unwrap_or_else(|| no_value(uri, &name)))
            }
        }
    }
}

/// The categories in `rows`, each with the number of its cells.
fn counted(cells: &Cells, rows: &[usize]) -> HashMap<String, u64> {
    let mut counts: HashMap<String, u64> = HashMap::new();
    for cell in rows.iter().filter_map(|&row| cells.text(row)) {
        match counts.get_mut(cell.as_ref()) {
            Some(count) => *count += 1,
            None => {
                counts.insert(cell.into_owned(), 1);
            }
        }
    }
    counts
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
        let target = if is_target { "x" } else { "y" };
        let config = TableConfig { target: target.to_string(), ..TableConfig::default() };
        let rows: Vec<usize> = (0..cells.len()).collect();
        Tally::of(&frame, 0, &rows, &config, Extent::Whole)
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
            let labels = Some(cells.iter().map(|cell| cell.to_string()).collect());
            let target = tally(cells, true).target("t", "x".to_string(), labels, &TableConfig::default());
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
