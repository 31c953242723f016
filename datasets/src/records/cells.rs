//! The cells of one column as its files spell them, before any type is known.
//!
//! ```text
//! a file's spelling: Text ─ pack ─┬─> Numbers, where each cell is one    8 bytes a cell
//!                                 └─> Coded: numbers of a dictionary     4 bytes a cell
//! a file's own dates: Dates                                              8 bytes a cell
//! ```

use super::days::spelled_day;
use super::spelling::NumberFormat;
use std::borrow::Cow;
use std::collections::HashMap;

/// The cells of one column. Some formats know their numbers; others spell everything as text.
#[derive(Clone, Debug)]
pub(crate) enum Cells {
    /// Not-a-number where there is no value.
    Numbers(Vec<f64>),
    /// Days since 1970 began in UTC, as a format knows its dates and times; not-a-number where there is no value.
    Dates(Vec<f64>),
    /// Text, one string after the other.
    Text(TextCells),
    /// Text, each different one once.
    Coded(Coded),
}

/// Texts by their places in a dictionary.
#[derive(Clone, Debug, Default)]
pub(crate) struct Coded {
    words: Vec<String>,
    /// The number that each word is; not-a-number where it is none.
    numbers: Vec<f64>,
    /// For each cell 1 + the place of its word; 0 without a value.
    codes: Vec<u32>,
}

impl Coded {
    /// The different texts.
    pub(crate) fn words(&self) -> &[String] {
        &self.words
    }

    /// The number that each of the texts is; not-a-number where it is none.
    pub(crate) fn numbers(&self) -> &[f64] {
        &self.numbers
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
    /// A value that its format says is a number, with a point before its fraction.
    Number,
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

    /// Appends a number as a format that knows its numbers spells it; `None` has no value.
    pub(crate) fn push_number(&mut self, cell: Option<&str>) {
        self.append(cell, Mark::Number);
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

    /// The format of a cell's number.
    fn format(&self, row: usize, format: NumberFormat) -> NumberFormat {
        if self.ends[row].1 == Mark::Number { NumberFormat::default() } else { format }
    }

    /// The numbers that the cells are, where each of them with a value is plainly one.
    fn numbers(&self, format: NumberFormat) -> Option<Vec<f64>> {
        let number = |row, cell| self.format(row, format).plain_number(cell);
        (0..self.len()).map(|row| self.get(row).map_or(Some(f64::NAN), |cell| number(row, cell))).collect()
    }

    /// The cells by their places in a dictionary. Where they `may_be_numbers`, those of a format of their own
    /// are spelled as all others are.
    pub(crate) fn coded(&self, may_be_numbers: bool, format: NumberFormat) -> Coded {
        let mut coded = Coded::default();
        let mut known: HashMap<(&str, bool), u32> = HashMap::new();
        let plain = format == NumberFormat::default();
        coded.codes.reserve(self.len());
        for row in 0..self.len() {
            let Some(cell) = self.get(row) else {
                coded.codes.push(0);
                continue;
            };
            let of_format = self.format(row, format);
            let code = known.entry((cell, !plain && of_format == format)).or_insert_with(|| {
                let number = of_format.number(cell);
                let word = if may_be_numbers && number.is_some() { of_format.plain(cell) } else { None };
                coded.words.push(word.map_or_else(|| cell.to_string(), Cow::into_owned));
                coded.numbers.push(number.unwrap_or(f64::NAN));
                coded.words.len() as u32
            });
            coded.codes.push(*code);
        }
        coded
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
            Cells::Numbers(numbers) | Cells::Dates(numbers) => numbers.len(),
            Cells::Text(text) => text.len(),
            Cells::Coded(coded) => coded.codes.len(),
        }
    }

    /// True where the cell has no value.
    pub(crate) fn is_missing(&self, row: usize) -> bool {
        match self {
            Cells::Numbers(numbers) | Cells::Dates(numbers) => numbers[row].is_nan(),
            Cells::Text(text) => text.ends[row].1 == Mark::None,
            Cells::Coded(coded) => coded.codes[row] == 0,
        }
    }

    /// The cell as text; a number in its shortest form. `None` without a value.
    pub(crate) fn text(&self, row: usize) -> Option<Cow<'_, str>> {
        match self {
            Cells::Numbers(numbers) if numbers[row].is_nan() => None,
            Cells::Numbers(numbers) => Some(spelled(numbers[row]).into()),
            Cells::Dates(days) if days[row].is_nan() => None,
            Cells::Dates(days) => Some(spelled_day(days[row]).into()),
            Cells::Text(text) => text.get(row).map(Into::into),
            Cells::Coded(coded) => coded.get(row).map(Into::into),
        }
    }

    /// The cell as a number, a date in days since 1970: `None` without a value, the text itself when it is no
    /// number.
    pub(crate) fn number(&self, row: usize) -> Option<Result<f64, &str>> {
        let number = |number: f64, cell| if number.is_nan() { Err(cell) } else { Ok(number) };
        match self {
            Cells::Numbers(numbers) | Cells::Dates(numbers) if numbers[row].is_nan() => None,
            Cells::Numbers(numbers) | Cells::Dates(numbers) => Some(Ok(numbers[row])),
            Cells::Text(text) => text.get(row).map(|cell| number(cell.parse().unwrap_or(f64::NAN), cell)),
            Cells::Coded(coded) => {
                let word = (coded.codes[row] as usize).checked_sub(1);
                word.map(|word| number(coded.numbers[word], &coded.words[word]))
            }
        }
    }

    /// Makes text smaller: numbers, where every cell with a value plainly is one and `may_be_numbers`; elsewhere
    /// places in a dictionary. Numbers have the shortest of their spellings afterwards.
    pub(crate) fn pack(&mut self, may_be_numbers: bool, format: NumberFormat) {
        if let Cells::Text(text) = self {
            let numbers = if may_be_numbers { text.numbers(format) } else { None };
            *self = numbers.map_or_else(|| Cells::Coded(text.coded(may_be_numbers, format)), Cells::Numbers);
        }
    }

    /// All cells as text by their places in a dictionary, as they are spelled.
    pub(crate) fn spelled(&self) -> Coded {
        let mut text = TextCells::default();
        (0..self.len()).for_each(|row| text.push(self.text(row).as_deref()));
        text.coded(false, NumberFormat::default())
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
            Cells::Numbers(numbers) | Cells::Dates(numbers) => {
                let spelled = if matches!(self, Cells::Dates(_)) { spelled_day } else { spelled };
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

    /// Adds the rows of `other`; false when one holds numbers and the other text or dates.
    pub(crate) fn append(&mut self, other: Cells) -> bool {
        match (self, other) {
            (Cells::Numbers(numbers), Cells::Numbers(more)) => numbers.extend(more),
            (Cells::Dates(days), Cells::Dates(more)) => days.extend(more),
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
            column.pack(may_be_numbers, NumberFormat::default());
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

    #[test]
    fn numbers_of_a_format_are_packed_as_such_and_those_that_a_file_knows_as_they_are() {
        let format = NumberFormat { thousands: Some('.'), decimal: ',' };
        let mut cells = TextCells::default();
        for cell in ["1.234,5", "2.000"] {
            cells.push(Some(cell));
        }
        cells.push_number(Some("1.234"));
        let mut column = Cells::Text(cells.clone());
        column.pack(true, format);
        let Cells::Numbers(numbers) = &column else { panic!("{column:?}") };
        assert_eq!(numbers, &[1234.5, 2000.0, 1.234]);
        cells.push_text(Some("1.234"));
        cells.push(Some("1.5"));
        let mut column = Cells::Text(cells);
        column.pack(true, format);
        let numbers: Vec<_> = (0..5).map(|row| column.number(row).unwrap().ok()).collect();
        assert_eq!(numbers, [Some(1234.5), Some(2000.0), Some(1.234), Some(1234.0), None]);
        assert_eq!(column.text(0).unwrap(), "1234.5");
    }

    proptest! {
        #[test]
        fn packed_cells_are_the_cells(
            cells in prop::collection::vec(prop::option::of("-?[0-9]{0,3}[.a]?[0-9]{0,2}"), 0..20),
            may_be_numbers: bool,
        ) {
            let cells: Vec<Option<&str>> = cells.iter().map(|cell| cell.as_deref()).collect();
            let (plain, mut packed) = (text(&cells), text(&cells));
            packed.pack(may_be_numbers, NumberFormat::default());
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
