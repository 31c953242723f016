//! The dates among the training cells of a column, in each order that they may be of.

use super::names::{DAY_FIRST, MONTH_FIRST, ORDERS};
use super::read::{days_in, readings};
use super::{DateOrder, NOT_A_TIME, expected};
use crate::DataError;
use crate::fields::place::{Place, or_next};
use crate::fields::spread::Spread;
use crate::records::Coded;

/// The dates of a column, in each order that they may be of.
#[derive(Debug, Default)]
pub(in crate::fields) struct Dates {
    /// In the orders of [`ORDERS`], and in the recipe's format behind them.
    pub orders: [Spread; ORDERS.len() + 1],
    /// Of each order the first cell that is a date of another one alone; the first cell that is none at all.
    pub others: [Option<DataError>; ORDERS.len() + 1],
    pub none: Option<DataError>,
    /// The first cell that is one date with its day first, and another with its month first.
    pub first_ambiguous: Option<DataError>,
    /// Cells that are dates with their day first, and with their month first.
    pub both: u64,
    /// Cells that are no date, and say so.
    pub absent: u64,
    /// True where a format knows them as dates.
    pub typed: bool,
}

impl Dates {
    /// Adds the dates among words, of which `seen` are the cells and the first row of each.
    pub(in crate::fields) fn add_words(
        &mut self,
        coded: &Coded,
        rows: &[usize],
        seen: &[(u64, usize)],
        date_format: Option<&str>,
        place: &Place<'_>,
    ) {
        let format = date_format.map(|format| DateOrder::Format(format.to_string()));
        let is_absent = |word: usize| coded.words()[word] == NOT_A_TIME;
        self.absent = (0..seen.len()).filter(|&word| is_absent(word)).map(|word| seen[word].0).sum();
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
        let is_seen = |&word: &usize| seen[word].0 > 0 && !is_absent(word);
        let seen_words = || (0..seen.len()).filter(is_seen).map(|word| (&words[word], &seen[word]));
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
                ORDERS.get(order).cloned().or_else(|| format.clone()).map(|order| expected(&order));
            let row = first(&|days| is_date(days) && days[order].is_nan());
            *other = row.map(|row| place.error(row, &expected.unwrap_or_default()));
        }
        let is_both = |days: &[f64]| !days[DAY_FIRST].is_nan() && !days[MONTH_FIRST].is_nan();
        self.both = seen_words().filter(|(days, _)| is_both(&days[..])).map(|(_, (count, _))| count).sum();
        let ambiguous = first(&is_both);
        self.first_ambiguous = ambiguous.map(|row| place.error(row, AMBIGUOUS));
    }

    /// The first cell of two orders, where nothing tells that the dates are of this `order`.
    pub(in crate::fields) fn ambiguous(&self, order: &DateOrder) -> Option<DataError> {
        let is_two_ways = matches!(order, DateOrder::DayFirst | DateOrder::MonthFirst)
            && self.orders[DAY_FIRST].count == self.orders[MONTH_FIRST].count;
        self.first_ambiguous.clone().filter(|_| is_two_ways)
    }

    /// Cells that are dates with day and month in one order or the other.
    pub(in crate::fields) fn of_two_orders(&self) -> u64 {
        self.orders[DAY_FIRST].count + self.orders[MONTH_FIRST].count - self.both
    }

    pub(in crate::fields) fn merge(&mut self, other: Dates) {
        self.orders.iter_mut().zip(other.orders).for_each(|(all, more)| all.merge(more));
        self.others.iter_mut().zip(other.others).for_each(|(first, next)| or_next(first, next));
        or_next(&mut self.none, other.none);
        or_next(&mut self.first_ambiguous, other.first_ambiguous);
        self.both += other.both;
        self.absent += other.absent;
        self.typed |= other.typed;
    }
}

/// What a date of two orders should have been.
const AMBIGUOUS: &str = "a date of one order: neither day nor month is above 12 in the whole column, or each is in \
                         some cell (data.date_format = \"%d/%m/%Y\" or \"%m/%d/%Y\" says which is which, or \
                         data.categorical that the column holds categories)";
