//! Pictures as a data set.

use super::gather::Item;
use super::streamed::Streamed;
use super::transform::Transform;
use crate::{DataError, Dataset};
use bonfire_contract::{Images, Target};
use burn::tensor::{Device, Tensor, TensorData};
use std::fmt;

/// Pictures of one size, decoded when they are asked for.
#[derive(Debug)]
pub struct ImageSet {
    pictures: Pictures,
    transform: Transform,
    /// `[channels, height, width]` of every sample.
    shape: [usize; 3],
}

/// Where a set's pictures are.
#[derive(Debug)]
pub(super) enum Pictures {
    /// Each by its place, which is held.
    Held(Vec<Item>),
    /// In shards, whose index knows the places.
    Streamed(Streamed),
}

/// A picture as numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageSample {
    /// `[channels, height, width]` values, one after the other.
    pixels: Vec<f32>,
    /// The index of its class, where the set has classes.
    class: Option<usize>,
}

impl ImageSet {
    pub(super) fn new(pictures: Pictures, transform: Transform, shape: [usize; 3]) -> Self {
        ImageSet { pictures, transform, shape }
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
        (self.shape.iter().product::<usize>() * size_of::<f32>()) as u64
    }

    fn sample(&self, index: u64, draw: u64) -> Result<ImageSample, DataError> {
        let channels = self.transform.channels();
        let transformed = |picture, place: &dyn fmt::Display| {
            let pixels = self.transform.apply(picture, draw);
            pixels.map_err(|size| DataError::malformed(place, "size", size.expected, size.found))
        };
        match &self.pictures {
            Pictures::Held(items) => {
                let item = &items[index as usize];
                let pixels = transformed(item.place.picture(channels)?, &item.place)?;
                Ok(ImageSample { pixels, class: item.class })
            }
            Pictures::Streamed(streamed) => {
                let (picture, place, class) = streamed.picture(index, channels)?;
                Ok(ImageSample { pixels: transformed(picture, &place)?, class })
            }
        }
    }

    fn ahead(&self) -> u64 {
        match &self.pictures {
            Pictures::Held(_) => 0,
            Pictures::Streamed(streamed) => streamed.ahead(),
        }
    }

    fn prepare(&self, index: u64) {
        if let Pictures::Streamed(streamed) = &self.pictures {
            streamed.prepare(index);
        }
    }

    fn collate(&self, samples: Vec<ImageSample>, device: &Device) -> (Images, Target) {
        let [channels, height, width] = self.shape;
        let batch = samples.len();
        let mut values = Vec::with_capacity(batch * channels * height * width);
        for sample in &samples {
            values.extend_from_slice(&sample.pixels);
        }
        let data = TensorData::new(values, [batch, channels, height, width]);
        let pixels = Tensor::from_data(data, device); // [B, C, H, W]
        let classes: Option<Vec<i64>> =
            samples.iter().map(|sample| sample.class.map(|class| class as i64)).collect();
        let target = match classes {
            Some(classes) => Target::Classes(Tensor::from_data(TensorData::new(classes, [batch]), device)),
            None => Target::Input,
        };
        (Images { pixels }, target)
    }
}
