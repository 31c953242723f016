//! Columns: their kinds as training would tell them, and what a person wants to know of their cells.

use crate::DataError;
use crate::fields::{Column, Counting, Encoding, Learned, Tally, Wishes};
use crate::records::{Cells, Frame};
use crate::{OnCorrupt, bounds};
use std::borrow::Cow;
use std::collections::HashMap;

/// Different values of a column that are counted.
const MOST_VALUES: usize = 50_000;

/// Values of a column that are shown, the most frequent first.
const SHOWN: usize = 6;

/// Mean words of a cell from which on a column of different texts is written language.
const WORDS_OF_TEXT: f64 = 3.0;

/// Different values that are no numbers, up to which a column of numbers may have marks of "no value" among them.
const MOST_STRAYS: usize = 4;

/// Values that people write where there is none, besides those that every table takes for it; in small letters.
const MARKS: [&str; 40] = [
    "-",
    "--",
    "---",
    "–",
    "—",
    ".",
    "..",
    "...",
    "_",
    "*",
    "?",
    "??",
    "n.a.",
    "n.a",
    "na",
    "n/a",
    "n/d",
    "nd",
    "nan",
    "none",
    "nil",
    "null",
    "(null)",
    "<null>",
    "[null]",
    "#null!",
    "\\n",
    "#n/a",
    "#div/0!",
    "#value!",
    "#ref!",
    "missing",
    "unknown",
    "unk",
    "undefined",
    "no data",
    "not available",
    "not applicable",
    "not recorded",
    "void",
];

/// Numbers that people write where there is none.
const SENTINELS: [f64; 9] = [-99.0, -999.0, -9999.0, -99999.0, 99.0, 999.0, 9999.0, 99999.0, 999_999.0];

/// The kind of a column, as a recipe would use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Numbers.
    Number,
    /// One of some categories.
    Category,
    /// Dates or times.
    Date,
    /// Written language.
    Text,
    /// A number or name of its own for each row, which says nothing about any other.
    Identifier,
    /// The same value in each row.
    Constant,
    /// No value at all.
    Empty,
}

impl ColumnKind {
    /// The kind in a word.
    pub fn name(self) -> &'static str {
        match self {
            ColumnKind::Number => "number",
            ColumnKind::Category => "category",
            ColumnKind::Date => "date",
            ColumnKind::Text => "text",
            ColumnKind::Identifier => "identifier",
            ColumnKind::Constant => "constant",
            ColumnKind::Empty => "empty",
        }
    }
}

/// The numbers of a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
    /// The mean.
    pub mean: f64,
    /// True where all are whole.
    pub whole: bool,
}

/// A column of the rows that were looked at.
#[derive(Clone, Debug)]
pub struct ColumnLook {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: ColumnKind,
    /// Rows without a value.
    pub missing: u64,
    /// Rows with one.
    pub values: u64,
    /// Different values; none where there are more than are counted.
    pub distinct: Option<u64>,
    /// The most frequent values with their counts, the first of them most; empty where too many differ.
    pub commonest: Vec<(String, u64)>,
    /// Its numbers, where all its values are some.
    pub range: Option<Range>,
    /// Shares of the rows in ten intervals of equal width from the least to the greatest number.
    pub histogram: Option<[u64; 10]>,
    /// The mean number of words of a value.
    pub words: f64,
    /// Why training would not read it as it stands.
    pub refused: Option<DataError>,
    /// True for whole numbers that are greater in each row than in the one before, as moments and numbers of
    /// records are.
    pub rises: bool,
    /// True for whole numbers with zeros in front, which are codes: `00123`.
    pub codes: bool,
    /// Marks of "no value" among its numbers that no table takes for it unless its recipe says so, with their counts.
    pub marks: Vec<(String, u64)>,
    /// A number far from all others that may mean "no value", with its count.
    pub sentinel: Option<(String, u64)>,
}

/// What is seen of a column's cells.
#[derive(Debug)]
pub(super) struct Seen {
    missing: u64,
    values: u64,
    /// Not-numbers among the values.
    names: u64,
    /// The different ones of these; none where they are more than marks could be.
    strays: Option<HashMap<String, u64>>,
    /// True where a whole number has zeros in front.
    padded: bool,
    counts: Option<HashMap<String, u64>>,
    words: u64,
    least: f64,
    greatest: f64,
    sum: f64,
    whole: bool,
    /// True while each number is one more than the one before, and while it is greater.
    counts_up: bool,
    rises: bool,
    last: Option<f64>,
}

impl Seen {
    fn new() -> Self {
        Seen {
            missing: 0,
            values: 0,
            names: 0,
            strays: Some(HashMap::new()),
            padded: false,
            counts: Some(HashMap::new()),
            words: 0,
            least: f64::INFINITY,
            greatest: f64::NEG_INFINITY,
            sum: 0.0,
            whole: true,
            counts_up: true,
            rises: true,
            last: None,
        }
    }

    /// The cells with a value of the column `name`, in the rows' order.
    pub(super) fn cells<'a>(frames: &'a [Frame], name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
        frames.iter().flat_map(move |frame| {
            let cells = frame.position(name).map(|at| &frame.columns[at]);
            cells.into_iter().flat_map(|cells| (0..cells.len()).filter_map(|row| cells.text(row)))
        })
    }

    /// Adds the cells of a frame.
    fn add(&mut self, cells: &Cells) {
        let rows: Vec<usize> = (0..cells.len()).collect();
        let mut texts: Vec<(String, u64)> = Vec::new();
        let place = |text: &str| {
            texts.push((text.to_string(), 0));
            texts.len() - 1
        };
        let mut places = Vec::with_capacity(rows.len());
        cells.each(&rows, place, |_, place| places.push(place));
        for &place in &places {
            match place {
                None => self.missing += 1,
                Some(place) => texts[place].1 += 1,
            }
        }
        let numbers: Vec<Option<f64>> = texts.iter().map(|(text, _)| text.parse().ok()).collect();
        for place in places.into_iter().flatten() {
            self.see(numbers[place]);
        }
        for ((text, count), number) in texts.into_iter().zip(numbers) {
            self.values += count;
            self.padded |= is_padded(&text);
            if let (None, Some(strays)) = (number, &mut self.strays) {
                *strays.entry(text.clone()).or_default() += count;
                if strays.len() > MOST_STRAYS {
                    self.strays = None;
                }
            }
            self.words += count * text.split_whitespace().count() as u64;
            if let Some(counts) = &mut self.counts {
                *counts.entry(text).or_default() += count;
                if counts.len() > MOST_VALUES {
                    self.counts = None;
                }
            }
        }
    }

    fn see(&mut self, number: Option<f64>) {
        let Some(number) = number else {
            self.names += 1;
            (self.counts_up, self.rises) = (false, false);
            return;
        };
        (self.least, self.greatest) = (self.least.min(number), self.greatest.max(number));
        self.sum += number;
        self.whole &= number.fract() == 0.0;
        self.counts_up &= self.last.is_none_or(|last| number == last + 1.0);
        self.rises &= self.last.is_none_or(|last| number > last);
        self.last = Some(number);
    }

    fn range(&self) -> Option<Range> {
        let (least, greatest) = (self.least, self.greatest);
        let mean = self.sum / self.values as f64;
        (self.names == 0 && self.values > 0).then_some(Range { least, greatest, mean, whole: self.whole })
    }

    /// The marks of "no value" among numbers, where nothing else is among them.
    fn marks(&self) -> Vec<(String, u64)> {
        let is_mark = |(text, _): &(&String, &u64)| MARKS.contains(&text.to_lowercase().as_str());
        let strays = self
            .strays
            .as_ref()
            .filter(|strays| strays.iter().all(|stray| is_mark(&stray)) && 2 * self.names <= self.values);
        let mut marks: Vec<_> =
            strays.into_iter().flatten().map(|(text, count)| (text.clone(), *count)).collect();
        marks.sort();
        marks
    }

    /// A number such as -999 that several rows have, and that is further from the next one than any two others.
    fn sentinel(&self) -> Option<(String, u64)> {
        let counts = self.counts.as_ref().filter(|_| self.names == 0)?;
        let number = |text: &String| text.parse::<f64>().ok().filter(|number| number.is_finite());
        let found = counts.iter().filter(|(_, count)| **count > 1).find(|(text, _)| {
            let Some(value) = number(text).filter(|value| SENTINELS.contains(value)) else { return false };
            let others = counts.keys().filter_map(number).filter(|other| *other != value);
            let (least, greatest) = others.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), other| {
                (low.min(other), high.max(other))
            });
            let distance = if value < least { least - value } else { value - greatest };
            least < greatest && distance > greatest - least
        });
        found.map(|(text, count)| (text.clone(), *count))
    }

    fn distinct(&self) -> Option<u64> {
        self.counts.as_ref().map(|counts| counts.len() as u64)
    }

    fn commonest(&self) -> Vec<(String, u64)> {
        let mut counts: Vec<_> =
            self.counts.iter().flatten().map(|(text, count)| (text.clone(), *count)).collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        counts.truncate(SHOWN);
        counts
    }
}

/// Looks at each column of some frames.
pub(super) fn look(uri: &str, frames: &[Frame]) -> Result<Vec<ColumnLook>, DataError> {
    let mut names: Vec<String> = Vec::new();
    for frame in frames {
        crate::records::add_names(&mut names, frame.names.clone());
    }
    names.into_iter().map(|name| Ok(column(uri, frames, name))).collect()
}

fn column(uri: &str, frames: &[Frame], name: String) -> ColumnLook {
    let mut seen = Seen::new();
    let mut tally: Option<Tally> = None;
    for frame in frames {
        let more = match frame.position(&name) {
            Some(at) => {
                seen.add(&frame.columns[at]);
                let rows: Vec<usize> = (0..frame.len()).collect();
                Tally::of_input(frame, at, &rows, Counting::Values, None)
            }
            None => {
                seen.missing += frame.len() as u64;
                Tally::lacking(frame.len() as u64)
            }
        };
        match &mut tally {
            Some(tally) => tally.merge(more),
            None => tally = Some(more),
        }
    }
    let wishes = Wishes::none(bounds::MOST_CLASSES, OnCorrupt::Stop);
    let (distinct, words) = (seen.distinct(), seen.words as f64 / seen.values.max(1) as f64);
    let (encoding, refused) =
        match tally.filter(|_| seen.values > 0).map(|tally| tally.column(uri, name.clone(), &wishes)) {
            None | Some(Ok(Learned::Empty)) => (None, None),
            Some(Ok(Learned::Column(column, _))) => (Some(*column), None),
            Some(Err(error)) => (None, Some(error)),
        };
    let kind = kind(&name, &seen, encoding.as_ref(), words);
    let range = seen.range().filter(|_| !seen.padded);
    let histogram =
        range.filter(|range| range.greatest > range.least).map(|range| histogram(frames, &name, range));
    ColumnLook {
        kind,
        missing: seen.missing,
        values: seen.values,
        distinct,
        commonest: seen.commonest(),
        range,
        histogram,
        words,
        refused: refused.filter(|_| kind != ColumnKind::Text),
        rises: seen.rises && seen.whole && seen.values > 20,
        codes: seen.padded && seen.names == 0,
        marks: seen.marks(),
        sentinel: seen.sentinel(),
        name,
    }
}

/// The kind of a column: as training would read it, but for those that it should leave out.
fn kind(name: &str, seen: &Seen, column: Option<&Column>, words: f64) -> ColumnKind {
    let (values, distinct) = (seen.values, seen.distinct());
    let all_differ = distinct.is_none_or(|distinct| distinct == values) && values > 20;
    let codes = seen.padded && seen.names == 0;
    let numeric = !codes && column.is_some_and(|column| matches!(column.encoding, Encoding::Numeric(_)));
    let categorical =
        codes || column.is_none_or(|column| matches!(column.encoding, Encoding::Categorical(_)));
    if values == 0 {
        ColumnKind::Empty
    } else if distinct == Some(1) && seen.missing == 0 && values > 1 {
        ColumnKind::Constant
    } else if !numeric && !categorical {
        ColumnKind::Date
    } else if numeric {
        let from_start = seen.counts_up && (seen.least == 0.0 || seen.least == 1.0) && seen.missing == 0;
        let is_index = values > 20 && (from_start || names_identifier(name) && seen.whole && all_differ);
        if is_index { ColumnKind::Identifier } else { ColumnKind::Number }
    } else if words >= WORDS_OF_TEXT && distinct.is_none_or(|distinct| 2 * distinct > values) {
        ColumnKind::Text
    } else if all_differ
        || distinct.is_none()
        || names_identifier(name) && distinct.is_none_or(|d| 2 * d > values)
    {
        ColumnKind::Identifier
    } else {
        ColumnKind::Category
    }
}

/// True for a whole number with zeros in front.
fn is_padded(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// True for the usual names of identifiers.
fn names_identifier(name: &str) -> bool {
    let lower = name.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    matches!(words.last().copied(), Some("id" | "ids" | "uuid" | "guid" | "key" | "index" | "idx" | "rownum"))
        || name.ends_with("Id")
        || name.ends_with("ID")
        || lower.starts_with("unnamed")
        || words.is_empty()
}

fn histogram(frames: &[Frame], name: &str, range: Range) -> [u64; 10] {
    let mut counts = [0; 10];
    let width = range.greatest - range.least;
    for cell in frames.iter().filter_map(|frame| Some(&frame.columns[frame.position(name)?])) {
        let rows: Vec<usize> = (0..cell.len()).collect();
        cell.each(
            &rows,
            |text| text.parse::<f64>().ok(),
            |_, number| {
                if let Some(number) = number.flatten() {
                    let place = ((number - range.least) / width * 10.0) as usize;
                    counts[place.min(9)] += 1;
                }
            },
        );
    }
    counts
}

/// The columns from which `target` follows.
pub(super) fn leaks(frames: &[Frame], columns: &[ColumnLook], target: &str) -> Vec<String> {
    let Some(of_target) = columns.iter().find(|column| column.name == target) else { return Vec::new() };
    let told = columns.iter().filter(|column| column.name != target);
    let says = |column: &&ColumnLook| match (column.range, of_target.range) {
        (Some(a), Some(b))
            if !(a.whole && b.whole && of_target.distinct.is_some_and(|distinct| distinct <= 20)) =>
        {
            correlation(frames, &column.name, target).is_some_and(|r| r.abs() > 0.999_99)
        }
        _ => {
            // With many values each class would follow from some: that is what there is to learn.
            let most = of_target.distinct.unwrap_or(0).saturating_mul(2);
            // From values that differ in nearly every row anything follows.
            let most = most.min(column.values / 2);
            let few = column.distinct.is_some_and(|distinct| (2..=most).contains(&distinct));
            few && matches!(column.kind, ColumnKind::Category | ColumnKind::Number)
                && decides(frames, &column.name, target).is_some_and(|pairs| pairs > 20)
        }
    };
    told.filter(says).map(|column| column.name.clone()).collect()
}

/// The rows with a value of `column` and of `target`, where each value of the one is beside one value of the other
/// alone; missing ones do not matter.
pub(super) fn decides(frames: &[Frame], column: &str, target: &str) -> Option<u64> {
    let mut known: HashMap<String, String> = HashMap::new();
    let mut pairs = 0u64;
    for frame in frames {
        let (Some(a), Some(b)) = (frame.position(column), frame.position(target)) else { continue };
        for row in 0..frame.len() {
            let (Some(value), Some(said)) = (frame.columns[a].text(row), frame.columns[b].text(row)) else {
                continue;
            };
            pairs += 1;
            match known.get(&*value) {
                Some(before) if *before != said => return None,
                Some(_) => {}
                None => {
                    known.insert(value.into_owned(), said.into_owned());
                }
            }
        }
    }
    Some(pairs)
}

/// Pearson's correlation of two columns of numbers; none where one does not vary.
fn correlation(frames: &[Frame], a: &str, b: &str) -> Option<f64> {
    let mut pairs: Vec<(f64, f64)> = Vec::new();
    for frame in frames {
        let (Some(a), Some(b)) = (frame.position(a), frame.position(b)) else { continue };
        let number = |at: usize, row| frame.columns[at].number(row).and_then(Result::ok);
        pairs.extend((0..frame.len()).filter_map(|row| Some((number(a, row)?, number(b, row)?))));
    }
    let count = pairs.len() as f64;
    let (mean_a, mean_b) = (
        pairs.iter().map(|pair| pair.0).sum::<f64>() / count,
        pairs.iter().map(|pair| pair.1).sum::<f64>() / count,
    );
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (x, y) in pairs {
        let (x, y) = (x - mean_a, y - mean_b);
        (aa, bb, ab) = (aa + x * x, bb + y * y, ab + x * y);
    }
    (count > 20.0 && aa > 0.0 && bb > 0.0).then(|| ab / (aa * bb).sqrt())
}
