//! The names of classes, which Hugging Face's `datasets` keeps beside the numbers of a column.
//!
//! ```text
//! metadata `huggingface`: {"info": {"features": {"label": {"names": ["bad", "good"], "_type": "ClassLabel"}}}}
//! ```
//!
//! The number -1 is a sample without a label there.

use crate::records::cells::TextCells;
use arrow_schema::Schema;

/// The number of a sample whose label nobody knows.
const UNKNOWN: &str = "-1";

/// The names that a file gives to the numbers of a column; none without such.
pub(in crate::records) fn class_names(schema: &Schema, column: &str) -> Vec<String> {
    let value: serde_json::Value = schema
        .metadata()
        .get("huggingface")
        .and_then(|value| serde_json::from_str(value).ok())
        .unwrap_or_default();
    let names = value["info"]["features"][column]["names"].as_array().cloned().unwrap_or_default();
    names.into_iter().map(|name| name.as_str().map_or_else(|| name.to_string(), String::from)).collect()
}

/// Appends numbers by their names. A number without a name stays as it is, and an unknown one is no value.
pub(in crate::records) fn append_named(text: &mut TextCells, numbers: &TextCells, names: &[String]) {
    for row in 0..numbers.len() {
        match numbers.get(row) {
            None | Some(UNKNOWN) => text.push(None),
            Some(number) => match number.parse::<usize>().ok().and_then(|number| names.get(number)) {
                Some(name) => text.push_text(Some(name)),
                None => text.push(Some(number)),
            },
        }
    }
}
