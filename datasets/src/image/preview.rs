//! Samples as a page shows them: pictures again, after all transforms.

use super::{ImageSchema, ImageSet};
use crate::{DataError, Dataset, Draw};
use bonfire_contract::mix;
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

/// One sample, as some epochs have it.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The name of its class, where the set has classes.
    pub class: Option<String>,
    /// PNG files, one an epoch.
    pub pictures: Vec<Vec<u8>>,
}

/// Sample `index` of a set as the first `epochs` epochs of a run with that seed have it.
///
/// # Errors
/// When the sample cannot be read.
pub fn preview(
    set: &ImageSet,
    schema: &ImageSchema,
    seed: u64,
    index: u64,
    epochs: u64,
) -> Result<Preview, DataError> {
    let mut preview = Preview { class: None, pictures: Vec::new() };
    for epoch in 0..epochs {
        let sample = set.sample(index, Draw { epoch, seed: mix(mix(seed, epoch), index) })?;
        preview.class = sample.class().and_then(|class| schema.labels.get(class).cloned());
        let (pixels, [height, width]) = sample.pixels();
        preview.pictures.push(png(pixels, [height, width], schema));
    }
    Ok(preview)
}

/// A picture as evaluation sees it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// Its place.
    pub place: String,
    /// A PNG file.
    pub picture: Vec<u8>,
}

/// Sample `index` of a set that is evaluated or predicted on, read again; of several views the first.
///
/// # Errors
/// When the sample cannot be read.
pub fn show(set: &ImageSet, schema: &ImageSchema, index: u64) -> Result<Shown, DataError> {
    let sample = set.sample(index, Draw::default())?;
    let (pixels, [height, width]) = sample.pixels();
    let first = &pixels[..schema.channels * height * width];
    Ok(Shown { place: set.place(index), picture: png(first, [height, width], schema) })
}

/// `[C, H, W]` normalised values as a PNG file.
fn png(values: &[f32], [height, width]: [usize; 2], schema: &ImageSchema) -> Vec<u8> {
    let channels = schema.channels;
    let mut pixels = vec![0; values.len()];
    for (channel, plane) in values.chunks_exact((height * width).max(1)).enumerate() {
        let (mean, std) = (schema.mean[channel], schema.std[channel]);
        let places = pixels[channel..].iter_mut().step_by(channels);
        for (place, value) in places.zip(plane) {
            *place = ((f64::from(*value) * std + mean) * 255.0).round().clamp(0.0, 255.0) as u8;
        }
    }
    let kind = if channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut file = Vec::new();
    PngEncoder::new(&mut file)
        .write_image(&pixels, width as u32, height as u32, kind)
        .expect("a picture of that size, written to memory");
    file
}

#[cfg(test)]
mod tests {
    use super::super::schema::tests::schema;
    use super::*;

    #[test]
    fn values_become_the_pixels_that_they_were() {
        let mut schema = schema(3, 1, 2);
        (schema.mean, schema.std) = (vec![0.5, 0.4, 0.3], vec![0.2, 0.3, 0.4]);
        let pixels = [[10.0, 20.0], [30.0, 40.0], [50.0, 255.0]];
        let values: Vec<f32> = (0..6)
            .map(|at| ((pixels[at / 2][at % 2] / 255.0 - schema.mean[at / 2]) / schema.std[at / 2]) as f32)
            .collect();
        let file = image::load_from_memory(&png(&values, [1, 2], &schema)).unwrap().into_rgb8();
        assert_eq!(file.into_raw(), [10, 30, 50, 20, 40, 255]);
    }
}
