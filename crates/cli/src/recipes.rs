//! The built-in recipes, and recipes read from files.

use crate::document::Document;
use crate::section::nearest;
use anyhow::{Context, Result, bail};

macro_rules! builtin {
    ($($name:literal)*) => {
        /// Name and text of every built-in recipe, sorted from simple to hard.
        pub const BUILTIN: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../examples/recipes/", $name, ".toml")))),*];
    };
}

builtin!(
    "diamonds" "adult" "fashion" "fashion-autoencoder" "sms" "shakespeare-lstm" "shakespeare" "fashion-resnet" "finetune"
    "cifar10-resnet9" "imagenet-resnet18-16ep" "imagenet-resnet50" "imagenet-resnet50-a3" "imagenet-convnext-tiny"
    "imagenet-vit-s16"
);

/// The text of a built-in recipe.
///
/// # Errors
/// When there is none of that name; the message names the nearest.
pub fn builtin(name: &str) -> Result<&'static str> {
    if let Some((_, text)) = BUILTIN.iter().find(|(known, _)| *known == name) {
        return Ok(text);
    }
    let names: Vec<&str> = BUILTIN.iter().map(|(name, _)| *name).collect();
    let suggestion =
        nearest(name, &names).map(|name| format!("; did you mean '{name}'?")).unwrap_or_default();
    bail!("recipe '{name}': expected a TOML file or one of {}, found neither{suggestion}", names.join(", "))
}

/// Reads a recipe by built-in name or by path. What looks like a path (an extension or a
/// separator) is one.
///
/// # Errors
/// When there is no such recipe, or it is not TOML.
pub fn read(recipe: &str) -> Result<Document> {
    let path = std::path::Path::new(recipe);
    if path.is_file() || path.extension().is_some() || path.components().count() > 1 {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{recipe}: expected a recipe in TOML, found nothing readable"))?;
        return Ok(Document::parse(recipe, &text)?);
    }
    Ok(Document::parse(recipe, builtin(recipe)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;

    #[test]
    fn every_recipe_resolves_under_its_name_and_again_from_what_it_resolved_to() {
        for (name, text) in BUILTIN {
            let recipe = Recipe::resolve(&Document::parse(name, text).unwrap());
            let recipe = recipe.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(recipe.name, *name);
            recipe.fit().check().unwrap();
            let again = Recipe::resolve(&Document::parse(name, &recipe.to_toml()).unwrap()).unwrap();
            assert_eq!(again, recipe, "{name}");
        }
    }
}
