//! The built-in recipes, and recipes read from files.

use crate::{Document, RecipeError};
use bonfire_contract::{did_you_mean, files, nearest};
use std::fs::File;
use std::path::{Path, PathBuf};

macro_rules! builtin {
    ($($name:literal)*) => {
        /// Name and text of every built-in recipe, sorted from simple to hard.
        pub const BUILTIN: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../examples/recipes/", $name, ".toml")))),*];
    };
}

builtin!(
    "diamonds" "adult" "fashion" "fashion-autoencoder" "sms-linear" "sms" "shakespeare-lstm" "shakespeare"
    "fashion-resnet" "finetune" "cifar10-resnet9" "imagenet-resnet18-16ep" "imagenet-resnet50"
    "imagenet-resnet50-a3" "imagenet-convnext-tiny" "imagenet-vit-s16"
);

/// The text of a built-in recipe.
///
/// # Errors
/// When no built-in recipe has that name; the message names the nearest.
pub fn builtin(name: &str) -> Result<&'static str, RecipeError> {
    if let Some((_, text)) = BUILTIN.iter().find(|(known, _)| *known == name) {
        return Ok(text);
    }
    let names: Vec<&str> = BUILTIN.iter().map(|(name, _)| *name).collect();
    let suggestion = did_you_mean(nearest(name, names.iter().copied()));
    Err(RecipeError::UnknownRecipe { name: name.to_string(), known: names.join(", "), suggestion })
}

/// Bytes that a recipe may have.
pub const LONGEST_RECIPE: u64 = 16 << 20;

/// Reads a recipe by path or by built-in name. A name with an extension or a separator is a path.
///
/// # Errors
/// When no such recipe is there, or it is not TOML.
pub fn read(recipe: &str) -> Result<Document, RecipeError> {
    if is_file(recipe) {
        let text = File::open(recipe)
            .and_then(|file| files::text_of(file, LONGEST_RECIPE))
            .map_err(|cause| RecipeError::Unreadable { path: recipe.to_string(), cause })?;
        return Document::parse(recipe, &text);
    }
    Document::parse(recipe, builtin(recipe)?)
}

/// True for a path: a name with an extension or a separator, or of a file that is there.
fn is_file(recipe: &str) -> bool {
    let path = Path::new(recipe);
    path.is_file() || path.extension().is_some() || path.components().count() > 1
}

/// The folder that a recipe's relative paths start at, absolute and without links; none for a built-in one.
///
/// # Errors
/// When there is no such folder.
pub fn folder(recipe: &str) -> Result<Option<PathBuf>, RecipeError> {
    if !is_file(recipe) {
        return Ok(None);
    }
    let above = Path::new(recipe).parent().filter(|above| !above.as_os_str().is_empty());
    let folder = above.unwrap_or(Path::new(".")).canonicalize();
    folder.map(Some).map_err(|cause| RecipeError::Unreadable { path: recipe.to_string(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Recipe;

    #[test]
    fn every_recipe_resolves_under_its_name_and_again_from_what_it_resolved_to() {
        for (name, text) in BUILTIN {
            let recipe = Recipe::resolve(&Document::parse(name, text).unwrap());
            let recipe = recipe.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(recipe.name, *name);
            recipe.fit().check().unwrap();
            let again = Recipe::resolve(&Document::parse(name, &recipe.to_toml().unwrap()).unwrap()).unwrap();
            assert_eq!(again, recipe, "{name}");
        }
    }
}
