//! The reading of cells: which mean "no value", which are numbers, and how they are made small.

use super::config::TableConfig;
use super::schema::TableSchema;
use crate::records::{Frame, Marks, NumberFormat};
use std::collections::HashSet;

/// The reading of a table's cells.
#[derive(Clone, Debug)]
pub(crate) struct Packing {
    /// The columns whose cells keep their spelling: the recipe calls them categories or dates, a suffix is to be
    /// taken off them, or the schema tells spellings of one value apart.
    spelled: HashSet<String>,
    /// True where all text keeps its spelling, as the format tells numbers from text.
    typed: bool,
    /// Cells that mean "no value".
    pub missing: Marks,
    /// True where dates that a format knows as such are days; earlier versions had them in the file's unit.
    pub dates: bool,
    numbers: NumberFormat,
}

impl Packing {
    /// The reading of cells of a recipe, and of a schema where that is known.
    pub(crate) fn new(config: &TableConfig, schema: Option<&TableSchema>) -> Self {
        let mut spelled: HashSet<String> = config.categorical.iter().chain(&config.dates).cloned().collect();
        spelled.extend(config.strip_label_suffix.as_ref().map(|_| config.target.clone()));
        spelled.extend(schema.iter().flat_map(|schema| schema.spelled()).map(str::to_string));
        let missing = Marks::new(schema.map_or_else(|| config.marks(), |schema| config.marks_of(schema)));
        let numbers = NumberFormat { thousands: config.thousands, decimal: config.decimal };
        Packing { spelled, typed: false, missing, dates: schema.is_none_or(|schema| schema.days), numbers }
    }

    /// The reading of cells of files that may tell numbers from text: those that are numbers afterwards were
    /// numbers in the file, then.
    pub(crate) fn of_typed(self, typed: bool) -> Self {
        Packing { typed, ..self }
    }

    /// True where a cell's text means "no value".
    pub(super) fn is_missing(&self, cell: &str) -> bool {
        self.missing.contains(cell)
    }

    /// Makes the cells of a frame small.
    pub(crate) fn pack(&self, frame: &mut Frame) {
        for (name, cells) in frame.names.iter().zip(&mut frame.columns) {
            cells.pack(!self.typed && !self.spelled.contains(name), self.numbers);
        }
    }
}
