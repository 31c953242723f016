//! How large the sheets of OpenDocument are: cells and rows may say that they are repeated, a million times.

use super::bounds::{MOST_CELLS, damaged};
use crate::DataError;
use bytes::Bytes;
use std::io::{Cursor, Read};
use zip::ZipArchive;

/// The most rows and columns that a sheet has; the reader takes no more.
const ROWS: u64 = 1 << 20;
const COLUMNS: u64 = 1 << 14;

/// Refuses a document whose cells, each as often as it is repeated, are too many.
///
/// # Errors
/// When they are, or the content cannot be read.
pub(super) fn check(uri: &str, zip: &mut ZipArchive<Cursor<Bytes>>) -> Result<(), DataError> {
    let mut content = Vec::new();
    let mut part = zip.by_name("content.xml").map_err(|error| damaged(uri, error))?;
    part.read_to_end(&mut content).map_err(|error| damaged(uri, error))?;
    match cells(&content) {
        Some(cells) if cells <= MOST_CELLS => Ok(()),
        cells => {
            let expected = format!("sheets of at most {MOST_CELLS} cells together");
            let found = cells.map_or("a count that is no number".to_string(), |cells| format!("{cells}"));
            Err(DataError::source(uri, expected, found))
        }
    }
}

/// The cells of all sheets within the rows and columns that have a value; none where a count is no number.
/// Where a sheet's widest row is far from its longest stretch of rows, they count as if both met.
fn cells(content: &[u8]) -> Option<u64> {
    let mut sheets = 0u64;
    // Of the sheet: its rows so far, those up to the last with a value, its widest row, cells that are spelled
    // out; of the row: how often it is there, its cells, and those of them up to the last with a value.
    let (mut rows, mut last, mut widest, mut spelled) = (0u64, 0u64, 0u64, 0u64);
    let (mut repeated, mut width, mut filled) = (0u64, 0u64, 0u64);
    for tag in Tags(content) {
        match tag.name {
            b"table:table" => (rows, last, widest, spelled) = (0, 0, 0, 0),
            b"table:table-row" => {
                (repeated, width, filled) = (tag.count(b"table:number-rows-repeated", ROWS)?, 0, 0);
                if tag.rest.ends_with(b"/") {
                    rows += repeated;
                }
            }
            b"table:table-cell" | b"table:covered-table-cell" => {
                width += tag.count(b"table:number-columns-repeated", COLUMNS)?;
                if tag.has_value() {
                    filled = width;
                }
            }
            b"/table:table-row" => {
                rows += repeated;
                if filled > 0 {
                    (last, widest) = (rows, widest.max(filled));
                }
                spelled += filled;
            }
            b"/table:table" => sheets += (last.min(ROWS) * widest).max(spelled),
            _ => {}
        }
    }
    Some(sheets)
}

/// A tag of XML: its name, with a slash where it ends an element, and what follows the name.
struct Tag<'a> {
    name: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Tag<'a> {
    /// The text of an attribute.
    fn attribute(&self, name: &[u8]) -> Option<&'a [u8]> {
        let at = self.rest.windows(name.len()).position(|window| window == name)?;
        let value = self.rest[at + name.len()..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
        let (quote, value) = value.split_first()?;
        value.split(|byte| byte == quote).next()
    }

    /// A count that is 1 where there is none, and at most `most`; none where it is no number.
    fn count(&self, name: &[u8], most: u64) -> Option<u64> {
        if !self.rest.windows(name.len()).any(|window| window == name) {
            return Some(1);
        }
        std::str::from_utf8(self.attribute(name)?).ok()?.parse::<u64>().ok().map(|count| count.min(most))
    }

    /// True for a cell that may have a value or a formula.
    fn has_value(&self) -> bool {
        let has = |name: &[u8]| self.rest.windows(name.len()).any(|window| window == name);
        has(b"office:") || has(b"table:formula") || has(b"calcext:")
    }
}

/// The tags of a document; what is no tag is left out.
struct Tags<'a>(&'a [u8]);

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        let begin = self.0.iter().position(|&byte| byte == b'<')? + 1;
        let within = &self.0[begin..];
        let mut quote = None;
        let end = within.iter().position(|&byte| {
            match (quote, byte) {
                (None, b'"' | b'\'') => quote = Some(byte),
                (Some(open), byte) if open == byte => quote = None,
                _ => {}
            }
            quote.is_none() && byte == b'>'
        });
        let (tag, left) = within.split_at(end.unwrap_or(within.len()));
        self.0 = left;
        let name = tag.iter().position(|byte| byte.is_ascii_whitespace()).unwrap_or(tag.len());
        let name = if tag.ends_with(b"/") { name.min(tag.len() - 1) } else { name };
        Some(Tag { name: &tag[..name], rest: &tag[name..] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_cells_are_counted_up_to_the_last_with_a_value() {
        let sheet = |rows: &str| cells(format!("<table:table>{rows}</table:table>").as_bytes());
        assert_eq!(sheet("<table:table-row table:number-rows-repeated='5'/>"), Some(0));
        let cell = "<table:table-cell office:value-type='float' office:value='1'/>";
        let row = |cells: &str| format!("<table:table-row>{cells}</table:table-row>");
        assert_eq!(sheet(&format!("{}{}", row(&cell.repeat(3)), row(cell))), Some(6));
        let empty = "<table:table-cell table:number-columns-repeated=\"16384\"/>";
        let tail =
            "<table:table-row table:number-rows-repeated=\"1048576\"><table:table-cell/></table:table-row>";
        assert_eq!(sheet(&format!("{}{tail}", row(&format!("{cell}{empty}")))), Some(1));
        let wide = "<table:table-cell table:number-columns-repeated = '16383' office:value='1'>";
        let long = "<table:table-row table:number-rows-repeated='99999999'>".to_string();
        assert_eq!(sheet(&format!("{long}{wide}</table:table-row>")), Some(16_383 << 20));
        assert_eq!(sheet(&row("<table:table-cell table:number-columns-repeated='&#57;'/>")), None);
    }
}
