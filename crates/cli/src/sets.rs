//! Opening the data of a recipe, whatever their kind, and what a run folder keeps of them.

use crate::feed::{AnyLoader, Wrapped};
use crate::recipe::Data;
use bonfire_contract::AnyInput;
use bonfire_datasets::image::{self, ImageSchema, ImageSet, ImageTarget, Shown};
use bonfire_datasets::table::{self, TableSchema, TableTarget};
use bonfire_datasets::text::{self, TextSchema, TextTask};
use bonfire_datasets::{DataError, Dataset, Names, Opened, Part, Parts, Pipeline};
use bonfire_models::spec::{LossConfig, Question, Sample, Spec};
use bonfire_train::{MetricConfig, ValueScale};
use std::path::Path;
use std::sync::Arc;

/// Pictures of the highest loss that evaluation keeps for a report.
const WORST: usize = 24;

/// Opened data.
pub struct Sets {
    /// Shuffled anew each epoch.
    pub train: AnyLoader,
    /// Held out from training, for decisions during it.
    pub valid: Option<AnyLoader>,
    /// Held out from every decision.
    pub test: Option<SampleSet>,
    /// What evaluation and prediction need.
    pub schema: Schema,
}

/// Samples to evaluate or to predict.
pub struct SampleSet {
    /// In its own order.
    pub loader: AnyLoader,
    /// Views of each sample, one after the other.
    pub views: usize,
    /// The same samples one by one, where they are pictures.
    pub pictures: Option<Pictures>,
}

/// Some inputs to predict, and what each is called.
pub struct InputPart {
    /// Their samples, without targets.
    pub set: SampleSet,
    /// By the numbers of the samples.
    pub names: Names,
}

/// Inputs to predict, in their sequence.
pub type InputParts = Box<dyn Iterator<Item = Result<InputPart, DataError>>>;

/// Pictures, to be looked at one by one.
pub struct Pictures {
    set: Arc<Pipeline<ImageSet>>,
    schema: ImageSchema,
}

impl Pictures {
    /// Picture number `sample` of its set, read again.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn show(&self, sample: u64) -> Result<Shown, DataError> {
        image::show(self.set.dataset(), &self.schema, sample)
    }

    /// Whether a picture that cannot be read is left out.
    pub fn skips(&self) -> bool {
        self.set.skips()
    }

    /// Where picture number `sample` lies.
    pub fn place(&self, sample: u64) -> String {
        self.set.dataset().place(sample)
    }
}

impl SampleSet {
    fn of_pictures(pipeline: Pipeline<ImageSet>, schema: &ImageSchema, views: usize) -> Self {
        let set = Arc::new(pipeline);
        let loader = Wrapped::boxed(set.clone(), AnyInput::Images);
        SampleSet { loader, views, pictures: Some(Pictures { set, schema: schema.clone() }) }
    }

    fn of<D: Dataset>(pipeline: Pipeline<D>, wrap: fn(D::Input) -> AnyInput) -> Self {
        SampleSet { loader: Wrapped::boxed(pipeline, wrap), views: 1, pictures: None }
    }
}

/// How to read more data of the kind a run was trained on.
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

impl Data {
    /// Opens the recipe's training, validation and test sets. `known` is what a run that goes on keeps of
    /// them: streamed data are not read for it again.
    ///
    /// # Errors
    /// When anything about the data is not as the recipe says.
    pub fn open(&self, seed: u64, known: Option<Schema>) -> Result<Sets, DataError> {
        Ok(match (self, known) {
            (Data::Image(config), _) => {
                let mut opened = image::open(config, seed)?;
                let test = opened.test.take();
                let test = test.map(|test| SampleSet::of_pictures(test, &opened.schema, 1));
                Sets { test, ..sets(opened, AnyInput::Images, Schema::Image) }
            }
            (Data::Text(config), Some(Schema::Text(known))) => {
                sets(text::reopen(config, seed, known)?, AnyInput::Tokens, Schema::Text)
            }
            (Data::Text(config), _) => sets(text::open(config, seed)?, AnyInput::Tokens, Schema::Text),
            (Data::Table(config), Some(Schema::Table(known))) => {
                sets(table::reopen(config, seed, known)?, AnyInput::Table, Schema::Table)
            }
            (Data::Table(config), _) => sets(table::open(config, seed)?, AnyInput::Table, Schema::Table),
        })
    }

    /// Opens data to evaluate a trained model on: `uri`, or the recipe's test set, or else its
    /// validation set.
    ///
    /// # Errors
    /// When there is none, or it is not as the schema says.
    pub fn open_evaluation(
        &self,
        schema: &Schema,
        uri: Option<&str>,
        seed: u64,
    ) -> Result<SampleSet, DataError> {
        Ok(match (self, schema) {
            (Data::Image(config), Schema::Image(schema)) => {
                let pipeline = image::open_evaluation(config, schema, uri, seed)?;
                SampleSet::of_pictures(pipeline, schema, config.crops)
            }
            (Data::Text(config), Schema::Text(schema)) => {
                SampleSet::of(text::open_evaluation(config, schema, uri, seed)?, AnyInput::Tokens)
            }
            (Data::Table(config), Schema::Table(schema)) => {
                SampleSet::of(table::open_evaluation(config, schema, uri, seed)?, AnyInput::Table)
            }
            _ => unreachable!("a schema is loaded by the kind of its recipe's data"),
        })
    }

    /// Opens inputs without targets, some at a time.
    ///
    /// # Errors
    /// When there is none. An input that is not there, or not as the schema says, is an error among the parts.
    pub fn open_prediction(&self, schema: &Schema, inputs: &[String]) -> Result<InputParts, DataError> {
        fn boxed<D: Dataset>(parts: Parts<D>, wrap: fn(D::Input) -> AnyInput) -> InputParts {
            Box::new(parts.map(move |part| {
                part.map(|Part { samples, names }| InputPart { set: SampleSet::of(samples, wrap), names })
            }))
        }
        Ok(match (self, schema) {
            (Data::Image(config), Schema::Image(schema)) => {
                let (views, schema) = (config.crops, schema.clone());
                let parts = image::open_prediction(config, &schema, inputs)?;
                Box::new(parts.map(move |part| {
                    part.map(|Part { samples, names }| InputPart {
                        set: SampleSet::of_pictures(samples, &schema, views),
                        names,
                    })
                }))
            }
            (Data::Text(config), Schema::Text(schema)) => {
                boxed(text::open_prediction(config, schema, inputs)?, AnyInput::Tokens)
            }
            (Data::Table(config), Schema::Table(schema)) => {
                boxed(table::open_prediction(config, schema, inputs)?, AnyInput::Table)
            }
            _ => unreachable!("a schema is loaded by the kind of its recipe's data"),
        })
    }

    /// Loads the schema that a run folder keeps.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn load_schema(&self, folder: &Path) -> Result<Schema, DataError> {
        Ok(match self {
            Data::Image(_) => Schema::Image(ImageSchema::load(folder)?),
            Data::Text(_) => Schema::Text(TextSchema::load(folder)?),
            Data::Table(_) => Schema::Table(TableSchema::load(folder)?),
        })
    }
}

fn sets<D: Dataset, S>(
    opened: Opened<D, S>,
    wrap: fn(D::Input) -> AnyInput,
    schema: fn(S) -> Schema,
) -> Sets {
    Sets {
        train: Wrapped::boxed(opened.train, wrap),
        valid: opened.valid.map(|pipeline| Wrapped::boxed(pipeline, wrap)),
        test: opened.test.map(|pipeline| SampleSet::of(pipeline, wrap)),
        schema: schema(opened.schema),
    }
}

impl Schema {
    /// Writes it into a run folder.
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

    /// The sizes that the data decide, and the question asked.
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

    /// How metrics are computed on this data.
    pub fn metrics(&self, top_k: usize) -> MetricConfig {
        let characters_per_token = match self {
            Schema::Text(schema) => Some(schema.characters_per_token),
            _ => None,
        };
        let worst = if matches!(self, Schema::Image(_)) { WORST } else { 0 };
        MetricConfig { top_k, values: self.value_scale().into_iter().collect(), characters_per_token, worst }
    }
}
