//! One section of a recipe: known keys laid over defaults, an unknown key refused with the nearest known one.
//!
//! The keys of a section are the keys that its default serialises to, so no list of them is kept by hand.

use crate::document::join;
use crate::{Document, RecipeError};
use bonfire_contract::{did_you_mean, nearest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Lays the keys that a recipe gives over `defaults`.
///
/// # Errors
/// On an unknown key, and on a value of the wrong type.
pub fn overlay<T>(
    document: &Document,
    path: &str,
    given: &Map<String, Value>,
    defaults: &T,
) -> Result<T, RecipeError>
where
    T: Serialize + DeserializeOwned,
{
    overlay_without(document, path, given, defaults, &[])
}

/// [`overlay`] where the keys in `closed` are not the recipe's to give.
///
/// # Errors
/// On an unknown or closed key, and on a value of the wrong type.
pub fn overlay_without<T>(
    document: &Document,
    path: &str,
    given: &Map<String, Value>,
    defaults: &T,
    closed: &[&str],
) -> Result<T, RecipeError>
where
    T: Serialize + DeserializeOwned,
{
    let defaults = serde_json::to_value(defaults).expect("a config serialises");
    let known: Vec<&str> = keys(&defaults).into_iter().filter(|key| !closed.contains(key)).collect();
    let mut result = defaults.clone();
    for (key, value) in given {
        if !known.contains(&key.as_str()) {
            return Err(unknown_key(document, path, key, &known));
        }
        // One key at a time over the defaults, so that a wrong type is charged to its own key.
        let mut alone = defaults.clone();
        alone[key.as_str()] = value.clone();
        if let Err(error) = serde_json::from_value::<T>(alone) {
            let full = join(path, key);
            return Err(match expectation(&error.to_string()) {
                Some((expected, found)) => document.wrong(&full, expected, found),
                None => document.wrong(&full, format!("something else ({error})"), value),
            });
        }
        result[key.as_str()] = value.clone();
    }
    serde_json::from_value(result).map_err(|error| document.wrong(path, "keys that fit together", error))
}

/// The error for a key that is not among `known`, naming the nearest.
pub fn unknown_key(document: &Document, path: &str, key: &str, known: &[&str]) -> RecipeError {
    let full = join(path, key);
    let suggestion = match nearest(key, known.iter().copied()) {
        Some(nearest) => did_you_mean(Some(join(path, nearest))),
        None => format!("; known here: {}", known.join(", ")),
    };
    RecipeError::UnknownKey { place: document.place(&full), key: full, suggestion }
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().map(|object| object.keys().map(String::as_str).collect()).unwrap_or_default()
}

/// `invalid type: string "x", expected u64` as (expected, found).
fn expectation(message: &str) -> Option<(String, String)> {
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        let (found, expected) = rest.split_once(", expected ")?;
        return Some((expected.to_string(), found.to_string()));
    }
    let rest = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    Some((plain(expected), plain(found)))
}

/// Serde's words for types and values, as a writer of recipes knows them.
fn plain(words: &str) -> String {
    let (kind, value) = words.split_once(' ').unwrap_or((words, ""));
    match kind {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0 on".to_string(),
        "i32" | "i64" => "a whole number".to_string(),
        "f32" | "f64" => "a number".to_string(),
        "integer" | "boolean" => value.trim_matches('`').to_string(),
        "floating" => value.trim_start_matches("point ").trim_matches('`').to_string(),
        "sequence" => "a list".to_string(),
        "map" => "a table".to_string(),
        "a" => words.replace("sequence", "list").replace("boolean", "true or false"),
        "string" => value.to_string(),
        _ => words.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    struct Section {
        epochs: Option<u64>,
        batch_size: u64,
        order: Kind,
    }

    impl Default for Section {
        fn default() -> Self {
            Section { epochs: None, batch_size: 64, order: Kind::Full }
        }
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Full,
        Window,
    }

    fn read(text: &str) -> Result<Section, RecipeError> {
        let document = Document::parse("r.toml", text).unwrap();
        let given = document.root["train"].as_object().unwrap().clone();
        overlay(&document, "train", &given, &Section::default())
    }

    #[test]
    fn given_keys_replace_defaults() {
        let section = read("[train]\nepochs = 3\norder = 'window'").unwrap();
        assert_eq!(section, Section { epochs: Some(3), batch_size: 64, order: Kind::Window });
    }

    #[test]
    fn an_unknown_key_names_the_nearest_and_the_line() {
        let error = read("[train]\nepochs = 3\nbatchsize = 2").unwrap_err().to_string();
        assert_eq!(error, "r.toml:3: unknown key 'train.batchsize'; did you mean 'train.batch_size'?");
    }

    #[test]
    fn a_wrong_type_is_charged_to_its_key() {
        let error = read("[train]\nepochs = 3\nbatch_size = 'many'").unwrap_err().to_string();
        assert_eq!(error, "r.toml:3: train.batch_size: expected a whole number from 0 on, found \"many\"");
        let error = read("[train]\norder = 'sorted'").unwrap_err().to_string();
        assert_eq!(error, "r.toml:2: train.order: expected `full` or `window`, found `sorted`");
    }
}
