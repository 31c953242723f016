//! Long texts to learn the language of: one stream of tokens, its tail cut off, and windows on it.

mod count;
mod cut;
mod held;
mod streamed;

pub(crate) use streamed::first_blocks;

use crate::text::config::TextConfig;
use crate::text::file::is_streamed;
use crate::text::schema::TextSchema;
use crate::text::set::TextSet;
use crate::{DataError, Opened, Pipeline};
use cut::{Cut, in_order};

/// Opens a long text for training; `known` is the schema of a run that goes on. A file of its own to evaluate
/// on takes the place of the part that was cut off.
///
/// # Errors
/// When it cannot be read, is too short for a window, or is not the text that the run began with.
pub(super) fn open(
    config: &TextConfig,
    seed: u64,
    known: Option<TextSchema>,
    streamed: bool,
) -> Result<Opened<TextSet, TextSchema>, DataError> {
    let open = if streamed { streamed::open } else { held::open };
    let Cut { train, valid, test, schema } = open(config, seed, known)?;
    let part = |given: &Option<String>, cut: Option<TextSet>| -> Result<_, DataError> {
        let set = match given {
            Some(uri) => Some(file(uri, config, &schema)?),
            None => cut,
        };
        Ok(set.map(|set| Pipeline::new(set, in_order(config, seed))))
    };
    let (valid, test) = (part(&config.valid, valid)?, part(&config.test, test)?);
    Ok(Opened { train, valid, test, schema })
}

/// Opens a long text by the schema, windows side by side.
///
/// # Errors
/// When it cannot be read, or has less than two tokens.
pub(super) fn file(uri: &str, config: &TextConfig, schema: &TextSchema) -> Result<TextSet, DataError> {
    if is_streamed(uri, config) {
        streamed::file(uri, config, schema)
    } else {
        held::file(uri, config, schema)
    }
}

/// The held-out tail of the training text: the test part or, without one, the validation part.
///
/// # Errors
/// When it cannot be read, or is not the text that was trained on.
pub(super) fn held_out(config: &TextConfig, schema: &TextSchema) -> Result<TextSet, DataError> {
    if schema.streamed.is_some() {
        streamed::held_out(config, schema)
    } else {
        held::held_out(config, schema)
    }
}
