//! The keys of `[data]` for images.

use crate::{DataError, OnCorrupt, PREFETCH_BYTES, ShardOrder, bounds};
use serde::{Deserialize, Serialize};

/// What a model is to find out about a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageTarget {
    /// Which class it shows.
    #[default]
    Class,
    /// The picture itself (autoencoders); labels are not read.
    Input,
}

/// Where pictures come from and what is done to them. Sizes are `[height, width]` in pixels.
///
/// The transforms are applied in the order of their fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageConfig {
    /// URI of the training pictures: an IDX file, gzipped or not, a folder of class folders
    /// (`root/<class>/**/*.{png,jpg,jpeg}`), tar shards in WebDataset's layout (a `.tar`, a glob
    /// or braces), whose classes are in `cls` or `json` parts or the folders of their members, or Parquet
    /// files in Hugging Face's layout, whose classes are in a column `label`. For the target `input`, any
    /// folder or glob of pictures.
    pub train: String,
    /// URI of the pictures that decisions are made on.
    pub valid: Option<String>,
    /// URI of the pictures that no decision is made on.
    pub test: Option<String>,
    /// Share of the training pictures held out for decisions; not used where `valid` is given.
    pub valid_fraction: f64,
    /// Share of the training pictures held out from every decision; not used where `test` is given.
    pub test_fraction: f64,
    /// URI of the IDX labels of `train`; by default the name of the pictures with `images-idx3`
    /// replaced by `labels-idx1`, as for `valid` and `test`.
    pub labels: Option<String>,
    /// The names of the classes in the order of their indices; by default the sorted names of the
    /// class folders, or `0`, `1`, … up to the largest label of an IDX file.
    pub class_names: Option<Vec<String>>,
    /// What the model is to find out.
    pub target: ImageTarget,
    /// 1 for grey, 3 for red, green and blue; by default 1 for IDX and 3 for picture files.
    pub channels: Option<usize>,
    /// Scale to this size with an antialiased bilinear filter, whatever the aspect ratio was.
    pub resize: Option<[usize; 2]>,
    /// Cut this size out of the middle.
    pub center_crop: Option<[usize; 2]>,
    /// In training, pad with this many black pixels on each side and cut the former size out at a
    /// random place.
    pub random_crop: usize,
    /// In training, mirror every second picture, left to right, at random.
    pub flip: bool,
    /// Subtracted from pixels in 0..1: one value, or one for each channel.
    pub mean: Option<Vec<f64>>,
    /// Divides pixels after that: one value, or one for each channel.
    pub std: Option<Vec<f64>>,
    /// What to do with a picture that cannot be read: `stop` or `skip` and count.
    pub on_corrupt: OnCorrupt,
    /// Threads that decode ahead; 0 decodes on the training thread.
    pub workers: usize,
    /// Bytes of decoded pictures that may wait for the trainer; never more than about two batches wait.
    pub prefetch_bytes: u64,
    /// How the samples of shards are shuffled: `full` or `window`; by default `full` for tar on local
    /// disks, and `window` across a network and for Parquet, whose row groups take the place of shards and
    /// are read whole. Other sources are always shuffled in full.
    pub order: Option<ShardOrder>,
    /// With the order `window`: shards that are open together; of row groups, no more than 128 MiB.
    pub window_shards: usize,
    /// With the order `window`: consecutive samples of a shard that are fetched together.
    pub window_block: u64,
}

impl Default for ImageConfig {
    fn default() -> Self {
        ImageConfig {
            train: String::new(),
            valid: None,
            test: None,
            valid_fraction: 0.0,
            test_fraction: 0.0,
            labels: None,
            class_names: None,
            target: ImageTarget::Class,
            channels: None,
            resize: None,
            center_crop: None,
            random_crop: 0,
            flip: false,
            mean: None,
            std: None,
            on_corrupt: OnCorrupt::Stop,
            workers: 1,
            prefetch_bytes: PREFETCH_BYTES,
            order: None,
            window_shards: 16,
            window_block: 32,
        }
    }
}

/// Pixels a side that a picture may be scaled or cut to.
pub(super) const LARGEST_SIDE: usize = 16_384;

/// Pixels on each side that a picture may be padded with.
const LARGEST_PADDING: usize = 4_096;

/// Shards that may be open together, and samples of one that may be fetched together.
const MOST_OPEN: usize = 4_096;
const LONGEST_BLOCK: usize = 1 << 20;

impl ImageConfig {
    /// Refuses what no data could fit.
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
        if let Some(channels) = self.channels
            && channels != 1
            && channels != 3
        {
            return refuse("channels", "1 or 3", channels.to_string());
        }
        bounds::workers(self.workers)?;
        bounds::within("window_shards", self.window_shards, 1..=MOST_OPEN)?;
        let block = usize::try_from(self.window_block).unwrap_or(usize::MAX);
        bounds::within("window_block", block, 1..=LONGEST_BLOCK)?;
        for (key, size) in [("resize", self.resize), ("center_crop", self.center_crop)] {
            if let Some([height, width]) = size
                && ![height, width].iter().all(|side| (1..=LARGEST_SIDE).contains(side))
            {
                let expected = format!("[height, width] of 1 to {LARGEST_SIDE} pixels");
                return refuse(key, &expected, format!("[{height}, {width}]"));
            }
        }
        if let (Some([height, width]), Some([crop_height, crop_width])) = (self.resize, self.center_crop)
            && (crop_height > height || crop_width > width)
        {
            let expected = format!("at most the size of resize, [{height}, {width}]");
            return refuse("center_crop", &expected, format!("[{crop_height}, {crop_width}]"));
        }
        bounds::within("random_crop", self.random_crop, 0..=LARGEST_PADDING)?;
        if let Some(names) = &self.class_names {
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
        let cases: [(&str, ImageConfig); 12] = [
            ("data.train", ImageConfig::default()),
            ("data.valid_fraction", ImageConfig { valid_fraction: 1.0, ..base() }),
            ("data.test_fraction", ImageConfig { test_fraction: f64::NAN, ..base() }),
            ("data.valid_fraction", ImageConfig { valid_fraction: 0.5, test_fraction: 0.5, ..base() }),
            ("data.channels", ImageConfig { channels: Some(2), ..base() }),
            ("data.resize", ImageConfig { resize: Some([0, 4]), ..base() }),
            ("data.resize", ImageConfig { resize: Some([16_384, 16_385]), ..base() }),
            ("data.center_crop", ImageConfig { center_crop: Some([usize::MAX, 4]), ..base() }),
            ("data.random_crop", ImageConfig { random_crop: 4_097, ..base() }),
            ("data.workers", ImageConfig { workers: 1 << 40, ..base() }),
            ("data.center_crop", ImageConfig { resize: Some([4, 4]), center_crop: Some([4, 5]), ..base() }),
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
