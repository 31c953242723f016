//! In a build with the feature `mozjpeg`, mozjpeg decodes the same pictures as the decoder without C.

use ::image::{ImageFormat, Rgb, RgbImage, load_from_memory};
use bonfire::datasets::image::{ImageConfig, ImageTarget, open};
use bonfire::prelude::*;
use burn::tensor::Device;
use std::io::Cursor;

#[test]
fn both_decoders_give_the_same_picture() {
    let folder = tempfile::tempdir().unwrap();
    let picture = RgbImage::from_fn(61, 47, |x, y| Rgb([(x * 4) as u8, (y * 5) as u8, (x * y % 256) as u8]));
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Jpeg).unwrap();
    let file = file.into_inner();
    std::fs::write(folder.path().join("a.jpg"), &file).unwrap();
    let other = load_from_memory(&file).unwrap().into_rgb8();

    let train = folder.path().display().to_string();
    let config = ImageConfig { train, target: ImageTarget::Input, ..ImageConfig::default() };
    let opened = open(&config, 1).unwrap();
    let batch = opened.train.batches(Position::default(), 1, &Device::flex()).next().unwrap().unwrap();
    assert_eq!(batch.input.pixels.dims(), [1, 3, 47, 61]);
    let pixels: Vec<f32> = batch.input.pixels.into_data().try_to_vec().unwrap();
    let apart = |at: usize| {
        let theirs = f32::from(other.as_raw()[at % (47 * 61) * 3 + at / (47 * 61)]);
        (pixels[at] * 255.0 - theirs).abs()
    };
    let (worst, sum) = (0..pixels.len())
        .fold((0.0f32, 0.0), |(worst, sum), at| (worst.max(apart(at)), sum + f64::from(apart(at))));
    let mean = sum / pixels.len() as f64;
    assert!(worst <= 6.0 && mean < 0.6, "{worst} grey levels at most, {mean} on average");
}
