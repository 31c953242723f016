//! The cells of one column as its files spell them, before any type is known.

use std::borrow::Cow;

/// The cells of one column. Some formats know their numbers; others spell everything as text.
#[derive(Clone, Debug)]
pub(crate) enum Cells {
    /// Not-a-number where there is no value.
    Numbers(Vec<f64>),
    /// Text, one string after the other.
    Text(TextCells),
}

/// Strings in one allocation, each with a mark of what it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct TextCells {
    text: String,
    /// The end of each cell's text in `text`, and what it is.
    ends: Vec<(usize, Mark)>,
}

/// A cell of text is a value or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// No value.
    None,
    /// A value that may be a number or anything else, as its letters say.
    Spelled,
    /// A value that its format says is text, even where its letters are those of a number.
    Text,
}

impl TextCells {
    /// Appends a cell; `None` has no value.
    pub(crate) fn push(&mut self, cell: Option<&str>) {
        self.append(cell, Mark::Spelled);
    }

    /// Appends a cell that is text, whatever it looks like; `None` has no value.
    pub(crate) fn push_text(&mut self, cell: Option<&str>) {
        self.append(cell, Mark::Text);
    }

    fn append(&mut self, cell: Option<&str>, mark: Mark) {
        self.text.push_str(cell.unwrap_or_default());
        self.ends.push((self.text.len(), if cell.is_some() { mark } else { Mark::None }));
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The cell as its file spells it; `None` without a value.
    pub(crate) fn get(&self, row: usize) -> Option<&str> {
        let (end, mark) = self.ends[row];
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before].0);
        (mark != Mark::None).then(|| &self.text[start..end])
    }

    /// True where the format says that the cell is text.
    pub(crate) fn is_text(&self, row: usize) -> bool {
        self.ends[row].1 == Mark::Text
    }

    /// Fills up with cells of no value to `rows` of them.
    pub(crate) fn fill(&mut self, rows: usize) {
        self.ends.resize(rows, (self.text.len(), Mark::None));
    }
}

impl Cells {
    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        match self {
            Cells::Numbers(numbers) => numbers.len(),
            Cells::Text(text) => text.len(),
        }
    }

    /// The cell as text; a number in its shortest form. `None` without a value.
    pub(crate) fn text(&self, row: usize) -> Option<Cow<'_, str>> {
        match self {
            Cells::Numbers(numbers) if numbers[row].is_nan() => None,
            Cells::Numbers(numbers) => Some(numbers[row].to_string().into()),
            Cells::Text(text) => text.get(row).map(Into::into),
        }
    }

    /// The cell as a number: `None` without a value, the text itself when it is no number.
    pub(crate) fn number(&self, row: usize) -> Option<Result<f64, &str>> {
        match self {
            Cells::Numbers(numbers) if numbers[row].is_nan() => None,
            Cells::Numbers(numbers) => Some(Ok(numbers[row])),
            Cells::Text(text) => text.get(row).map(|cell| cell.parse().map_err(|_| cell)),
        }
    }

    /// Turns a column of text into one of numbers, where every cell with a value is a number.
    pub(crate) fn parse(&mut self) {
        if let Cells::Text(text) = self {
            let number = |row| text.get(row).map_or(Ok(f64::NAN), str::parse).ok();
            let numbers: Option<Vec<f64>> = (0..text.len()).map(number).collect();
            if let Some(numbers) = numbers {
                *self = Cells::Numbers(numbers);
            }
        }
    }

    /// Adds the rows of `other`; false when one holds numbers and the other text.
    pub(crate) fn append(&mut self, other: Cells) -> bool {
        match (self, other) {
            (Cells::Numbers(numbers), Cells::Numbers(more)) => numbers.extend(more),
            (Cells::Text(cells), Cells::Text(more)) => {
                let offset = cells.text.len();
                cells.text.push_str(&more.text);
                cells.ends.extend(more.ends.into_iter().map(|(end, mark)| (end + offset, mark)));
            }
            _ => return false,
        }
        true
    }
}
