//! The `[data]` section: one kind of data, with the keys of that kind.

use crate::section::overlay;
use crate::{Document, RecipeError};
use bonfire_datasets::{image::ImageConfig, table::TableConfig, text::TextConfig};
use serde_json::{Map, Value};

/// The `[data]` section.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // one a process
pub enum DataConfig {
    /// `kind = "image"`
    Image(ImageConfig),
    /// `kind = "text"`
    Text(TextConfig),
    /// `kind = "table"`
    Table(TableConfig),
}

impl DataConfig {
    /// Reads the keys of the section `given` by its `kind`.
    pub(crate) fn resolve(document: &Document, given: &Map<String, Value>) -> Result<Self, RecipeError> {
        const KINDS: &str = "image or text or table";
        let mut given = given.clone();
        let kind = match given.remove("kind") {
            Some(Value::String(kind)) => kind,
            Some(other) => return Err(document.wrong("data.kind", KINDS, other)),
            None => return Err(document.wrong("data.kind", KINDS, "none")),
        };
        match kind.as_str() {
            "image" => Ok(DataConfig::Image(overlay(document, "data", &given, &ImageConfig::default())?)),
            "text" => Ok(DataConfig::Text(overlay(document, "data", &given, &TextConfig::default())?)),
            "table" => Ok(DataConfig::Table(overlay(document, "data", &given, &TableConfig::default())?)),
            other => Err(document.wrong("data.kind", KINDS, format!("'{other}'"))),
        }
    }

    /// The section's `kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            DataConfig::Image(_) => "image",
            DataConfig::Text(_) => "text",
            DataConfig::Table(_) => "table",
        }
    }

    /// All keys of the section.
    pub(crate) fn to_value(&self) -> Value {
        let value = match self {
            DataConfig::Image(config) => serde_json::to_value(config),
            DataConfig::Text(config) => serde_json::to_value(config),
            DataConfig::Table(config) => serde_json::to_value(config),
        };
        let mut value = value.expect("a config serialises");
        value["kind"] = Value::from(self.kind());
        value
    }
}
