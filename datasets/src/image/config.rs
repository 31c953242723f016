//! The keys of `[data]` for images.

mod check;

pub(super) use check::LARGEST_SIDE;

use super::transform::{ColorJitter, Growth, Interpolation, RandAugment, Resize};
use crate::records::split::Wishes;
use crate::{DataError, OnCorrupt, PREFETCH_BYTES, ShardOrder};
use serde::{Deserialize, Serialize};

/// The question that a model answers about a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageTarget {
    /// The class that it shows.
    #[default]
    Class,
    /// The number that a table says of it.
    Value,
    /// Each of the labels that a table gives it, any number of them.
    Labels,
    /// The picture itself (autoencoders); labels are not read.
    Input,
}

/// The source of pictures, and their transforms. Sizes are `[height, width]` in pixels.
///
/// The transforms are applied in the order of their fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageConfig {
    /// URI of the training pictures: an IDX file, gzipped or not, a folder of class folders
    /// (`root/<class>/**/*.{png,jpg,webp,bmp,tiff,gif}`), tar shards in WebDataset's layout (a `.tar`, a glob
    /// or braces), whose classes are in `cls` or `json` parts or the folders of their members, or Parquet
    /// files in Hugging Face's layout, whose classes are in a column `label`; or a CSV or JSONL of file names and
    /// labels. For the target `input`, any folder or glob of pictures.
    pub train: String,
    /// URI of the pictures that decisions are made on.
    pub valid: Option<String>,
    /// URI of the pictures that no decision is made on.
    pub test: Option<String>,
    /// Share of the training pictures held out for decisions; not used where `valid` is given.
    pub valid_fraction: f64,
    /// Share of the training pictures held out from every decision; not used where `test` is given.
    pub test_fraction: f64,
    /// True to hold out its share of each class, false to draw from all pictures alike. When not given, true
    /// where pictures have classes.
    pub stratify: Option<bool>,
    /// Pictures of one value in this column of the table `train` (a patient, a camera) are held out together or not
    /// at all.
    pub group_column: Option<String>,
    /// URI of the IDX labels of `train`; by default the name of the pictures with `images-idx3`
    /// replaced by `labels-idx1`, as for `valid` and `test`.
    pub labels: Option<String>,
    /// The folder that the file names of a table are relative to; by default the one that the table lies in.
    pub folder: Option<String>,
    /// The column of file names in a table of them; by default one named `image`, `file_name`, `filename`, `file`,
    /// `path` or the like. With this key or `folder`, Parquet is such a table, too.
    pub image_column: Option<String>,
    /// The column of a table that says what a picture shows; by default the only one beside the file names, or
    /// one named `label`, `class`, `category`, `target`, `value` or the like.
    pub label_column: Option<String>,
    /// For the target `labels`: columns of a table that each say by 0 or 1 whether a picture has their label.
    pub label_columns: Vec<String>,
    /// For the target `labels`: what stands between the labels of a picture in the `label_column`, as a space or
    /// `|`. A picture may have none.
    pub label_separator: Option<String>,
    /// The names of the classes in the order of their indices; by default the sorted names of the
    /// class folders, or `0`, `1`, … up to the largest label of an IDX file.
    pub class_names: Option<Vec<String>>,
    /// The question that the model answers: `class`; `value` or `labels`, several of a picture, which a
    /// table of file names says; or `input`.
    pub target: ImageTarget,
    /// 1 for grey, 3 for red, green and blue; by default 1 for IDX and 3 for picture files.
    pub channels: Option<usize>,
    /// The colour below transparent pixels, red, green and blue from 0 to 255: they are shown as they appear on
    /// a page of that colour.
    pub background: [u8; 3],
    /// The ending of the picture among the members of a sample in tar shards, as in `image.png` beside
    /// `mask.png`; by default the one member that ends as a picture does.
    pub picture: Option<String>,
    /// Scale to this size, antialiased: `[height, width]` whatever the proportions were, or the length of the
    /// shorter side, which keeps them and so needs a `center_crop`.
    pub resize: Option<Resize>,
    /// The filter that scales pictures: `bilinear` or `bicubic`.
    pub interpolation: Interpolation,
    /// Cut this size out of the middle.
    pub center_crop: Option<[usize; 2]>,
    /// In `bonfire evaluate` and `predict`, the number of crops of each picture that the model sees, whose
    /// probabilities are averaged: 1 is the centre, 5 the corners and the centre, 10 these and their mirrors.
    /// With a `center_crop` alone.
    pub crops: usize,
    /// In training, cut out a random part of at least this share of the area, and scale it to the size that
    /// pictures end with, in place of `resize` and `center_crop`: 0.08 for ImageNet.
    pub random_resized_crop: Option<f64>,
    /// Pixels a side of what `random_resized_crop` makes, where that is another size than pictures have in
    /// evaluation; for models that take pictures of any size.
    pub train_size: Option<usize>,
    /// In training, smaller pictures at first: `{ from = 128, begin = 5, end = 13 }` grows from 128 pixels a
    /// side in the epochs up to 5 to `train_size` in those from 13 on.
    pub progressive_resizing: Option<Growth>,
    /// In training, times that an epoch has each picture, each time augmented anew.
    pub repeats: u64,
    /// In training, pad with this many black pixels on each side and cut the former size out at a
    /// random place.
    pub random_crop: usize,
    /// In training, mirror every second picture, left to right, at random.
    pub flip: bool,
    /// In training, turn every second picture upside down, at random.
    pub vertical_flip: bool,
    /// In training, this many random operations of this strength (0 to 30) on each picture:
    /// `{ operations = 2, magnitude = 9 }` where no more is said.
    pub rand_augment: Option<RandAugment>,
    /// In training, one random operation of a random strength on each picture.
    pub trivial_augment: bool,
    /// In training, the greatest change of colours:
    /// `{ brightness = 0.4, contrast = 0.4, saturation = 0.4, hue = 0.1 }`.
    pub color_jitter: ColorJitter,
    /// In training, the probability that a rectangle of a picture is blotted out.
    pub random_erasing: f64,
    /// In training, blend the pictures of a batch in pairs, by a share of the distribution Beta(mixup,
    /// mixup), and their classes with them; 0 for none.
    pub mixup: f64,
    /// In training, exchange a box between the pictures of a pair, of an area of the distribution
    /// Beta(cutmix, cutmix), and their classes with it; 0 for none. With `mixup`, each batch has one of the
    /// two.
    pub cutmix: f64,
    /// Subtracted from pixels in 0..1: one value, or one for each channel.
    pub mean: Option<Vec<f64>>,
    /// Divides pixels after that: one value, or one for each channel.
    pub std: Option<Vec<f64>>,
    /// At a picture that is corrupt: `stop`, or `skip` and count. One that cannot be reached always stops.
    pub on_corrupt: OnCorrupt,
    /// Threads that decode ahead; 0 decodes on the training thread.
    pub workers: usize,
    /// Bytes of decoded pictures that may wait for the trainer; never more than about two batches wait.
    pub prefetch_bytes: u64,
    /// The shuffling of the samples of shards: `full` or `window`; by default `full` for tar on local
    /// disks, and `window` across a network and for Parquet, whose row groups take the place of shards and
    /// are read whole. Other sources are always shuffled in full.
    pub order: Option<ShardOrder>,
    /// With the order `window`: shards that are open at a time; of row groups, no more than 128 MiB.
    pub window_shards: usize,
    /// With the order `window`: consecutive samples of a shard that are fetched in one request.
    pub window_block: u64,
    /// With the order `window`: ranks that read shards of their own, and a window each; 1 by default. Ranks
    /// of this number, or of a divisor of it, read each shard once between them; the order is the same
    /// whatever their number.
    pub canonical_ranks: u64,
}

impl Default for ImageConfig {
    fn default() -> Self {
        ImageConfig {
            train: String::new(),
            valid: None,
            test: None,
            valid_fraction: 0.0,
            test_fraction: 0.0,
            stratify: None,
            group_column: None,
            labels: None,
            folder: None,
            image_column: None,
            label_column: None,
            label_columns: Vec::new(),
            label_separator: None,
            class_names: None,
            target: ImageTarget::Class,
            channels: None,
            background: [255; 3],
            picture: None,
            resize: None,
            interpolation: Interpolation::default(),
            center_crop: None,
            crops: 1,
            random_resized_crop: None,
            train_size: None,
            progressive_resizing: None,
            repeats: 1,
            random_crop: 0,
            flip: false,
            vertical_flip: false,
            rand_augment: None,
            trivial_augment: false,
            color_jitter: ColorJitter::default(),
            random_erasing: 0.0,
            mixup: 0.0,
            cutmix: 0.0,
            mean: None,
            std: None,
            on_corrupt: OnCorrupt::Stop,
            workers: 1,
            prefetch_bytes: PREFETCH_BYTES,
            order: None,
            window_shards: 16,
            window_block: 32,
            canonical_ranks: 1,
        }
    }
}

impl ImageConfig {
    /// The shares to hold out, for validation and test: none where a URI is given.
    pub(super) fn fractions(&self) -> (f64, f64) {
        let fraction = |uri: &Option<String>, fraction| if uri.is_some() { 0.0 } else { fraction };
        (fraction(&self.valid, self.valid_fraction), fraction(&self.test, self.test_fraction))
    }

    /// The recipe's wishes about what is held out.
    pub(super) fn held_out(&self) -> Wishes<'_> {
        let (group_column, fractions) = (self.group_column.as_deref(), self.fractions());
        Wishes { stratify: self.stratify, group_column, fractions, ..Wishes::default() }
    }

    /// `mean` and `std`, one of each a channel.
    pub(super) fn normalisation(&self, channels: usize) -> Result<(Vec<f64>, Vec<f64>), DataError> {
        let each = |key: &str, values: &Option<Vec<f64>>, default: f64, least: f64| {
            let values = match values.as_deref() {
                None => vec![default; channels],
                Some([value]) => vec![*value; channels],
                Some(values) if values.len() == channels => values.to_vec(),
                Some(values) => {
                    let expected = format!("one value or one for each of {channels} channels");
                    return Err(DataError::config(key, expected, format!("{} values", values.len())));
                }
            };
            match values.iter().find(|value| !value.is_finite() || **value < least) {
                None => Ok(values),
                Some(value) if least > 0.0 => Err(DataError::config(key, "numbers above 0", value)),
                Some(value) => Err(DataError::config(key, "finite numbers", value)),
            }
        };
        Ok((each("mean", &self.mean, 0.0, f64::MIN)?, each("std", &self.std, 1.0, f64::MIN_POSITIVE)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> ImageConfig {
        ImageConfig { train: "x".into(), ..ImageConfig::default() }
    }

    #[test]
    fn normalisation_is_one_value_or_one_a_channel() {
        let config = ImageConfig { mean: Some(vec![0.5]), std: Some(vec![0.1, 0.2, 0.3]), ..base() };
        assert_eq!(config.normalisation(3).unwrap(), (vec![0.5; 3], vec![0.1, 0.2, 0.3]));
        assert_eq!(base().normalisation(1).unwrap(), (vec![0.0], vec![1.0]));
        let error = config.normalisation(1).unwrap_err().to_string();
        assert_eq!(error, "data.std: expected one value or one for each of 1 channels, found 3 values");
        let zero = ImageConfig { std: Some(vec![0.0]), ..base() };
        assert_eq!(
            zero.normalisation(1).unwrap_err().to_string(),
            "data.std: expected numbers above 0, found 0"
        );
        let nan = ImageConfig { mean: Some(vec![f64::NAN]), ..base() };
        assert!(nan.normalisation(1).is_err());
    }

    #[test]
    fn every_key_stands_in_the_serialised_default() {
        let json = serde_json::to_value(ImageConfig::default()).unwrap();
        assert!(json["valid"].is_null() && json["mean"].is_null());
        assert_eq!(json["on_corrupt"], "stop");
        assert_eq!(json["target"], "class");
        assert_eq!(serde_json::from_value::<ImageConfig>(json).unwrap(), ImageConfig::default());
        assert!(serde_json::from_str::<ImageConfig>(r#"{"trian": "x"}"#).is_err());
    }
}
