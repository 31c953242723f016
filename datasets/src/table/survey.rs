//! The schema of a table that is too large to be held: what each block says of its columns, merged block
//! by block in memory that does not grow with the table.
//!
//! Means and deviations are Welford's, merged as Chan, Golub and LeVeque do ("Algorithms for computing the
//! sample variance", 1983). Categories are counted exactly, up to [`MOST_CATEGORIES`] different ones a
//! column; a column of text with more is an error, as it is no category.

use super::cells::Cells;
use super::columns::{Column, Encoding, MOST_CLASSES, TableTarget, rounded};
use super::config::{TableConfig, TargetKind};
use super::encode::{label, shortened};
use super::frame::Frame;
use super::infer::{check_names, check_spread, classes, no_value};
use super::schema::{FORMAT, TableSchema, VERSION};
use crate::{DataError, OnCorrupt, bounds};
use std::collections::{BTreeSet, HashMap};

/// Different categories that are counted of a column.
const MOST_CATEGORIES: usize = bounds::MOST_CLASSES;

/// What is known of some rows.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Training rows.
    rows: u64,
    names: Vec<String>,
    tallies: Vec<Tally>,
    ignored: Vec<String>,
    /// Every label, of rows held out, too; `None` when there are too many for classes.
    labels: Option<BTreeSet<String>>,
}

/// What is known of the training cells of a column.
#[derive(Debug, Default)]
struct Tally {
    missing: u64,
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

/// Count, mean, and sum of squared differences from the mean.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, number: f64) {
        self.count += 1.0;
        let difference = number - self.mean;
        self.mean += difference / self.count;
        self.squares += difference * (number - self.mean);
    }

    fn merge(&mut self, other: Moments) {
        let count = self.count + other.count;
        if count > 0.0 {
            let difference = other.mean - self.mean;
            self.mean += difference * other.count / count;
            self.squares += other.squares + difference * difference * self.count * other.count / count;
            self.count = count;
        }
    }

    fn mean_and_std(&self) -> (f64, f64) {
        rounded(self.mean, (self.squares / self.count.max(1.0)).sqrt())
    }
}

impl Survey {
    /// What the rows of a block say; of rows that are held out, only their labels count.
    pub(super) fn of(frame: &Frame, config: &TableConfig, training: bool) -> Self {
        let target = frame.position(&config.target);
        let mut labels = Some(BTreeSet::new());
        if let Some(target) = target {
            for label in (0..frame.len()).filter_map(|row| label(&frame.columns[target], row, config)) {
                add_label(&mut labels, label.into_owned());
            }
        }
        let rows = if training { frame.len() } else { 0 };
        let tally = |index: usize| Tally::of(frame, index, rows, config);
        let tallies = (0..frame.names.len()).map(tally).collect();
        let (names, ignored) = (frame.names.clone(), frame.ignored.clone());
        Survey { rows: rows as u64, names, tallies, ignored, labels }
    }

    /// Adds the rows that come next. A column that one of the two lacks has no values there.
    ///
    /// # Errors
    /// When a column of text has too many categories.
    pub(super) fn merge(&mut self, uri: &str, mut other: Survey) -> Result<(), DataError> {
        if self.names.is_empty() {
            *self = other;
            return Ok(());
        }
        for name in &other.names {
            if !self.names.contains(name) {
                let at = self.names.partition_point(|before| before < name);
                let tally =
                    Tally { missing: self.rows, categories: Some(HashMap::new()), ..Tally::default() };
                self.names.insert(at, name.clone());
                self.tallies.insert(at, tally);
            }
        }
        for (name, tally) in self.names.iter().zip(&mut self.tallies) {
            match other.names.iter().position(|other| other == name) {
                Some(at) => tally.merge(std::mem::take(&mut other.tallies[at])),
                None => tally.missing += other.rows,
            }
            tally.check_categories(uri, name)?;
        }
        self.rows += other.rows;
        match other.labels {
            Some(labels) => labels.into_iter().for_each(|label| add_label(&mut self.labels, label)),
            None => self.labels = None,
        }
        Ok(())
    }

    /// Types and statistics, and the labels of the target.
    ///
    /// # Errors
    /// As those of a table in memory: a column that the recipe names is not there, a cell is not what its
    /// column holds, a column has no value, or the target only one class.
    pub(super) fn schema(mut self, uri: &str, config: &TableConfig) -> Result<TableSchema, DataError> {
        let target = check_names(uri, &self.names, &self.ignored, config)?;
        let (name, tally) = (self.names.remove(target), self.tallies.remove(target));
        let labels = self.labels.take();
        let target = tally.target(uri, name, labels, config)?;
        let mut columns = Vec::new();
        for (name, tally) in self.names.into_iter().zip(self.tallies) {
            if !config.ignore.contains(&name) {
                columns.push(tally.column(uri, name, config)?);
            }
        }
        if columns.is_empty() {
            return Err(DataError::source(uri, "at least one input column", "the target alone"));
        }
        Ok(TableSchema {
            format: FORMAT.to_string(),
            streamed: None,
            version: VERSION,
            rows: self.rows,
            skipped: 0,
            one_hot: config.one_hot,
            standardise: config.standardise,
            columns,
            target,
        })
    }
}

fn add_label(labels: &mut Option<BTreeSet<String>>, label: String) {
    if let Some(known) = labels {
        known.insert(label);
        if known.len() > bounds::MOST_CLASSES {
            *labels = None;
        }
    }
}

impl Tally {
    /// What the first `rows` cells of a column say.
    fn of(frame: &Frame, index: usize, rows: usize, config: &TableConfig) -> Self {
        let (name, cells) = (&frame.names[index], &frame.columns[index]);
        let is_target = *name == config.target;
        // Numbers that Parquet knows as such are categories only where the recipe says so.
        let counted = match cells {
            Cells::Numbers(_) => config.categorical.contains(name),
            Cells::Text(_) => !config.numeric.contains(name) && !is_target,
        };
        let mut tally = Tally { categories: counted.then(HashMap::new), ..Tally::default() };
        for row in 0..rows {
            match cells.number(row) {
                None => {
                    tally.missing += 1;
                    if is_target && tally.absent.is_none() {
                        tally.absent = Some(frame.cell_error(row, name, "a target", "no value"));
                    }
                    continue;
                }
                Some(Ok(number)) => tally.add(number, frame, row, name, is_target),
                Some(Err(cell)) if tally.not_a_number.is_none() => {
                    let expected =
                        "a number (or its mark in data.missing, or the column in data.categorical)";
                    let found = format!("`{}`", shortened(cell));
                    tally.not_a_number = Some(frame.cell_error(row, name, expected, found));
                }
                Some(Err(_)) => {}
            }
            tally.values += 1;
            if let Some(categories) = &mut tally.categories
                && let Some(cell) = cells.text(row)
            {
                match categories.get_mut(cell.as_ref()) {
                    Some(count) => *count += 1,
                    None => {
                        categories.insert(cell.into_owned(), 1);
                    }
                }
            }
        }
        tally
    }

    fn add(&mut self, number: f64, frame: &Frame, row: usize, name: &str, is_target: bool) {
        self.numbers += 1;
        match (number as f32).is_finite() {
            true => self.moments.add(number),
            false if self.not_finite.is_none() => {
                let expected = "a finite number of single precision";
                self.not_finite = Some(frame.cell_error(row, name, expected, number));
            }
            false => {}
        }
        if is_target {
            self.see(number);
        }
    }

    /// Takes note of a number that decides whether the target is a value.
    fn see(&mut self, number: f64) {
        self.fractions |= number.fract() != 0.0;
        if self.different.len() <= MOST_CLASSES && !self.different.contains(&number) {
            self.different.push(number);
        }
    }

    fn merge(&mut self, other: Tally) {
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
        other.different.into_iter().for_each(|number| self.see(number));
        self.categories = match (self.categories.take(), other.categories) {
            (Some(mut counts), Some(more)) => {
                more.into_iter().for_each(|(text, count)| *counts.entry(text).or_default() += count);
                Some(counts)
            }
            _ => None,
        };
    }

    fn reads_as_numbers(&self) -> bool {
        self.numbers > 0 && 4 * self.numbers >= 3 * self.values
    }

    /// Stops counting the different numbers of a column; refuses a text that is different everywhere.
    fn check_categories(&mut self, uri: &str, name: &str) -> Result<(), DataError> {
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
    fn column(self, uri: &str, name: String, config: &TableConfig) -> Result<Column, DataError> {
        if self.values == 0 {
            return Err(no_value(uri, &name));
        }
        let numeric =
            config.numeric.contains(&name) || !config.categorical.contains(&name) && self.reads_as_numbers();
        let missing = self.missing;
        if !numeric {
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
        let (mean, std) = self.moments.mean_and_std();
        match self.not_a_number.or(self.not_finite) {
            Some(error) if config.on_corrupt == OnCorrupt::Stop => return Err(error),
            _ => check_spread(uri, name, mean, std)?,
        }
        Ok((mean, std))
    }

    /// The column to predict.
    fn target(
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
