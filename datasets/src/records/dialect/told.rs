//! The dialect of a file: by a recipe's keys and, where they leave it open, by the first lines.

use super::{Dialect, DialectKeys};
use crate::DataError;
use crate::records::csv::sniff;
use crate::records::encoding::{Content, Decoding, HEAD};
use crate::records::once::info_once;
use crate::records::pieces::unpacked;
use crate::source::one_line;
use std::io::Read;

impl Dialect {
    /// From a recipe's keys, for the file `uri`, whose first lines are read where the recipe gives no
    /// separator.
    ///
    /// # Errors
    /// When a separator or comment mark is not one ASCII character, the first lines cannot be read, and when
    /// they do not tell the separator.
    pub(crate) fn new(uri: &str, keys: &DialectKeys<'_>, decoding: Decoding) -> Result<Self, DataError> {
        let DialectKeys { header, quoting, .. } = *keys;
        let given =
            keys.separator.filter(|separator| *separator != "auto").map(separator_byte).transpose()?;
        let comment = keys.comment.map(|mark| match u8::try_from(mark) {
            Ok(byte) if byte.is_ascii() && Some(byte) != given && byte != b'"' => Ok(byte),
            _ => Err(DataError::config("comment", "an ASCII character", format!("`{mark}`"))),
        });
        let comment = comment.transpose()?;
        let usual = Dialect { comment, header, quoting, ..Dialect::named(uri) };
        let separator = match given {
            Some(separator) => separator,
            None => {
                let (head, whole) = head(uri, decoding)?;
                let (found, by) = match sniff::stated(&head) {
                    Some((separator, _)) => (separator, "as its first line says"),
                    None => (sniff::separator(uri, &head, whole, usual, keys.names)?, "by its first lines"),
                };
                if found != usual.separator {
                    info_once(format!("{uri}: cells between {}, {by}", sniff::spelled(found)));
                }
                found
            }
        };
        Ok(Dialect { separator, ..usual })
    }
}

/// The text at the beginning of a file, and whether that is all of it.
fn head(uri: &str, decoding: Decoding) -> Result<(Vec<u8>, bool), DataError> {
    let mut head = Vec::new();
    let reader = unpacked(uri, decoding, Content::Rows, false)?;
    reader.take(HEAD as u64).read_to_end(&mut head).map_err(|error| {
        DataError::malformed(uri, "its first lines", "readable rows of a CSV", one_line(error))
    })?;
    let whole = head.len() < HEAD;
    Ok((head, whole))
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
