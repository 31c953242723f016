//! Pictures from memory, to predict.

use super::place::{Item, Place, Said};
use super::set::Pictures;
use super::{ImageConfig, ImageSchema, ImageSet, open};
use crate::DataError;
use crate::request::Requested;
use bytes::Bytes;

/// The pictures of files in memory, each with its number in the request, and each as `data.crops`
/// views. A picture is decoded when its sample is read, and one that cannot be is an error there.
///
/// # Errors
/// When a key is out of its bounds.
pub fn records(
    config: &ImageConfig,
    schema: &ImageSchema,
    files: Vec<(usize, Bytes)>,
) -> Result<Requested<ImageSet>, DataError> {
    config.check()?;
    let records = files.iter().map(|(number, _)| *number).collect();
    let item = |(number, file)| Item { place: Place::Memory(number, file), class: None, said: Said::Nothing };
    let items = files.into_iter().map(item).collect();
    let samples = open::pipeline(config, schema, Pictures::Held(items), config.crops, 0);
    Ok(Requested { samples, records, refused: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::super::decode::tests::file;
    use super::super::{ImageTarget, open_prediction};
    use super::*;
    use crate::{Dataset, Draw};
    use ::image::ImageFormat;

    #[test]
    fn a_picture_in_memory_is_the_picture_of_its_file_and_a_damaged_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let png = file(ImageFormat::Png, 9, 7);
        let path = folder.path().join("a.png");
        std::fs::write(&path, &png).unwrap();
        let config = ImageConfig { train: "pictures".into(), workers: 0, ..ImageConfig::default() };
        let schema = ImageSchema {
            target: ImageTarget::Class,
            labels: vec!["a".into(), "b".into()],
            channels: 3,
            height: 9,
            width: 7,
            resize: None,
            interpolation: Default::default(),
            center_crop: None,
            mean: vec![0.5; 3],
            std: vec![0.25; 3],
            grey: Default::default(),
            background: Some([255; 3]),
            left_out: Default::default(),
            value: None,
            split: Default::default(),
        };
        let requested =
            records(&config, &schema, vec![(0, png.clone().into()), (3, png[..40].to_vec().into())]).unwrap();
        assert_eq!(requested.records, [0, 3]);
        let uris = [path.to_str().unwrap().to_string()];
        let part = open_prediction(&config, &schema, &uris).unwrap().next().unwrap().unwrap();
        let sample = requested.samples.dataset().sample(0, Draw::default()).unwrap();
        assert_eq!(sample, part.samples.dataset().sample(0, Draw::default()).unwrap());
        let error = requested.samples.dataset().sample(1, Draw::default()).unwrap_err().to_string();
        assert!(error.starts_with("request, record 3, picture: expected a complete picture"), "{error}");
    }
}
