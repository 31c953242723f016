//! Columns of dates and times: days since 1970 began in UTC, and parts of the calendar where a recipe asks for
//! them.

pub(super) mod forms;
pub(super) mod names;
pub(super) mod read;
pub(super) mod tally;

use super::number::scaled;
use super::{EncodeCells, Field, Kept, Refuse, Scaling, Slots, UnseenCells};
use crate::records::{Cells, shortened};
use chrono::{Datelike, NaiveDate};
use read::days_in;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::fmt;

/// A column of dates or times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Date {
    /// The spelling of its cells.
    pub order: DateOrder,
    /// Mean over the training rows, in days since 1970 began; it stands in for a missing value.
    pub mean: f64,
    /// Standard deviation over the training rows in days (divided by their count); 1 for a constant.
    pub std: f64,
    /// True where a 0/1 column `<name>_missing` follows: where the training rows miss values.
    pub indicator: bool,
    /// The numbers that a date becomes.
    pub parts: Vec<DatePart>,
}

/// What stands for no date in a column of dates, whatever its marks are: pandas writes it. Elsewhere it is text, as
/// it is to pandas.
const NOT_A_TIME: &str = "NaT";

/// How dates are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateOrder {
    /// `2024-12-31`, ISO 8601 among them; so are those that a format knows as dates.
    YearFirst,
    /// `31/12/2024`, `31.12.2024`.
    DayFirst,
    /// `12/31/2024`.
    MonthFirst,
    /// `Dec 31, 2024`, `31 Dec 2024`.
    NamedMonth,
    /// A time of day: `13:45:30`, a share of a day.
    Time,
    /// As `data.date_format` says.
    Format(String),
}

/// A number that a date becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatePart {
    /// Days since 1970 began in UTC, with the time as a fraction.
    Days,
    /// The year.
    Year,
    /// The month, 1 to 12.
    Month,
    /// The day of the month, 1 to 31.
    Day,
    /// The day of the week: Monday is 0, Sunday 6.
    Weekday,
    /// The hour, 0 to 23.
    Hour,
    /// Six numbers: sine and cosine of the time of the year, of the week and of the day, so that the last moment
    /// of each lies beside its first.
    SineCosine,
}

/// The shift and the scale of the numbers of a part.
type Scaled = (f64, f64);

/// Days of a year, as the calendar has them in 400 years.
const DAYS_OF_YEAR: f64 = 365.2425;

/// Days from the beginning of the year 1 to that of 1970.
const DAYS_BEFORE_1970: i64 = 719_162;

impl DatePart {
    /// The endings of the names of its numbers.
    fn endings(self) -> &'static [&'static str] {
        match self {
            DatePart::Days => &[""],
            DatePart::Year => &["_year"],
            DatePart::Month => &["_month"],
            DatePart::Day => &["_day"],
            DatePart::Weekday => &["_weekday"],
            DatePart::Hour => &["_hour"],
            DatePart::SineCosine => {
                &["_year_sine", "_year_cosine", "_week_sine", "_week_cosine", "_day_sine", "_day_cosine"]
            }
        }
    }

    /// The shift and scale of its numbers. Days and years are those of the training rows; the others go round,
    /// and have the mean and deviation of all their values.
    fn scale(self, mean: f64, std: f64) -> Scaled {
        match self {
            DatePart::Days => (mean, std),
            DatePart::Year => (1970.0 + mean / DAYS_OF_YEAR, (std / DAYS_OF_YEAR).max(1.0)),
            DatePart::Month => (6.5, 3.452),
            DatePart::Day => (15.73, 8.8),
            DatePart::Weekday => (3.0, 2.0),
            DatePart::Hour => (11.5, 6.922),
            DatePart::SineCosine => (0.0, 1.0),
        }
    }

    /// Appends its numbers for a date.
    fn append(self, days: f64, numbers: &mut Vec<f64>) {
        let (date, time) = calendar(days);
        match self {
            DatePart::Days => numbers.push(days),
            DatePart::Year => numbers.push(f64::from(date.year())),
            DatePart::Month => numbers.push(f64::from(date.month())),
            DatePart::Day => numbers.push(f64::from(date.day())),
            DatePart::Weekday => numbers.push(f64::from(date.weekday().num_days_from_monday())),
            DatePart::Hour => numbers.push((time * 24.0).floor()),
            DatePart::SineCosine => {
                let of_year = if date.leap_year() { 366.0 } else { 365.0 };
                let weekday = f64::from(date.weekday().num_days_from_monday());
                for turn in [(f64::from(date.ordinal0()) + time) / of_year, (weekday + time) / 7.0, time] {
                    let (sine, cosine) = (TAU * turn).sin_cos();
                    numbers.extend([sine, cosine]);
                }
            }
        }
    }
}

/// The date of so many days since 1970, and the share of it that is over; the nearest that the calendar has.
fn calendar(days: f64) -> (NaiveDate, f64) {
    // A time is rounded to microseconds, so that 13:00 is not the last moment of hour 12.
    const MICROSECONDS: f64 = 86_400e6;
    let microseconds = (days * MICROSECONDS).round();
    let whole = (microseconds / MICROSECONDS).floor();
    let first = if whole < 0.0 { NaiveDate::MIN } else { NaiveDate::MAX };
    let day = (whole as i64).saturating_add(DAYS_BEFORE_1970 + 1);
    let date = i32::try_from(day).ok().and_then(NaiveDate::from_num_days_from_ce_opt);
    (date.unwrap_or(first), (microseconds - whole * MICROSECONDS) / MICROSECONDS)
}

impl Field for Date {
    fn kept(&self) -> Kept {
        let numbers: usize = self.parts.iter().map(|part| part.endings().len()).sum();
        Kept { numbers: numbers + usize::from(self.indicator), indices: 0 }
    }

    fn number_names(&self, column: &str) -> Vec<String> {
        let endings = self.parts.iter().flat_map(|part| part.endings()).copied();
        endings
            .chain(self.indicator.then_some("_missing"))
            .map(|ending| format!("{column}{ending}"))
            .collect()
    }

    fn encoder(&self, scaling: Scaling) -> Box<dyn EncodeCells> {
        let scales = self.parts.iter().flat_map(|part| {
            let scale = match scaling {
                Scaling::Standard => part.scale(self.mean, self.std),
                Scaling::Raw => (0.0, 1.0),
            };
            part.endings().iter().map(move |_| scale)
        });
        Box::new(DateEncoder { column: self.clone(), scales: scales.collect() })
    }
}

/// The encoder of dates.
#[derive(Debug)]
struct DateEncoder {
    column: Date,
    /// Of each number.
    scales: Vec<Scaled>,
}

impl DateEncoder {
    /// The numbers of a date.
    fn numbers(&self, days: f64) -> Vec<f32> {
        let mut numbers = Vec::with_capacity(self.scales.len());
        self.column.parts.iter().for_each(|part| part.append(days, &mut numbers));
        numbers.iter().zip(&self.scales).map(|(&number, &scale)| scaled(number, scale)).collect()
    }
}

impl EncodeCells for DateEncoder {
    fn check(&self, cells: &Cells, rows: &[usize], refuse: Refuse<'_>) {
        let order = &self.column.order;
        each_date(cells, rows, order, |place, days| match days {
            Some(Err(())) => {
                let found = cells.text(rows[place]).unwrap_or_default();
                refuse(rows[place], &expected(order), format!("`{}`", shortened(&found)));
            }
            Some(Ok(days)) if self.numbers(days).iter().any(|number| !number.is_finite()) => {
                refuse(rows[place], "a date that is finite once it is standardised", days.to_string());
            }
            _ => {}
        });
    }

    fn unseen(&self, cells: &Cells, rows: &[usize]) -> UnseenCells {
        let mut missing = 0;
        each_date(cells, rows, &self.column.order, |_, days| missing += u64::from(days.is_none()));
        UnseenCells { missing, ..UnseenCells::default() }
    }

    fn encode(&self, cells: &Cells, rows: &[usize], out: &mut Slots<'_>) {
        let missing = self.numbers(self.column.mean);
        // Neighbouring rows often have the same date.
        let (mut before, mut numbers) = (f64::NAN, missing.clone());
        each_date(cells, rows, &self.column.order, |place, days| {
            let days = days.and_then(Result::ok);
            if let Some(days) = days
                && days != before
            {
                (before, numbers) = (days, self.numbers(days));
            }
            let numbers = if days.is_some() { &numbers } else { &missing };
            for (at, &number) in numbers.iter().enumerate() {
                *out.number(place, at) = number;
            }
            if self.column.indicator {
                *out.number(place, numbers.len()) = f32::from(u8::from(days.is_none()));
            }
        });
    }
}

impl DateOrder {
    /// The days since 1970 that a text is in this order.
    pub(crate) fn days(&self, text: &str) -> Option<f64> {
        days_in(self, text)
    }
}

/// What a cell of an input column of dates is expected to be.
pub(super) fn expected(order: &DateOrder) -> String {
    format!("a date, {order} (or its mark in data.missing, or the column in data.categorical)")
}

/// Tells `take` the days in each of `rows`, by its place among them: `None` without a value, an error where it
/// is no date of the order.
fn each_date(
    cells: &Cells,
    rows: &[usize],
    order: &DateOrder,
    mut take: impl FnMut(usize, Option<Result<f64, ()>>),
) {
    match cells {
        Cells::Dates(days) => {
            for (place, &row) in rows.iter().enumerate() {
                take(place, Some(days[row]).filter(|days| !days.is_nan()).map(Ok));
            }
        }
        cells => {
            let days = |text: &str| match text {
                NOT_A_TIME => None,
                text => Some(days_in(order, text).ok_or(())),
            };
            cells.each(rows, days, |place, days| take(place, days.flatten()));
        }
    }
}

impl fmt::Display for DateOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DateOrder::YearFirst => f.write_str("the year first"),
            DateOrder::DayFirst => f.write_str("the day first"),
            DateOrder::MonthFirst => f.write_str("the month first"),
            DateOrder::NamedMonth => f.write_str("with the month's name"),
            DateOrder::Time => f.write_str("a time of day"),
            DateOrder::Format(format) => write!(f, "as `{format}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{NumberFormat, TextCells};

    fn encoded(column: &Date, cells: &[Option<&str>], scaling: Scaling) -> Vec<f32> {
        let mut text = TextCells::default();
        cells.iter().for_each(|&cell| text.push(cell));
        let mut column_cells = Cells::Text(text);
        column_cells.pack(true, NumberFormat::default());
        let width = column.kept().numbers;
        let mut numbers = vec![f32::NAN; width * cells.len()];
        let rows: Vec<usize> = (0..cells.len()).collect();
        let mut slots = Slots {
            numbers: &mut numbers,
            numbers_of_row: (width, 0),
            indices: &mut [],
            indices_of_row: (0, 0),
        };
        let encoder = column.encoder(scaling);
        encoder.check(&column_cells, &rows, &mut |row, expected, found| panic!("{row}: {expected}, {found}"));
        encoder.encode(&column_cells, &rows, &mut slots);
        numbers
    }

    #[test]
    fn a_date_becomes_the_parts_of_a_calendar() {
        use DatePart::{Day, Days, Hour, Month, SineCosine, Weekday, Year};
        let parts = vec![Days, Year, Month, Day, Weekday, Hour, SineCosine];
        let column = Date { order: DateOrder::YearFirst, mean: 0.0, std: 1.0, indicator: true, parts };
        let names = column.number_names("t");
        assert_eq!(names[..4], ["t", "t_year", "t_month", "t_day"]);
        assert_eq!((names.len(), names[12].as_str()), (13, "t_missing"));
        let numbers = encoded(&column, &[Some("2024-12-31T18:00"), None], Scaling::Raw);
        // datetime.datetime(2024, 12, 31, 18) of Python: a Tuesday.
        assert_eq!(numbers[..6], [20_088.75, 2024.0, 12.0, 31.0, 1.0, 18.0]);
        let turns = [365.75 / 366.0, 1.75 / 7.0, 0.75f64];
        for (turn, found) in turns.into_iter().zip(numbers[6..12].chunks(2)) {
            let (sine, cosine) = (TAU * turn).sin_cos();
            assert!((f64::from(found[0]) - sine).abs() < 1e-6 && (f64::from(found[1]) - cosine).abs() < 1e-6);
        }
        assert_eq!((numbers[12], numbers[13], numbers[14], numbers[25]), (0.0, 0.0, 1970.0, 1.0));
    }

    #[test]
    fn hours_are_whole_where_a_clock_says_so() {
        let parts = vec![DatePart::Hour];
        let column = Date { order: DateOrder::YearFirst, mean: 0.0, std: 1.0, indicator: false, parts };
        let cells: Vec<String> = (0..24).map(|hour| format!("2031-07-09 {hour:02}:00:00")).collect();
        let cells: Vec<Option<&str>> = cells.iter().map(|cell| Some(cell.as_str())).collect();
        let hours = encoded(&column, &cells, Scaling::Raw);
        assert_eq!(hours, (0..24).map(|hour| hour as f32).collect::<Vec<_>>());
    }

    #[test]
    fn near_dates_far_from_1970_are_told_apart() {
        // One second apart, with a deviation of a day: an f32 of the days alone has an error of minutes.
        let parts = vec![DatePart::Days];
        let column = Date { order: DateOrder::YearFirst, mean: 20_000.0, std: 1.0, indicator: false, parts };
        let numbers =
            encoded(&column, &[Some("2024-10-04T00:00:00"), Some("2024-10-04T00:00:01")], Scaling::Standard);
        assert!((f64::from(numbers[1] - numbers[0]) - 1.0 / 86_400.0).abs() < 1e-7, "{numbers:?}");
    }
}
