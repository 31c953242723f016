//! Texts into token ids, and labels into classes or values, by a schema.

use super::reader::Text;
use super::schema::TextSchema;
use crate::DataError;
use crate::fields::{TargetEncoder, Targets};
use crate::records::{Cells, TextCells};
use bonfire_contract::Target;
use burn::tensor::{Device, Tensor, TensorData};

/// The ids of a text, as many as the schema keeps.
pub(super) fn encode(text: &Text, schema: &TextSchema) -> Result<Vec<u32>, DataError> {
    schema.encode_first(&text.text, schema.max_tokens, &text.uri, text.line.unwrap_or(1))
}

/// The thing that a model's answer about a text is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum TextTarget {
    /// A class, by its place among the labels.
    Class(i32),
    /// A standardised value.
    Value(f32),
    /// None: a text to predict.
    Absent,
}

/// The target that a text's label says.
///
/// # Errors
/// When it is none of the labels, or no number.
pub(super) fn target(text: &Text, encoder: &TargetEncoder) -> Result<TextTarget, DataError> {
    let mut label = TextCells::default();
    label.push(text.label.as_deref());
    let label = Cells::Text(label);
    let mut refused = None;
    encoder.check(&label, &[0], &mut |_, expected, found| {
        let place = text.line.map_or("label".to_string(), |line| format!("line {line}, label"));
        refused.get_or_insert_with(|| DataError::malformed(&text.uri, place, expected, found));
    });
    match (refused, encoder.encode(&label, &[0])) {
        (Some(error), _) => Err(error),
        (None, Targets::Classes(classes)) => {
            Ok(classes.first().map_or(TextTarget::Absent, |&of| TextTarget::Class(of)))
        }
        (None, Targets::Values(values)) => {
            Ok(values.first().map_or(TextTarget::Absent, |&of| TextTarget::Value(of)))
        }
        (None, Targets::Absent) => Ok(TextTarget::Absent),
    }
}

/// Targets of the samples of a batch: `[B]` for classes, `[B, 1]` for values.
pub(super) fn collated(targets: impl Iterator<Item = TextTarget>, device: &Device) -> Target {
    let (mut classes, mut values) = (Vec::new(), Vec::new());
    for target in targets {
        match target {
            TextTarget::Class(class) => classes.push(class),
            TextTarget::Value(value) => values.push(value),
            TextTarget::Absent => {}
        }
    }
    match (classes.len(), values.len()) {
        (0, 0) => Target::Absent,
        (_, 0) => {
            let batch = classes.len();
            Target::Classes(Tensor::from_data(TensorData::new(classes, [batch]), device))
        }
        (_, batch) => Target::Values(Tensor::from_data(TensorData::new(values, [batch, 1]), device)),
    }
}
