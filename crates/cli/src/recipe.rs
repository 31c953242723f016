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

use crate::document::{Document, RecipeError};
use crate::finetune::FinetuneConfig;
use crate::model_options;
use crate::section::{overlay, overlay_without, unknown_key};
use bonfire_datasets::{image::ImageConfig, table::TableConfig, text::TextConfig};
use bonfire_models::registry::{find, names};
use bonfire_models::spec::LossConfig;
use bonfire_train::{CheckpointConfig, FitConfig, OptimizerConfig, ScheduleConfig, TrainConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What to train, on what, and how; every key has its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Names the run folder.
    pub name: String,
    /// A line for `bonfire recipes`.
    pub description: String,
    /// Seeds initial weights, the order of samples, augmentation and dropout.
    pub seed: u64,
    /// What `--device` takes.
    pub device: String,
    /// Where samples come from.
    pub data: Data,
    /// The architecture's registered name.
    pub model: String,
    /// The architecture's keys that the recipe gives.
    pub model_options: Map<String, Value>,
    /// What the model is trained to lower.
    pub loss: LossConfig,
    /// The training loop.
    pub train: TrainConfig,
    /// How gradients become steps.
    pub optimizer: OptimizerConfig,
    /// The learning rate over the steps.
    pub schedule: ScheduleConfig,
    /// When to write checkpoints.
    pub checkpoint: CheckpointConfig,
    /// What training begins with, and which layers it changes how much.
    pub finetune: FinetuneConfig,
}

/// The `[data]` section.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant)] // one a process
pub enum Data {
    /// `kind = "image"`
    Image(ImageConfig),
    /// `kind = "text"`
    Text(TextConfig),
    /// `kind = "table"`
    Table(TableConfig),
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
    /// On an unknown key or name, with the nearest known one and the line; on a value of the wrong
    /// type; on a missing `[data]` or `[model]`.
    pub fn resolve(document: &Document) -> Result<Self, RecipeError> {
        let known: Vec<&str> = HEAD.into_iter().chain(SECTIONS).collect();
        let mut head = Map::new();
        for (key, value) in &document.root {
            match (known.contains(&key.as_str()), SECTIONS.contains(&key.as_str())) {
                (false, _) => return Err(unknown_key(document, "", key, &known)),
                (true, true) if !value.is_object() => return Err(document.wrong(key, "a table", value)),
                (true, true) => {}
                (true, false) => _ = head.insert(key.clone(), value.clone()),
            }
        }
        let head: Head = overlay(document, "", &head, &Head::default())?;
        let mut parts = std::path::Path::new(&head.name).components();
        let one_part = matches!((parts.next(), parts.next()), (Some(std::path::Component::Normal(_)), None));
        if !one_part || head.name.ends_with(['/', '\\']) {
            return Err(document.wrong(
                "name",
                "a folder's name, without separators",
                format!("'{}'", head.name),
            ));
        }
        let mut data = required(document, "data")?;
        let mut model_options = required(document, "model")?;
        let model = name_of(document, "model", &mut model_options, &names())?
            .ok_or_else(|| document.wrong("model.name", "a model's name", "none"))?;
        model_options::check(document, &model, &model_options)?;

        let data = Data::resolve(document, &mut data)?;
        if let Data::Image(ImageConfig { train_size: Some(side), .. }) = &data
            && !find(&model).is_ok_and(|architecture| architecture.any_picture_size)
        {
            let expected = format!("none with {model}, whose pictures are all of one size");
            return Err(document.wrong("data.train_size", expected, side));
        }

        let mut train = section(document, "train");
        // `--set train.steps=9` replaces the length that the recipe gives in epochs, and vice versa.
        for (typed, other) in [("steps", "epochs"), ("epochs", "steps")] {
            let argument = |key| document.is_argument(&format!("train.{key}"));
            if train.contains_key(typed) && argument(typed) && !argument(other) {
                train.remove(other);
            }
        }
        let mut train: TrainConfig = overlay(document, "train", &train, &TrainConfig::default())?;
        if train.epochs.is_none() && train.steps.is_none() {
            train.epochs = Some(train.default_epochs());
        }
        let mut optimizer = section(document, "optimizer");
        let optimizer_name = name_of(document, "optimizer", &mut optimizer, &OptimizerConfig::NAMES)?
            .unwrap_or_else(|| "adamw".to_string());
        let mut schedule = section(document, "schedule");
        let schedule_name = name_of(document, "schedule", &mut schedule, &ScheduleConfig::NAMES)?
            .unwrap_or_else(|| "constant".to_string());

        Ok(Recipe {
            name: head.name,
            description: head.description,
            seed: head.seed,
            device: head.device,
            data,
            model,
            model_options,
            loss: overlay(document, "loss", &section(document, "loss"), &LossConfig::default())?,
            train,
            optimizer: overlay_without(
                document,
                "optimizer",
                &optimizer,
                &OptimizerConfig::named(&optimizer_name).expect("a name from NAMES"),
                &["name"],
            )?,
            schedule: overlay_without(
                document,
                "schedule",
                &schedule,
                &ScheduleConfig::named(&schedule_name).expect("a name from NAMES"),
                &["name"],
            )?,
            checkpoint: overlay(
                document,
                "checkpoint",
                &section(document, "checkpoint"),
                &CheckpointConfig::default(),
            )?,
            finetune: overlay(
                document,
                "finetune",
                &section(document, "finetune"),
                &FinetuneConfig::default(),
            )?,
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

    /// The resolved recipe as TOML. Reading it again gives an equal recipe.
    pub fn to_toml(&self) -> String {
        let mut root = Map::new();
        for (key, value) in [
            ("name", Value::from(self.name.clone())),
            ("description", Value::from(self.description.clone())),
            ("seed", Value::from(self.seed)),
            ("device", Value::from(self.device.clone())),
        ] {
            root.insert(key.to_string(), value);
        }
        let mut model = self.model_options.clone();
        model.insert("name".to_string(), Value::from(self.model.clone()));
        let sections = [
            ("data", self.data.to_value()),
            ("model", Value::Object(model)),
            ("loss", to_value(&self.loss)),
            ("train", to_value(&self.train)),
            ("optimizer", to_value(&self.optimizer)),
            ("schedule", to_value(&self.schedule)),
            ("checkpoint", to_value(&self.checkpoint)),
            ("finetune", to_value(&self.finetune)),
        ];
        let mut text = to_toml(&Value::Object(root));
        for (name, value) in sections {
            // One section at a time keeps the order in which a reader thinks.
            let body = to_toml(&Value::Object(Map::from_iter([(name.to_string(), value)])));
            text.push('\n');
            text.push_str(&body);
        }
        text
    }

    /// The first key, below the ones a resumed run may change, in which two recipes differ.
    pub fn difference(&self, other: &Recipe) -> Option<String> {
        let comparable = |recipe: &Recipe| {
            let mut recipe = recipe.clone();
            recipe.device.clear();
            recipe.description.clear();
            recipe.checkpoint = CheckpointConfig::default();
            if let Data::Image(config) = &mut recipe.data {
                config.crops = 1;
            }
            if matches!(
                recipe.schedule,
                ScheduleConfig::Constant(_) | ScheduleConfig::Step(_) | ScheduleConfig::Exponential(_)
            ) {
                (recipe.train.epochs, recipe.train.steps) = (None, None);
            }
            recipe.train = TrainConfig {
                evaluate_every: None,
                early_stopping: None,
                report_every: TrainConfig::default().report_every,
                gradient_checkpointing: false,
                ..recipe.train
            };
            recipe.to_toml()
        };
        let (ours, theirs) = (comparable(self), comparable(other));
        let difference = ours
            .lines()
            .zip(theirs.lines())
            .find(|(a, b)| a != b)
            .map(|(a, b)| format!("'{a}' against '{b}'"));
        difference.or_else(|| (ours != theirs).then(|| "a different number of keys".to_string()))
    }
}

impl Data {
    fn resolve(document: &Document, given: &mut Map<String, Value>) -> Result<Self, RecipeError> {
        const KINDS: [&str; 3] = ["image", "text", "table"];
        let kind = match given.remove("kind") {
            Some(Value::String(kind)) => kind,
            Some(other) => return Err(document.wrong("data.kind", KINDS.join(" or "), other)),
            None => return Err(document.wrong("data.kind", KINDS.join(" or "), "none")),
        };
        match kind.as_str() {
            "image" => Ok(Data::Image(overlay(document, "data", given, &ImageConfig::default())?)),
            "text" => Ok(Data::Text(overlay(document, "data", given, &TextConfig::default())?)),
            "table" => Ok(Data::Table(overlay(document, "data", given, &TableConfig::default())?)),
            other => Err(document.wrong("data.kind", KINDS.join(" or "), format!("'{other}'"))),
        }
    }

    /// The section's `kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            Data::Image(_) => "image",
            Data::Text(_) => "text",
            Data::Table(_) => "table",
        }
    }

    fn to_value(&self) -> Value {
        let mut value = match self {
            Data::Image(config) => to_value(config),
            Data::Text(config) => to_value(config),
            Data::Table(config) => to_value(config),
        };
        value["kind"] = Value::from(self.kind());
        value
    }
}

fn section(document: &Document, name: &str) -> Map<String, Value> {
    document.root.get(name).and_then(Value::as_object).cloned().unwrap_or_default()
}

fn required(document: &Document, name: &str) -> Result<Map<String, Value>, RecipeError> {
    match document.root.contains_key(name) {
        true => Ok(section(document, name)),
        false => Err(document.wrong(name, format!("a section [{name}]"), "none")),
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
            let nearest = crate::section::nearest(&name, known);
            let suggestion =
                nearest.map(|nearest| format!("; did you mean '{nearest}'?")).unwrap_or_default();
            Err(document.wrong(&key, format!("one of {}", known.join(", ")), format!("'{name}'{suggestion}")))
        }
        Some(other) => Err(document.wrong(&key, "a string", other)),
    }
}

fn to_value(config: &impl Serialize) -> Value {
    serde_json::to_value(config).expect("a config serialises")
}

/// TOML has no null: a key without a value is left out, and reads as its default again.
fn to_toml(value: &Value) -> String {
    fn without_null(value: &Value) -> Option<toml::Value> {
        Some(match value {
            Value::Null => return None,
            Value::Bool(boolean) => toml::Value::Boolean(*boolean),
            Value::Number(number) => match number.as_i64() {
                Some(integer) => toml::Value::Integer(integer),
                None => toml::Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(string) => toml::Value::String(string.clone()),
            Value::Array(array) => toml::Value::Array(array.iter().filter_map(without_null).collect()),
            Value::Object(object) => toml::Value::Table(
                object.iter().filter_map(|(key, value)| Some((key.clone(), without_null(value)?))).collect(),
            ),
        })
    }
    without_null(value).and_then(|value| toml::to_string(&value).ok()).unwrap_or_default()
}
