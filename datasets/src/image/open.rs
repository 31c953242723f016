//! From a recipe's keys to pipelines of pictures.

use super::form::Form;
use super::gather::{gather, is_shards};
use super::gathered::Gathered;
use super::infer::{check_crop, first_size, new_schema};
use super::mix::Mixing;
use super::picture::whole;
use super::place::{Item, Place, Said};
use super::set::Pictures;
use super::streamed::Streamed;
use super::transform::{Augment, Sizes};
use super::{ImageConfig, ImageSchema, ImageSet, ImageTarget, ValueMoments};
use crate::records::split::{Samples, tell_lacking};
use crate::{DataError, Opened, Pipeline, PipelineConfig, Shuffle, SplitBy};

/// Opens the training pictures, and the ones that are held out of them or given beside them. The seed decides
/// the order of each epoch, the augmentation, and which ones are held out.
///
/// # Errors
/// When a source is missing, empty or damaged, holds one class only or one that training lacks, or
/// does not fit the keys. Picture files are not decoded here, but for the first, which decides the
/// size where no key does.
pub fn open(config: &ImageConfig, seed: u64) -> Result<Opened<ImageSet, ImageSchema>, DataError> {
    begin(config, seed, None)
}

/// As [`open`], for a run that goes on: labels, sizes and normalisation are those of the run's `schema`,
/// whatever the data would teach.
///
/// # Errors
/// As [`open`], and when the training pictures have other classes than the run began with.
pub fn reopen(
    config: &ImageConfig,
    seed: u64,
    schema: ImageSchema,
) -> Result<Opened<ImageSet, ImageSchema>, DataError> {
    begin(config, seed, Some(schema))
}

/// Opens pictures for training; `known` is the schema of a run that goes on.
fn begin(
    config: &ImageConfig,
    seed: u64,
    known: Option<ImageSchema>,
) -> Result<Opened<ImageSet, ImageSchema>, DataError> {
    config.check()?;
    if is_shards(config, &config.train) {
        return begin_shards(config, seed, known);
    }
    let mut train = gather(config, &config.train)?;
    train.left_out.tell(&config.train);
    train.check_several_classes()?;
    let left_out = std::mem::take(&mut train.left_out);
    let labels = match (&config.class_names, config.target) {
        (Some(names), ImageTarget::Class) => names.clone(),
        (_, ImageTarget::Class | ImageTarget::Labels) => train.class_names(),
        (_, ImageTarget::Value | ImageTarget::Input) => Vec::new(),
    };
    let from_files = matches!(train.places.first(), Some(Place::File(_)));
    let channels = config.channels.unwrap_or(if from_files { 3 } else { 1 });
    let size = |config: &ImageConfig| {
        first_size(config, train.places.iter().map(|place| place.picture(&Form::new(config, 1), &whole)))
    };
    let begins = known.is_none();
    let mut schema = match known {
        Some(known) => known.with_labels(&config.train, &labels)?,
        None => {
            let split = split_by(config)?;
            ImageSchema { split, left_out, ..new_schema(config, channels, labels.clone(), size)? }
        }
    };
    check_crop(config, &train)?;
    let mut parts = cut(config, train, &labels, &schema.split, seed)?;
    if config.target == ImageTarget::Value && schema.value.is_none() {
        let value = |item: &Item| if let Said::Value(value) = item.said { Some(value) } else { None };
        schema.value = Some(ValueMoments::of(&parts.train.iter().filter_map(value).collect::<Vec<_>>()));
    }
    let held_out = |uri: &Option<String>, part: &mut Option<Vec<Item>>| match uri {
        Some(uri) => more(config, uri, &labels).map(Some),
        None => Ok(part.take().map(Pictures::Held)),
    };
    let (valid, test) =
        (held_out(&config.valid, &mut parts.valid)?, held_out(&config.test, &mut parts.test)?);
    let train = Pictures::Held(parts.train);
    if begins {
        tell(config, &schema, [Some(&train), valid.as_ref(), test.as_ref()]);
    }
    Ok(opened(config, schema, train, Shuffle::Full(seed), [valid, test], seed))
}

/// As [`begin`], of shards: nothing but their index is held.
fn begin_shards(
    config: &ImageConfig,
    seed: u64,
    known: Option<ImageSchema>,
) -> Result<Opened<ImageSet, ImageSchema>, DataError> {
    for (key, fraction) in
        [("valid_fraction", config.valid_fraction), ("test_fraction", config.test_fraction)]
    {
        let given = if key == "valid_fraction" { &config.valid } else { &config.test };
        if fraction > 0.0 && given.is_none() {
            let named = key.split('_').next().unwrap_or(key);
            let expected =
                format!("0 with shards: hold some of them out by `{named} = \"…/train-{{0000..0003}}.tar\"`");
            return Err(DataError::config(key, expected, fraction));
        }
    }
    if matches!(config.target, ImageTarget::Value | ImageTarget::Labels) {
        let expected = "\"class\" or \"input\" with shards: a table of file names says the others";
        return Err(DataError::config("target", expected, "another"));
    }
    let (train, shuffle) = Streamed::train(config, seed)?;
    let labels = match (&config.class_names, config.target) {
        (_, ImageTarget::Value | ImageTarget::Labels | ImageTarget::Input) => Vec::new(),
        (Some(names), ImageTarget::Class) => names.clone(),
        (None, ImageTarget::Class) => train.class_names()?,
    };
    let channels = config.channels.unwrap_or(3);
    let size = |config: &ImageConfig| {
        let form = Form::new(config, 1);
        first_size(config, (0..train.len()).map(|index| Ok(train.picture(index, &form, &whole)?.0)))
    };
    let begins = known.is_none();
    let schema = match known {
        Some(known) => known.with_labels(&config.train, &labels)?,
        None => new_schema(config, channels, labels.clone(), size)?,
    };
    let held_out = |uri: &Option<String>| uri.as_ref().map(|uri| more(config, uri, &labels)).transpose();
    let (valid, test) = (held_out(&config.valid)?, held_out(&config.test)?);
    let train = Pictures::Streamed(train.label(config, &labels)?);
    if begins {
        tell(config, &schema, [Some(&train), valid.as_ref(), test.as_ref()]);
    }
    Ok(opened(config, schema, train, shuffle, [valid, test], seed))
}

/// The way that the recipe asks for to hold pictures out.
fn split_by(config: &ImageConfig) -> Result<SplitBy, DataError> {
    config.held_out().split(|| Ok(config.target == ImageTarget::Class))
}

/// Tells the log of the classes that the pictures for training, validation or tests lack.
fn tell(config: &ImageConfig, schema: &ImageSchema, parts: [Option<&Pictures>; 3]) {
    let counts = parts.map(|part| part.and_then(|part| part.classes_of(schema.labels.len())));
    tell_lacking(&config.train, &schema.labels, counts);
}

/// Pipelines of the training pictures, and of those for validation and test.
fn opened(
    config: &ImageConfig,
    schema: ImageSchema,
    train: Pictures,
    shuffle: Shuffle,
    [valid, test]: [Option<Pictures>; 2],
    seed: u64,
) -> Opened<ImageSet, ImageSchema> {
    let augment = Augment {
        random_resized_crop: config.random_resized_crop,
        size: config.train_size.map(|last| Sizes { last, growth: config.progressive_resizing }),
        random_crop: config.random_crop,
        flip: config.flip,
        vertical_flip: config.vertical_flip,
        rand_augment: config.rand_augment,
        trivial_augment: config.trivial_augment,
        color_jitter: config.color_jitter,
        random_erasing: config.random_erasing,
    };
    let mixing = Mixing { mixup: config.mixup, cutmix: config.cutmix };
    let held_out = |pictures| pipeline(config, &schema, pictures, 1, seed);
    Opened {
        train: Pipeline::new(
            ImageSet::new(train, &schema, augment).mixed(mixing, schema.labels.len()),
            PipelineConfig { shuffle, repeats: config.repeats, ..in_order(config, seed) },
        ),
        valid: valid.map(held_out),
        test: test.map(held_out),
        schema,
    }
}

/// Opens the pictures of `uri` in their own order, without augmentation, each as `data.crops` views; without
/// a `uri`, the recipe's test pictures, or else its validation pictures, exactly as [`open`] divides them for
/// the same seed.
///
/// # Errors
/// As [`open`], and when neither a URI nor held-out pictures are given.
pub fn open_evaluation(
    config: &ImageConfig,
    schema: &ImageSchema,
    uri: Option<&str>,
    seed: u64,
) -> Result<Pipeline<ImageSet>, DataError> {
    config.check()?;
    let pictures = match uri.or(config.test.as_deref()) {
        Some(uri) => more(config, uri, &schema.labels)?,
        None if config.test_fraction > 0.0 => {
            Pictures::Held(held_out(config, schema, seed)?.test.unwrap_or_default())
        }
        None => match &config.valid {
            Some(uri) => more(config, uri, &schema.labels)?,
            None if config.valid_fraction > 0.0 => {
                Pictures::Held(held_out(config, schema, seed)?.valid.unwrap_or_default())
            }
            None => {
                return Err(DataError::config(
                    "test",
                    "pictures to evaluate on: test, valid, one of their fractions, or a URI on the command line",
                    "none",
                ));
            }
        },
    };
    Ok(pipeline(config, schema, pictures, config.crops, seed))
}

/// Pictures to evaluate on, with classes among `labels`.
fn more(config: &ImageConfig, uri: &str, labels: &[String]) -> Result<Pictures, DataError> {
    if is_shards(config, uri) {
        Ok(Pictures::Streamed(Streamed::in_order(config, uri)?.label(config, labels)?))
    } else {
        let more = gather(config, uri)?;
        more.left_out.tell(uri);
        Ok(Pictures::Held(more.label(labels)?))
    }
}

/// The training pictures divided, for evaluation.
fn held_out(config: &ImageConfig, schema: &ImageSchema, seed: u64) -> Result<Divided, DataError> {
    cut(config, gather(config, &config.train)?, &schema.labels, &schema.split, seed)
}

/// The training pictures, and the ones that are held out.
struct Divided {
    train: Vec<Item>,
    valid: Option<Vec<Item>>,
    test: Option<Vec<Item>>,
}

/// Holds out the fractions for which no URI is given.
///
/// # Errors
/// When a part that is asked for, or the training part, holds no picture.
fn cut(
    config: &ImageConfig,
    pictures: Gathered,
    labels: &[String],
    by: &SplitBy,
    seed: u64,
) -> Result<Divided, DataError> {
    let groups = pictures.groups.clone();
    let items = pictures.label(labels)?;
    let classes: Option<Vec<u32>> = items.iter().map(|item| item.class.map(|class| class as u32)).collect();
    let samples = match (by, classes) {
        (SplitBy::Stratified, Some(classes)) => Samples::Classes(classes),
        (SplitBy::Groups(column), _) => match groups {
            Some(groups) => Samples::Groups(groups.into_iter().map(Some).collect()),
            None => {
                let expected = format!("`{column}`, by which the run began to hold pictures out");
                return Err(DataError::config("group_column", expected, "none"));
            }
        },
        _ => Samples::Alike(items.len()),
    };
    let (valid, test) = config.fractions();
    let split = samples.divide((valid, test), seed).map_err(|error| match error {
        DataError::Config { key, expected, found } => {
            DataError::Config { key, expected: expected.replace("sample", "picture"), found }
        }
        other => other,
    })?;
    let part = |indices: &[u64]| indices.iter().map(|&index| items[index as usize].clone()).collect();
    let held_out = |indices: &[u64]| (!indices.is_empty()).then(|| part(indices));
    Ok(Divided { train: part(&split.train), valid: held_out(&split.valid), test: held_out(&split.test) })
}

/// Pictures in their own order, not augmented, each as so many views.
pub(super) fn pipeline(
    config: &ImageConfig,
    schema: &ImageSchema,
    pictures: Pictures,
    views: usize,
    seed: u64,
) -> Pipeline<ImageSet> {
    Pipeline::new(ImageSet::new(pictures, schema, Augment::default()).viewed(views), in_order(config, seed))
}

fn in_order(config: &ImageConfig, seed: u64) -> PipelineConfig {
    PipelineConfig {
        shuffle: Shuffle::Never,
        seed,
        on_corrupt: config.on_corrupt,
        repeats: 1,
        lanes: config.canonical_ranks,
        workers: config.workers,
        prefetch_bytes: config.prefetch_bytes,
    }
}

#[cfg(test)]
mod tests;
