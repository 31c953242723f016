//! The schema of a run: everything that was learned of its data when it began, and that is never learned
//! again.

use crate::RunError;
use bonfire_datasets::DataError;
use bonfire_datasets::image::{ImageSchema, ImageTarget};
use bonfire_datasets::table::{TableSchema, TableTarget};
use bonfire_datasets::text::{TextSchema, TextTask};
use bonfire_models::spec::{LossConfig, Question, Sample, Spec};
use bonfire_recipe::DataConfig;
use bonfire_train::{MetricConfig, ValueScale};
use serde_json::Value;
use std::path::Path;

/// Pictures of the highest loss that evaluation keeps for a report.
const WORST: usize = 24;

/// The schema of a run's data, by their kind.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // one a process
pub enum Schema {
    /// Labels, sizes and transforms.
    Image(ImageSchema),
    /// Vocabulary and labels.
    Text(TextSchema),
    /// Columns, their statistics and the target.
    Table(TableSchema),
}

impl Schema {
    /// Reads the schema that a run folder keeps.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn load(data: &DataConfig, folder: &Path) -> Result<Self, DataError> {
        Ok(match data {
            DataConfig::Image(_) => Schema::Image(ImageSchema::load(folder)?),
            DataConfig::Text(_) => Schema::Text(TextSchema::load(folder)?),
            DataConfig::Table(_) => Schema::Table(TableSchema::load(folder)?),
        })
    }

    /// As [`load`](Self::load); none where the folder keeps no schema, as of a run that was stopped before
    /// its first step.
    ///
    /// # Errors
    /// When it is damaged.
    pub fn load_if_kept(data: &DataConfig, folder: &Path) -> Result<Option<Self>, DataError> {
        let file = match data {
            DataConfig::Image(_) => "labels.json",
            DataConfig::Text(_) => "vocabulary.json",
            DataConfig::Table(_) => "columns.json",
        };
        folder.join(file).exists().then(|| Schema::load(data, folder)).transpose()
    }

    /// Writes the schema into a run folder.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn save(&self, folder: &Path) -> Result<(), DataError> {
        match self {
            Schema::Image(schema) => schema.save(folder),
            Schema::Text(schema) => schema.save(folder),
            Schema::Table(schema) => schema.save(folder),
        }
    }

    /// The sizes of the data and the question asked of them, which decide a model's config.
    pub fn spec(&self, loss: &LossConfig) -> Spec {
        let (sample, question) = match self {
            Schema::Image(schema) => (
                Sample::Image([schema.channels, schema.height, schema.width]),
                match schema.target {
                    ImageTarget::Class => Question::Class(schema.labels.len()),
                    ImageTarget::Input => Question::Reconstruction,
                },
            ),
            Schema::Text(schema) => (
                Sample::Text { vocabulary: schema.len(), max_tokens: schema.max_tokens },
                match schema.task {
                    TextTask::Classify => Question::Class(schema.labels().len()),
                    TextTask::LanguageModel => Question::NextToken,
                },
            ),
            Schema::Table(schema) => (
                Sample::Table { num_numeric: schema.num_numeric(), category_sizes: schema.category_sizes() },
                match &schema.target {
                    TableTarget::Classes { labels, .. } => Question::Class(labels.len()),
                    TableTarget::Value { .. } => Question::Value(1),
                },
            ),
        };
        Spec { sample, question, loss: loss.clone() }
    }

    /// The names of the classes; empty where the target is not a class.
    pub fn labels(&self) -> &[String] {
        match self {
            Schema::Image(schema) => &schema.labels,
            Schema::Text(schema) => schema.labels(),
            Schema::Table(schema) => match &schema.target {
                TableTarget::Classes { labels, .. } => labels,
                TableTarget::Value { .. } => &[],
            },
        }
    }

    /// Mean and standard deviation of a target of values, in its own unit.
    pub fn value_scale(&self) -> Option<ValueScale> {
        match self {
            Schema::Table(TableSchema { target: TableTarget::Value { mean, std, .. }, .. }) => {
                Some(ValueScale { mean: *mean, std: *std })
            }
            _ => None,
        }
    }

    /// The options of metrics on these data.
    pub fn metrics(&self, top_k: usize) -> MetricConfig {
        let characters_per_token = match self {
            Schema::Text(schema) => Some(schema.characters_per_token),
            _ => None,
        };
        let worst = if matches!(self, Schema::Image(_)) { WORST } else { 0 };
        MetricConfig { top_k, values: self.value_scale().into_iter().collect(), characters_per_token, worst }
    }

    /// Refuses data of which `self` was learned, where the run has `kept` another schema.
    ///
    /// # Errors
    /// Names the first entry in which the two differ.
    pub(crate) fn check_same(&self, kept: &Schema, train: &str) -> Result<(), RunError> {
        // Read back as the kept schema was, since a number of many digits need not come back as it went into
        // JSON.
        let text = self.to_value().to_string();
        let learned: Value = serde_json::from_str(&text).expect("JSON that was written as such");
        match difference("", &kept.to_value(), &learned) {
            None => Ok(()),
            Some([expected, found]) => {
                let expected = format!("the data that the run began with, {expected}");
                Err(RunError::unexpected(train, expected, found))
            }
        }
    }

    fn to_value(&self) -> Value {
        let value = match self {
            Schema::Image(schema) => serde_json::to_value(schema),
            Schema::Text(schema) => serde_json::to_value(schema),
            Schema::Table(schema) => serde_json::to_value(schema),
        };
        value.expect("a schema serialises")
    }
}

/// The first entry in which two values differ, as the one and the other have it.
fn difference(path: &str, one: &Value, other: &Value) -> Option<[String; 2]> {
    let below = |key: &str| if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
    match (one, other) {
        (one, other) if one == other => None,
        (Value::Object(one), Value::Object(other)) => {
            let mut keys: Vec<&String> = one.keys().chain(other.keys()).collect();
            keys.sort();
            let of = |object: &serde_json::Map<String, Value>, key: &str| {
                object.get(key).cloned().unwrap_or_default()
            };
            keys.into_iter().find_map(|key| difference(&below(key), &of(one, key), &of(other, key)))
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            let at = ours.iter().zip(theirs).take_while(|(one, other)| one == other).count();
            match (ours.get(at), theirs.get(at)) {
                (Some(one @ Value::Object(_)), Some(other @ Value::Object(_))) => {
                    difference(&below(&at.to_string()), one, other)
                }
                _ => Some([ours, theirs].map(|list| format!("{path} = {}", shown(list, at)))),
            }
        }
        _ => Some([one, other].map(|value| format!("{path} = {value}"))),
    }
}

/// A list as far as its first elements, or from `at` on where that is behind them.
fn shown(list: &[Value], at: usize) -> String {
    const MOST: usize = 8;
    let start = if at < MOST { 0 } else { at };
    let shown: Vec<String> = list.iter().skip(start).take(MOST).map(Value::to_string).collect();
    let (before, after) =
        (if start > 0 { "… " } else { "" }, if list.len() > start + MOST { ", …" } else { "" });
    format!("[{before}{}{after}] of {}", shown.join(", "), list.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_difference_is_named_by_its_path() {
        let found = |one: Value, other: Value| {
            difference("", &one, &other).map(|[one, other]| format!("{one} | {other}"))
        };
        assert_eq!(found(json!({ "a": 1 }), json!({ "a": 1 })), None);
        let (one, other) = (json!({ "a": 1, "rows": 4 }), json!({ "a": 1, "rows": 6 }));
        assert_eq!(found(one, other).unwrap(), "rows = 4 | rows = 6");
        let (one, other) = (json!({ "labels": ["cat", "dog"] }), json!({ "labels": ["ant", "cat", "dog"] }));
        assert_eq!(
            found(one, other).unwrap(),
            "labels = [\"cat\", \"dog\"] of 2 | labels = [\"ant\", \"cat\", \"dog\"] of 3"
        );
        let (one, other) = (json!([{ "name": "x", "mean": 1.0 }]), json!([{ "name": "x", "mean": 2.0 }]));
        assert_eq!(found(one, other).unwrap(), "0.mean = 1.0 | 0.mean = 2.0");
        let long = |last: u32| (0..20).chain([last]).collect::<Vec<_>>();
        assert_eq!(found(json!(long(1)), json!(long(2))).unwrap(), " = [… 1] of 21 |  = [… 2] of 21");
    }
}
