//! Columns of inputs that are carried along into their answers, as the files spell them.

use crate::DataError;
use crate::records::{Cells, Frame, none_but};

/// A cell that is carried along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeptCell {
    /// No value.
    #[default]
    Missing,
    /// A number, in a format that tells numbers from text.
    Number(String),
    /// Text, as a CSV has everything.
    Text(String),
}

impl KeptCell {
    /// The cell as it is spelled; none without a value.
    pub fn text(&self) -> Option<&str> {
        match self {
            KeptCell::Missing => None,
            KeptCell::Number(text) | KeptCell::Text(text) => Some(text),
        }
    }
}

/// The cells of an input that are carried along, in the order in which they were asked for.
pub type Kept = Vec<KeptCell>;

/// The cells that are carried along of each row of a frame; none where no columns are asked for. `typed` is
/// true where the format tells numbers from text. Where records name their own columns, one may lack some,
/// but none that no record of a file's `first` ones has.
///
/// # Errors
/// When there is no such column, with the nearest.
pub(crate) fn kept(
    frame: &Frame,
    columns: &[String],
    typed: bool,
    first: bool,
) -> Result<Vec<Kept>, DataError> {
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    let place = |name: &String| match frame.position(name) {
        None if !frame.varies || first && frame.len() > 0 => {
            let expected = format!("a column `{name}`, which is to be kept");
            Err(DataError::source(&frame.uri, expected, none_but(&frame.all_names(), name)))
        }
        at => Ok(at),
    };
    let places = columns.iter().map(place).collect::<Result<Vec<_>, _>>()?;
    let row = |row| {
        let cell =
            |at: &Option<usize>| at.map_or(KeptCell::Missing, |at| cell(&frame.columns[at], row, typed));
        places.iter().map(cell).collect()
    };
    Ok((0..frame.len()).map(row).collect())
}

fn cell(cells: &Cells, row: usize, typed: bool) -> KeptCell {
    let is_text = !typed || matches!(cells, Cells::Text(cells) if cells.is_text(row));
    match cells.text(row) {
        None => KeptCell::Missing,
        Some(text) if is_text => KeptCell::Text(text.into_owned()),
        Some(text) => KeptCell::Number(text.into_owned()),
    }
}

/// Refuses to carry columns along of inputs that have none.
///
/// # Errors
/// When some are asked for.
pub(crate) fn no_columns(uri: &str, columns: &[String]) -> Result<(), DataError> {
    match columns.first() {
        None => Ok(()),
        Some(name) => {
            let expected = format!("records with a column `{name}`, which is to be kept");
            Err(DataError::source(uri, expected, "an input without columns"))
        }
    }
}
