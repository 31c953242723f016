//! Cells that mean "no value".

use super::config::TableConfig;
use super::schema::TableSchema;
use crate::DataError;
use crate::fields::ABSENT;

/// The marks that every table has unless its recipe says otherwise: those of pandas (`STR_NA_VALUES`), in the same
/// case, and `?`, which sets of UCI have.
pub const MISSING: [&str; 20] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
    "NA", "NULL", "NaN", "None", "n/a", "nan", "null", "?",
];

/// Not-a-number in any case, as earlier versions had it.
const ANY_NAN: [&str; 8] = ["nan", "NaN", "NAN", "Nan", "nAn", "naN", "NAn", "nAN"];

impl TableConfig {
    /// The marks of a table that is read for the first time: the recipe's beside those that every table has.
    pub(crate) fn marks(&self) -> Vec<String> {
        let mut marks = self.missing.clone();
        if self.keep_default_missing {
            let all = MISSING.iter().filter(|mark| !self.missing.iter().any(|own| own == *mark));
            marks.extend(all.map(ToString::to_string));
        }
        marks
    }

    /// The marks of a table whose columns are known: those that they were learned with. Earlier versions kept
    /// none: theirs are those of the recipe alone, and not-a-number in any case.
    pub(super) fn marks_of(&self, schema: &TableSchema) -> Vec<String> {
        match &schema.missing {
            Some(marks) => marks.clone(),
            None => self.missing.iter().cloned().chain(ANY_NAN.map(String::from)).collect(),
        }
    }
}

/// The error of a row, with the keys that decide what has no value where that is what its target has.
pub(super) fn told(error: DataError) -> DataError {
    match error {
        DataError::Malformed { uri, place, expected, found } if found == ABSENT => {
            let keys =
                "an empty cell or a mark such as `None`: see data.missing and data.keep_default_missing";
            DataError::malformed(uri, place, expected, format!("{found} ({keys})"))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_adds_marks_or_takes_those_of_every_table_away() {
        let config = TableConfig { missing: vec!["-".into(), "NA".into()], ..Default::default() };
        assert_eq!(config.marks().len(), MISSING.len() + 1);
        let alone = TableConfig { keep_default_missing: false, ..config };
        assert_eq!(alone.marks(), ["-", "NA"]);
    }
}
