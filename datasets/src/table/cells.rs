//! The cells of one column as its files spell them, before any type is known.

use std::borrow::Cow;

/// The cells of one column. Parquet knows its numbers; CSV and JSONL hold text.
#[derive(Clone, Debug)]
pub(super) enum Cells {
    /// Not-a-number where there is no value.
    Numbers(Vec<f64>),
    /// Text, one string after the other.
    Text(TextCells),
}

/// Strings in one allocation, each with a mark for "no value".
#[derive(Clone, Debug, Default)]
pub(super) struct TextCells {
    text: String,
    /// Where each cell's text ends in `text`, and whether the cell has a value.
    ends: Vec<(usize, bool)>,
}

impl TextCells {
    /// Appends a cell; `None` has no value.
    pub(super) fn push(&mut self, cell: Option<&str>) {
        self.text.push_str(cell.unwrap_or_default());
        self.ends.push((self.text.len(), cell.is_some()));
    }

    fn get(&self, row: usize) -> Option<&str> {
        let (end, present) = self.ends[row];
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before].0);
        present.then(|| &self.text[start..end])
    }
}

impl Cells {
    /// The number of rows.
    pub(super) fn len(&self) -> usize {
        match self {
            Cells::Numbers(numbers) => numbers.len(),
            Cells::Text(text) => text.ends.len(),
        }
    }

    /// The cell as text; a number in its shortest form. `None` without a value.
    pub(super) fn text(&self, row: usize) -> Option<Cow<'_, str>> {
        match self {
            Cells::Numbers(numbers) if numbers[row].is_nan() => None,
            Cells::Numbers(numbers) => Some(numbers[row].to_string().into()),
            Cells::Text(text) => text.get(row).map(Into::into),
        }
    }

    /// The cell as a number: `None` without a value, the text itself when it is no number.
    pub(super) fn number(&self, row: usize) -> Option<Result<f64, &str>> {
        match self {
            Cells::Numbers(numbers) if numbers[row].is_nan() => None,
            Cells::Numbers(numbers) => Some(Ok(numbers[row])),
            Cells::Text(text) => text.get(row).map(|cell| cell.parse().map_err(|_| cell)),
        }
    }

    /// Turns a column of text into one of numbers, where every cell with a value is a number.
    pub(super) fn parse(&mut self) {
        if let Cells::Text(text) = self {
            let number = |row| text.get(row).map_or(Ok(f64::NAN), str::parse).ok();
            let numbers: Option<Vec<f64>> = (0..text.ends.len()).map(number).collect();
            if let Some(numbers) = numbers {
                *self = Cells::Numbers(numbers);
            }
        }
    }

    /// Adds the rows of `other`; false when one holds numbers and the other text.
    pub(super) fn append(&mut self, other: Cells) -> bool {
        match (self, other) {
            (Cells::Numbers(numbers), Cells::Numbers(more)) => numbers.extend(more),
            (Cells::Text(cells), Cells::Text(more)) => {
                let offset = cells.text.len();
                cells.text.push_str(&more.text);
                cells.ends.extend(more.ends.into_iter().map(|(end, present)| (end + offset, present)));
            }
            _ => return false,
        }
        true
    }
}
