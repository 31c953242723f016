//! The dialects of CSV.

use super::files::ending;
use crate::DataError;
use serde::{Deserialize, Serialize};

/// The cut of a file's lines into cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialect {
    /// Between the cells.
    pub separator: u8,
    /// Begins a line that is no row.
    pub comment: Option<u8>,
    /// True where the first row names the columns.
    pub header: bool,
}

impl Default for Dialect {
    /// Commas and a header.
    fn default() -> Self {
        Dialect { separator: b',', comment: None, header: true }
    }
}

impl Dialect {
    /// By the ending of a name: tabs in `.tsv` files, commas in all others; with a header.
    pub(crate) fn named(uri: &str) -> Self {
        let separator = if ending(uri) == "tsv" { b'\t' } else { b',' };
        Dialect { separator, ..Dialect::default() }
    }

    /// From a recipe's keys, for the file `uri`.
    ///
    /// # Errors
    /// When a separator or comment mark is not one ASCII character.
    pub(crate) fn new(
        uri: &str,
        separator: Option<&str>,
        comment: Option<char>,
        header: bool,
    ) -> Result<Self, DataError> {
        let separator = match separator {
            None => Dialect::named(uri).separator,
            Some(text) => separator_byte(text)?,
        };
        let comment = comment.map(|mark| match u8::try_from(mark) {
            Ok(byte) if byte.is_ascii() && byte != separator && byte != b'"' => Ok(byte),
            _ => Err(DataError::config("comment", "an ASCII character", format!("`{mark}`"))),
        });
        Ok(Dialect { separator, comment: comment.transpose()?, header })
    }
}

/// The one character of a separator that may be written with spaces around it.
fn separator_byte(text: &str) -> Result<u8, DataError> {
    let spaceless = text.trim_matches(' ');
    let mark = if spaceless.is_empty() { text } else { spaceless };
    match mark.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        _ => Err(DataError::config("separator", "one ASCII character, such as `,`", format!("`{text}`"))),
    }
}

/// The names of a CSV's columns as far as they are known before it is read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Given<'a> {
    /// The columns' names; they replace the header's. Without both, columns are `0`, `1`, `2` …
    pub names: Option<&'a [String]>,
    /// One of `names` that a file without a header may lack (the target, in prediction).
    pub optional: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_one_character() {
        assert_eq!(separator_byte("; ").unwrap(), b';');
        assert_eq!(separator_byte(" ").unwrap(), b' ');
        assert_eq!(separator_byte("\t").unwrap(), b'\t');
        assert!(separator_byte("::").is_err() && separator_byte("").is_err() && separator_byte("é").is_err());
    }
}
