//! The cells of one column as its files spell them, before any type is known.
//!
//! ```text
//! a file's spelling: Text ─ pack ─┬─> Numbers, where each cell is one    8 bytes a cell
//!                                 └─> Coded: numbers of a dictionary     4 bytes a cell
//! ```

use super::spelling::plain_number;
use std::borrow::Cow;
use std::collections::HashMap;

/// The cells of one column. Some formats know their numbers; others spell everything as text.
#[derive(Clone, Debug)]
pub(crate) enum Cells {
    /// Not-a-number where there is no value.
    Numbers(Vec<f64>),
    /// Text, one string after the other.
    Text(TextCells),
    /// Text, each different one once.
    Coded(Coded),
}

/// Texts by their places in a dictionary.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coded {
    words: Vec<String>,
    /// For each cell 1 + the place of its word; 0 without a value.
    codes: Vec<u32>,
}

impl Coded {
    /// The different texts.
    pub(crate) fn words(&self) -> &[String] {
        &self.words
    }

    /// For each cell 1 + the place of its word; 0 without a value.
    pub(crate) fn codes(&self) -> &[u32] {
        &self.codes
    }

    /// The cell; `None` without a value.
    fn get(&self, row: usize) -> Option<&str> {
        let place = (self.codes[row] as usize).checked_sub(1)?;
        Some(&self.words[place])
    }
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

    /// The numbers that the cells are, where each of them with a value is plainly one.
    fn numbers(&self) -> Option<Vec<f64>> {
        (0..self.len()).map(|row| self.get(row).map_or(Some(f64::NAN), plain_number)).collect()
    }

    /// The cells by their places in a dictionary.
    fn coded(&self) -> Coded {
        let mut words: Vec<String> = Vec::new();
        let mut known: HashMap<&str, u32> = HashMap::new();
        let mut code = |cell| {
            *known.entry(cell).or_insert_with(|| {
                words.push(cell.to_string());
                words.len() as u32
            })
        };
        let codes = (0..self.len()).map(|row| self.get(row).map_or(0, &mut code)).collect();
        Coded { words, codes }
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
            Cells::Coded(coded) => coded.codes.len(),
        }
    }

    /// The cell as text; a number in its shortest form. `None` without a value.
    pub(crate) fn text(&self, row: usize) -> Option<Cow<'_, str>> {
        match self {
            Cells::Numbers(numbers) if numbers[row].is_nan() => None,
            Cells::Numbers(numbers) => Some(spelled(numbers[row]).into()),
            Cells::Text(text) => text.get(row).map(Into::into),
            Cells::Coded(coded) => coded.get(row).map(Into::into),
        }
    }

    /// The cell as a number: `None` without a value, the text itself when it is no number.
    pub(crate) fn number(&self, row: usize) -> Option<Result<f64, &str>> {
        match self {
            Cells::Numbers(numbers) if numbers[row].is_nan() => None,
            Cells::Numbers(numbers) => Some(Ok(numbers[row])),
            Cells::Text(text) => text.get(row).map(|cell| cell.parse().map_err(|_| cell)),
            Cells::Coded(coded) => coded.get(row).map(|cell| cell.parse().map_err(|_| cell)),
        }
    }

    /// Makes text smaller: numbers, where every cell with a value plainly is one and `may_be_numbers`; elsewhere
    /// places in a dictionary. Numbers have the shortest of their spellings afterwards.
    pub(crate) fn pack(&mut self, may_be_numbers: bool) {
        if let Cells::Text(text) = self {
            let numbers = if may_be_numbers { text.numbers() } else { None };
            *self = numbers.map_or_else(|| Cells::Coded(text.coded()), Cells::Numbers);
        }
    }

    /// For each of `rows` what `of` makes of its text, told to `take` by its place among `rows`; `None` where
    /// there is no value. `of` is asked once for each different text where these are packed.
    pub(crate) fn each<T: Copy>(
        &self,
        rows: &[usize],
        mut of: impl FnMut(&str) -> T,
        mut take: impl FnMut(usize, Option<T>),
    ) {
        match self {
            Cells::Numbers(numbers) => {
                let mut known: HashMap<u64, T> = HashMap::new();
                for (place, &row) in rows.iter().enumerate() {
                    let number = Some(numbers[row]).filter(|number| !number.is_nan());
                    take(
                        place,
                        number.map(|number| {
                            *known.entry(number.to_bits()).or_insert_with(|| of(&spelled(number)))
                        }),
                    );
                }
            }
            Cells::Text(text) => {
                for (place, &row) in rows.iter().enumerate() {
                    take(place, text.get(row).map(&mut of));
                }
            }
            Cells::Coded(coded) => {
                let mut known: Vec<Option<T>> = vec![None; coded.words.len()];
                for (place, &row) in rows.iter().enumerate() {
                    let word = (coded.codes[row] as usize).checked_sub(1);
                    take(place, word.map(|word| *known[word].get_or_insert_with(|| of(&coded.words[word]))));
                }
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

/// A number in its shortest form; zero has no sign.
fn spelled(number: f64) -> String {
    (number + 0.0).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::spelling::canonical;
    use super::*;
    use proptest::prelude::*;

    fn text(cells: &[Option<&str>]) -> Cells {
        let mut text = TextCells::default();
        cells.iter().for_each(|&cell| text.push(cell));
        Cells::Text(text)
    }

    #[test]
    fn numbers_are_packed_as_such_only_where_nothing_is_lost() {
        let packed = |cells: &[Option<&str>], may_be_numbers| {
            let mut column = text(cells);
            column.pack(may_be_numbers);
            let spelled: Vec<_> =
                (0..column.len()).map(|row| column.text(row).map(Cow::into_owned)).collect();
            (matches!(column, Cells::Numbers(_)), spelled)
        };
        let some = |cells: &[&str]| cells.iter().map(|cell| Some(cell.to_string())).collect::<Vec<_>>();
        let plain = [Some("1"), Some("1.0"), Some("-2.50"), Some("1e3")];
        assert_eq!(packed(&plain, true), (true, some(&["1", "1", "-2.5", "1000"])));
        assert_eq!(packed(&plain, false), (false, some(&["1", "1.0", "-2.50", "1e3"])));
        assert_eq!(packed(&[Some("1"), Some("01234")], true), (false, some(&["1", "01234"])));
        let long = "12345678901234567890";
        assert_eq!(packed(&[Some(long)], true), (false, some(&[long])));
        assert_eq!(packed(&[Some("True"), Some("1.0")], true), (false, some(&["True", "1.0"])));
        assert_eq!(packed(&[None, Some("3")], true), (true, vec![None, Some("3".into())]));
    }

    proptest! {
        #[test]
        fn packed_cells_are_the_cells(
            cells in prop::collection::vec(prop::option::of("-?[0-9]{0,3}[.a]?[0-9]{0,2}"), 0..20),
            may_be_numbers: bool,
        ) {
            let cells: Vec<Option<&str>> = cells.iter().map(|cell| cell.as_deref()).collect();
            let (plain, mut packed) = (text(&cells), text(&cells));
            packed.pack(may_be_numbers);
            let numbers = matches!(packed, Cells::Numbers(_));
            let rows: Vec<usize> = (0..cells.len()).rev().collect();
            for (row, cell) in cells.iter().enumerate() {
                let as_packed = |cell| if numbers { canonical(cell) } else { cell.into() };
                prop_assert_eq!(packed.text(row), cell.map(as_packed));
                prop_assert_eq!(packed.number(row).map(|n| n.ok()), plain.number(row).map(|n| n.ok()));
            }
            for column in [&plain, &packed] {
                let mut found = Vec::new();
                column.each(&rows, |text| text.len(), |place, len| found.push((place, len)));
                let expected = rows.iter().map(|&row| column.text(row).map(|cell| cell.len()));
                prop_assert_eq!(found, expected.enumerate().collect::<Vec<_>>());
            }
        }
    }
}
