//! The cells of one column over the training rows, counted: block by block, as its type is not known before the
//! last one.

use super::Pairing;
use super::date::forms::is_day_of_digits;
use super::date::tally::Dates;
use super::label::ABSENT;
use super::look::Look;
use super::number::{FINITE, INPUT};
use super::place::{Place, or_next};
use super::spread::Spread;
use crate::records::{Cells, Coded, Frame, canonical, shortened};
use crate::{DataError, bounds};
use std::borrow::Cow;
use std::collections::HashMap;

/// Different categories that are counted of a column where not all rows are in memory.
pub(super) const MOST_CATEGORIES: usize = bounds::MOST_CLASSES;

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
    pub(super) values: u64,
    /// The numbers that an f32 holds; days, where a format knows them as dates.
    pub(super) numbers: Spread,
    /// Cells that are numbers, whether an f32 holds them or not.
    pub(super) number_cells: u64,
    /// Cells that are numbers, and days between 1900 and 2100 in digits.
    pub(super) days_of_digits: u64,
    /// The first cell that is no number, and the first that no f32 holds.
    pub(super) not_a_number: Option<DataError>,
    pub(super) not_finite: Option<DataError>,
    /// The first row without a value.
    pub(super) absent: Option<DataError>,
    /// `None` when they are not counted, or too many.
    pub(super) categories: Option<HashMap<String, u64>>,
    pub(super) dates: Dates,
    /// Cells that look like numbers but are none, with an example of each look.
    pub(super) looks: Looks,
    /// The cells beside those of the target.
    pub pairing: Pairing,
}

/// Cells that look like numbers but are none.
#[derive(Debug, Default)]
pub(super) struct Looks {
    /// With marks between their digits; the first one.
    pub grouped: u64,
    pub first_grouped: Option<DataError>,
    /// With a unit; an example.
    pub units: u64,
    pub unit: Option<String>,
    /// Dates with a year of two digits; an example.
    pub short_years: u64,
    pub short_year: Option<String>,
    /// Durations; an example.
    pub durations: u64,
    pub duration: Option<String>,
}

impl Tally {
    /// The cells of `missing` rows that lack the column.
    pub(crate) fn lacking(missing: u64) -> Self {
        let (categories, pairing) = (Some(HashMap::new()), Pairing::none(missing));
        Tally { missing, categories, pairing, ..Tally::default() }
    }

    /// The cells of an input column in `rows`, of which the different ones are counted as `counting` says. With a
    /// `date_format` numbers are read by it, too.
    pub(crate) fn of_input(
        frame: &Frame,
        index: usize,
        rows: &[usize],
        counting: Counting,
        date_format: Option<&str>,
    ) -> Self {
        let mut tally = Tally::of(frame, index, rows, INPUT, date_format);
        tally.not_a_number = tally.not_a_number.map(DataError::marked);
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
        let cells = &frame.columns[index];
        let mut tally = Tally::of(frame, index, rows, "a number", None);
        if tally.missing > 0 {
            let absent = rows.iter().find(|&&row| cells.is_missing(row));
            let error = |&row: &usize| frame.cell_error(row, &frame.names[index], "a target", ABSENT);
            tally.absent = absent.map(error);
        }
        tally
    }

    fn of(frame: &Frame, index: usize, rows: &[usize], expected: &str, date_format: Option<&str>) -> Self {
        let mut tally = Tally::default();
        let place = Place { frame, index };
        match &frame.columns[index] {
            Cells::Numbers(numbers) => {
                tally.add_numbers(numbers, rows, &place);
                if date_format.is_some() {
                    let coded = frame.columns[index].spelled();
                    tally.dates.add_words(&coded, rows, &seen(&coded, rows), date_format, &place);
                }
            }
            Cells::Dates(days) => {
                let days: Vec<f64> = rows.iter().map(|&row| days[row]).filter(|day| !day.is_nan()).collect();
                tally.missing = (rows.len() - days.len()) as u64;
                tally.dates.typed = true;
                tally.numbers = Spread::of(&days);
                tally.dates.orders[0] = Spread::of(&days);
            }
            Cells::Coded(coded) => tally.add_words(coded, rows, expected, date_format, &place),
            // Cells are packed once they are read; those of a test may not be.
            Cells::Text(text) => {
                tally.add_words(&text.coded(true, Default::default()), rows, expected, date_format, &place);
            }
        }
        tally.values = rows.len() as u64 - tally.missing;
        tally
    }

    fn add_numbers(&mut self, numbers: &[f64], rows: &[usize], place: &Place<'_>) {
        let mut finite = Vec::with_capacity(rows.len());
        for &row in rows {
            let number = numbers[row];
            if (number as f32).is_finite() {
                finite.push(number);
            } else if number.is_nan() {
                self.missing += 1;
            } else if self.not_finite.is_none() {
                let name = &place.frame.names[place.index];
                self.not_finite = Some(place.frame.cell_error(row, name, FINITE, number));
            }
        }
        self.number_cells = rows.len() as u64 - self.missing;
        self.add_finite(&finite);
    }

    fn add_finite(&mut self, numbers: &[f64]) {
        self.days_of_digits = numbers.iter().filter(|&&number| is_day_of_digits(number)).count() as u64;
        self.numbers = Spread::of(numbers);
    }

    /// Adds words, each of which is looked at once.
    fn add_words(
        &mut self,
        coded: &Coded,
        rows: &[usize],
        expected: &str,
        date_format: Option<&str>,
        place: &Place<'_>,
    ) {
        let (words, numbers) = (coded.words(), coded.numbers());
        let seen = seen(coded, rows);
        let mut finite = Vec::new();
        for &row in rows {
            let Some(word) = (coded.codes()[row] as usize).checked_sub(1) else {
                self.missing += 1;
                continue;
            };
            let number = numbers[word];
            if (number as f32).is_finite() {
                finite.push(number);
            }
            self.number_cells += u64::from(!number.is_nan());
        }
        self.add_finite(&finite);
        let is_first = |before: &Option<usize>, row: usize| before.is_none_or(|before| row < before);
        let (mut stray, mut infinite, mut grouped) = (None, None, None);
        for (word, &(count, row)) in seen.iter().enumerate().filter(|(_, (count, _))| *count > 0) {
            let number = numbers[word];
            if number.is_nan() {
                if is_first(&stray, row) {
                    stray = Some(row);
                }
                let text = || Some(shortened(&words[word]));
                match Look::of(&words[word]) {
                    Look::Grouped => {
                        self.looks.grouped += count;
                        if is_first(&grouped, row) {
                            grouped = Some(row);
                        }
                    }
                    Look::Unit => {
                        self.looks.units += count;
                        self.looks.unit = self.looks.unit.take().or_else(text);
                    }
                    Look::ShortYear => {
                        self.looks.short_years += count;
                        self.looks.short_year = self.looks.short_year.take().or_else(text);
                    }
                    Look::Duration => {
                        self.looks.durations += count;
                        self.looks.duration = self.looks.duration.take().or_else(text);
                    }
                    Look::Other => {}
                }
            } else if !(number as f32).is_finite() && is_first(&infinite, row) {
                infinite = Some(row);
            }
        }
        self.not_a_number = stray.map(|row| place.error(row, expected));
        self.looks.first_grouped = grouped.map(|row| place.error(row, GROUPED).marked());
        self.not_finite = infinite.map(|row| {
            place.frame.cell_error(
                row,
                &place.frame.names[place.index],
                FINITE,
                place.frame.columns[place.index].text(row).unwrap_or_default(),
            )
        });
        self.dates.add_words(coded, rows, &seen, date_format, place);
    }

    /// Adds the cells of the rows that come next.
    pub(crate) fn merge(&mut self, other: Tally) {
        self.missing += other.missing;
        self.values += other.values;
        self.number_cells += other.number_cells;
        self.days_of_digits += other.days_of_digits;
        self.numbers.merge(other.numbers);
        for (first, next) in [
            (&mut self.not_a_number, other.not_a_number),
            (&mut self.not_finite, other.not_finite),
            (&mut self.absent, other.absent),
            (&mut self.looks.first_grouped, other.looks.first_grouped),
        ] {
            or_next(first, next);
        }
        self.looks.grouped += other.looks.grouped;
        self.looks.units += other.looks.units;
        self.looks.short_years += other.looks.short_years;
        self.looks.durations += other.looks.durations;
        or_next(&mut self.looks.unit, other.looks.unit);
        or_next(&mut self.looks.short_year, other.looks.short_year);
        or_next(&mut self.looks.duration, other.looks.duration);
        self.dates.merge(other.dates);
        self.pairing.merge(other.pairing);
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
    pub(super) fn reads_as_numbers(&self) -> bool {
        are_most(self.number_cells, self.values)
    }

    /// True where every value is the same number.
    pub(crate) fn is_one_number(&self) -> bool {
        self.numbers.different() == Some(1) && self.numbers.count == self.values
    }

    /// Stops counting the different numbers or dates of a column; refuses a text that is different everywhere.
    pub(crate) fn check_categories(&mut self, uri: &str, name: &str) -> Result<(), DataError> {
        if self.categories.as_ref().is_none_or(|categories| categories.len() <= MOST_CATEGORIES) {
            return Ok(());
        }
        if self.reads_as_numbers()
            || self.dates.orders.iter().any(|of| are_most(of.count, self.values - self.dates.absent))
        {
            self.categories = None;
            return Ok(());
        }
        if let Some(error) = self.grouped() {
            return Err(error);
        }
        let expected =
            format!("at most {MOST_CATEGORIES} different categories (or the column in data.ignore)");
        Err(DataError::malformed(uri, format!("column `{name}`"), expected, "more"))
    }

    /// The first cell with marks between its digits, where the column would read as numbers but for such marks:
    /// they may be those of thousands or of a fraction.
    pub(super) fn grouped(&self) -> Option<DataError> {
        let reads = are_most(self.looks.grouped + self.number_cells, self.values);
        self.looks.first_grouped.clone().filter(|_| reads)
    }
}

/// The cells of each word in `rows`, and the first row with it.
fn seen(coded: &Coded, rows: &[usize]) -> Vec<(u64, usize)> {
    let mut seen = vec![(0, 0); coded.words().len()];
    for &row in rows {
        if let Some(word) = (coded.codes()[row] as usize).checked_sub(1) {
            let (count, first) = &mut seen[word];
            if *count == 0 {
                *first = row;
            }
            *count += 1;
        }
    }
    seen
}

/// What a cell with marks between its digits should have been.
const GROUPED: &str = "a plain number (data.thousands and data.decimal say what the marks in it mean, or \
                       data.categorical that the column holds categories)";

/// True where at least three in four of some values are of a kind.
pub(super) fn are_most(count: u64, values: u64) -> bool {
    count > 0 && 4 * count >= 3 * values
}

/// The categories in `rows`, each with the number of its cells.
pub(super) fn counted(
    cells: &Cells,
    rows: &[usize],
    spell: fn(&str) -> Cow<'_, str>,
) -> HashMap<String, u64> {
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
