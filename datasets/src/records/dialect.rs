//! The dialects of CSV.

mod told;

use super::files::ending;
use ::csv::ReaderBuilder;
use serde::{Deserialize, Serialize};

/// The meaning of quotes in a CSV.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quoting {
    /// As RFC 4180 has them: a quote that is first in a cell opens it, up to the next one that is not
    /// doubled. Quotes that cannot be meant so are refused: one that does not close, text behind one that
    /// closes, and a cell whose lines look like rows.
    #[default]
    Minimal,
    /// As `minimal`, and a backslash before a quote within a cell keeps it from closing, as Spark writes it.
    Backslash,
    /// As `minimal`, and none is doubted: text behind a closing quote belongs to the cell, whose lines may
    /// look like anything.
    Lenient,
    /// A quote is a character like any other.
    None,
}

impl Quoting {
    fn is_minimal(&self) -> bool {
        *self == Quoting::Minimal
    }

    /// True where a quote opens a cell.
    pub(super) fn opens(self) -> bool {
        self != Quoting::None
    }

    /// True where quotes that cannot be meant are refused.
    pub(super) fn doubts(self) -> bool {
        matches!(self, Quoting::Minimal | Quoting::Backslash)
    }
}

/// The cut of a file's lines into cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialect {
    /// Between the cells.
    pub separator: u8,
    /// Begins a line that is no row.
    pub comment: Option<u8>,
    /// True where the first row names the columns.
    pub header: bool,
    /// The meaning of quotes.
    #[serde(default, skip_serializing_if = "Quoting::is_minimal")]
    pub quoting: Quoting,
}

impl Default for Dialect {
    /// Commas, a header, and quotes as RFC 4180 has them.
    fn default() -> Self {
        Dialect { separator: b',', comment: None, header: true, quoting: Quoting::Minimal }
    }
}

/// The wishes of a recipe for the cut of a file's lines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DialectKeys<'a> {
    /// None, or `auto`, where the first lines of the file tell it.
    pub separator: Option<&'a str>,
    pub comment: Option<char>,
    pub header: bool,
    pub quoting: Quoting,
    /// The columns that the recipe names.
    pub names: Option<usize>,
}

impl Default for DialectKeys<'_> {
    fn default() -> Self {
        let quoting = Quoting::default();
        DialectKeys { separator: None, comment: None, header: true, quoting, names: None }
    }
}

impl Dialect {
    /// By the ending of a name: tabs in `.tsv` files, commas in all others; with a header.
    pub(crate) fn named(uri: &str) -> Self {
        let separator = if ending(uri) == "tsv" { b'\t' } else { b',' };
        Dialect { separator, ..Dialect::default() }
    }

    /// A reader of rows, of any width, as the dialect cuts them.
    pub(super) fn reader(self) -> ReaderBuilder {
        let mut reader = ReaderBuilder::new();
        reader
            .has_headers(false)
            .flexible(true)
            .delimiter(self.separator)
            .comment(self.comment)
            .quoting(self.quoting.opens())
            .escape((self.quoting == Quoting::Backslash).then_some(b'\\'));
        reader
    }
}

/// The names of a CSV's columns as far as they are known before it is read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Given<'a> {
    /// The columns' names; they replace the header's. Without both, columns are `0`, `1`, `2` …
    pub names: Option<&'a [String]>,
    /// One of `names` that a file without a header may lack (the target, in prediction).
    pub optional: Option<&'a str>,
    /// True where the recipe says that there is a header.
    pub has_header: bool,
}
