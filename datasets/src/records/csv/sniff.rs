//! The separator of a CSV, by its first lines.
//!
//! The first lines are cut by each of `,` `;` tab and `|`. A separator fits where the header or, without one,
//! the first row has more than one cell, and nine of ten rows have as many. Where the one that the ending
//! stands for fits, it is taken: a comma, or a tab in `.tsv` files. Before all of this goes a first line that states
//! it, `sep=;`, which is no row.

use super::width::{first_line, separators};
use crate::DataError;
use crate::bounds::MOST_COLUMNS;
use crate::records::dialect::Dialect;
use ::csv::StringRecord;

/// The separators that are looked for.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Rows that are looked at.
const ROWS: usize = 200;

/// The first rows as a separator cuts them.
struct Cut {
    separator: u8,
    width: usize,
    /// True where all rows have as many cells.
    even: bool,
    /// Numbers among the cells behind the first row, and all of these.
    numbers: usize,
    cells: usize,
}

/// The separator of a file that begins with `head`; `whole` where that is all of it. `usual` is the dialect
/// that its ending stands for, `names` how many columns the recipe names.
///
/// # Errors
/// When several separators fit alike.
pub(in crate::records) fn separator(
    uri: &str,
    head: &[u8],
    whole: bool,
    usual: Dialect,
    names: Option<usize>,
) -> Result<u8, DataError> {
    let end = head.iter().rposition(|&byte| byte == b'\n' || byte == b'\r').map_or(0, |end| end + 1);
    let lines = if whole || end == 0 { head } else { &head[..end] };
    let may_be = |&separator: &u8| Some(separator) != usual.comment;
    let cuts = SEPARATORS.into_iter().filter(may_be);
    let cuts = cuts.filter_map(|separator| cut(lines, whole, Dialect { separator, ..usual }, names));
    let cuts: Vec<Cut> = cuts.collect();
    let of = |separator| cuts.iter().find(|cut| cut.separator == separator);
    let usual_cut = of(usual.separator);
    // `1,5;2,5` is even by commas, too.
    let decimal = |comma: &Cut, other: &Cut| {
        comma.separator == b','
            && other.even
            && other.width > 1
            && other.numbers * 2 > other.cells
            && comma.numbers * other.cells < other.numbers * comma.cells
    };
    if let Some(cut) = usual_cut
        && (cut.even || cuts.len() == 1)
        && of(b';').is_none_or(|other| !decimal(cut, other))
    {
        return Ok(usual.separator);
    }
    let even: Vec<&Cut> = cuts.iter().filter(|cut| cut.even).collect();
    let others: Vec<&Cut> = even.iter().copied().filter(|cut| cut.separator != usual.separator).collect();
    let found = match (&others[..], usual_cut) {
        ([one], _) => one.separator,
        ([], Some(_)) => usual.separator,
        ([], None) => match &cuts[..] {
            [] => usual.separator,
            [one] => one.separator,
            several => return Err(ambiguous(uri, several.iter())),
        },
        (several, _) => {
            let widest = several.iter().map(|cut| cut.width).max().unwrap_or(0);
            match &several.iter().filter(|cut| cut.width == widest).collect::<Vec<_>>()[..] {
                [one] => one.separator,
                _ => return Err(ambiguous(uri, several.iter().copied())),
            }
        }
    };
    Ok(found)
}

/// The first lines as a separator cuts them; none where it does not fit.
fn cut(lines: &[u8], whole: bool, dialect: Dialect, names: Option<usize>) -> Option<Cut> {
    // More columns than a table may have are told of where it is read.
    if separators(first_line(lines, dialect), dialect) >= MOST_COLUMNS {
        return None;
    }
    let mut reader = dialect.reader().from_reader(lines);
    let mut record = StringRecord::new();
    let (mut width, mut rows, mut alike, mut numbers, mut cells) = (0, 0, 0, 0, 0);
    let mut like_last = true;
    let is_number = |cell: &str| {
        let cell = cell.trim();
        cell.parse::<f64>().is_ok() || cell.replacen(',', ".", 1).parse::<f64>().is_ok()
    };
    while rows < ROWS {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => {
                // The row that the head ends in may go on.
                if !whole && rows > 1 && !like_last {
                    rows -= 1;
                }
                break;
            }
            // A row that is no UTF-8 is a row.
            Err(_) => continue,
        }
        if record.len() == 1 && record[0].trim().is_empty() {
            continue;
        }
        let found = record.len();
        if width == 0 {
            width = names.unwrap_or(found);
            // The header has the names, or as many cells as the rows.
            if found < 2 || width != found && width != found + 1 {
                return None;
            }
            width = found;
        }
        rows += 1;
        like_last = found == width || found == width + 1 && record[width].trim().is_empty();
        alike += usize::from(like_last);
        if rows > 1 || !dialect.header {
            cells += found;
            numbers += record.iter().filter(|cell| is_number(cell)).count();
        }
    }
    let fits = rows > 0 && alike * 10 >= rows * 9;
    fits.then_some(Cut { separator: dialect.separator, width, even: alike == rows, numbers, cells })
}

fn ambiguous<'a>(uri: &str, cuts: impl Iterator<Item = &'a Cut>) -> DataError {
    let each: Vec<String> =
        cuts.map(|cut| format!("{} cells by {}", cut.width, spelled(cut.separator))).collect();
    let expected = format!("the separator of {uri}, whose first lines do not tell it");
    DataError::config("separator", expected, each.join(", "))
}

/// The separator that the first line of a file states, as Excel writes and reads it, and the bytes of that line:
///
/// ```text
/// [mark of UTF-8] sep=;\r\n   or  "sep=;"\n
/// ```
pub(in crate::records) fn stated(head: &[u8]) -> Option<(u8, usize)> {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    let text = head.strip_prefix(MARK).unwrap_or(head);
    let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(text.len());
    let (line, rest) = text.split_at(end);
    let unquoted = line.strip_prefix(b"\"").and_then(|line| line.strip_suffix(b"\"")).unwrap_or(line);
    let (key, value) = unquoted.split_at_checked(4)?;
    let separator = match value {
        [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() && *byte != b'"' => *byte,
        _ => return None,
    };
    let line_end = if rest.starts_with(b"\r\n") { 2 } else { rest.len().min(1) };
    let length = head.len() - rest.len() + line_end;
    key.eq_ignore_ascii_case(b"sep=").then_some((separator, length))
}

/// A separator in words.
pub(in crate::records) fn spelled(separator: u8) -> String {
    match separator {
        b'\t' => "tabs".to_string(),
        separator => format!("`{}`", separator as char),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, text: &str, header: bool) -> Result<char, String> {
        let usual = Dialect { header, ..Dialect::named(name) };
        let found = separator(name, text.as_bytes(), true, usual, None);
        found.map(|byte| byte as char).map_err(|error| error.to_string())
    }

    #[test]
    fn a_separator_is_told_by_the_first_lines() {
        for (name, text, expected) in [
            ("a.csv", "a,b\n1,2\n", ','),
            ("a.csv", "a;b;c\n1,5;2,5;x\n2,5;3,5;y\n", ';'),
            ("a.csv", "label\ttext\npos\tgood, really\nneg\tbad\n", '\t'),
            ("a.csv", "a|b\n1|x, y\n2|z\n", '|'),
            ("a.csv", "a;b\n\"x;y\";\"z\n;\"\n1;2\n", ';'),
            // A header alone, one column, and nothing.
            ("a.csv", "a;b\n", ';'),
            ("a.csv", "text\nHello; dear, friend\nyes; sure, so\n", ','),
            ("a.csv", "", ','),
            ("a.tsv", "text\nHello, you\n", '\t'),
            ("a.tsv", "label\ttext\npos\tgood, really\nneg\tbad, so\n", '\t'),
            ("a.tsv", "a,b\n1,2\n", ','),
            // A row of another width is a fault of the row.
            ("a.csv", "a,b\n1,2\n3\n", ','),
            ("a.csv", "a;b;\n1;2;\n", ';'),
        ] {
            assert_eq!(found(name, text, true), Ok(expected), "{text:?}");
        }
        assert_eq!(found("a.csv", "1,5;2,5\n3,5;4,25\n", false), Ok(';'));
        assert_eq!(found("a.csv", "1;x\n2;y\n", false), Ok(';'));
        assert_eq!(found("a.csv", "1,x|y\n2,z|w\n", false), Ok(','));
    }

    #[test]
    fn a_separator_is_stated_by_a_line_of_its_own() {
        for (text, expected) in [
            ("sep=;\r\na;b\r\n", Some((b';', 7))),
            ("sep=,\na,b", Some((b',', 6))),
            ("SEP=\t\ra", Some((b'\t', 6))),
            ("\"sep=|\"\na", Some((b'|', 8))),
            ("\u{feff}sep=;\n", Some((b';', 9))),
            ("sep=;", Some((b';', 5))),
            ("sep=;;\n", None),
            ("sep=a\n", None),
            ("sep=\n", None),
            ("sep;a\n", None),
            ("", None),
        ] {
            assert_eq!(stated(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn a_separator_that_is_not_told_is_asked_for() {
        let error = found("a.csv", "a;x|b\n1;y|2\n", true).unwrap_err();
        assert_eq!(
            error,
            "data.separator: expected the separator of a.csv, whose first lines do not tell it, found 2 cells by \
             `;`, 2 cells by `|`"
        );
    }
}
