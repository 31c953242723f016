//! The names of months and weekdays, and the orders of a date's parts.

use super::DateOrder;

/// The orders that a cell itself tells, in the order of their readings.
pub(in crate::fields) const ORDERS: [DateOrder; 5] = [
    DateOrder::YearFirst,
    DateOrder::DayFirst,
    DateOrder::MonthFirst,
    DateOrder::NamedMonth,
    DateOrder::Time,
];

/// The places of orders among [`ORDERS`].
pub(super) const YEAR_FIRST: usize = 0;
pub(in crate::fields) const DAY_FIRST: usize = 1;
pub(in crate::fields) const MONTH_FIRST: usize = 2;
pub(super) const NAMED_MONTH: usize = 3;

pub(super) const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

pub(super) const WEEKDAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// The place of the name that a word is, in full or by its first three letters (`Sept`, too).
pub(super) fn is_name_of(word: &str, names: &[&str]) -> Option<usize> {
    if word.len() < 3 {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let fits = |name: &&str| word == **name || word == name[..3] || word == "sept" && name.starts_with(&word);
    names.iter().position(fits)
}
