//! The schema of training pictures, out of their labels, the recipe's keys and the first picture.

use super::form::Grey;
use super::gathered::Gathered;
use super::picture::Picture;
use super::place::Place;
use super::transform::Resize;
use super::{ImageConfig, ImageSchema};
use crate::records::LeftOut;
use crate::{DataError, SplitBy};

/// The schema of pictures with `labels`; `size` finds out `[height, width]` where no key says it.
pub(super) fn new_schema(
    config: &ImageConfig,
    channels: usize,
    labels: Vec<String>,
    size: impl FnOnce(&ImageConfig) -> Result<[usize; 2], DataError>,
) -> Result<ImageSchema, DataError> {
    let (mean, std) = config.normalisation(channels)?;
    let [height, width] = match (config.center_crop, config.resize) {
        (Some(size), _) | (None, Some(Resize::Exact(size))) => size,
        (None, _) => size(config)?,
    };
    Ok(ImageSchema {
        target: config.target,
        labels,
        channels,
        height,
        width,
        resize: config.resize,
        interpolation: config.interpolation,
        center_crop: config.center_crop,
        mean,
        std,
        grey: Grey::Rec601,
        background: Some(config.background),
        left_out: LeftOut::default(),
        value: None,
        split: SplitBy::default(),
    })
}

/// Refuses to cut more out of IDX pictures than they have.
pub(super) fn check_crop(config: &ImageConfig, train: &Gathered) -> Result<(), DataError> {
    if let (Some([crop_height, crop_width]), None, Some(Place::Idx(idx, _))) =
        (config.center_crop, config.resize, train.places.first())
        && (crop_height > idx.height || crop_width > idx.width)
    {
        let expected = format!("at most the size of the pictures, [{}, {}]", idx.height, idx.width);
        return Err(DataError::config("center_crop", expected, format!("[{crop_height}, {crop_width}]")));
    }
    Ok(())
}

/// The size of the first picture that can be read; without `on_corrupt = "skip"`, of the first.
pub(super) fn first_size<'a>(
    config: &ImageConfig,
    pictures: impl Iterator<Item = Result<Picture<'a>, DataError>>,
) -> Result<[usize; 2], DataError> {
    let mut first_error = None;
    for picture in pictures {
        match picture {
            Ok(picture) => return Ok([picture.height, picture.width]),
            Err(error) if config.on_corrupt.skips(&error) => first_error = first_error.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    Err(first_error.unwrap_or_else(|| DataError::source(&config.train, "pictures", "none")))
}
