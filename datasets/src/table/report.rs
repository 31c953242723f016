//! A table in words: what was learned of its columns and why, for people to look at before training.

use super::schema::TableSchema;
use crate::SplitBy;
use crate::fields::{Category, Column, DateOrder, Encoding, TableTarget, Why};
use crate::records::{quoted, shortened, spelled_day};
use std::collections::HashSet;
use std::fmt;

/// Columns that are told one by one; of more, only those that a person should look at.
const MOST_COLUMNS: usize = 40;

/// The table in a few lines: rows, columns, and what was missing, rare or left out.
impl fmt::Display for TableSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} training rows, {} rows skipped as corrupt", self.rows, self.skipped)?;
        let count =
            |of: fn(&Encoding) -> bool| self.columns.iter().filter(|column| of(&column.encoding)).count();
        let numeric = count(|encoding| matches!(encoding, Encoding::Numeric(_)));
        let dates = count(|encoding| matches!(encoding, Encoding::Date(_)));
        write!(f, "inputs: {numeric} numeric, {} categorical", self.columns.len() - numeric - dates)?;
        if dates > 0 {
            write!(f, ", {dates} dates")?;
        }
        writeln!(f)?;
        match &self.target {
            TableTarget::Classes { name, labels } => {
                write!(f, "target: {name}, {} classes", labels.len())?;
                if !self.class_rows.is_empty() {
                    write!(f, ": {}", self.classes())?;
                }
                writeln!(f)?;
            }
            TableTarget::Value { name, mean, std } => {
                writeln!(f, "target: {name}, mean {mean:.6}, standard deviation {std:.6}")?;
            }
        }
        if self.split != SplitBy::Random {
            writeln!(f, "held out: {}", self.split)?;
        }
        self.write_columns(f)?;
        for column in self.columns.iter().filter(|column| column.missing > 0) {
            writeln!(f, "missing: {} in {} cells", column.name, column.missing)?;
        }
        for column in &self.columns {
            if let Encoding::Categorical(Category { rare: rare @ 1.., .. }) = &column.encoding {
                writeln!(f, "too rare for a category of their own: {} in {rare} cells", column.name)?;
            }
        }
        if !self.left_out.is_empty() {
            writeln!(
                f,
                "left out, as no training row has a value that a table can hold: {}",
                quoted(&self.left_out)
            )?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "warning: {note}"))
    }
}

impl TableSchema {
    /// The classes with their training rows: all of a few, the largest of many.
    fn classes(&self) -> String {
        const MOST: usize = 12;
        let mut classes: Vec<(&String, &u64)> = self.labels().iter().zip(&self.class_rows).collect();
        if classes.len() > MOST {
            classes.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
        }
        let words = classes.iter().take(MOST).map(|(label, rows)| format!("`{}` {rows}", shortened(label)));
        let more = if classes.len() > MOST { ", …" } else { "" };
        words.collect::<Vec<_>>().join(", ") + more
    }

    /// The columns as a table, where the schema knows their facts.
    fn write_columns(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_long = self.columns.len() > MOST_COLUMNS;
        // What stands between backticks.
        let noted: HashSet<&str> =
            self.notes.iter().flat_map(|note| note.split('`').skip(1).step_by(2)).collect();
        let told = |column: &&Column| !is_long || self.is_noteworthy(column, &noted);
        let mut lines =
            vec![["column", "kind", "why", "missing", "distinct", "range or commonest"].map(String::from)];
        lines.extend(self.columns.iter().filter(told).filter_map(line));
        if lines.len() > 1 {
            let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
            let widths: Vec<usize> = (0..6).map(width).collect();
            for line in &lines {
                let cells = line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
                writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
            }
        }
        let told = lines.len() - 1;
        if is_long && self.columns.iter().any(|column| column.facts.is_some()) {
            writeln!(
                f,
                "and {} columns more, each with its line in columns.json",
                self.columns.len() - told
            )?;
        }
        Ok(())
    }

    /// True for a column that a person should look at; `noted` are the names in the notes.
    fn is_noteworthy(&self, column: &Column, noted: &HashSet<&str>) -> bool {
        let is_noted = noted.contains(column.name.as_str());
        let is_rare = matches!(&column.encoding, Encoding::Categorical(category) if category.rare > 0);
        let is_mostly_missing = 4 * column.missing >= self.rows;
        is_noted || is_rare || is_mostly_missing || matches!(column.encoding, Encoding::Date(_))
    }
}

/// A column in words: its name, kind, the reason, cells without a value, different values, and its range or
/// commonest category.
fn line(column: &Column) -> Option<[String; 6]> {
    let facts = column.facts.as_ref()?;
    let (kind, reads, many) = match &column.encoding {
        Encoding::Numeric(_) => ("number", "reads as numbers".to_string(), "> 256"),
        Encoding::Categorical(_) => ("category", "reads as text".to_string(), "> 65536"),
        Encoding::Date(date) => ("date", format!("reads as dates, {}", date.order), "> 256"),
    };
    let why = if facts.why == Why::Recipe { "by the recipe".to_string() } else { reads };
    let distinct = facts.distinct.map_or(many.to_string(), |distinct| distinct.to_string());
    let number = |number: f64| match &column.encoding {
        Encoding::Date(date) if date.order == DateOrder::Time => format!("{:.2} h", number * 24.0),
        Encoding::Date(_) => spelled_day(number),
        _ => number.to_string(),
    };
    let range = match (&facts.range, &facts.commonest) {
        (Some((low, high)), _) if low == high => number(*low),
        (Some((low, high)), _) => format!("{} to {}", number(*low), number(*high)),
        (None, Some((text, count))) => format!("`{text}` in {count}"),
        (None, None) => String::new(),
    };
    Some([shortened(&column.name), kind.into(), why, column.missing.to_string(), distinct, range])
}
