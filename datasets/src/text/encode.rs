//! Texts into token ids, and labels into classes, by a schema.

use super::reader::Text;
use super::schema::TextSchema;
use crate::DataError;
use crate::records::{quoted, shortened};

/// The ids of a text, as many as the schema keeps.
pub(super) fn encode(text: &Text, schema: &TextSchema) -> Result<Vec<u32>, DataError> {
    schema.encode_first(&text.text, schema.max_tokens, &text.uri, text.line.unwrap_or(1))
}

/// The class of a text's label, which `known` looks up.
///
/// # Errors
/// When it is none of the schema's.
pub(super) fn class(
    text: &Text,
    schema: &TextSchema,
    known: impl FnOnce(&str) -> Option<u32>,
) -> Result<u32, DataError> {
    let label = text.label.as_deref().unwrap_or_default();
    known(label).ok_or_else(|| {
        let place = text.line.map_or("label".to_string(), |line| format!("line {line}, label"));
        let expected = format!("one of {}", quoted(&schema.labels));
        DataError::malformed(&text.uri, place, expected, format!("`{}`", shortened(label)))
    })
}
