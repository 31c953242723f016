//! The keys of `[data]` for images.

use super::labels;
use super::transform::{ColorJitter, Growth, Interpolation, RandAugment, Resize};
use crate::records::split::Wishes;
use crate::{DataError, OnCorrupt, PREFETCH_BYTES, ShardOrder, bounds};
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

/// Pixels a side that a picture may be scaled or cut to.
pub(super) const LARGEST_SIDE: usize = 16_384;

/// Pixels on each side that a picture may be padded with.
const LARGEST_PADDING: usize = 4_096;

/// Times that an epoch may have a picture.
const MOST_REPEATS: usize = 1_000;

/// Operations of RandAugment on one picture.
const MOST_OPERATIONS: usize = 14;

/// Shards that may be open at a time, and samples of one that may be fetched in one request.
const MOST_OPEN: usize = 4_096;
const LONGEST_BLOCK: usize = 1 << 20;

/// True when every picture that was scaled to `resize` has room for `crop`.
fn fits(crop: [usize; 2], resize: Resize) -> bool {
    let [height, width] = match resize {
        Resize::Exact(size) => size,
        Resize::Short(side) => [side, side],
    };
    crop[0] <= height && crop[1] <= width
}

impl ImageConfig {
    /// Refuses settings that no data could fit.
    pub(super) fn check(&self) -> Result<(), DataError> {
        let refuse = |key: &str, expected: &str, found: String| Err(DataError::config(key, expected, found));
        if self.train.is_empty() {
            return refuse("train", "the URI of the training pictures", "nothing".into());
        }
        for (key, fraction) in
            [("valid_fraction", self.valid_fraction), ("test_fraction", self.test_fraction)]
        {
            if !(0.0..1.0).contains(&fraction) {
                return refuse(key, "a share of at least 0 and below 1", fraction.to_string());
            }
        }
        if self.valid_fraction + self.test_fraction >= 1.0 {
            let sum = format!("{} + {}", self.valid_fraction, self.test_fraction);
            return refuse(
                "valid_fraction",
                "a share that leaves some to train on beside test_fraction",
                sum,
            );
        }
        self.held_out().check()?;
        if let Some(column) = self.group_column.as_ref().filter(|_| !labels::is_table(&self.train, self)) {
            let expected = "none, or a table of file names (CSV, JSONL) as data.train";
            return refuse("group_column", expected, format!("`{column}`"));
        }
        if self.stratify == Some(true) && self.target == ImageTarget::Input {
            return refuse("stratify", "false where the target is the picture itself", "true".into());
        }
        if let Some(channels) = self.channels
            && channels != 1
            && channels != 3
        {
            return refuse("channels", "1 or 3", channels.to_string());
        }
        bounds::workers(self.workers)?;
        bounds::canonical_ranks(self.canonical_ranks)?;
        bounds::within("window_shards", self.window_shards, 1..=MOST_OPEN)?;
        let block = usize::try_from(self.window_block).unwrap_or(usize::MAX);
        bounds::within("window_block", block, 1..=LONGEST_BLOCK)?;
        let resized = self.resize.as_ref().map_or(&[][..], Resize::sides);
        let cropped = self.center_crop.as_ref().map_or(&[][..], |size| &size[..]);
        for (key, sides) in [("resize", resized), ("center_crop", cropped)] {
            if !sides.iter().all(|side| (1..=LARGEST_SIDE).contains(side)) {
                let expected = format!("sides of 1 to {LARGEST_SIDE} pixels");
                return refuse(key, &expected, format!("{sides:?}"));
            }
        }
        match (self.resize, self.center_crop) {
            // The shorter side may be either.
            (Some(resize), Some(crop)) if !fits(crop, resize) => {
                let expected = format!("at most the size of resize, {:?}", resize.sides());
                return refuse("center_crop", &expected, format!("{crop:?}"));
            }
            (Some(Resize::Short(_)), None) => {
                let expected =
                    "[height, width] that all pictures end with, as `resize` is the shorter side's";
                return refuse("center_crop", expected, "none".into());
            }
            _ => {}
        }
        self.check_crops()?;
        if let Some(least) = self.random_resized_crop
            && !(least > 0.0 && least <= 1.0)
        {
            return refuse("random_resized_crop", "a share above 0, 1 at the most", least.to_string());
        }
        if let Some(side) = self.train_size {
            bounds::within("train_size", side, 1..=LARGEST_SIDE)?;
            if self.random_resized_crop.is_none() {
                return refuse("train_size", "none without random_resized_crop", side.to_string());
            }
        }
        if let Some(growth) = self.progressive_resizing {
            let last = self.train_size.unwrap_or(0);
            bounds::within("progressive_resizing.from", growth.from, 1..=last.max(1))?;
            if self.train_size.is_none() || growth.begin >= growth.end {
                let expected = "a train_size, and an epoch to begin before the one to end";
                return refuse("progressive_resizing", expected, format!("{growth:?}"));
            }
        }
        bounds::within("repeats", usize::try_from(self.repeats).unwrap_or(usize::MAX), 1..=MOST_REPEATS)?;
        if let Some(augment) = self.rand_augment {
            bounds::within("rand_augment.operations", augment.operations, 0..=MOST_OPERATIONS)?;
            bounds::within("rand_augment.magnitude", augment.magnitude as usize, 0..=30)?;
        }
        if let Some((key, found)) = self.color_jitter.wrong() {
            let expected = if key == "hue" { "0 to 0.5" } else { "at least 0" };
            return refuse(&format!("color_jitter.{key}"), expected, found.to_string());
        }
        if !(0.0..=1.0).contains(&self.random_erasing) {
            return refuse("random_erasing", "a probability", self.random_erasing.to_string());
        }
        for (key, alpha) in [("mixup", self.mixup), ("cutmix", self.cutmix)] {
            if !(0.0..=100.0).contains(&alpha) {
                return refuse(key, "0 to 100", alpha.to_string());
            }
            if alpha > 0.0 && self.target != ImageTarget::Class {
                return refuse(key, "0 where the target is no class", alpha.to_string());
            }
        }
        self.check_labels()?;
        bounds::within("random_crop", self.random_crop, 0..=LARGEST_PADDING)?;
        if let Some(names) = &self.class_names {
            if matches!(self.target, ImageTarget::Value | ImageTarget::Labels) {
                let expected = "none where a table says values or labels";
                return refuse("class_names", expected, format!("{names:?}"));
            }
            if names.len() < 2 {
                return refuse("class_names", "at least two names", names.len().to_string());
            }
            let mut sorted: Vec<&String> = names.iter().collect();
            sorted.sort_unstable();
            if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
                return refuse("class_names", "different names", format!("{:?} twice", pair[0]));
            }
        }
        Ok(())
    }

    /// Refuses keys of several labels that do not go together.
    fn check_labels(&self) -> Result<(), DataError> {
        let is_given = [
            ("label_columns", !self.label_columns.is_empty()),
            ("label_separator", self.label_separator.is_some()),
        ];
        let given: Vec<&str> = is_given.iter().filter(|(_, given)| *given).map(|(key, _)| *key).collect();
        match (self.target, given.as_slice()) {
            (ImageTarget::Labels, []) => {
                let expected = "what stands between the labels of a picture, or data.label_columns";
                Err(DataError::config("label_separator", expected, "none"))
            }
            (ImageTarget::Labels, [_, _]) => {
                Err(DataError::config("label_separator", "none beside label_columns", "both"))
            }
            (ImageTarget::Labels, _) if self.label_separator.as_deref() == Some("") => {
                Err(DataError::config("label_separator", "at least one character", "none"))
            }
            (ImageTarget::Labels, _) if self.label_columns.len() == 1 => {
                Err(DataError::config("label_columns", "at least two columns", "one"))
            }
            (ImageTarget::Labels, _) | (_, []) => Ok(()),
            (_, [key, ..]) => {
                let expected = format!("\"labels\", as data.{key} is given");
                Err(DataError::config("target", expected, "another"))
            }
        }
    }

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

    /// Refuses several crops where they are one, or where there is nothing to average.
    fn check_crops(&self) -> Result<(), DataError> {
        let expected = match (self.center_crop, self.resize) {
            _ if self.crops == 1 => return Ok(()),
            _ if ![1, 5, 10].contains(&self.crops) => "1, 5 or 10",
            _ if self.target == ImageTarget::Input => "1 where the target is the picture itself",
            _ if self.target != ImageTarget::Class => "1 where the target is no class",
            (None, _) => "1 without a center_crop, as the whole of each picture is shown",
            (Some(crop), Some(Resize::Exact(size))) if crop == size => {
                "1 with a center_crop that is as large as resize: all crops would be the same"
            }
            _ => return Ok(()),
        };
        Err(DataError::config("crops", expected, self.crops))
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
    fn impossible_settings_are_refused_by_key() {
        let exact = |size| Some(Resize::Exact(size));
        let growing = Some(Growth { from: 1, begin: 2, end: 1 });
        let jitter = |hue| ColorJitter { hue, ..ColorJitter::default() };
        let crop = |size| ImageConfig { center_crop: Some(size), resize: exact([8, 8]), ..base() };
        let columns = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let labels = ImageConfig { target: ImageTarget::Labels, ..base() };
        let cases: [(&str, ImageConfig); 36] = [
            ("data.label_separator", labels.clone()),
            ("data.label_separator", ImageConfig { label_separator: Some(String::new()), ..labels.clone() }),
            ("data.label_columns", ImageConfig { label_columns: columns(&["a"]), ..labels.clone() }),
            (
                "data.label_separator",
                ImageConfig {
                    label_columns: columns(&["a", "b"]),
                    label_separator: Some("|".into()),
                    ..labels.clone()
                },
            ),
            ("data.target", ImageConfig { label_columns: columns(&["a", "b"]), ..base() }),
            (
                "data.crops",
                ImageConfig { crops: 5, target: ImageTarget::Value, label_separator: None, ..crop([4, 4]) },
            ),
            (
                "data.class_names",
                ImageConfig { class_names: Some(columns(&["a", "b"])), target: ImageTarget::Value, ..base() },
            ),
            ("data.stratify", ImageConfig { stratify: Some(true), target: ImageTarget::Input, ..base() }),
            ("data.crops", ImageConfig { crops: 3, ..crop([4, 4]) }),
            ("data.crops", ImageConfig { crops: 5, ..crop([8, 8]) }),
            ("data.crops", ImageConfig { crops: 10, ..base() }),
            ("data.crops", ImageConfig { crops: 5, target: ImageTarget::Input, ..crop([4, 4]) }),
            ("data.train", ImageConfig::default()),
            ("data.valid_fraction", ImageConfig { valid_fraction: 1.0, ..base() }),
            ("data.test_fraction", ImageConfig { test_fraction: f64::NAN, ..base() }),
            ("data.valid_fraction", ImageConfig { valid_fraction: 0.5, test_fraction: 0.5, ..base() }),
            ("data.channels", ImageConfig { channels: Some(2), ..base() }),
            ("data.resize", ImageConfig { resize: exact([0, 4]), ..base() }),
            ("data.resize", ImageConfig { resize: exact([16_384, 16_385]), ..base() }),
            ("data.center_crop", ImageConfig { center_crop: Some([usize::MAX, 4]), ..base() }),
            (
                "data.rand_augment.magnitude",
                ImageConfig { rand_augment: Some(RandAugment { operations: 2, magnitude: 31 }), ..base() },
            ),
            ("data.color_jitter.hue", ImageConfig { color_jitter: jitter(0.7), ..base() }),
            ("data.train_size", ImageConfig { train_size: Some(64), ..base() }),
            ("data.progressive_resizing", ImageConfig { progressive_resizing: growing, ..base() }),
            ("data.repeats", ImageConfig { repeats: 0, ..base() }),
            ("data.mixup", ImageConfig { mixup: -1.0, ..base() }),
            ("data.cutmix", ImageConfig { cutmix: 1.0, target: ImageTarget::Input, ..base() }),
            ("data.random_erasing", ImageConfig { random_erasing: 1.5, ..base() }),
            ("data.random_crop", ImageConfig { random_crop: 4_097, ..base() }),
            ("data.workers", ImageConfig { workers: 1 << 40, ..base() }),
            ("data.center_crop", ImageConfig { resize: exact([4, 4]), center_crop: Some([4, 5]), ..base() }),
            ("data.center_crop", ImageConfig { resize: Some(Resize::Short(256)), ..base() }),
            ("data.resize", ImageConfig { resize: Some(Resize::Short(0)), ..base() }),
            ("data.random_resized_crop", ImageConfig { random_resized_crop: Some(0.0), ..base() }),
            ("data.random_resized_crop", ImageConfig { random_resized_crop: Some(f64::NAN), ..base() }),
            ("data.class_names", ImageConfig { class_names: Some(vec!["a".into(), "a".into()]), ..base() }),
        ];
        for (key, config) in cases {
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{key}: expected ")), "{error}");
        }
        base().check().unwrap();
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
