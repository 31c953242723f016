//! Pictures as a data set.

use super::gather::Item;
use super::transform::Transform;
use crate::{DataError, Dataset};
use bonfire_contract::{Images, Target};
use burn::tensor::{Device, Tensor, TensorData};

/// Pictures of one size, decoded when they are asked for.
#[derive(Debug)]
pub struct ImageSet {
    items: Vec<Item>,
    transform: Transform,
    /// `[channels, height, width]` of every sample.
    shape: [usize; 3],
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
    pub(super) fn new(items: Vec<Item>, transform: Transform, shape: [usize; 3]) -> Self {
        ImageSet { items, transform, shape }
    }

    /// The index of the class of each picture, in the set's own order; empty for the target
    /// `input` and in prediction.
    pub fn classes(&self) -> Vec<usize> {
        self.items.iter().filter_map(|item| item.class).collect()
    }
}

impl Dataset for ImageSet {
    type Sample = ImageSample;
    type Input = Images;

    fn len(&self) -> u64 {
        self.items.len() as u64
    }

    fn sample(&self, index: u64, draw: u64) -> Result<ImageSample, DataError> {
        let item = &self.items[index as usize];
        let picture = item.place.picture(self.transform.channels())?;
        let pixels = self
            .transform
            .apply(picture, draw)
            .map_err(|size| DataError::malformed(&item.place, "size", size.expected, size.found))?;
        Ok(ImageSample { pixels, class: item.class })
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
