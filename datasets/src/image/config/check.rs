//! The values that the keys of an image data set may have.

use super::{ImageConfig, ImageTarget};
use crate::image::labels::is_table;
use crate::image::transform::Resize;
use crate::{DataError, bounds};

/// Pixels a side that a picture may be scaled or cut to.
pub(in crate::image) const LARGEST_SIDE: usize = 16_384;

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
    ///
    /// # Errors
    /// Names the first of them.
    pub(in crate::image) fn check(&self) -> Result<(), DataError> {
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
        if let Some(column) = self.group_column.as_ref().filter(|_| !is_table(&self.train, self)) {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::transform::{ColorJitter, Growth, RandAugment};

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
}
