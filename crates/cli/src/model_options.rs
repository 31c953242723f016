//! The keys below a recipe's `[model]`: the fields of the architecture's config, but for those that the data decide.

use crate::document::{Document, RecipeError};
use crate::section::overlay_without;
use bonfire_models::Architecture;
use bonfire_models::registry::{Visit, find, visit};
use bonfire_models::spec::Misfit;
use serde_json::{Map, Value};

/// A config with the keys that a recipe gives laid over the default's.
///
/// # Errors
/// On an unknown key or a value of the wrong type, with its place.
pub fn configured<A: Architecture>(
    document: &Document,
    options: &Map<String, Value>,
    default: &A,
) -> Result<A, RecipeError> {
    overlay_without(document, "model", options, default, A::DATA_KEYS)
}

/// The keys of a config that a recipe may give, with their values.
pub fn options<A: Architecture>(config: &A) -> Map<String, Value> {
    let value = serde_json::to_value(config).expect("a config serialises");
    let Value::Object(mut options) = value else { return Map::new() };
    options.retain(|key, _| !A::DATA_KEYS.contains(&key.as_str()));
    options
}

/// Refuses keys that the architecture does not have, before any data are read.
///
/// # Errors
/// On an unknown architecture, an unknown key or a value of the wrong type, with its place.
pub fn check(document: &Document, name: &str, options: &Map<String, Value>) -> Result<(), RecipeError> {
    struct Check<'a>(&'a Document, &'a Map<String, Value>);
    impl Visit for Check<'_> {
        type Output = Result<(), RecipeError>;

        fn visit<A: Architecture>(self, default: A) -> Self::Output {
            configured(self.0, self.1, &default).map(|_| ())
        }
    }
    by_example(name, Check(document, options)).map_err(|error| misfit(document, error))?
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
