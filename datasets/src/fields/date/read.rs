//! Texts as dates: ISO 8601 and the orders that people write, with times or without.
//!
//! ```text
//! 2024-12-31  2024/12/31  2024.12.31                      the year first
//! 31/12/2024  12/31/2024  31-12-2024                      the day or the month first: a column tells
//! 31.12.2024                                              with points the day first, where it can be
//! Dec 31, 2024  31 December 2024  Tue, 31 Dec 2024        a month's English name
//! Dec 31st, 2024  2024-Dec-31
//! date, then `T` or a space, then 13:45[:30[.25]] [PM | p.m.] [Z | UTC | +01:00]; 3 PM
//! ```
//! Years have four digits. A time with an offset is taken in UTC. Other forms are [spelled anew](super::forms).

use super::DateOrder;
use super::forms::{OF_DIGITS, spelled_anew};
use super::names::{MONTHS, ORDERS, WEEKDAYS, is_name_of};
use crate::records::{days, days_of_date};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

/// The days since 1970 that a text is in each of [`ORDERS`]; none in an order that it is not of.
pub(in crate::fields) type Readings = [Option<f64>; 5];

/// A text in every order that it may be of.
pub(in crate::fields) fn readings(text: &str) -> Readings {
    const LONGEST: usize = 48;
    let first = text.bytes().next().unwrap_or_default();
    let may_be = (3..=LONGEST).contains(&text.len()) && text.is_ascii() && first.is_ascii_alphanumeric();
    if !may_be || !text.bytes().any(|byte| byte.is_ascii_digit()) {
        return Readings::default();
    }
    let mut found = as_it_stands(text);
    if found == Readings::default()
        && let Some((order, text)) = spelled_anew(text)
    {
        found[order] = as_it_stands(&text).into_iter().flatten().next();
    }
    found
}

/// A text in every order that it may be of, from its first character to its last.
fn as_it_stands(text: &str) -> Readings {
    let mut readings = Readings::default();
    let mut rest = Cursor(text);
    if let Some(seconds) = rest.time() {
        readings[4] = rest.0.is_empty().then(|| days(seconds.whole, seconds.nanoseconds));
        return readings;
    }
    let mut rest = Cursor(text);
    let Some(dates) = rest.date() else { return readings };
    let time = match rest.0.is_empty() {
        true => Some(Seconds::default()),
        false => rest.begins_time().and_then(|()| rest.time()).filter(|_| rest.0.is_empty()),
    };
    if let Some(time) = time {
        for (reading, date) in readings.iter_mut().zip(dates) {
            *reading = date.map(|date| days(days_of_date(date) * 86_400 + time.whole, time.nanoseconds));
        }
    }
    readings
}

/// The days since 1970 that a text is in an order.
pub(in crate::fields) fn days_in(order: &DateOrder, text: &str) -> Option<f64> {
    match order {
        DateOrder::Format(format) => days_of_format(format, text),
        order => readings(text)[ORDERS.iter().position(|other| other == order)?],
    }
}

/// The days since 1970 of a text in a format of strftime: a time with an offset, without, or a date alone.
fn days_of_format(format: &str, text: &str) -> Option<f64> {
    let text = match format {
        // Of seven digits, two may be the month or the day; pandas writes a fraction where a value is missing.
        OF_DIGITS => text.strip_suffix(".0").or(Some(text)).filter(|digits| digits.len() == 8)?,
        _ => text,
    };
    if let Ok(time) = DateTime::parse_from_str(text, format) {
        return Some(days(time.timestamp(), time.timestamp_subsec_nanos()));
    }
    let time = NaiveDateTime::parse_from_str(text, format).ok().or_else(|| {
        let date = NaiveDate::parse_from_str(text, format).ok();
        date.map(|date| date.and_time(NaiveTime::MIN))
    });
    match time {
        Some(time) => Some(days(time.and_utc().timestamp(), time.and_utc().timestamp_subsec_nanos())),
        None => {
            let time = NaiveTime::parse_from_str(text, format).ok()?;
            Some(days(i64::from(time.num_seconds_from_midnight()), time.nanosecond()))
        }
    }
}

/// A time of day in UTC, which may lie on the day before or after.
#[derive(Clone, Copy, Default)]
struct Seconds {
    whole: i64,
    nanoseconds: u32,
}

/// The rest of a text that is read.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    /// Takes a character of these.
    fn eat(&mut self, characters: &[char]) -> Option<char> {
        let next = self.0.chars().next().filter(|next| characters.contains(next))?;
        self.0 = &self.0[next.len_utf8()..];
        Some(next)
    }

    fn spaces(&mut self) {
        self.0 = self.0.trim_start_matches(' ');
    }

    /// Takes all characters that fit.
    fn while_fits(&mut self, fits: impl Fn(u8) -> bool) -> &'a str {
        let length = self.0.bytes().take_while(|&byte| fits(byte)).count();
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    /// Takes a number of some digits: its value and how many there are.
    fn number(&mut self, most: usize) -> Option<(u32, usize)> {
        let digits = self.while_fits(|byte| byte.is_ascii_digit());
        let number = digits.parse().ok()?;
        (1..=most).contains(&digits.len()).then_some((number, digits.len()))
    }

    /// Takes a date, in each order that it may be of; the last is that of a time alone.
    fn date(&mut self) -> Option<[Option<NaiveDate>; 5]> {
        let date = |(year, year_digits): (u32, usize), month: u32, day: (u32, usize)| {
            let fits = year_digits == 4 && day.1 <= 2;
            fits.then(|| NaiveDate::from_ymd_opt(year as i32, month, day.0)).flatten()
        };
        let mut found = [None; 5];
        if !self.0.starts_with(|c: char| c.is_ascii_digit()) {
            found[3] = self.date_of_name(None);
            return found[3].map(|_| found);
        }
        let first = self.number(4)?;
        self.ordinal(first);
        if self.0.starts_with([' ', '-']) && self.0[1..].starts_with(|c: char| c.is_ascii_alphabetic()) {
            found[3] = self.date_of_name(Some(first));
            return found[3].map(|_| found);
        }
        let mark = self.eat(&['-', '/', '.'])?;
        let second = self.number(2)?;
        self.eat(&[mark])?;
        let third = self.number(4)?;
        if first.1 == 4 {
            found[0] = date(first, second.0, third);
        } else {
            found[1] = date(third, second.0, first);
            // With points the month never stands first where the day may.
            if mark != '.' || found[1].is_none() {
                found[2] = date(third, first.0, second);
            }
        }
        found.iter().any(Option::is_some).then_some(found)
    }

    /// Takes a date with the name of its month, behind its `day` or before it.
    fn date_of_name(&mut self, day: Option<(u32, usize)>) -> Option<NaiveDate> {
        let mut day = day;
        let dashed = day.is_some() && self.eat(&['-']).is_some();
        self.spaces();
        let mut word = self.while_fits(|byte| byte.is_ascii_alphabetic());
        if day.is_none() && is_name_of(word, &WEEKDAYS).is_some() {
            self.eat(&[',']);
            self.spaces();
            if self.0.starts_with(|c: char| c.is_ascii_digit()) {
                day = self.number(2);
                self.spaces();
            }
            word = self.while_fits(|byte| byte.is_ascii_alphabetic());
        }
        let month = is_name_of(word, &MONTHS)?;
        self.eat(&['.', if dashed { '-' } else { '.' }]);
        self.spaces();
        let day = match day {
            Some(day) => day,
            None => {
                let day = self.number(2)?;
                self.ordinal(day);
                self.eat(&[',']);
                self.spaces();
                day
            }
        };
        self.eat(&[',']);
        self.spaces();
        let last = self.number(4)?;
        // In `2024-Dec-31` the year is what stands before the month.
        let (year, day) = if day.1 == 4 { (day, last) } else { (last, day) };
        let fits = year.1 == 4 && day.1 <= 2;
        fits.then(|| NaiveDate::from_ymd_opt(year.0 as i32, month as u32 + 1, day.0)).flatten()
    }

    /// Takes the ending of a day that is counted: `1st`, `22nd`.
    fn ordinal(&mut self, (day, digits): (u32, usize)) {
        let ending = match day {
            1 | 21 | 31 => "st",
            2 | 22 => "nd",
            3 | 23 => "rd",
            _ => "th",
        };
        if digits <= 2
            && let Some(rest) = self.0.strip_prefix(ending)
        {
            self.0 = rest;
        }
    }

    /// Takes what stands between a date and its time.
    fn begins_time(&mut self) -> Option<()> {
        if self.eat(&['T', 't', ',']).is_none() && !self.0.starts_with(' ') {
            return None;
        }
        self.spaces();
        Some(())
    }

    /// Takes a time with its offset from UTC.
    fn time(&mut self) -> Option<Seconds> {
        let (hour, _) = self.number(2)?;
        let (mut minute, mut digits, mut second, mut nanoseconds) = (0, 2, 0, 0);
        let has_minutes = self.eat(&[':']).is_some();
        if has_minutes {
            (minute, digits) = self.number(2)?;
        }
        if has_minutes && self.eat(&[':']).is_some() {
            second = self.number(2)?.0;
            if self.eat(&['.', ',']).is_some() {
                let fraction = self.while_fits(|byte| byte.is_ascii_digit());
                let digits = fraction.get(..fraction.len().min(9))?;
                nanoseconds = digits.parse::<u32>().ok()? * 10u32.pow(9 - digits.len() as u32);
            }
        }
        self.spaces();
        let hour = match self.half_of_day() {
            Some(half) if hour <= 12 => hour % 12 + half,
            Some(_) => return None,
            None if !has_minutes => return None,
            None => hour,
        };
        if hour > 23 || minute > 59 || digits != 2 || second > 59 {
            return None;
        }
        self.spaces();
        let offset = self.offset()?;
        Some(Seconds { whole: i64::from(hour * 3600 + minute * 60 + second) - offset, nanoseconds })
    }

    /// Takes `AM` or `p.m.`: the hours before its half of the day.
    fn half_of_day(&mut self) -> Option<u32> {
        const HALVES: [(&str, u32); 4] = [("a.m.", 0), ("p.m.", 12), ("am", 0), ("pm", 12)];
        HALVES.iter().find_map(|&(name, hours)| {
            let (half, rest) = self.0.split_at_checked(name.len())?;
            half.eq_ignore_ascii_case(name).then(|| {
                self.0 = rest;
                hours
            })
        })
    }

    /// Takes an offset from UTC, in seconds; 0 where there is none.
    fn offset(&mut self) -> Option<i64> {
        for name in ["Z", "UTC", "GMT", "z"] {
            if self.0 == name {
                self.0 = "";
                return Some(0);
            }
        }
        let Some(sign) = self.eat(&['+', '-']) else { return Some(0) };
        let digits = self.while_fits(|byte| byte.is_ascii_digit() || byte == b':').replace(':', "");
        let (hours, minutes) = match digits.len() {
            2 => (digits.parse::<i64>().ok()?, 0),
            4 => (digits[..2].parse::<i64>().ok()?, digits[2..].parse::<i64>().ok()?),
            _ => return None,
        };
        // Mail has the name of the zone behind it: `-0500 (EST)`.
        let comment =
            self.0.trim_start_matches(' ').strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
        if comment.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_alphabetic())) {
            self.0 = "";
        }
        let seconds = 60 * (60 * hours + minutes);
        (hours <= 18 && minutes < 60).then_some(if sign == '-' { -seconds } else { seconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Days since 1970, as `(pandas.Timestamp(text) - pandas.Timestamp(0)) / pandas.Timedelta("1D")` gives them.
    #[test]
    fn dates_are_those_of_pandas() {
        let day = 20_088.0; // 2024-12-31
        let quarter = day + 13.75 / 24.0; // 13:45
        for (order, text, expected) in [
            (0, "2024-12-31", day),
            (0, "2024/12/31", day),
            (0, "2024-12-31T13:45", quarter),
            (0, "2024-12-31 13:45:00", quarter),
            (0, "2024-12-31 13:45:00.000", quarter),
            (0, "2024-12-31T13:45:00Z", quarter),
            (0, "2024-12-31T15:45:00+02:00", quarter),
            (0, "2024-12-31T08:45:00-0500", quarter),
            (0, "2024-12-31 13:45:00 UTC", quarter),
            (0, "1969-12-31", -1.0),
            (0, "2024-12-31T00:00:00.25", day + 0.25 / 86_400.0),
            (1, "31/12/2024", day),
            (1, "31.12.2024", day),
            (1, "31-12-2024 13:45", quarter),
            (2, "12/31/2024", day),
            (2, "12/31/2024 1:45 PM", quarter),
            (3, "Dec 31, 2024", day),
            (3, "31 Dec 2024", day),
            (3, "31-Dec-2024", day),
            (3, "December 31 2024", day),
            (3, "Tue, 31 Dec 2024 13:45:00 GMT", quarter),
            (4, "13:45", 13.75 / 24.0),
            (4, "1:45:00 pm", 13.75 / 24.0),
            (4, "3 PM", 15.0 / 24.0),
            (2, "12/31/2024 01:45:00 p.m.", quarter),
            (2, "12/31/2024 1PM", day + 13.0 / 24.0),
            (2, "12/31/2024 12:00 am", day),
            (2, "12/31/2024 0:45 AM", day + 0.75 / 24.0),
            (0, "2024-12-31T01:45:00 PM", quarter),
            (0, "2021-04", 18_718.0),
            (0, "2021/04", 18_718.0),
            (2, "04/2021", 18_718.0),
            (2, "04-2021", 18_718.0),
            (3, "Apr 2021", 18_718.0),
            (3, "April 2021", 18_718.0),
            (3, "Apr-2021", 18_718.0),
            (3, "Apr, 2021", 18_718.0),
            (3, "2021-Apr", 18_718.0),
            (3, "2021 Apr", 18_718.0),
            (3, "2021-Apr-05", 18_722.0),
            (0, "2021Q2", 18_718.0),
            (0, "2021-Q2", 18_718.0),
            (0, "20210102T1030", 18_629.0 + 10.5 / 24.0),
            (0, "20210102T103000", 18_629.0 + 10.5 / 24.0),
            (0, "20210102T103000Z", 18_629.0 + 10.5 / 24.0),
            (0, "20210102 10:30", 18_629.0 + 10.5 / 24.0),
            (0, "20210102 103000", 18_629.0 + 10.5 / 24.0),
            (0, "20210102T10", 18_629.0 + 10.0 / 24.0),
            (3, "Mon Jan  4 10:00:00 2021", 18_631.0 + 10.0 / 24.0),
            (3, "Mon Jan 4 10:00:00 UTC 2021", 18_631.0 + 10.0 / 24.0),
            (3, "Jan 4 10:00:00 2021", 18_631.0 + 10.0 / 24.0),
            (3, "Mon, 04 Jan 2021 10:00:00 +0000", 18_631.0 + 10.0 / 24.0),
            (3, "Mon, 04 Jan 2021 10:00:00 -0500 (EST)", 18_631.625),
            (3, "Mon 04 Jan 2021", 18_631.0),
            (3, "4th January 2021", 18_631.0),
            (3, "Jan 4th, 2021", 18_631.0),
            // pandas reads no weeks: `datetime.date.fromisoformat(text).toordinal() - 719163` of Python.
            (0, "2021-W05", 18_659.0),
            (0, "2021W05", 18_659.0),
            (0, "2021-W05-3", 18_661.0),
            (0, "2020-W53-7", 18_630.0),
        ] {
            let found = readings(text);
            assert_eq!(found[order], Some(expected), "{text}: {found:?}");
            assert_eq!(found.iter().flatten().count(), 1, "{text}: {found:?}");
        }
        let both = readings("01/02/2024");
        assert_eq!((both[1], both[2]), (Some(19_754.0), Some(19_724.0)));
        assert_eq!(readings("01.02.2024"), [None, Some(19_754.0), None, None, None]);
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "2024",
            "20241231",
            "31/12/24",
            "2024-13-01",
            "2024-02-30",
            "2024-1",
            "12:60",
            "25:00",
            "1.2.3",
            "2024-12-31T",
            "2024-12-31 x",
            "Dec 24",
            "4711-08",
            "2021-W54",
            "2021-Q5",
            "2021-1",
            "13/2021",
            "2021 04",
            "12345678T10",
            "13:45 PM",
            "10",
            "3 P",
            "Dec 2024 10",
            "22th March 2021",
            "May",
            "red",
            "192.168.0.1",
            "2024-12/31",
            "12:30:00 XM",
            "2024-12-31T10:00+99:00",
            "Märzen 1, 2024",
            "1/2/3/4",
            "2024-12-31T10:00:00.",
            "-2024-12-31",
        ] {
            assert_eq!(readings(text), Readings::default(), "{text}");
        }
    }

    #[test]
    fn a_format_reads_what_it_says() {
        for (format, text, expected) in [
            ("%Y%m%d", "20241231", Some(20_088.0)),
            ("%d/%m/%y", "31/12/24", Some(20_088.0)),
            ("%d.%m.%Y %H:%M", "31.12.2024 12:00", Some(20_088.5)),
            ("%s", "1735603200", Some(20_088.0)),
            ("%H.%M", "06.00", Some(0.25)),
            ("%Y-%m-%dT%H:%M:%S%z", "2024-12-31T01:00:00+0100", Some(20_088.0)),
            ("%Y%m%d", "2024-12-31", None),
            ("%Y%m%d", "2024111", None),
            ("%Y%m%d", "20241231.0", Some(20_088.0)),
        ] {
            assert_eq!(days_in(&DateOrder::Format(format.to_string()), text), expected, "{format} {text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[0-9a-zA-Zµ:/.+ ,TZ-]{0,30}") {
            readings(&text);
        }

        #[test]
        fn spelled_days_are_read_back(seconds in -5_000_000_000i64..5_000_000_000) {
            let number = days(seconds, 0);
            prop_assert_eq!(readings(&crate::records::spelled_day(number))[0], Some(number));
        }
    }
}
