//! Quotes of a row that cannot be meant.
//!
//! Texts that were written without quoting have quotes of their own. One that stands first in a cell opens it
//! all the same, and the cell goes on, over line breaks and other rows, up to the next quote. Two signs tell
//! that from a cell of several lines: text behind the closing quote, as a quote within a text has it, and
//! lines that have each as many cells as a row.

use crate::DataError;
use crate::records::dialect::{Dialect, Quoting};
use crate::records::wording::shortened;

/// The quotes of a row, by the rules of `csv`: a quote opens a cell at its first byte only, and a doubled
/// quote inside stands for one.
#[derive(Debug, Default, PartialEq, Eq)]
struct Quotes {
    /// The place of a quote that is still open at the end.
    open: Option<usize>,
    /// The place of the first closing quote with text behind it.
    closed: Option<usize>,
    /// The place of the first quote that opens a cell.
    first: Option<usize>,
}

impl Quotes {
    fn of(row: &[u8], dialect: Dialect) -> Self {
        let (separator, backslash) = (dialect.separator, dialect.quoting == Quoting::Backslash);
        let escaped = |at: usize| {
            backslash && row[..at].iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
        };
        let find = |from: usize| row[from..].iter().position(|&byte| byte == b'"').map(|at| from + at);
        let mark = if row.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        let (mut quotes, mut next) = (Quotes::default(), find(mark));
        while let Some(quote) = next {
            let opens = quote == mark || [separator, b'\n', b'\r'].contains(&row[quote - 1]);
            if !opens {
                next = find(quote + 1);
                continue;
            }
            quotes.first = quotes.first.or(Some(quote));
            let mut close = find(quote + 1);
            while let Some(at) = close {
                match row.get(at + 1) {
                    _ if escaped(at) => close = find(at + 1),
                    Some(b'"') => close = find(at + 2),
                    _ => break,
                }
            }
            let Some(close) = close else {
                quotes.open = Some(quote);
                break;
            };
            let mut behind = row[close + 1..].iter().filter(|&&byte| byte != b' ' || separator == b' ');
            let ended = behind.next().is_none_or(|&byte| [separator, b'\n', b'\r'].contains(&byte));
            quotes.closed = quotes.closed.or((!ended).then_some(close));
            next = find(close + 1);
        }
        quotes
    }
}

/// Refuses the quotes of a row of `width` cells that cannot be meant; it begins on line `line`.
///
/// # Errors
/// When a quote does not close or has text behind it, and when the lines of a cell look like rows. An error
/// of the recipe's key where more than the row is lost by it.
pub(super) fn check_quotes(
    uri: &str,
    row: &[u8],
    line: u64,
    width: usize,
    dialect: Dialect,
) -> Result<(), DataError> {
    let Quotes { open, closed, first } = Quotes::of(row, dialect);
    let line_of = |at: usize| line + breaks(&row[..at]);
    if let Some(open) = open {
        let lines = line_of(open);
        return Err(match swallows(&row[open..]) && dialect.quoting.doubts() {
            true => refused(uri, format!("on line {lines} that does not close")),
            false => {
                DataError::malformed(uri, format!("line {lines}"), "a closing quote", "the end of the file")
            }
        });
    }
    if !dialect.quoting.doubts() {
        return Ok(());
    }
    if let (Some(first), Some(closed)) = (first, closed) {
        let (from, to) = (line_of(first), line_of(closed));
        if from != to {
            let found = format!("on line {from} that text follows where it closes, on line {to}");
            return Err(refused(uri, found));
        }
        let rest = row[closed + 1..].split(|byte| [dialect.separator, b'\n', b'\r'].contains(byte)).next();
        let rest = String::from_utf8_lossy(rest.unwrap_or_default().trim_ascii()).into_owned();
        let expected = "a separator or the end of the line behind a closing quote (`data.quoting` may be \
                        `none`, `backslash` or `lenient`)";
        return Err(DataError::malformed(
            uri,
            format!("line {from}"),
            expected,
            format!("`{}`", shortened(&rest)),
        ));
    }
    match first.filter(|_| looks_like_rows(row, width, dialect.separator)) {
        None => Ok(()),
        Some(first) => {
            let (from, to) = (line_of(first), line + breaks(row.trim_ascii_end()));
            Err(refused(
                uri,
                format!("on line {from} that closes on line {to}, behind lines that look like rows"),
            ))
        }
    }
}

/// The place of the quote that opened a cell that is still open at the end of `row`, where the lines in it
/// look like rows.
pub(super) fn swallowing(row: &[u8], width: usize, dialect: Dialect) -> Option<usize> {
    let open = Quotes::of(row, dialect).open?;
    looks_like_rows(row, width, dialect.separator).then_some(open)
}

/// The error of a recipe that takes quotes for what they are not.
pub(super) fn refused(uri: &str, found: String) -> DataError {
    let expected = "`none` where quotes are part of the texts, `backslash` where one stands before them, \
                    `lenient` where they are meant";
    DataError::config("quoting", expected, format!("a quote of {uri} {found}"))
}

/// The line breaks of some bytes.
pub(super) fn breaks(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}

/// True where an open cell goes on behind its line.
fn swallows(open: &[u8]) -> bool {
    let end = open.iter().position(|&byte| byte == b'\n').unwrap_or(open.len());
    !open[end..].trim_ascii().is_empty()
}

/// True for lines that have, nine of ten, as many separators as rows of `width` cells. Texts seldom have a
/// tab, and often a comma: of these it takes more of them until chance is none.
fn looks_like_rows(row: &[u8], width: usize, separator: u8) -> bool {
    const ENOUGH: usize = 8;
    let Some(separators) = width.checked_sub(1).filter(|&separators| separators > 0) else { return false };
    let weight = if matches!(separator, b'\t' | b'|') { ENOUGH } else { 1 };
    let row = row.trim_ascii_end();
    if !row.contains(&b'\n') {
        return false;
    }
    let (mut lines, mut alike) = (0, 0);
    for line in row.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
        lines += 1;
        alike += usize::from(line.iter().filter(|&&byte| byte == separator).count() == separators);
    }
    lines > 1 && alike * 10 >= lines * 9 && (alike - 1) * separators * weight >= ENOUGH
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(row: &str, width: usize, separator: u8) -> Option<String> {
        let dialect = Dialect { separator, ..Dialect::default() };
        check_quotes("t", row.as_bytes(), 7, width, dialect).err().map(|error| error.to_string())
    }

    #[test]
    fn quotes_as_they_are_meant_are_no_fault() {
        for row in [
            "a,b\n",
            "\"a\",\"b, \"\"c\"\"\"\r\n",
            "\"a\" ,\"b\"  \n",
            "5\" long,it's \"so\"\n",
            "x,\"Hello\nDear, friend\"\n",
            "x,\"one, two\nthree, four\nfive, six\"\n",
            "\u{feff}\"a\",b\n",
            "\"\",\"\"",
        ] {
            assert_eq!(message(row, 2, b','), None, "{row:?}");
        }
        // A snippet of another width, and a cell of one column.
        assert_eq!(message("x\t\"a\tb\tc\n1\t2\t3\"\n", 2, b'\t'), None);
        assert_eq!(message("\"a\nb\nc\"\n", 1, b'\t'), None);
    }

    #[test]
    fn quotes_that_cannot_be_meant_are_told_with_their_lines() {
        let text = message("\"Nike\" shoes,12\n", 2, b',').unwrap();
        assert!(text.starts_with("t, line 7: ") && text.ends_with("found `shoes`"), "{text}");
        let text = message("pos\t\"great\nneg\t\"awful\n", 2, b'\t').unwrap();
        assert!(
            text.ends_with("a quote of t on line 7 that text follows where it closes, on line 8"),
            "{text}"
        );
        let text = message("pos\t\"great\nneg\tit was 5\"\n", 2, b'\t').unwrap();
        assert!(text.contains("on line 7 that closes on line 8, behind lines that look like rows"), "{text}");
        let long = format!("1,\"a\n{}9,z\"\n", "2,b\n".repeat(8));
        assert!(message(&long, 2, b',').unwrap().contains("look like rows"));
        let text = message("1,\"2\n3,4\n", 2, b',').unwrap();
        assert!(text.ends_with("a quote of t on line 7 that does not close"), "{text}");
        assert!(text.starts_with("data.quoting: expected `none` where"), "{text}");
        let lenient = Dialect { quoting: Quoting::Lenient, ..Dialect::default() };
        assert!(check_quotes("t", b"\"Nike\" shoes,12\n", 1, 2, lenient).is_ok());
        assert!(check_quotes("t", long.as_bytes(), 1, 2, lenient).is_ok());
    }
}
