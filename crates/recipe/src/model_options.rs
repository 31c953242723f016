//! The keys below a recipe's `[model]`: the fields of the architecture's config, but for those that the data
//! decide.

use crate::section::overlay_without;
use crate::{Document, RecipeError};
use bonfire_contract::ConfigError;
use bonfire_models::Architecture;
use bonfire_models::registry::{Visit, find, visit};
use bonfire_models::spec::Misfit;
use serde_json::{Map, Value};

/// A config with the keys that a recipe gives laid over the default's.
///
/// # Errors
/// On an unknown key or a value of the wrong type, with its place.
fn configured<A: Architecture>(
    document: &Document,
    options: &Map<String, Value>,
    default: &A,
) -> Result<A, RecipeError> {
    overlay_without(document, "model", options, default, A::DATA_KEYS)
}

/// A config with the keys that a recipe gives laid over the default's, of which a model can be made.
///
/// # Errors
/// On an unknown key, a value of the wrong type, and on sizes that no such model can have, with the place.
pub fn checked<A: Architecture>(
    document: &Document,
    options: &Map<String, Value>,
    default: &A,
) -> Result<A, RecipeError> {
    let config = configured(document, options, default)?;
    config.check().map_err(|error| impossible(document, &error))?;
    Ok(config)
}

/// The keys of a config that a recipe may give, with their values.
pub fn options<A: Architecture>(config: &A) -> Map<String, Value> {
    let value = serde_json::to_value(config).expect("a config serialises");
    let Value::Object(mut options) = value else { return Map::new() };
    options.retain(|key, _| !A::DATA_KEYS.contains(&key.as_str()));
    options
}

/// All keys that a recipe may give for an architecture: the `given` ones over their defaults, which are the
/// same for all data.
///
/// # Errors
/// On an unknown architecture, an unknown key or a value of the wrong type, with its place.
pub(crate) fn resolve(
    document: &Document,
    name: &str,
    given: &Map<String, Value>,
) -> Result<Map<String, Value>, RecipeError> {
    struct Resolve<'a>(&'a Document, &'a Map<String, Value>);
    impl Visit for Resolve<'_> {
        type Output = Result<Map<String, Value>, RecipeError>;

        fn visit<A: Architecture>(self, default: A) -> Self::Output {
            configured(self.0, self.1, &default).map(|config| options(&config))
        }
    }
    by_example(name, Resolve(document, given)).map_err(|error| misfit(document, error))?
}

/// An architecture's options and their defaults.
///
/// # Errors
/// When there is no such architecture.
pub fn defaults(name: &str) -> Result<Map<String, Value>, Misfit> {
    struct Defaults;
    impl Visit for Defaults {
        type Output = Map<String, Value>;

        fn visit<A: Architecture>(self, default: A) -> Self::Output {
            options(&default)
        }
    }
    by_example(name, Defaults)
}

/// Hands an architecture's default on its example's sizes to `visitor`.
fn by_example<V: Visit>(name: &str, visitor: V) -> Result<V::Output, Misfit> {
    visit(name, &(find(name)?.example)(), visitor)
}

/// A misfit of the model and the data, with the place of the recipe's key.
pub fn misfit(document: &Document, Misfit { key, expected, found }: Misfit) -> RecipeError {
    document.wrong(key, expected, found)
}

/// A config's own refusal, under the recipe's key that decides the field.
fn impossible(document: &Document, error: &ConfigError) -> RecipeError {
    let key = match error.field.strip_prefix("objective.") {
        Some("loss") => "loss.name".to_string(),
        Some("outputs") => "data".to_string(),
        Some(field) => format!("loss.{field}"),
        None if error.field == "picture" => "data.resize".to_string(),
        None => format!("model.{}", error.field),
    };
    document.wrong(&key, &error.expected, &error.found)
}
