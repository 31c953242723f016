//! Cells made small: numbers, or places in a dictionary.

use super::config::TableConfig;
use super::schema::TableSchema;
use crate::records::Frame;
use std::collections::HashSet;

/// The packing of a table's cells.
#[derive(Clone, Debug)]
pub(crate) struct Packing {
    /// The columns whose cells keep their spelling: the recipe calls them categories, a suffix is to be taken off
    /// them, or the schema tells spellings of one value apart.
    spelled: HashSet<String>,
    /// True where all text keeps its spelling, as the format tells numbers from text.
    typed: bool,
}

impl Packing {
    /// The packing of cells of a recipe, and of a schema where that is known.
    pub(crate) fn new(config: &TableConfig, schema: Option<&TableSchema>) -> Self {
        let mut spelled: HashSet<String> = config.categorical.iter().cloned().collect();
        spelled.extend(config.strip_label_suffix.as_ref().map(|_| config.target.clone()));
        spelled.extend(schema.iter().flat_map(|schema| schema.spelled()).map(str::to_string));
        Packing { spelled, typed: false }
    }

    /// The packing of cells of files that may tell numbers from text: those that are numbers afterwards were
    /// numbers in the file, then.
    pub(crate) fn of_typed(self, typed: bool) -> Self {
        Packing { typed, ..self }
    }

    /// Makes the cells of a frame small.
    pub(crate) fn pack(&self, frame: &mut Frame) {
        for (name, cells) in frame.names.iter().zip(&mut frame.columns) {
            cells.pack(!self.typed && !self.spelled.contains(name));
        }
    }
}
