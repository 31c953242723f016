//! Texts from memory, to classify.

use super::config::TextConfig;
use super::open::as_trained;
use super::schema::TextSchema;
use super::set::TextSet;
use crate::request::{REQUEST, Requested};
use crate::{DataError, Pipeline};

/// Texts in memory, as many of their tokens as the schema keeps.
///
/// # Errors
/// When a key is out of its bounds.
pub fn records(
    config: &TextConfig,
    schema: &TextSchema,
    texts: &[String],
) -> Result<Requested<TextSet>, DataError> {
    config.check_sizes()?;
    let config = as_trained(config, schema);
    let (mut tokens, mut records, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for (number, text) in texts.iter().enumerate() {
        match schema.encode_first(text, schema.max_tokens, &format!("{REQUEST}, record {number}"), 1) {
            Ok(ids) => {
                tokens.push(ids);
                records.push(number);
            }
            Err(error) => refused.push((number, error)),
        }
    }
    let set = TextSet::texts(schema.len(), &tokens, None, 0);
    Ok(Requested { samples: Pipeline::new(set, config.in_order(0)), records, refused })
}
