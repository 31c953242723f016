//! Dates and times as numbers: days since 1970 began in UTC.

use chrono::{DateTime, NaiveDate};

const SECONDS_OF_DAY: f64 = 86_400.0;

/// The days until so many seconds after 1970 began, and as many nanoseconds more.
pub(crate) fn days(seconds: i64, nanoseconds: u32) -> f64 {
    (seconds as f64 + f64::from(nanoseconds) / 1e9) / SECONDS_OF_DAY
}

/// The days until a date begins.
pub(crate) fn days_of_date(date: NaiveDate) -> i64 {
    date.signed_duration_since(NaiveDate::default()).num_days()
}

/// A date in ISO 8601, with its time where that is not midnight.
pub(crate) fn spelled_day(days: f64) -> String {
    // An f64 of days is not exact to the last microseconds: whole milliseconds are spelled as such.
    let (exact, whole) = (days * SECONDS_OF_DAY * 1e6, (days * SECONDS_OF_DAY * 1e3).round() * 1e3);
    let microseconds = if (exact - whole).abs() <= 3.0 { whole } else { exact.round() };
    match DateTime::from_timestamp_micros(microseconds as i64) {
        Some(time) if microseconds % (SECONDS_OF_DAY * 1e6) == 0.0 => time.format("%Y-%m-%d").to_string(),
        Some(time) => time.format("%Y-%m-%dT%H:%M:%S%.f").to_string(),
        None => days.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_spelled_as_dates() {
        // datetime.date(2024, 2, 29).toordinal() - datetime.date(1970, 1, 1).toordinal() of Python.
        let leap = NaiveDate::from_ymd_opt(2024, 2, 29).unwrap();
        assert_eq!(days_of_date(leap), 19_782);
        assert_eq!(spelled_day(19_782.0), "2024-02-29");
        assert_eq!(spelled_day(days(19_782 * 86_400 + 3661, 500_000_000)), "2024-02-29T01:01:01.500");
        assert_eq!(spelled_day(-0.5), "1969-12-31T12:00:00");
        assert_eq!(spelled_day(1e300), 1e300.to_string());
    }
}
