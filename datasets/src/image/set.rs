//! Pictures as a data set.

use super::form::Form;
use super::mix::Mixing;
use super::place::{Item, Said};
use super::streamed::Streamed;
use super::transform::{Augment, Transform};
use super::{ImageSchema, ImageTarget, ValueMoments};
use crate::records::split::count;
use crate::{DataError, Dataset, Draw};
use bonfire_contract::{Images, Target};
use burn::tensor::{Device, Tensor, TensorData};
use std::fmt;
use std::sync::Arc;

/// Pictures of one size, decoded when they are asked for.
#[derive(Debug)]
pub struct ImageSet {
    pictures: Pictures,
    transform: Transform,
    /// The form of pixels as they are decoded.
    form: Form,
    /// `[channels, height, width]` of every sample.
    shape: [usize; 3],
    target: ImageTarget,
    /// The values of the training pictures, where the target is a value.
    value: Option<ValueMoments>,
    /// The number of labels, or of classes.
    labels: usize,
    /// The mixing of a batch, and the number of classes.
    mixing: Option<(Mixing, usize)>,
    /// Views of each picture.
    views: usize,
}

/// The pictures of a set.
#[derive(Debug)]
pub(super) enum Pictures {
    /// Each by its place, which is held.
    Held(Vec<Item>),
    /// In shards, whose index knows the places.
    Streamed(Streamed),
}

impl Pictures {
    /// The pictures of each of `num` classes; none where one has no class.
    pub(super) fn classes_of(&self, num: usize) -> Option<Vec<u64>> {
        match self {
            Pictures::Held(items) if items.iter().all(|item| item.class.is_some()) => {
                Some(count(items.iter().filter_map(|item| item.class), num))
            }
            Pictures::Held(_) => None,
            Pictures::Streamed(streamed) => streamed.classes_of(num),
        }
    }
}

/// A picture as numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageSample {
    /// `[views, channels, height, width]` values, one after the other.
    pixels: Vec<f32>,
    /// `[height, width]`
    size: [usize; 2],
    /// The index of its class, where the set has classes.
    class: Option<usize>,
    /// Its value, standardised, where the set has values.
    value: Option<f32>,
    /// The indices of its labels, where the set has several of a picture.
    labels: Option<Arc<[usize]>>,
    /// The class of the picture that was mixed into it, and the share of its own.
    mixed: Option<(usize, f32)>,
}

impl ImageSample {
    /// `[views, channels, height, width]` values, and `[height, width]`.
    pub(super) fn pixels(&self) -> (&[f32], [usize; 2]) {
        (&self.pixels, self.size)
    }

    /// The index of its class, where the set has classes.
    pub(super) fn class(&self) -> Option<usize> {
        self.class
    }
}

impl ImageSet {
    /// Pictures brought into the form of a schema, augmented on the way.
    pub(super) fn new(pictures: Pictures, schema: &ImageSchema, augment: Augment) -> Self {
        let shape = [schema.channels, schema.height, schema.width];
        let transform = Transform::new(schema, augment);
        ImageSet {
            pictures,
            transform,
            form: Form::of(schema),
            shape,
            target: schema.target,
            value: schema.value,
            labels: schema.labels.len(),
            mixing: None,
            views: 1,
        }
    }

    /// Mixes the pictures of each batch, whose classes are `0..classes`.
    pub(super) fn mixed(self, mixing: Mixing, classes: usize) -> Self {
        ImageSet { mixing: mixing.is_on().then_some((mixing, classes)), ..self }
    }

    /// Shows this many views of each picture, one after the other in a batch.
    pub(super) fn viewed(self, views: usize) -> Self {
        ImageSet { views, ..self }
    }

    /// The place of picture `index`: its URI, or the URI of the file or shards it is in and its number there.
    pub fn place(&self, index: u64) -> String {
        match &self.pictures {
            Pictures::Held(items) => items[index as usize].place.to_string(),
            Pictures::Streamed(streamed) => streamed.place(index),
        }
    }

    /// The index of the class of each picture, in the set's own order; empty for the target
    /// `input`, in prediction, and for shards, whose classes are read with their pictures.
    pub fn classes(&self) -> Vec<usize> {
        match &self.pictures {
            Pictures::Held(items) => items.iter().filter_map(|item| item.class).collect(),
            Pictures::Streamed(_) => Vec::new(),
        }
    }
}

impl Dataset for ImageSet {
    type Sample = ImageSample;
    type Input = Images;

    fn len(&self) -> u64 {
        match &self.pictures {
            Pictures::Held(items) => items.len() as u64,
            Pictures::Streamed(streamed) => streamed.len(),
        }
    }

    fn sample_bytes(&self) -> u64 {
        (self.views * self.shape.iter().product::<usize>() * size_of::<f32>()) as u64
    }

    fn sample(&self, index: u64, Draw { epoch, seed }: Draw) -> Result<ImageSample, DataError> {
        let size = self.transform.size(epoch);
        let transformed = |picture, place: &dyn fmt::Display| {
            let pixels = match self.views {
                1 => self.transform.apply(picture, seed, epoch),
                views => self.transform.views(picture, views),
            };
            pixels.map_err(|size| DataError::malformed(place, "size", size.expected, size.found))
        };
        let need = |size| self.transform.need(size, seed, epoch);
        match &self.pictures {
            Pictures::Held(items) => {
                let item = &items[index as usize];
                let pixels = transformed(item.place.picture(&self.form, &need)?, &item.place)?;
                let (value, labels) = match &item.said {
                    Said::Nothing => (None, None),
                    Said::Value(value) => (self.value.map(|moments| moments.scaled(*value)), None),
                    Said::Labels(labels) => (None, Some(labels.clone())),
                };
                Ok(ImageSample { pixels, size, class: item.class, value, labels, mixed: None })
            }
            Pictures::Streamed(streamed) => {
                let (picture, place, class) = streamed.picture(index, &self.form, &need)?;
                let pixels = transformed(picture, &place)?;
                Ok(ImageSample { pixels, size, class, value: None, labels: None, mixed: None })
            }
        }
    }

    fn ahead(&self) -> u64 {
        match &self.pictures {
            Pictures::Held(_) => 0,
            Pictures::Streamed(streamed) => streamed.ahead(),
        }
    }

    fn hold(&self, lanes: u64) {
        if let Pictures::Streamed(streamed) = &self.pictures {
            streamed.hold(lanes);
        }
    }

    fn prepare(&self, index: u64) {
        if let Pictures::Streamed(streamed) = &self.pictures {
            streamed.prepare(index);
        }
    }

    fn mixes(&self) -> bool {
        self.mixing.is_some()
    }

    /// Blends pictures, or exchanges a box between them, and says so of their classes.
    fn mix(&self, samples: &mut [ImageSample], pairs: &[[usize; 2]], draw: u64) {
        let (Some((mixing, _)), Some(size)) = (self.mixing, samples.first().map(|sample| sample.size)) else {
            return;
        };
        let mixed = mixing.draw(size, draw);
        for &pair in pairs {
            let [a, b] = samples.get_disjoint_mut(pair).expect("two samples of the batch");
            mixed.apply(&mut a.pixels, &mut b.pixels);
            let own = mixed.own() as f32;
            (a.mixed, b.mixed) = (b.class.map(|class| (class, own)), a.class.map(|class| (class, own)));
        }
    }

    /// Pictures `[B * views, C, H, W]`, the views of one after the other, and classes `[B]`, values
    /// `[B, 1]` or labels `[B, K]`; pictures to predict have no target.
    fn collate(&self, samples: Vec<ImageSample>, device: &Device) -> (Images, Target) {
        let [channels, ..] = self.shape;
        let [height, width] = samples.first().map_or([0, 0], |sample| sample.size);
        let batch = samples.len();
        let rows = batch * self.views;
        let mut values = Vec::with_capacity(rows * channels * height * width);
        for sample in &samples {
            values.extend_from_slice(&sample.pixels);
        }
        let classes: Option<Vec<usize>> = samples.iter().map(|sample| sample.class).collect();
        let target = match (classes, self.mixing) {
            (Some(classes), Some((_, count))) => {
                let mut probabilities = vec![0.0; batch * count];
                let rows = probabilities.chunks_exact_mut(count);
                for ((row, sample), class) in rows.zip(&samples).zip(classes) {
                    let (other, own) = sample.mixed.unwrap_or((class, 1.0));
                    row[class] += own;
                    row[other] += 1.0 - own;
                }
                let data = TensorData::new(probabilities, [batch, count]);
                Target::Probabilities(Tensor::from_data(data, device)) // [B, K]
            }
            (Some(classes), ..) => {
                let classes: Vec<i64> = classes.into_iter().map(|class| class as i64).collect();
                Target::Classes(Tensor::from_data(TensorData::new(classes, [batch]), device)) // [B]
            }
            (None, ..) => match self.target {
                ImageTarget::Input => Target::Input,
                ImageTarget::Class => Target::Absent,
                ImageTarget::Value => {
                    let values: Option<Vec<f32>> = samples.iter().map(|sample| sample.value).collect();
                    let tensor = |values| Tensor::from_data(TensorData::new(values, [batch, 1]), device);
                    values.map_or(Target::Absent, |values| Target::Values(tensor(values))) // [B, 1]
                }
                ImageTarget::Labels if samples.iter().any(|sample| sample.labels.is_none()) => Target::Absent,
                ImageTarget::Labels => {
                    let mut probabilities = vec![0.0f32; batch * self.labels];
                    let rows = probabilities.chunks_exact_mut(self.labels.max(1));
                    for (row, sample) in rows.zip(&samples) {
                        sample
                            .labels
                            .iter()
                            .flat_map(|labels| labels.iter())
                            .for_each(|label| row[*label] = 1.0);
                    }
                    let data = TensorData::new(probabilities, [batch, self.labels]);
                    Target::Probabilities(Tensor::from_data(data, device)) // [B, K]
                }
            },
        };
        let data = TensorData::new(values, [rows, channels, height, width]);
        let pixels = Tensor::from_data(data, device); // [B * views, C, H, W]
        (Images { pixels }, target)
    }
}
