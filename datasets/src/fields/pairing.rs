//! Whether a column says the target: the same value, a class a value, or a number on one line with it.

use crate::records::{Cells, canonical};
use std::collections::BTreeMap;
use std::collections::HashMap;

/// Pairs of values that are told apart; a column and a target of more are not compared.
const MOST_PAIRS: usize = 256;

/// The largest error of a number that is on the line, as a share of it.
const NEAR: f64 = 1e-9;

/// The cells of a column beside those of the target, row by row.
#[derive(Debug, Default)]
pub(crate) struct Pairing {
    /// Rows that were compared.
    rows: u64,
    pairs: Option<Pairs>,
    line: Option<Line>,
}

/// The value of the target to each value of the column, and the other way round.
#[derive(Debug, Default)]
struct Pairs {
    targets: BTreeMap<String, String>,
    inputs: BTreeMap<String, String>,
}

/// Two points that all others are on one line with.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    first: Option<(f64, f64)>,
    second: Option<(f64, f64)>,
}

/// What a column says of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// Its value.
    Same,
    /// A value of its own for each.
    OneToOne,
}

impl Pairing {
    /// Compares the cells of `rows`; nothing is looked at behind the first row that tells the two apart.
    pub(crate) fn of(input: &Cells, target: &Cells, rows: &[usize]) -> Self {
        Pairing {
            rows: rows.len() as u64,
            pairs: pairs(input, target, rows),
            line: line(input, target, rows),
        }
    }

    /// Rows that say nothing of the target.
    pub(super) fn none(rows: u64) -> Self {
        Pairing { rows, ..Pairing::default() }
    }

    /// Adds the rows that come next.
    pub(crate) fn merge(&mut self, other: Pairing) {
        if self.rows == 0 {
            *self = other;
            return;
        }
        if other.rows == 0 {
            return;
        }
        self.rows += other.rows;
        self.pairs = match (self.pairs.take(), other.pairs) {
            (Some(mut pairs), Some(more)) => {
                more.targets.into_iter().all(|(input, target)| pairs.add(input, target)).then_some(pairs)
            }
            _ => None,
        };
        self.line = match (self.line, other.line) {
            (Some(mut line), Some(more)) => {
                [more.first, more.second].into_iter().flatten().all(|point| line.add(point)).then_some(line)
            }
            _ => None,
        };
    }

    /// What the column says of a target of classes, or of values.
    pub(crate) fn says(&self, values: bool) -> Option<Says> {
        const FEWEST_ROWS: u64 = 20;
        if self.rows < FEWEST_ROWS {
            return None;
        }
        if values {
            let Line { first: Some(first), second: Some(second) } = self.line? else { return None };
            let same = [first, second].iter().all(|(x, y)| x == y);
            return Some(if same { Says::Same } else { Says::OneToOne });
        }
        let pairs = &self.pairs.as_ref()?.targets;
        let same = pairs.iter().all(|(input, target)| input == target);
        (pairs.len() > 1).then_some(if same { Says::Same } else { Says::OneToOne })
    }
}

impl Pairs {
    /// Adds a pair; false where one of the two has another partner, or there are too many.
    fn add(&mut self, input: String, target: String) -> bool {
        let to = self.targets.entry(input.clone()).or_insert_with(|| target.clone());
        let fits = *to == target && *self.inputs.entry(target).or_insert_with(|| input.clone()) == input;
        fits && self.targets.len() <= MOST_PAIRS
    }
}

impl Line {
    /// Adds a point; false where it is not on the line.
    fn add(&mut self, point: (f64, f64)) -> bool {
        let Some(first) = self.first else {
            self.first = Some(point);
            return true;
        };
        let Some(second) = self.second else {
            if point.0 != first.0 && point.1 != first.1 {
                self.second = Some(point);
            }
            return (point.0 == first.0) == (point.1 == first.1);
        };
        let slope = (second.1 - first.1) / (second.0 - first.0);
        let expected = first.1 + slope * (point.0 - first.0);
        let size = point.1.abs() + first.1.abs() + (slope * (point.0 - first.0)).abs();
        (expected - point.1).abs() <= NEAR * size.max(f64::MIN_POSITIVE)
    }
}

/// A cell as a number that cells of one column share where they have one value.
fn key(cells: &Cells, row: usize) -> Option<u64> {
    match cells {
        Cells::Numbers(numbers) | Cells::Dates(numbers) => {
            // Zero has no sign, and all not-a-numbers are one.
            Some(if numbers[row].is_nan() { u64::MAX } else { (numbers[row] + 0.0).to_bits() })
        }
        Cells::Coded(coded) => Some(u64::from(coded.codes()[row])),
        // Cells are packed once they are read.
        Cells::Text(_) => None,
    }
}

fn pairs(input: &Cells, target: &Cells, rows: &[usize]) -> Option<Pairs> {
    let (mut targets, mut inputs): (HashMap<u64, u64>, HashMap<u64, u64>) = Default::default();
    let (mut found, mut before) = (Vec::new(), None);
    for &row in rows {
        let pair = (key(input, row)?, key(target, row)?);
        if before.replace(pair) == Some(pair) {
            continue;
        }
        let new = !targets.contains_key(&pair.0);
        let (to, from) = (*targets.entry(pair.0).or_insert(pair.1), *inputs.entry(pair.1).or_insert(pair.0));
        if (to, from) != (pair.1, pair.0) || targets.len() > MOST_PAIRS {
            return None;
        }
        if new {
            found.push(row);
        }
    }
    let text =
        |cells: &Cells, row| cells.text(row).map_or(String::new(), |text| canonical(&text).into_owned());
    let mut pairs = Pairs::default();
    found.into_iter().all(|row| pairs.add(text(input, row), text(target, row))).then_some(pairs)
}

fn line(input: &Cells, target: &Cells, rows: &[usize]) -> Option<Line> {
    let mut line = Line::default();
    // A date is no number in one format and days in another.
    if [input, target].iter().any(|cells| matches!(cells, Cells::Dates(_))) {
        return None;
    }
    for &row in rows {
        match (input.number(row), target.number(row)) {
            (None, _) | (_, None) => {}
            (Some(Ok(x)), Some(Ok(y))) if line.add((x, y)) => {}
            _ => return None,
        }
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{NumberFormat, TextCells};

    fn cells(of: impl Fn(usize) -> String) -> Cells {
        let mut text = TextCells::default();
        (0..60).for_each(|row| text.push(Some(of(row)).as_deref().filter(|cell| !cell.is_empty())));
        let mut cells = Cells::Text(text);
        cells.pack(true, NumberFormat::default());
        cells
    }

    /// What the one column says of the other, in blocks of 20 rows.
    fn says(input: impl Fn(usize) -> String, target: impl Fn(usize) -> String, values: bool) -> Option<Says> {
        let (input, target) = (cells(input), cells(target));
        let mut all = Pairing::default();
        for block in 0..3 {
            let rows: Vec<usize> = (20 * block..20 * block + 20).collect();
            all.merge(Pairing::of(&input, &target, &rows));
        }
        all.says(values)
    }

    #[test]
    fn a_column_that_says_the_target_is_found() {
        let class = |row: usize| ["no", "yes"][row * row % 3 % 2].to_string();
        let code = |row: usize| ["", "7"][row * row % 3 % 2].to_string();
        let value = |row: usize| format!("{}", (row * row % 17) as f64 / 4.0);
        let cents = |row: usize| format!("{}", (row * row % 17) * 25 + 3);
        assert_eq!(says(class, class, false), Some(Says::Same));
        assert_eq!(says(code, class, false), Some(Says::OneToOne));
        assert_eq!(says(value, value, true), Some(Says::Same));
        assert_eq!(says(cents, value, true), Some(Says::OneToOne));
    }

    #[test]
    fn columns_that_say_less_or_more_are_no_leaks() {
        let class = |row: usize| ["no", "yes"][row % 2].to_string();
        let value = |row: usize| format!("{}.5", row * row % 59);
        assert_eq!(says(|row| row.to_string(), class, false), None);
        assert_eq!(says(|_| "a".to_string(), class, false), None);
        assert_eq!(says(|row| class(row / 3), class, false), None);
        assert_eq!(says(|row| if row == 59 { "no".to_string() } else { class(row) }, class, false), None);
        assert_eq!(says(|row| row.to_string(), value, true), None);
        assert_eq!(says(|row| format!("n{row}"), value, true), None);
        assert_eq!(says(|_| "1".to_string(), value, true), None);
    }
}
