//! Rows with columns: the first of them, and what each column holds.

use super::columns::{self, ColumnLook, Range};
use super::target::{self, Targets};
use crate::DataError;
use crate::records::{Cells, Format, Found, Frame, sheets};
use crate::source::{Object, stats};
use crate::table::{Packing, TableConfig};
use std::collections::BTreeMap;

/// Rows that are looked at, and bytes of the files about which reading stops.
const MOST_ROWS: usize = 400_000;
const MOST_BYTES: u64 = 128 << 20;

/// Rows with columns.
#[derive(Debug)]
pub struct RowsLook {
    /// The files.
    pub files: u64,
    /// The bytes of all files, as they are stored.
    pub bytes: u64,
    /// Rows that were looked at: all, unless `is_whole` is false.
    pub rows: u64,
    /// True where every row was looked at.
    pub is_whole: bool,
    /// Rows that cannot be read, with the first error.
    pub unreadable: Option<(u64, DataError)>,
    /// The columns, in the files' order.
    pub columns: Vec<ColumnLook>,
    /// The keys by which the files were read, where they need some.
    pub guesses: Vec<Guess>,
    /// The rows that were looked at.
    frames: Vec<Frame>,
}

/// The names of the columns of a file.
pub(super) fn names(file: &str) -> Result<Vec<String>, DataError> {
    let mut names = Vec::new();
    let config = TableConfig::default();
    let read = read(file, (&config, &Packing::new(&config, None)), &mut |frame| {
        names = frame.all_names();
        false
    });
    read.map(|_| names)
}

/// A key of a recipe that the files need to be read rightly, and why.
#[derive(Clone, Debug)]
pub struct Guess {
    /// The key of `[data]`.
    pub key: &'static str,
    /// Its value.
    pub value: serde_json::Value,
    /// The reason.
    pub why: String,
}

impl Guess {
    fn new(key: &'static str, value: impl Into<serde_json::Value>, why: &str) -> Self {
        Guess { key, value: value.into(), why: why.to_string() }
    }
}

/// Looks at the first rows of some files of the same columns: as they are read without a recipe and, where that
/// does not read them, by the keys that do.
pub(super) fn look(uri: &str, files: &[String]) -> Result<RowsLook, DataError> {
    let mut config = TableConfig::default();
    let mut guesses = Vec::new();
    let mut found = look_as(uri, files, &config);
    let unread = match &found {
        Ok(rows) => rows.unreadable.as_ref().map(|(_, error)| error),
        Err(error) => Some(error),
    };
    if let Some(DataError::Undecodable { fitting: Some(encoding), .. }) = unread {
        let encoding = encoding.to_lowercase();
        config.encoding = encoding.clone();
        found = look_as(uri, files, &config);
        guesses.push(Guess::new("encoding", encoding, "a guess: the bytes are no UTF-8, and make sense so"));
    }
    let mut rows = found?;
    if rows.lacks_header() && format_of(files)? == Format::Csv {
        config.has_header = Some(false);
        rows = look_as(uri, files, &config)?;
        guesses.push(Guess::new(
            "has_header",
            false,
            "a guess: the first line is numbers, as those below it",
        ));
    }
    if rows.has_marked_numbers() {
        for (thousands, decimal) in number_marks(files, &config)? {
            let marked = TableConfig { thousands, decimal, ..config.clone() };
            let Ok(again) = look_as(uri, files, &marked) else { continue };
            if again.has_marked_numbers() {
                continue;
            }
            rows = again;
            let why = "a guess, by the marks in the numbers";
            if decimal != config.decimal {
                guesses.push(Guess::new("decimal", decimal.to_string(), why));
            }
            guesses.extend(thousands.map(|mark| Guess::new("thousands", mark.to_string(), why)));
            config = marked;
            break;
        }
    }
    if let Some(guess) = rows.missing_marks() {
        config.missing = guess.0;
        rows = look_as(uri, files, &config)?;
        guesses.push(Guess::new("missing", config.missing.clone(), &guess.1));
    }
    if let [file] = files
        && format_of(files)? == Format::Excel
    {
        let sheets = sheets(file)?;
        if sheets.names.len() > 1 {
            let why = format!("the first with cells; the sheets are {}", sheets.names.join(", "));
            guesses.push(Guess::new("sheet", sheets.read, &why));
        }
    }
    Ok(RowsLook { guesses, ..rows })
}

fn format_of(files: &[String]) -> Result<Format, DataError> {
    files.first().map_or(Ok(Format::Csv), |file| Format::of(file))
}

/// The marks of thousands and of decimals that numbers may have, the likely ones first: beside `;` decimals have
/// commas.
fn number_marks(files: &[String], config: &TableConfig) -> Result<[(Option<char>, char); 4], DataError> {
    let first = files.first().map_or("", String::as_str);
    let separator = config.dialect(first, format_of(files)?)?.separator;
    let (commas, points) = ((None, ','), (Some(','), '.'));
    let (both, blanks) = ((Some('.'), ','), (Some(' '), '.'));
    Ok(if separator == b';' { [commas, both, points, blanks] } else { [points, commas, both, blanks] })
}

/// As [`look`], by the keys of a recipe.
fn look_as(uri: &str, files: &[String], config: &TableConfig) -> Result<RowsLook, DataError> {
    let objects = files.iter().map(|file| Object::open(file)).collect::<Result<Vec<_>, _>>()?;
    let sizes: Vec<u64> = stats(&objects)?.iter().map(|stat| stat.size).collect();
    let packing = Packing::new(config, None);
    let (mut frames, mut rows, mut bytes, mut is_whole) = (Vec::new(), 0, 0, true);
    let mut unreadable: Option<(u64, DataError)> = None;
    for (number, (file, size)) in files.iter().zip(&sizes).enumerate() {
        let format = Format::of(file)?;
        let typed = format.has_columns() && !format.is_untyped();
        let packing = packing.clone().of_typed(typed);
        let outcome = read(file, (config, &packing), &mut |mut frame| {
            rows += frame.len();
            packing.pack(&mut frame);
            frames.push(frame);
            rows < MOST_ROWS
        })?;
        if let Some((count, error)) = outcome.unreadable {
            unreadable.get_or_insert((0, error)).0 += count;
        }
        bytes += size;
        is_whole = outcome.is_whole && (number + 1 == files.len() || bytes < MOST_BYTES);
        if !is_whole || bytes >= MOST_BYTES {
            is_whole = is_whole && number + 1 == files.len();
            break;
        }
    }
    if rows == 0 {
        return match unreadable {
            Some((_, error)) => Err(error),
            None => Err(DataError::source(uri, "at least one row", "none")),
        };
    }
    let columns = columns::look(uri, &frames)?;
    Ok(RowsLook {
        files: files.len() as u64,
        bytes: sizes.iter().sum(),
        rows: rows as u64,
        is_whole,
        unreadable,
        columns,
        guesses: Vec::new(),
        frames,
    })
}

/// The end of reading a file.
struct Outcome {
    is_whole: bool,
    unreadable: Option<(u64, DataError)>,
}

/// Hands the frames of a file to `take`, until it says false.
fn read(
    file: &str,
    (config, packing): (&TableConfig, &Packing),
    take: &mut dyn FnMut(Frame) -> bool,
) -> Result<Outcome, DataError> {
    let format = config.format(file)?;
    let column = |name: &str| config.column(name);
    let options = config.options(file, format, packing, &column, None)?;
    let mut outcome = Outcome { is_whole: true, unreadable: None };
    let stop = || DataError::source(file, "no more rows", "enough");
    let read = format.reader(file)?.pieces(file, &options, &mut |found| match found {
        Found::Unreadable(_, error) => {
            outcome.unreadable.get_or_insert((0, error)).0 += 1;
            Ok(())
        }
        Found::Frame(frame) if frame.len() == 0 && !frame.names.is_empty() && frame.varies => Ok(()),
        Found::Frame(frame) => match take(frame) {
            true => Ok(()),
            false => {
                outcome.is_whole = false;
                Err(stop())
            }
        },
    });
    match read {
        Err(error) if outcome.is_whole => Err(error),
        _ => Ok(outcome),
    }
}

impl RowsLook {
    /// True where the names of columns of numbers are numbers as those below them, and no years.
    fn lacks_header(&self) -> bool {
        let numbers = || self.columns.iter().filter_map(|column| Some((column, column.range?)));
        let named = |(column, range): &(&ColumnLook, Range)| {
            let number = column.name.parse::<f64>().ok();
            number.is_some_and(|number| range.least <= number && number <= range.greatest)
        };
        let is_year = |(column, _): (&ColumnLook, Range)| {
            column.name.parse::<u16>().is_ok_and(|year| (1800..2200).contains(&year))
        };
        numbers().next().is_some() && numbers().all(|column| named(&column)) && !numbers().all(is_year)
    }

    /// True where a column is refused for the marks in its numbers.
    fn has_marked_numbers(&self) -> bool {
        self.columns.iter().any(|column| matches!(column.refused, Some(DataError::Marked { .. })))
    }

    /// The marks of "no value" among the numbers of columns, and why they are taken for it.
    fn missing_marks(&self) -> Option<(Vec<String>, String)> {
        let mut of_marks: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for column in &self.columns {
            for (mark, count) in &column.marks {
                of_marks.entry(mark).or_default().push(format!("{count} of `{}`", column.name));
            }
        }
        for (mark, places) in &mut of_marks {
            // The key is for all columns.
            for column in self.columns.iter().filter(|column| column.marks.is_empty()) {
                let count = self.cells(&column.name).filter(|cell| cell == mark).count();
                places.extend((count > 0).then(|| format!("{count} of `{}`, too", column.name)));
            }
        }
        let told = |(mark, places): (&&str, &Vec<String>)| format!("`{mark}` in {}", places.join(", "));
        let why = of_marks.iter().map(told).collect::<Vec<_>>().join("; ");
        let marks: Vec<String> = of_marks.into_keys().map(str::to_string).collect();
        (!marks.is_empty()).then(|| (marks, format!("a guess: no value, among numbers: {why}")))
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&ColumnLook> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The columns that may be asked for, the likely ones first.
    pub fn targets(&self) -> Targets {
        target::targets(&self.columns)
    }

    /// The columns besides `target` that say the same: from each of its values `target`'s follows, in all rows that
    /// were looked at, though there are fewer values than half the rows; or, of two columns of numbers, one is the
    /// other but for unit and zero.
    pub fn leaks(&self, target: &str) -> Vec<String> {
        columns::leaks(&self.frames, &self.columns, target)
    }

    /// True where all rows of one value in `column` have one in `answer`.
    pub(super) fn decides(&self, column: &str, answer: &str) -> bool {
        columns::decides(&self.frames, column, answer).is_some()
    }

    /// The rows that were looked at.
    pub(super) fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Some of the first rows, as they are spelled; `None` for a cell without a value.
    pub fn first_rows(&self, most: usize) -> Vec<Vec<Option<String>>> {
        let rows = self.frames.iter().flat_map(|frame| (0..frame.len()).map(move |row| (frame, row)));
        let cell = |frame: &Frame, row: usize, name: &str| {
            let cells: &Cells = &frame.columns[frame.position(name)?];
            cells.text(row).map(|text| text.into_owned())
        };
        let row = |(frame, row): (&Frame, usize)| {
            self.columns.iter().map(|column| cell(frame, row, &column.name)).collect()
        };
        rows.take(most).map(row).collect()
    }
}
