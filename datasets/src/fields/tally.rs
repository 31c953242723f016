//! The cells of one column over the training rows, counted: block by block, as its type is not known before the
//! last one.

use super::date;
use super::date::read::{ORDERS, days_in, readings};
use super::label::ABSENT;
use super::look::Look;
use super::number::{FINITE, INPUT};
use super::spread::Spread;
use super::{DateOrder, Pairing};
use crate::records::{Cells, Coded, Frame, canonical, shortened};
use crate::{DataError, bounds};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

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

/// The dates of a column, in each order that they may be of.
#[derive(Debug, Default)]
pub(super) struct Dates {
    /// In the orders of [`ORDERS`], and in the recipe's format behind them.
    pub orders: [Spread; ORDERS.len() + 1],
    /// Of each order the first cell that is a date of another one alone; the first cell that is none at all.
    pub others: [Option<DataError>; ORDERS.len() + 1],
    pub none: Option<DataError>,
    /// The first cell that is one date with its day first, and another with its month first.
    pub ambiguous: Option<DataError>,
    /// Cells that are dates with their day first, and with their month first.
    pub both: u64,
    /// True where a format knows them as dates.
    pub typed: bool,
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
}

/// Where a tally's cells stand, for its errors.
struct Place<'a> {
    frame: &'a Frame,
    index: usize,
}

impl Place<'_> {
    fn error(&self, row: usize, expected: &str) -> DataError {
        let found = self.frame.columns[self.index].text(row).unwrap_or_default();
        let name = &self.frame.names[self.index];
        self.frame.cell_error(row, name, expected, format!("`{}`", shortened(&found)))
    }
}

impl Tally {
    /// The cells of `missing` rows that lack the column.
    pub(crate) fn lacking(missing: u64) -> Self {
        let (categories, pairing) = (Some(HashMap::new()), Pairing::none(missing));
        Tally { missing, categories, pairing, ..Tally::default() }
    }

    /// The cells of an input column in `rows`, of which the different ones are counted as `counting` says.
    pub(crate) fn of_input(
        frame: &Frame,
        index: usize,
        rows: &[usize],
        counting: Counting,
        date_format: Option<&str>,
    ) -> Self {
        let mut tally = Tally::of(frame, index, rows, INPUT, date_format);
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
            Cells::Numbers(numbers) => tally.add_numbers(numbers, rows, &place),
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
        self.numbers = Spread::of(&finite);
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
        // The cells of each word, and the first row with it.
        let mut seen: Vec<(u64, usize)> = vec![(0, 0); words.len()];
        let mut finite = Vec::new();
        for &row in rows {
            let Some(word) = (coded.codes()[row] as usize).checked_sub(1) else {
                self.missing += 1;
                continue;
            };
            let (count, first) = &mut seen[word];
            if *count == 0 {
                *first = row;
            }
            *count += 1;
            let number = numbers[word];
            if (number as f32).is_finite() {
                finite.push(number);
            }
            self.number_cells += u64::from(!number.is_nan());
        }
        self.numbers = Spread::of(&finite);
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
                    Look::Other => {}
                }
            } else if !(number as f32).is_finite() && is_first(&infinite, row) {
                infinite = Some(row);
            }
        }
        self.not_a_number = stray.map(|row| place.error(row, expected));
        self.looks.first_grouped = grouped.map(|row| place.error(row, GROUPED));
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
        or_next(&mut self.looks.unit, other.looks.unit);
        or_next(&mut self.looks.short_year, other.looks.short_year);
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

    /// Stops counting the different numbers or dates of a column; refuses a text that is different everywhere.
    pub(crate) fn check_categories(&mut self, uri: &str, name: &str) -> Result<(), DataError> {
        if self.categories.as_ref().is_none_or(|categories| categories.len() <= MOST_CATEGORIES) {
            return Ok(());
        }
        if self.reads_as_numbers() || self.dates.orders.iter().any(|of| are_most(of.count, self.values)) {
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

    /// The first cell with marks between its digits, where all cells are numbers but for such marks: the marks
    /// may be those of thousands or of a fraction.
    pub(super) fn grouped(&self) -> Option<DataError> {
        let all = self.looks.grouped > 0 && self.looks.grouped + self.number_cells == self.values;
        self.looks.first_grouped.clone().filter(|_| all)
    }
}

/// What a cell with marks between its digits should have been.
const GROUPED: &str = "a plain number (data.thousands and data.decimal say what the marks in it mean, or \
                       data.categorical that the column holds categories)";

/// True where at least three in four of some values are of a kind.
pub(super) fn are_most(count: u64, values: u64) -> bool {
    count > 0 && 4 * count >= 3 * values
}

impl Dates {
    /// Adds the dates among words, of which `seen` are the cells and the first row of each.
    fn add_words(
        &mut self,
        coded: &Coded,
        rows: &[usize],
        seen: &[(u64, usize)],
        date_format: Option<&str>,
        place: &Place<'_>,
    ) {
        let format = date_format.map(|format| DateOrder::Format(format.to_string()));
        let mut any = false;
        let read = |(word, &(count, _)): (usize, &(u64, usize))| {
            let mut days = [f64::NAN; ORDERS.len() + 1];
            // A number is a date in a format alone.
            let is_number = !coded.numbers()[word].is_nan();
            if count > 0 && (!is_number || format.is_some()) {
                let text = &coded.words()[word];
                if !is_number {
                    for (days, reading) in days.iter_mut().zip(readings(text)) {
                        *days = reading.unwrap_or(f64::NAN);
                    }
                }
                let of_format = format.as_ref().and_then(|format| days_in(format, text));
                days[ORDERS.len()] = of_format.unwrap_or(f64::NAN);
            }
            any |= days.iter().any(|days| !days.is_nan());
            days
        };
        let words: Vec<_> = seen.iter().enumerate().map(read).collect();
        let seen_words = || words.iter().zip(seen).filter(|(_, (count, _))| *count > 0);
        if !any {
            let first = seen_words().map(|(_, &(_, row))| row).min();
            self.none = first.map(|row| place.error(row, "a date"));
            return;
        }
        for (order, spread) in self.orders.iter_mut().enumerate() {
            if words.iter().all(|days| days[order].is_nan()) {
                continue;
            }
            let code = |&row: &usize| (coded.codes()[row] as usize).checked_sub(1);
            let days: Vec<f64> = rows.iter().filter_map(code).map(|word| words[word][order]).collect();
            *spread = Spread::of(&days.into_iter().filter(|days| !days.is_nan()).collect::<Vec<_>>());
        }
        let first = |fits: &dyn Fn(&[f64]) -> bool| {
            seen_words().filter(|(days, _)| fits(&days[..])).map(|(_, &(_, row))| row).min()
        };
        let is_date = |days: &[f64]| days.iter().any(|days| !days.is_nan());
        self.none = first(&|days| !is_date(days)).map(|row| place.error(row, "a date"));
        for (order, other) in self.others.iter_mut().enumerate() {
            let expected =
                ORDERS.get(order).cloned().or_else(|| format.clone()).map(|order| date::expected(&order));
            let row = first(&|days| is_date(days) && days[order].is_nan());
            *other = row.map(|row| place.error(row, &expected.unwrap_or_default()));
        }
        let is_both = |days: &[f64]| !days[DAY_FIRST].is_nan() && !days[MONTH_FIRST].is_nan();
        self.both = seen_words().filter(|(days, _)| is_both(&days[..])).map(|(_, (count, _))| count).sum();
        let ambiguous = first(&is_both);
        self.ambiguous = ambiguous.map(|row| place.error(row, AMBIGUOUS));
    }

    /// Cells that are dates with day and month in one order or the other.
    pub(super) fn of_two_orders(&self) -> u64 {
        self.orders[DAY_FIRST].count + self.orders[MONTH_FIRST].count - self.both
    }

    fn merge(&mut self, other: Dates) {
        self.orders.iter_mut().zip(other.orders).for_each(|(all, more)| all.merge(more));
        self.others.iter_mut().zip(other.others).for_each(|(first, next)| or_next(first, next));
        or_next(&mut self.none, other.none);
        or_next(&mut self.ambiguous, other.ambiguous);
        self.both += other.both;
        self.typed |= other.typed;
    }
}

/// The places of two orders among [`ORDERS`].
pub(super) const DAY_FIRST: usize = 1;
pub(super) const MONTH_FIRST: usize = 2;

/// What a date of two orders should have been.
const AMBIGUOUS: &str = "a date of one order: neither day nor month is above 12 in the whole column, or each is in \
                         some cell (data.date_format = \"%d/%m/%Y\" or \"%m/%d/%Y\" says which is which, or \
                         data.categorical that the column holds categories)";

fn or_next<T>(first: &mut Option<T>, next: Option<T>) {
    if first.is_none() {
        *first = next;
    }
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

/// The labels of a table, each with its training rows.
#[derive(Debug)]
pub(crate) struct Labels(Option<BTreeMap<String, u64>>);

impl Default for Labels {
    fn default() -> Self {
        Labels(Some(BTreeMap::new()))
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

    /// The labels and the training rows of each; `None` where there are too many for classes.
    pub(super) fn counts(self) -> Option<BTreeMap<String, u64>> {
        self.0
    }
}
