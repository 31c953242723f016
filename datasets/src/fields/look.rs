//! The look of a cell that is no plain number.

use crate::records::is_grouped;

/// What a text that is no plain number looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A number with marks between its digits, or a comma before its fraction: `1,234`.
    Grouped,
    /// A number with a unit: `$1,200`, `12%`, `3.5 kg`.
    Unit,
    /// A date whose year has two digits: `31/12/24`.
    ShortYear,
    /// A duration as pandas writes it: `1 days 02:03:04.5`.
    Duration,
    /// Anything else.
    Other,
}

impl Look {
    pub(super) fn of(text: &str) -> Self {
        // Most texts have no digit at their beginning or their end, and are none of these.
        let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
        let bytes = text.as_bytes();
        if !bytes.iter().any(u8::is_ascii_digit) {
            Look::Other
        } else if is_digit(bytes.last()) && (is_grouped(text) || is_pointed(text)) {
            Look::Grouped
        } else if is_short_year(text) {
            Look::ShortYear
        } else if is_duration(text) {
            Look::Duration
        } else if has_unit(text) {
            Look::Unit
        } else {
            Look::Other
        }
    }
}

/// True for a number with a point, which is no plain one where `data.decimal` is another mark.
fn is_pointed(text: &str) -> bool {
    text.contains('.') && text.parse::<f64>().is_ok()
}

/// True for a number behind a sign of a currency, or before a unit of a few letters or signs.
fn has_unit(text: &str) -> bool {
    const LONGEST_UNIT: usize = 6;
    const CURRENCIES: [char; 8] = ['$', '€', '£', '¥', '₹', '₽', '₩', '₺'];
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let behind = unsigned.strip_prefix(CURRENCIES);
    let number = behind.unwrap_or(unsigned).trim_start();
    let digits = number.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = number[digits.len()..].trim_start();
    let is_unit = unit.chars().count() <= LONGEST_UNIT
        && unit.chars().all(|c| !c.is_ascii_punctuation() || "%$/".contains(c));
    (behind.is_some() || !unit.is_empty()) && is_unit && (digits.parse::<f64>().is_ok() || is_grouped(digits))
}

/// True for days and, behind them, hours, minutes and seconds.
fn is_duration(text: &str) -> bool {
    let Some((days, rest)) = text.strip_prefix('-').unwrap_or(text).split_once(" day") else { return false };
    let clock = rest.strip_prefix('s').unwrap_or(rest).trim_start().trim_start_matches('+');
    let are_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_clock = |clock: &str| {
        let parts: Vec<&str> = clock.split([':', '.']).collect();
        (3..=4).contains(&parts.len()) && parts.into_iter().all(are_digits)
    };
    are_digits(days) && is_clock(clock)
}

/// True for three numbers of one or two digits between the same marks.
fn is_short_year(text: &str) -> bool {
    let mark = text.chars().find(|c| !c.is_ascii_digit());
    let Some(mark @ ('/' | '-' | '.')) = mark else { return false };
    let parts: Vec<&str> = text.split(mark).collect();
    let fits = |part: &&str| (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.len() == 3 && parts[2].len() == 2 && parts.iter().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_look_like_what_people_write() {
        for (look, texts) in [
            (Look::Grouped, &["1,234", "1.234,5", "0,5", "1 234", "1.034"][..]),
            (Look::Unit, &["$1,200", "-$5", "12%", "3.5 kg", "€ 7", "10k", "1.234,5 €", "5 km/h", "3 days"]),
            (Look::ShortYear, &["31/12/24", "1.2.03", "01-02-24"]),
            // `str(pandas.Timedelta(...))`
            (Look::Duration, &["0 days 00:01:30", "-1 days +23:59:59.999999", "1 days 02:03:04.500000"]),
            (
                Look::Other,
                &[
                    "red",
                    "A12",
                    "12:30",
                    "2024-01-02",
                    "2 days ago",
                    "",
                    "-",
                    "a 1",
                    "route 66",
                    "12 Main Street",
                ],
            ),
        ] {
            for text in texts {
                assert_eq!(Look::of(text), look, "{text}");
            }
        }
    }
}
