//! Texts from memory, to classify.

use super::config::TextConfig;
use super::open::as_trained;
use super::schema::TextSchema;
use super::set::TextSet;
use crate::request::{REQUEST, Requested};
use crate::{DataError, Pipeline};

/// Texts in memory, each with its number in the request: as many of their tokens as the schema keeps.
///
/// # Errors
/// When a key is out of its bounds.
pub fn records(
    config: &TextConfig,
    schema: &TextSchema,
    texts: &[(usize, String)],
) -> Result<Requested<TextSet>, DataError> {
    config.check_sizes()?;
    let config = as_trained(config, schema);
    let (mut tokens, mut records, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for (number, text) in texts {
        match schema.encode_first(text, schema.max_tokens, &format!("{REQUEST}, record {number}"), 1) {
            Ok(ids) => {
                tokens.push(ids);
                records.push(*number);
            }
            Err(error) => refused.push((*number, error)),
        }
    }
    let set = TextSet::texts(schema.len(), &tokens, Vec::new(), 0);
    Ok(Requested { samples: Pipeline::new(set, config.in_order(0)), records, refused })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{TextConfig, open, open_prediction};
    use crate::{Dataset, Draw};

    #[test]
    fn texts_in_memory_have_the_tokens_of_texts_in_files() {
        let folder = tempfile::tempdir().unwrap();
        let train = folder.path().join("t.csv");
        std::fs::write(&train, "text,label\nsea sun,a\nwin call,b\nsea win,a\n").unwrap();
        let config = TextConfig {
            train: train.to_str().unwrap().to_string(),
            text_column: "text".into(),
            label_column: "label".into(),
            workers: 0,
            ..TextConfig::default()
        };
        let schema = open(&config, 0).unwrap().schema;
        let texts = [(2, "sun sea never-seen".to_string()), (5, String::new())];
        let requested = records(&config, &schema, &texts).unwrap();
        assert_eq!((requested.records, requested.refused.len()), (vec![2, 5], 0));
        let asked = folder.path().join("asked.csv");
        std::fs::write(&asked, "text\nsun sea never-seen\n").unwrap();
        let uris = [asked.to_str().unwrap().to_string()];
        let part = open_prediction(&config, &schema, &uris).unwrap().next().unwrap().unwrap();
        let sample = |index| requested.samples.dataset().sample(index, Draw::default()).unwrap();
        assert_eq!(sample(0), part.samples.dataset().sample(0, Draw::default()).unwrap());
        assert_ne!(sample(0), sample(1));
    }
}
