//! Times as data spell them: numbers, or dates of ISO 8601.

use chrono::{NaiveDate, NaiveTime};

/// The words for what a time may be.
pub(crate) const EXPECTED: &str = "a number or a date of ISO 8601 (2024-12-31, 2024-12-31T23:59:59Z)";

/// A point in time, to be compared with others of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time {
    kind: Kind,
    /// Nanoseconds since 1970, or the place of a number among all.
    at: i128,
}

/// Kinds of times, of which no two can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Number,
    /// A date of no particular time zone.
    Local,
    /// A date with its distance from UTC.
    Universal,
}

impl Time {
    /// The time that a text spells; none where it spells none.
    pub(crate) fn parse(text: &str) -> Option<Time> {
        match text.parse() {
            Ok(number) => Time::of_number(number),
            Err(_) => date(text),
        }
    }

    /// The time of a finite number, whatever it counts.
    pub(crate) fn of_number(number: f64) -> Option<Time> {
        let bits = (number + 0.0).to_bits() as i64;
        // The bits of an f64 are in the order of the numbers, but for the negative ones, which are in reverse.
        let at = i128::from(bits ^ (((bits >> 63) as u64) >> 1) as i64);
        number.is_finite().then_some(Time { kind: Kind::Number, at })
    }
}

/// The kind of the times of a set: that of the first.
#[derive(Debug, Default)]
pub(crate) struct TimeKind(Option<Kind>);

impl TimeKind {
    /// The time of the next sample; `cell` are the words for one that is none.
    ///
    /// # Errors
    /// What was found instead: no time, or one that cannot be compared with the first.
    pub(crate) fn check(
        &mut self,
        time: Option<Time>,
        cell: impl FnOnce() -> String,
    ) -> Result<Time, String> {
        let time = time.ok_or_else(cell)?;
        let first = *self.0.get_or_insert(time.kind);
        match (first, time.kind) {
            (first, kind) if first == kind => Ok(time),
            (_, Kind::Number) => Err("a number among dates".to_string()),
            (Kind::Number, _) => Err("a date among numbers".to_string()),
            (_, Kind::Local) => Err("a date without a time zone among dates with one".to_string()),
            (_, Kind::Universal) => Err("a date with a time zone among dates without one".to_string()),
        }
    }
}

/// `2024-12`, `2024-12-31`, `2024/12/31`, each with a time behind `T` or a blank: `23:59`, `23:59:59.999`, and
/// behind that `Z` or `+01:00`.
fn date(text: &str) -> Option<Time> {
    const NANOSECONDS: i128 = 1_000_000_000;
    let (day, clock) = match text.split_once(['T', 't', ' ']) {
        Some((day, clock)) => (day, Some(clock.trim())),
        None => (text, None),
    };
    let mark = *day.as_bytes().get(4)?;
    if !day.bytes().take(4).all(|byte| byte.is_ascii_digit()) || !matches!(mark, b'-' | b'/') {
        return None;
    }
    let format = if mark == b'-' { "%Y-%m-%d" } else { "%Y/%m/%d" };
    let month_alone = clock.is_none() && mark == b'-' && day.len() == 7;
    let day = if month_alone { format!("{day}-01") } else { day.to_string() };
    let day = NaiveDate::parse_from_str(&day, format).ok()?;
    let (clock, offset) = match clock.map(zone) {
        None => (NaiveTime::MIN, None),
        Some(zone) => {
            let (clock, offset) = zone?;
            let formats = ["%H:%M:%S%.f", "%H:%M"];
            let clock = formats.iter().find_map(|format| NaiveTime::parse_from_str(clock, format).ok())?;
            (clock, offset)
        }
    };
    let since = day.and_time(clock).and_utc();
    let kind = if offset.is_some() { Kind::Universal } else { Kind::Local };
    let seconds = i128::from(since.timestamp()) - i128::from(offset.unwrap_or(0));
    Some(Time { kind, at: seconds * NANOSECONDS + i128::from(since.timestamp_subsec_nanos()) })
}

/// A time of day without its zone, and seconds that the zone is ahead of UTC; none where the zone is no zone.
fn zone(clock: &str) -> Option<(&str, Option<i32>)> {
    for utc in ["Z", "z", "UTC"] {
        if let Some(clock) = clock.strip_suffix(utc) {
            return Some((clock.trim_end(), Some(0)));
        }
    }
    let Some(at) = clock.rfind(['+', '-']) else { return Some((clock, None)) };
    let digits: String = clock[at + 1..].chars().filter(|&c| c != ':').collect();
    let (hours, minutes): (i32, i32) = match digits.len() {
        2 => (digits.parse().ok()?, 0),
        4 => (digits.get(..2)?.parse().ok()?, digits.get(2..)?.parse().ok()?),
        _ => return None,
    };
    let ahead = (hours * 60 + minutes) * 60;
    let is_zone = (0..24).contains(&hours) && (0..60).contains(&minutes);
    let sign = if clock[at..].starts_with('-') { -1 } else { 1 };
    is_zone.then(|| (clock[..at].trim_end(), Some(sign * ahead)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Nanoseconds since 1970.
    fn at(text: &str) -> Option<i128> {
        Time::parse(text).map(|time| time.at)
    }

    #[test]
    fn dates_are_those_of_pandas() {
        // pandas.Timestamp(text).as_unit("ns").value of pandas 3.1.1.
        for (text, nanoseconds) in [
            ("2024-12-31", 1735603200000000000),
            ("2024-12", 1733011200000000000),
            ("2024/02/29", 1709164800000000000),
            ("1969-12-31 23:59:59.5", -500000000),
            ("2024-12-31T23:59", 1735689540000000000),
            ("2024-12-31T23:59:59Z", 1735689599000000000),
            ("2024-12-31 23:59:59.123456789+01:30", 1735684199123456789),
            ("2024-12-31T01:00:00-0800", 1735635600000000000),
            ("2024-12-31 10:00:00 UTC", 1735639200000000000),
            ("1900-01-01", -2208988800000000000),
            ("2024-03-31T02:30:00+02", 1711845000000000000),
        ] {
            assert_eq!(at(text), Some(nanoseconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_of_iso_8601_is_refused() {
        for text in [
            "31.12.2024",
            "12/31/2024",
            "31-12-24",
            "2024-13-01",
            "2024-02-30",
            "yesterday",
            "",
            "nan",
            "inf",
            "2024-12-31T25:00",
            "2024-12-31T10:00+1",
            "2024-12-31T10:00+25:00",
            "2024-12-31 x",
            "24-12-31",
            "2024-é",
            "2024-12-31T10:00+é1",
        ] {
            assert_eq!(Time::parse(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_dates_and_dates_with_a_zone_are_kinds_of_their_own() {
        let differs = |first: &str, other: &str| {
            let mut kind = TimeKind::default();
            kind.check(Time::parse(first), String::new).unwrap();
            kind.check(Time::parse(other), || "no time".to_string()).err()
        };
        let found = |text: &str| Some(text.to_string());
        assert_eq!(differs("2024", "20240131"), None);
        assert_eq!(differs("2024-01-31", "2024-01-31T10:00"), None);
        assert_eq!(differs("2024", "2024-01-31"), found("a date among numbers"));
        assert_eq!(differs("2024-01-31", "5"), found("a number among dates"));
        assert_eq!(differs("2024-01-31", "x"), found("no time"));
        let zoned = differs("2024-01-31", "2024-01-31T10:00Z");
        assert_eq!(zoned, found("a date with a time zone among dates without one"));
        let local = differs("2024-01-31T10:00Z", "2024-01-31");
        assert_eq!(local, found("a date without a time zone among dates with one"));
    }

    proptest! {
        #[test]
        fn numbers_are_in_their_order(a: f64, b: f64) {
            if let (Some(first), Some(second)) = (Time::of_number(a), Time::of_number(b)) {
                prop_assert_eq!(Some(first.cmp(&second)), a.partial_cmp(&b), "{} {}", a, b);
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,24}", tail in "[-+:T0-9Z é]{0,12}") {
            Time::parse(&text);
            Time::parse(&format!("2024-01-31{tail}"));
        }
    }
}
