//! A recipe: one TOML file that says what to train, on what, and how. It states only what differs
//! from the defaults; resolved, it states everything and is kept in the run folder.
//!
//! ```toml
//! name = "fashion"                 # the run folder's name
//! seed = 1
//! device = "cpu"
//! [data]      kind = "image" | "text" | "table", train = "URI", …
//! [model]     name = "cnn", …      # `bonfire models cnn` lists its keys
//! [loss]      label_smoothing = 0.1
//! [train]     epochs = 15, batch_size = 64
//! [optimizer] name = "adamw", learning_rate = 0.001
//! [schedule]  name = "one_cycle"
//! [checkpoint] every_minutes = 10
//! [finetune]  pretrained = "URI", freeze = ["stem*"]
//! ```

use crate::document::join;
use crate::section::{overlay, overlay_without, unknown_key};
use crate::{DataConfig, Document, FinetuneConfig, RecipeError, model_options};
use bonfire_contract::{did_you_mean, nearest};
use bonfire_datasets::image::ImageConfig;
use bonfire_models::registry;
use bonfire_models::spec::LossConfig;
use bonfire_train::{CheckpointConfig, FitConfig, OptimizerConfig, ScheduleConfig, TrainConfig};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt::Display;
use std::path::{Component, Path};

/// A model to train, its data, and the way of training; every key has its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Names the run folder.
    pub name: String,
    /// A line for `bonfire recipes`.
    pub description: String,
    /// Seeds initial weights, the order of samples, augmentation and dropout.
    pub seed: u64,
    /// The device's name, as `--device` takes it.
    pub device: String,
    /// The source of samples.
    pub data: DataConfig,
    /// The architecture's registered name.
    pub model: String,
    /// The architecture's keys, but for those that the data decide.
    pub model_options: Map<String, Value>,
    /// The loss that training lowers.
    pub loss: LossConfig,
    /// The training loop.
    pub train: TrainConfig,
    /// The rule that turns gradients into steps.
    pub optimizer: OptimizerConfig,
    /// The learning rate over the steps.
    pub schedule: ScheduleConfig,
    /// When to write checkpoints.
    pub checkpoint: CheckpointConfig,
    /// The weights that training begins with, and the share of the learning rate of each layer.
    pub finetune: FinetuneConfig,
}

/// The top-level keys that are not sections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Head {
    name: String,
    description: String,
    seed: u64,
    device: String,
}

impl Default for Head {
    fn default() -> Self {
        Head { name: "run".to_string(), description: String::new(), seed: 1, device: "cpu".to_string() }
    }
}

const SECTIONS: [&str; 8] =
    ["data", "model", "loss", "train", "optimizer", "schedule", "checkpoint", "finetune"];
const HEAD: [&str; 4] = ["name", "description", "seed", "device"];

impl Recipe {
    /// Resolves a document: every key known, every type right.
    ///
    /// # Errors
    /// On an unknown key or name, with the nearest known one and the line; on a value of the wrong type; on a
    /// missing `[data]` or `[model]`.
    pub fn resolve(document: &Document) -> Result<Self, RecipeError> {
        let head = head(document)?;
        let (data, mut options) = (required(document, "data")?, required(document, "model")?);
        let model = name_of(document, "model", &mut options, &registry::names())?
            .ok_or_else(|| document.wrong("model.name", "a model's name", "none"))?;
        let model_options = model_options::resolve(document, &model, &options)?;
        let data = DataConfig::resolve(document, &data)?;
        check_train_size(document, &data, &model)?;
        let finetune: FinetuneConfig = plain(document, "finetune")?;
        finetune.check(document, &data)?;
        Ok(Recipe {
            name: head.name,
            description: head.description,
            seed: head.seed,
            device: head.device,
            data,
            model,
            model_options,
            loss: plain(document, "loss")?,
            train: train(document)?,
            optimizer: named(
                document,
                "optimizer",
                "adamw",
                &OptimizerConfig::NAMES,
                OptimizerConfig::named,
            )?,
            schedule: named(document, "schedule", "constant", &ScheduleConfig::NAMES, ScheduleConfig::named)?,
            checkpoint: plain(document, "checkpoint")?,
            finetune,
        })
    }

    /// Everything the training loop needs.
    pub fn fit(&self) -> FitConfig {
        FitConfig {
            train: self.train.clone(),
            optimizer: self.optimizer.clone(),
            schedule: self.schedule.clone(),
            checkpoint: self.checkpoint.clone(),
            layers: self.finetune.rates(),
            seed: self.seed,
        }
    }

    /// The top-level keys and sections with all their values, in the order in which a reader thinks.
    pub(crate) fn sections(&self) -> [(&'static str, Value); 12] {
        let mut model = self.model_options.clone();
        model.insert("name".to_string(), Value::from(self.model.clone()));
        [
            ("name", Value::from(self.name.clone())),
            ("description", Value::from(self.description.clone())),
            ("seed", Value::from(self.seed)),
            ("device", Value::from(self.device.clone())),
            ("data", self.data.to_value()),
            ("model", Value::Object(model)),
            ("loss", to_value(&self.loss)),
            ("train", to_value(&self.train)),
            ("optimizer", to_value(&self.optimizer)),
            ("schedule", to_value(&self.schedule)),
            ("checkpoint", to_value(&self.checkpoint)),
            ("finetune", to_value(&self.finetune)),
        ]
    }

    /// The resolved recipe as TOML. Reading it again gives an equal recipe.
    ///
    /// # Errors
    /// On a value that TOML has no spelling for, by its key: a whole number above 2^63 - 1, or nothing in a
    /// list.
    pub fn to_toml(&self) -> Result<String, RecipeError> {
        let (sections, head): (Vec<_>, Vec<_>) =
            self.sections().into_iter().partition(|(_, value)| value.is_object());
        let head: Map<String, Value> =
            head.into_iter().map(|(key, value)| (key.to_string(), value)).collect();
        let mut text = to_toml(head)?;
        for (name, value) in sections {
            // One section at a time keeps their order.
            let body = to_toml(Map::from_iter([(name.to_string(), value)]))?;
            text.push('\n');
            text.push_str(&body);
        }
        Ok(text)
    }
}

/// The top-level keys that are not sections, of a document that has no unknown section.
fn head(document: &Document) -> Result<Head, RecipeError> {
    let known: Vec<&str> = HEAD.into_iter().chain(SECTIONS).collect();
    let mut given = Map::new();
    for (key, value) in &document.root {
        if !known.contains(&key.as_str()) {
            return Err(unknown_key(document, "", key, &known));
        }
        if !SECTIONS.contains(&key.as_str()) {
            given.insert(key.clone(), value.clone());
        } else if !value.is_object() {
            return Err(document.wrong(key, "a table", value));
        }
    }
    let head: Head = overlay(document, "", &given, &Head::default())?;
    let mut components = Path::new(&head.name).components();
    let is_one = matches!((components.next(), components.next()), (Some(Component::Normal(_)), None));
    if !is_one || head.name.ends_with(['/', '\\']) {
        let found = format!("'{}'", head.name);
        return Err(document.wrong("name", "a folder's name, without separators", found));
    }
    Ok(head)
}

/// Refuses pictures of another size in each epoch for a model whose pictures are all of one size.
fn check_train_size(document: &Document, data: &DataConfig, model: &str) -> Result<(), RecipeError> {
    match data {
        DataConfig::Image(ImageConfig { train_size: Some(side), .. }) if !takes_any_size(model) => {
            let expected = format!("none with {model}, whose pictures are all of one size");
            Err(document.wrong("data.train_size", expected, side))
        }
        _ => Ok(()),
    }
}

/// True where pictures may have another size in each batch.
fn takes_any_size(model: &str) -> bool {
    registry::find(model).is_ok_and(|entry| entry.any_picture_size)
}

/// The `[train]` section. `--set train.steps=9` replaces a length in epochs, and `--set train.epochs=9` one
/// in steps.
fn train(document: &Document) -> Result<TrainConfig, RecipeError> {
    let mut given = section(document, "train");
    for (typed, other) in [("steps", "epochs"), ("epochs", "steps")] {
        let is_argument = |key| document.is_argument(&format!("train.{key}"));
        if given.contains_key(typed) && is_argument(typed) && !is_argument(other) {
            given.remove(other);
        }
    }
    let mut train: TrainConfig = overlay(document, "train", &given, &TrainConfig::default())?;
    if train.epochs.is_none() && train.steps.is_none() {
        train.epochs = Some(train.default_epochs());
    }
    Ok(train)
}

/// A section over its config's defaults.
fn plain<T: Serialize + DeserializeOwned + Default>(
    document: &Document,
    name: &str,
) -> Result<T, RecipeError> {
    overlay(document, name, &section(document, name), &T::default())
}

/// A section whose `name`, by default `usual`, decides its other keys.
fn named<T: Serialize + DeserializeOwned>(
    document: &Document,
    path: &str,
    usual: &str,
    known: &[&str],
    defaults: fn(&str) -> Option<T>,
) -> Result<T, RecipeError> {
    let mut given = section(document, path);
    let name = name_of(document, path, &mut given, known)?.unwrap_or_else(|| usual.to_string());
    let defaults = defaults(&name).expect("defaults for each known name");
    overlay_without(document, path, &given, &defaults, &["name"])
}

fn section(document: &Document, name: &str) -> Map<String, Value> {
    document.root.get(name).and_then(Value::as_object).cloned().unwrap_or_default()
}

fn required(document: &Document, name: &str) -> Result<Map<String, Value>, RecipeError> {
    if document.root.contains_key(name) {
        Ok(section(document, name))
    } else {
        Err(document.wrong(name, format!("a section [{name}]"), "none"))
    }
}

/// Takes `name` out of a section whose other keys depend on it.
fn name_of(
    document: &Document,
    path: &str,
    given: &mut Map<String, Value>,
    known: &[&str],
) -> Result<Option<String>, RecipeError> {
    let key = format!("{path}.name");
    match given.remove("name") {
        None => Ok(None),
        Some(Value::String(name)) if known.contains(&name.as_str()) => Ok(Some(name)),
        Some(Value::String(name)) => {
            let suggestion = did_you_mean(nearest(&name, known.iter().copied()));
            Err(document.wrong(&key, format!("one of {}", known.join(", ")), format!("'{name}'{suggestion}")))
        }
        Some(other) => Err(document.wrong(&key, "a string", other)),
    }
}

fn to_value(config: &impl Serialize) -> Value {
    serde_json::to_value(config).expect("a config serialises")
}

/// TOML has no null: a key without a value is left out, and reads as its default again.
///
/// # Errors
/// On a value that TOML has no spelling for.
fn to_toml(keys: Map<String, Value>) -> Result<String, RecipeError> {
    let unspelled = |key: &str, expected: &str, found: &dyn Display| RecipeError::Value {
        place: "the resolved recipe".to_string(),
        key: key.to_string(),
        expected: expected.to_string(),
        found: found.to_string(),
    };
    let table = toml_table("", keys, &unspelled)?;
    toml::to_string(&table).map_err(|error| unspelled("", "keys that TOML can spell", &error))
}

/// Makes the error about a key: the values that it may have, and the one that it has.
type Unspelled<'a> = &'a dyn Fn(&str, &str, &dyn Display) -> RecipeError;

fn toml_table(
    path: &str,
    keys: Map<String, Value>,
    unspelled: Unspelled<'_>,
) -> Result<toml::Table, RecipeError> {
    let given = keys.into_iter().filter(|(_, value)| !value.is_null());
    given
        .map(|(key, value)| {
            let value = toml_value(&join(path, &key), value, unspelled)?;
            Ok((key, value))
        })
        .collect()
}

fn toml_value(path: &str, value: Value, unspelled: Unspelled<'_>) -> Result<toml::Value, RecipeError> {
    Ok(match value {
        Value::Null => return Err(unspelled(path, "a value in each place of the list", &"none")),
        Value::Bool(boolean) => toml::Value::Boolean(boolean),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => toml::Value::Integer(integer),
            (None, Some(float)) if number.is_f64() => toml::Value::Float(float),
            _ => return Err(unspelled(path, "a whole number of at most 2^63 - 1", &number)),
        },
        Value::String(string) => toml::Value::String(string),
        Value::Array(array) => {
            let values = array.into_iter().map(|value| toml_value(path, value, unspelled));
            toml::Value::Array(values.collect::<Result<_, _>>()?)
        }
        Value::Object(object) => toml::Value::Table(toml_table(path, object, unspelled)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin;

    #[test]
    fn what_toml_cannot_spell_is_refused_by_its_key() {
        let document = Document::parse("fashion", builtin("fashion").unwrap()).unwrap();
        let mut recipe = Recipe::resolve(&document).unwrap();
        recipe.seed = i64::MAX as u64;
        let text = recipe.to_toml().unwrap();
        assert!(text.contains("seed = 9223372036854775807\n"), "{text}");
        recipe.seed += 1;
        assert_eq!(
            recipe.to_toml().unwrap_err().to_string(),
            "the resolved recipe: seed: expected a whole number of at most 2^63 - 1, found 9223372036854775808"
        );
        recipe.seed = 1;
        recipe.model_options.insert("widths".into(), serde_json::json!([8, null]));
        let error = recipe.to_toml().unwrap_err().to_string();
        assert!(error.starts_with("the resolved recipe: model.widths: expected a value"), "{error}");
    }
}
