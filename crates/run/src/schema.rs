//! The schema of a run: everything that was learned of its data when it began, and that is never learned
//! again.

use bonfire_datasets::DataError;
use bonfire_datasets::image::{ImageSchema, ImageTarget};
use bonfire_datasets::table::{TableSchema, TableTarget};
use bonfire_datasets::text::{TextSchema, TextTask};
use bonfire_models::spec::{LossConfig, Question, Sample, Spec};
use bonfire_recipe::DataConfig;
use bonfire_train::{MetricConfig, ValueScale};
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
    /// Reads the schema that a run folder keeps; `data` are those of the run's own recipe.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn load(data: &DataConfig, folder: &Path) -> Result<Self, DataError> {
        Ok(match data {
            DataConfig::Image(_) => Schema::Image(ImageSchema::load(folder)?),
            DataConfig::Text(_) => Schema::Text(TextSchema::load(folder)?),
            DataConfig::Table(config) => Schema::Table(TableSchema::load(folder)?.with_marks_of(config)),
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

    /// True where a folder keeps a schema of an earlier version, to which marks of the recipe belong: it is to be
    /// written again before the recipe is, which may state them otherwise.
    ///
    /// # Errors
    /// When it is damaged.
    pub(crate) fn lacks_marks(data: &DataConfig, folder: &Path) -> Result<bool, DataError> {
        let is_kept = matches!(data, DataConfig::Table(_)) && folder.join("columns.json").exists();
        Ok(is_kept && TableSchema::load(folder)?.missing.is_none())
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
                    ImageTarget::Value => Question::Value(1),
                    ImageTarget::Labels => Question::Labels(schema.labels.len()),
                    ImageTarget::Input => Question::Reconstruction,
                },
            ),
            Schema::Text(schema) => (
                match schema.ngrams {
                    Some(_) => Sample::Bag { features: schema.len() },
                    None => Sample::Text { vocabulary: schema.len(), max_tokens: schema.max_tokens },
                },
                match (schema.task, schema.value) {
                    (TextTask::LanguageModel, _) => Question::NextToken,
                    (TextTask::Classify, None) => Question::Class(schema.labels().len()),
                    (TextTask::Classify, Some(_)) => Question::Value(1),
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

    /// True where a sample may have several labels, or none.
    pub(crate) fn has_several_labels(&self) -> bool {
        matches!(self, Schema::Image(ImageSchema { target: ImageTarget::Labels, .. }))
    }

    /// Mean and standard deviation of a target of values, in its own unit.
    pub fn value_scale(&self) -> Option<ValueScale> {
        match self {
            Schema::Table(TableSchema { target: TableTarget::Value { mean, std, .. }, .. }) => {
                Some(ValueScale { mean: *mean, std: *std })
            }
            Schema::Image(ImageSchema { value: Some(value), .. }) => {
                Some(ValueScale { mean: value.mean, std: value.std })
            }
            Schema::Text(TextSchema { value: Some((mean, std)), .. }) => {
                Some(ValueScale { mean: *mean, std: *std })
            }
            _ => None,
        }
    }

    /// The inferences about the data, in some lines, to be told before training; none of pictures.
    pub fn summary(&self) -> Option<String> {
        match self {
            Schema::Image(_) => None,
            Schema::Text(schema) => Some(schema.to_string()),
            Schema::Table(schema) => Some(schema.to_string()),
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
}
