//! Forms of dates that are spelled anew before they are read: they lack a day, or have their parts in an order of
//! their own.
//!
//! ```text
//! 2021-04  2021/04  Apr 2021  2021-Apr  04/2021           a month, which stands for its first day
//! 2021Q2  2021-Q2                                         a quarter, too
//! 2021-W05  2021-W05-1  2021W05                           a week of ISO 8601 begins on a Monday
//! 20210102T1030  20210102 103000Z                         digits without marks, with a time behind them
//! Mon Jan  4 10:00:00 2021  Jan 4 10:00:00 UTC 2021       as C has it: the year stands behind the time
//! ```
//! Eight digits alone are a number, unless a recipe calls their column dates.

use super::names::{MONTH_FIRST, MONTHS, NAMED_MONTH, WEEKDAYS, YEAR_FIRST, is_name_of};
use chrono::{NaiveDate, Weekday};

/// A text of such a form, spelled as those that are read as they stand, and the order that it is of.
pub(super) fn spelled_anew(text: &str) -> Option<(usize, String)> {
    let forms = [month_behind_year, month_before_year, week, digits, year_behind_time];
    forms.iter().find_map(|form| form(text))
}

/// The format of days that are digits alone.
pub(crate) const OF_DIGITS: &str = "%Y%m%d";

/// True for a number whose digits are those of a day between 1900 and 2100: `20210102`.
pub(in crate::fields) fn is_day_of_digits(number: f64) -> bool {
    let digits = number as u32;
    let is_whole = f64::from(digits) == number && (19_000_101..=21_001_231).contains(&digits);
    let (year, month, day) = (digits / 10_000, digits / 100 % 100, digits % 100);
    is_whole && NaiveDate::from_ymd_opt(year as i32, month, day).is_some()
}

/// A month or a quarter behind its year.
fn month_behind_year(text: &str) -> Option<(usize, String)> {
    let (year, rest) = text.split_at_checked(4).filter(|(year, _)| is_year(year))?;
    let month = rest.trim_start_matches(['-', '/', ' ']);
    let (order, month) = match (&rest[..rest.len() - month.len()], month.strip_prefix(['Q', 'q'])) {
        ("" | "-", Some(quarter)) => (YEAR_FIRST, 3 * quarter_of_year(quarter)? - 2),
        ("-" | "/", None) if rest.len() == 3 => (YEAR_FIRST, month_of_digits(month)?),
        ("-" | " ", None) => (NAMED_MONTH, is_name_of(month, &MONTHS)? as u32 + 1),
        _ => return None,
    };
    Some((order, format!("{year}-{month:02}-01")))
}

/// A month before its year.
fn month_before_year(text: &str) -> Option<(usize, String)> {
    let (rest, year) = text.split_at_checked(text.len().checked_sub(4)?).filter(|(_, year)| is_year(year))?;
    let month = rest.trim_end_matches([' ', '-', ',', '.', '/']);
    let (order, month) = match (&rest[month.len()..], is_name_of(month, &MONTHS)) {
        ("", _) => return None,
        (_, Some(month)) => (NAMED_MONTH, month as u32 + 1),
        ("-" | "/", None) => (MONTH_FIRST, month_of_digits(month)?),
        _ => return None,
    };
    Some((order, format!("{year}-{month:02}-01")))
}

/// A week of ISO 8601, and the day of it: the first where none is given.
fn week(text: &str) -> Option<(usize, String)> {
    let (year, rest) = text.split_at_checked(4)?;
    let rest = rest.strip_prefix('-').unwrap_or(rest).strip_prefix('W')?;
    let (week, day) = rest.split_at_checked(2)?;
    let day = match day.strip_prefix('-').unwrap_or(day) {
        "" if day.is_empty() => Weekday::Mon,
        day => Weekday::try_from(day.parse::<u8>().ok()?.checked_sub(1)?).ok().filter(|_| day.len() == 1)?,
    };
    let are_digits = is_year(year) && week.bytes().all(|byte| byte.is_ascii_digit());
    let date = NaiveDate::from_isoywd_opt(year.parse().ok()?, week.parse().ok()?, day)?;
    are_digits.then(|| (YEAR_FIRST, date.format("%Y-%m-%d").to_string()))
}

/// Eight digits and a time, whose marks may be lacking.
fn digits(text: &str) -> Option<(usize, String)> {
    let (date, time) = text.split_at_checked(8)?;
    if !date.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let time = time.strip_prefix(['T', 't', ' '])?;
    let count = time.bytes().take_while(u8::is_ascii_digit).count();
    let (clock, rest) = time.split_at(count);
    let clock = match count {
        2 if rest.is_empty() => format!("{clock}:00"),
        4 => format!("{}:{}", &clock[..2], &clock[2..]),
        6 => format!("{}:{}:{}", &clock[..2], &clock[2..4], &clock[4..]),
        _ => clock.to_string(),
    };
    Some((YEAR_FIRST, format!("{}-{}-{}T{clock}{rest}", &date[..4], &date[4..6], &date[6..])))
}

/// A month's name and a day, a time with its zone or without, and the year.
fn year_behind_time(text: &str) -> Option<(usize, String)> {
    if !text.contains(':') {
        return None;
    }
    let mut words: Vec<&str> = text.split_ascii_whitespace().collect();
    if words.len() > 4 && is_name_of(words[0].trim_end_matches(','), &WEEKDAYS).is_some() {
        words.remove(0);
    }
    let (month, day, time, zone, year) = match words[..] {
        [month, day, time, year] => (month, day, time, "", year),
        [month, day, time, zone, year] => (month, day, time, zone, year),
        _ => return None,
    };
    let fits = is_name_of(month, &MONTHS).is_some() && is_year(year);
    fits.then(|| (NAMED_MONTH, format!("{month} {day} {year} {time} {zone}").trim_end().to_string()))
}

/// True for four digits that a date of our records begins or ends with: in `4711-08` they are none.
fn is_year(text: &str) -> bool {
    text.len() == 4
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse().is_ok_and(|year: u32| (1500..2500).contains(&year))
}

/// The month of two digits.
fn month_of_digits(text: &str) -> Option<u32> {
    let are_digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|month| are_digits && (1..=12).contains(month))
}

/// The quarter of one digit.
fn quarter_of_year(text: &str) -> Option<u32> {
    text.parse().ok().filter(|quarter| text.len() == 1 && (1..=4).contains(quarter))
}
