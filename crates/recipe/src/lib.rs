//! Recipes: one TOML file that says what to train, on what, and how.
//!
//! ```text
//! TOML file or built-in name, --set -> Document (values with their places)
//!                                   -> Recipe (every key known, every type right)
//! ```
//!
//! A [`Document`] keeps the line of every key, so that each [`RecipeError`] says where the key stands.
//! [`Recipe::resolve`] lays the keys over the defaults of each section. [`Recipe::difference`] tells whether
//! a run that goes on is still the run that began.

mod builtin;
mod data;
mod document;
mod error;
mod finetune;
pub mod model_options;
pub mod paths;
pub mod propose;
mod recipe;
mod resume;
pub mod section;

pub use builtin::{BUILTIN, LONGEST_RECIPE, builtin, folder, read};
pub use data::DataConfig;
pub use document::Document;
pub use error::RecipeError;
pub use finetune::FinetuneConfig;
pub use recipe::Recipe;
