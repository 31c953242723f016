//! Columns of numbers.

use super::{EncodeCells, Field, Kept, Refuse, Scaling, Slots};
use crate::records::{Cells, shortened};
use serde::{Deserialize, Serialize};

/// A column of numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Number {
    /// Mean over the training rows; it stands in for a missing value.
    pub mean: f64,
    /// Standard deviation over the training rows (divided by their count); 1 for a constant.
    pub std: f64,
    /// True where a 0/1 column `<name>_missing` follows: where the training rows miss values.
    pub indicator: bool,
}

/// The cells that an input column of numbers may have.
pub(super) const INPUT: &str = "a number (or its mark in data.missing, the marks between its digits in data.thousands \
                                and data.decimal, or the column in data.categorical)";

/// The numbers that a batch can hold.
pub(super) const FINITE: &str = "a finite number of single precision";

/// The encoder of numbers.
#[derive(Debug)]
struct NumberEncoder {
    column: Number,
    /// Subtracted from a number, which is divided by the second then.
    shift_and_scale: (f64, f64),
}

impl Field for Number {
    fn kept(&self) -> Kept {
        Kept { numbers: 1 + usize::from(self.indicator), indices: 0 }
    }

    fn number_names(&self, column: &str) -> Vec<String> {
        let missing = self.indicator.then(|| format!("{column}_missing"));
        [column.to_string()].into_iter().chain(missing).collect()
    }

    fn encoder(&self, scaling: Scaling) -> Box<dyn EncodeCells> {
        let shift_and_scale = match scaling {
            Scaling::Standard => (self.mean, self.std),
            Scaling::Raw => (0.0, 1.0),
        };
        Box::new(NumberEncoder { column: self.clone(), shift_and_scale })
    }
}

impl EncodeCells for NumberEncoder {
    fn check(&self, cells: &Cells, rows: &[usize], refuse: Refuse<'_>) {
        check_numbers(cells, rows, self.shift_and_scale, INPUT, refuse);
    }

    fn encode(&self, cells: &Cells, rows: &[usize], out: &mut Slots<'_>) {
        let Number { mean, indicator, .. } = self.column;
        each_number(cells, rows, |place, number| {
            let number = number.and_then(Result::ok);
            *out.number(place, 0) = scaled(number.unwrap_or(mean), self.shift_and_scale);
            if indicator {
                *out.number(place, 1) = f32::from(u8::from(number.is_none()));
            }
        });
    }
}

/// A number shifted and scaled.
pub(super) fn scaled(number: f64, (shift, scale): (f64, f64)) -> f32 {
    ((number - shift) / scale) as f32
}

/// Tells `refuse` of each row whose cell is not missing and no number that single precision holds, as it is
/// and once it is shifted and scaled.
pub(super) fn check_numbers(
    cells: &Cells,
    rows: &[usize],
    shift_and_scale: (f64, f64),
    expected: &str,
    refuse: Refuse<'_>,
) {
    each_number(cells, rows, |place, number| match number {
        // Not-a-number is missing, so that what no f32 holds is infinite or beyond it.
        Some(Ok(number)) if !(number as f32).is_finite() => {
            refuse(rows[place], FINITE, number.to_string());
        }
        Some(Ok(number)) if !scaled(number, shift_and_scale).is_finite() => {
            let (mean, std) = shift_and_scale;
            let found = format!("{number}, where the mean is {mean} and the standard deviation {std}");
            refuse(rows[place], "a number that is finite once it is standardised", found);
        }
        Some(Err(cell)) => refuse(rows[place], expected, format!("`{}`", shortened(cell))),
        Some(Ok(_)) | None => {}
    });
}

/// Tells `take` the number in each of `rows`, by its place among them: `None` without a value, the text where it
/// is none.
pub(super) fn each_number<'a>(
    cells: &'a Cells,
    rows: &[usize],
    mut take: impl FnMut(usize, Option<Result<f64, &'a str>>),
) {
    // One loop a variant: that of numbers is the one that a large table spends its time in.
    match cells {
        Cells::Numbers(numbers) | Cells::Dates(numbers) => {
            for (place, &row) in rows.iter().enumerate() {
                let number = numbers[row];
                take(place, if number.is_nan() { None } else { Some(Ok(number)) });
            }
        }
        Cells::Coded(coded) => {
            for (place, &row) in rows.iter().enumerate() {
                let word = (coded.codes()[row] as usize).checked_sub(1);
                let number = |word: usize| match coded.numbers()[word] {
                    number if number.is_nan() => Err(&*coded.words()[word]),
                    number => Ok(number),
                };
                take(place, word.map(number));
            }
        }
        Cells::Text(_) => {
            for (place, &row) in rows.iter().enumerate() {
                take(place, cells.number(row));
            }
        }
    }
}
