//! Opening the data of a recipe, whatever their kind: to train, to evaluate, to predict.

use crate::feed::{AnyLoader, Wrapped};
use crate::record::Record;
use crate::schema::Schema;
use bonfire_contract::AnyInput;
use bonfire_datasets::image::{self, ImageConfig, ImageSchema, ImageSet, Shown};
use bonfire_datasets::text::{BagSet, TextSchema, TextSet};
use bonfire_datasets::{
    DataError, Dataset, InputPiece, InputPieces, Kept, Names, OnCorrupt, Opened, Pipeline, Refused,
    Requested, table, text,
};
use bonfire_recipe::DataConfig;
use std::sync::Arc;

/// The data of a recipe, to train on.
pub struct Sets {
    /// Shuffled anew each epoch.
    pub train: AnyLoader,
    /// Held out from training, for decisions during it.
    pub valid: Option<AnyLoader>,
    /// Held out from every decision.
    pub test: Option<SampleSet>,
    /// The schema that the samples are encoded by.
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
    /// Cells that say less than they did in training, where they are rows of a table; counted as they are read.
    pub unseen: Option<Arc<table::Unseen>>,
}

/// Some inputs to predict, and the name of each.
pub struct InputPart {
    /// Their samples, without targets.
    pub set: SampleSet,
    /// By the numbers of the samples.
    pub names: Names,
    /// The cells of each that are carried along into its answer; empty where none are.
    pub kept: Vec<Kept>,
    /// Those that no sample could be made of, in their sequence.
    pub refused: Vec<Refused>,
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

    /// True where a picture that cannot be read is left out.
    pub fn skips(&self) -> bool {
        self.set.skips()
    }

    /// The place of picture number `sample`.
    pub fn place(&self, sample: u64) -> String {
        self.set.dataset().place(sample)
    }
}

impl SampleSet {
    pub(crate) fn of_pictures(pipeline: Pipeline<ImageSet>, schema: &ImageSchema, views: usize) -> Self {
        let set = Arc::new(pipeline);
        let loader = Wrapped::boxed(set.clone(), AnyInput::Images);
        SampleSet { loader, views, pictures: Some(Pictures { set, schema: schema.clone() }), unseen: None }
    }

    pub(crate) fn of<D: Dataset>(pipeline: Pipeline<D>, wrap: fn(D::Input) -> AnyInput) -> Self {
        SampleSet { loader: Wrapped::boxed(pipeline, wrap), views: 1, pictures: None, unseen: None }
    }

    pub(crate) fn of_texts(pipeline: Pipeline<TextSet>, schema: &TextSchema) -> Self {
        SampleSet { loader: texts(pipeline, schema), views: 1, pictures: None, unseen: None }
    }
}

/// Opens the recipe's training, validation and test sets. A run that goes on keeps its schema, `kept`.
///
/// # Errors
/// When anything about the data is not as the recipe says, or the data are not those that the run began with.
pub fn open(data: &DataConfig, seed: u64, kept: Option<Schema>) -> Result<Sets, DataError> {
    Ok(match (data, kept) {
        (DataConfig::Image(config), kept) => {
            let mut opened = match kept {
                Some(Schema::Image(kept)) => image::reopen(config, seed, kept)?,
                _ => image::open(config, seed)?,
            };
            let test = opened.test.take();
            let test = test.map(|test| SampleSet::of_pictures(test, &opened.schema, 1));
            Sets { test, ..sets(opened, AnyInput::Images, Schema::Image) }
        }
        (DataConfig::Text(config), kept) => {
            let Opened { train, valid, test, schema } = match kept {
                Some(Schema::Text(kept)) => text::reopen(config, seed, kept)?,
                _ => text::open(config, seed)?,
            };
            Sets {
                train: texts(train, &schema),
                valid: valid.map(|valid| texts(valid, &schema)),
                test: test.map(|test| SampleSet::of_texts(test, &schema)),
                schema: Schema::Text(schema),
            }
        }
        (DataConfig::Table(config), Some(Schema::Table(kept))) => {
            sets(table::reopen(config, seed, kept)?, AnyInput::Table, Schema::Table)
        }
        (DataConfig::Table(config), _) => sets(table::open(config, seed)?, AnyInput::Table, Schema::Table),
    })
}

/// Opens data to evaluate a trained model on: `uri`, or the recipe's test set, or else its validation set.
///
/// # Errors
/// When there is none, or it is not as the schema says.
pub fn open_evaluation(
    data: &DataConfig,
    schema: &Schema,
    uri: Option<&str>,
    seed: u64,
) -> Result<SampleSet, DataError> {
    Ok(match (data, schema) {
        (DataConfig::Image(config), Schema::Image(schema)) => {
            let pipeline = image::open_evaluation(config, schema, uri, seed)?;
            SampleSet::of_pictures(pipeline, schema, config.crops)
        }
        (DataConfig::Text(config), Schema::Text(schema)) => {
            SampleSet::of_texts(text::open_evaluation(config, schema, uri, seed)?, schema)
        }
        (DataConfig::Table(config), Schema::Table(schema)) => {
            let pipeline = table::open_evaluation(config, schema, uri, seed)?;
            let unseen = Some(pipeline.dataset().unseen().clone());
            SampleSet { unseen, ..SampleSet::of(pipeline, AnyInput::Table) }
        }
        _ => unreachable!("a schema is loaded by the kind of its recipe's data"),
    })
}

/// Opens inputs without targets, some at a time; the columns `keep` are carried along.
///
/// # Errors
/// When there is none. An input that is not there, or not as the schema says, is an error among the parts.
pub fn open_prediction(
    data: &DataConfig,
    schema: &Schema,
    inputs: &[String],
    keep: &[String],
) -> Result<InputParts, DataError> {
    fn boxed<D: Dataset>(parts: InputPieces<D>, wrap: fn(D::Input) -> AnyInput) -> InputParts {
        Box::new(parts.map(move |part| {
            part.map(|InputPiece { samples, names, kept, refused }| InputPart {
                set: SampleSet::of(samples, wrap),
                names,
                kept,
                refused,
            })
        }))
    }
    Ok(match (data, schema) {
        (DataConfig::Image(config), Schema::Image(schema)) => {
            let (views, schema) = (config.crops, schema.clone());
            let parts = image::open_prediction(config, &schema, inputs)?;
            Box::new(parts.map(move |part| {
                part.map(|InputPiece { samples, names, kept, refused }| InputPart {
                    set: SampleSet::of_pictures(samples, &schema, views),
                    names,
                    kept,
                    refused,
                })
            }))
        }
        (DataConfig::Text(config), Schema::Text(schema)) => {
            let parts = text::open_prediction_keeping(config, schema, inputs, keep)?;
            let schema = schema.clone();
            Box::new(parts.map(move |part| {
                part.map(|InputPiece { samples, names, kept, refused }| InputPart {
                    set: SampleSet::of_texts(samples, &schema),
                    names,
                    kept,
                    refused,
                })
            }))
        }
        (DataConfig::Table(config), Schema::Table(schema)) => {
            boxed(table::open_prediction_keeping(config, schema, inputs, keep)?, AnyInput::Table)
        }
        _ => unreachable!("a schema is loaded by the kind of its recipe's data"),
    })
}

/// Records from memory, as far as they can be read.
pub(crate) struct OpenedRecords {
    /// The samples.
    pub set: SampleSet,
    /// The number of the record of each sample.
    pub numbers: Vec<usize>,
    /// The numbers of records without a sample, and the error of each.
    pub refused: Vec<(usize, DataError)>,
}

/// Opens records from memory. A record of another kind than the data is refused alone. A picture that cannot
/// be decoded is left out of the batches.
///
/// # Errors
/// When a key of the recipe is out of its bounds.
pub(crate) fn open_records(
    data: &DataConfig,
    schema: &Schema,
    records: Vec<Record>,
) -> Result<OpenedRecords, DataError> {
    match (data, schema) {
        (DataConfig::Image(config), Schema::Image(schema)) => {
            let config = ImageConfig { on_corrupt: OnCorrupt::Skip, ..config.clone() };
            let kept = keep(records, "a picture", |record| match record {
                Record::Picture(file) => Ok(file.into()),
                other => Err(other),
            });
            let Requested { samples, records, .. } = image::records(&config, schema, kept.values)?;
            let set = SampleSet::of_pictures(samples, schema, config.crops);
            Ok(OpenedRecords { set, numbers: records, refused: kept.refused })
        }
        (DataConfig::Text(config), Schema::Text(schema)) => {
            let kept = keep(records, "a text", |record| match record {
                Record::Text(text) => Ok(text),
                other => Err(other),
            });
            let Requested { samples, records, mut refused } = text::records(config, schema, &kept.values)?;
            refused.extend(kept.refused);
            Ok(OpenedRecords { set: SampleSet::of_texts(samples, schema), numbers: records, refused })
        }
        (DataConfig::Table(config), Schema::Table(schema)) => {
            let kept = keep(records, "a row of a table", |record| match record {
                Record::Row(row) => Ok(row),
                other => Err(other),
            });
            let opened = table::records(config, schema, &kept.values)?;
            Ok(with_others(opened, kept.refused, AnyInput::Table))
        }
        _ => unreachable!("a schema is loaded by the kind of its recipe's data"),
    }
}

/// The records of one kind, with their numbers among all records, and the others.
struct OfKind<T> {
    values: Vec<(usize, T)>,
    refused: Vec<(usize, DataError)>,
}

fn keep<T>(records: Vec<Record>, expected: &str, take: fn(Record) -> Result<T, Record>) -> OfKind<T> {
    let mut kept = OfKind { values: Vec::new(), refused: Vec::new() };
    for (number, record) in records.into_iter().enumerate() {
        match take(record) {
            Ok(value) => kept.values.push((number, value)),
            Err(other) => {
                let error = DataError::source(format!("request, record {number}"), expected, other);
                kept.refused.push((number, error));
            }
        }
    }
    kept
}

/// Records of one kind, beside those of others that were `refused`.
fn with_others<D: Dataset>(
    requested: Requested<D>,
    mut refused: Vec<(usize, DataError)>,
    wrap: fn(D::Input) -> AnyInput,
) -> OpenedRecords {
    refused.extend(requested.refused);
    OpenedRecords { set: SampleSet::of(requested.samples, wrap), numbers: requested.records, refused }
}

/// Texts as the models of their schema take them: as tokens, or as counted n-grams.
fn texts(pipeline: Pipeline<TextSet>, schema: &TextSchema) -> AnyLoader {
    match schema.weigher() {
        Some(weigher) => Wrapped::boxed(BagSet::of(pipeline, weigher), AnyInput::Bags),
        None => Wrapped::boxed(pipeline, AnyInput::Tokens),
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
