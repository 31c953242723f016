//! The form that training pictures were brought into, saved as `labels.json`.

use super::ImageTarget;
use super::config::LARGEST_SIDE;
use super::form::Grey;
use super::transform::{Interpolation, Resize};
use crate::records::{LeftOut, round};
use crate::resumed::check_names;
use crate::{DataError, SplitBy, saved, source::one_line};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// The file's name in the run folder.
const FILE: &str = "labels.json";

/// Labels, sizes and transforms of a training set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSchema {
    /// The question that the model answers.
    pub target: ImageTarget,
    /// The names of the classes in the order of their indices; none for the target `input`.
    pub labels: Vec<String>,
    /// 1 for grey, 3 for red, green and blue.
    pub channels: usize,
    /// Pixels of a sample from top to bottom.
    pub height: usize,
    /// Pixels of a sample from left to right.
    pub width: usize,
    /// Pictures are scaled to this size.
    pub resize: Option<Resize>,
    /// The filter that finds the values between pixels then.
    #[serde(default)]
    pub interpolation: Interpolation,
    /// This size is then cut out of the middle, `[height, width]`.
    pub center_crop: Option<[usize; 2]>,
    /// Subtracted from pixels in 0..1, one value a channel.
    pub mean: Vec<f64>,
    /// Divides pixels after that, one value a channel.
    pub std: Vec<f64>,
    /// The way that pictures were held out of the training pictures.
    #[serde(default)]
    pub split: SplitBy,
    /// How colour becomes grey.
    #[serde(default)]
    pub grey: Grey,
    /// Lies below transparent pixels, red, green and blue; none in runs that show the colour that they hide.
    #[serde(default)]
    pub background: Option<[u8; 3]>,
    /// The values of the training pictures, where the target is a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<ValueMoments>,
    /// What lay in the folder of the training pictures and is none.
    #[serde(default, skip_serializing_if = "LeftOut::is_empty")]
    pub left_out: LeftOut,
}

/// A target `v` is learned as `(v - mean) / std`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValueMoments {
    /// Mean over the training pictures.
    pub mean: f64,
    /// Standard deviation over the training pictures, divided by their count; 1 for a constant.
    pub std: f64,
}

impl ValueMoments {
    /// The moments of values; in two passes, so that nothing cancels out.
    pub(super) fn of(values: &[f64]) -> Self {
        let count = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / count;
        let std = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        // Rounding in the mean leaves a constant with a deviation of about its own last digit.
        let is_constant = std <= mean.abs() * f64::EPSILON;
        ValueMoments { mean: round(mean), std: if is_constant { 1.0 } else { round(std) } }
    }

    /// A value as it is learned.
    pub(super) fn scaled(&self, value: f64) -> f32 {
        ((value - self.mean) / self.std) as f32
    }
}

impl ImageSchema {
    /// The schema of a run that goes on with pictures of these `labels`.
    ///
    /// # Errors
    /// When the run began with other classes: names the ones that are new or missing.
    pub(super) fn with_labels(self, uri: &str, labels: &[String]) -> Result<Self, DataError> {
        check_names(uri, "classes", &self.labels, labels)?;
        Ok(self)
    }

    /// Writes `labels.json` into `folder`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), DataError> {
        saved::save(folder, FILE, self)
    }

    /// Reads `labels.json` from `folder`.
    ///
    /// # Errors
    /// When the file is not there or is not what [`save`](Self::save) wrote.
    pub fn load(folder: &Path) -> Result<Self, DataError> {
        let path = folder.join(FILE);
        let uri = path.display();
        let json = fs::read(&path)
            .map_err(|error| DataError::source(&uri, "the labels of a run", one_line(error)))?;
        let schema: Self = serde_json::from_slice(&json).map_err(|error| {
            let place = format!("line {}", error.line());
            DataError::malformed(&uri, place, "the labels of a run", one_line(error))
        })?;
        let exact = match schema.resize {
            Some(Resize::Exact(size)) => Some(size),
            _ => None,
        };
        let resized = schema.resize.as_ref().map_or(&[][..], Resize::sides);
        let cropped = schema.center_crop.as_ref().map_or(&[][..], |size| &size[..]);
        let consistent = [1, 3].contains(&schema.channels)
            && schema.mean.len() == schema.channels
            && schema.std.len() == schema.channels
            && schema.std.iter().all(|std| *std > 0.0)
            && [schema.height, schema.width].iter().all(|side| (1..=u32::MAX as usize).contains(side))
            && resized.iter().chain(cropped).all(|side| (1..=LARGEST_SIDE).contains(side))
            && schema.center_crop.or(exact).is_none_or(|size| size == [schema.height, schema.width])
            && (schema.target == ImageTarget::Value) == schema.value.is_some()
            && schema.value.is_none_or(|value| value.mean.is_finite() && value.std > 0.0);
        if consistent {
            Ok(schema)
        } else {
            Err(DataError::malformed(&uri, "sizes", "sizes that fit each other", "ones that do not"))
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A schema without labels, transforms or normalisation.
    pub(in crate::image) fn schema(channels: usize, height: usize, width: usize) -> ImageSchema {
        ImageSchema {
            target: ImageTarget::Input,
            labels: Vec::new(),
            channels,
            height,
            width,
            resize: None,
            interpolation: Interpolation::default(),
            center_crop: None,
            mean: vec![0.0; channels],
            std: vec![1.0; channels],
            grey: Grey::Rec601,
            background: Some([255; 3]),
            value: None,
            left_out: LeftOut::default(),
            split: SplitBy::default(),
        }
    }

    #[test]
    fn a_schema_survives_saving() {
        let folder = tempfile::tempdir().unwrap();
        let saved = ImageSchema {
            target: ImageTarget::Class,
            labels: vec!["a \"cat\"".into(), "Hündin".into()],
            resize: Some(Resize::Exact([8, 9])),
            center_crop: Some([4, 6]),
            mean: vec![0.1, 0.2, 0.485],
            split: SplitBy::Stratified,
            ..schema(3, 4, 6)
        };
        saved.save(folder.path()).unwrap();
        assert_eq!(ImageSchema::load(folder.path()).unwrap(), saved);
        let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert!(text.contains("\"target\": \"class\""), "{text}");
        // Earlier versions held out at random, and did not say so.
        let earlier = text.replace(",\n  \"split\": \"stratified\"", "");
        assert_ne!(earlier, text);
        fs::write(folder.path().join(FILE), earlier).unwrap();
        let split = SplitBy::Random;
        assert_eq!(ImageSchema::load(folder.path()).unwrap(), ImageSchema { split, ..saved });
    }

    #[test]
    fn a_schema_of_an_earlier_version_keeps_its_grey_and_hidden_colours() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"target": "input", "labels": [], "channels": 1, "height": 4, "width": 6,
            "resize": null, "center_crop": null, "mean": [0.0], "std": [1.0]}"#;
        fs::write(folder.path().join(FILE), text).unwrap();
        let schema = ImageSchema::load(folder.path()).unwrap();
        assert_eq!((schema.grey, schema.background), (Grey::Rec709, None));
        assert!(schema.left_out.is_empty());
    }

    #[test]
    fn values_are_standardised_by_the_training_pictures() {
        // numpy.mean([1, 2, 6]) and numpy.std([1, 2, 6]), to 12 digits.
        let moments = ValueMoments::of(&[1.0, 2.0, 6.0]);
        assert_eq!((moments.mean, moments.std), (3.0, 2.16024689947));
        assert_eq!(moments.scaled(3.0), 0.0);
        assert_eq!(ValueMoments::of(&[0.1; 7]).std, 1.0);
    }

    #[test]
    fn missing_and_damaged_schemas_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = || {
            let message = ImageSchema::load(folder.path()).unwrap_err().to_string();
            assert!(message.contains("labels.json") && !message.contains('\n'), "{message}");
            message
        };
        assert!(refused().contains("expected the labels of a run"));
        fs::write(folder.path().join(FILE), "{\n\"labels\": 3}").unwrap();
        assert!(refused().contains("line 2"));
        ImageSchema { mean: vec![0.0; 2], ..schema(3, 4, 6) }.save(folder.path()).unwrap();
        refused();
        ImageSchema { height: 0, ..schema(1, 4, 6) }.save(folder.path()).unwrap();
        refused();
        let nowhere = folder.path().join("missing");
        assert!(
            schema(1, 2, 2).save(&nowhere).unwrap_err().to_string().contains("a file that can be written")
        );
    }
}
