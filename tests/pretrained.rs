//! EfficientNet-Lite0 with its real ImageNet weights, on real JPEGs through the program's own pipeline,
//! against PyTorch.
//!
//! `tests/support/efficientnet.py` writes what PyTorch answers; then
//! `BONFIRE_EFFICIENTNET=OUT.json cargo test --release --features mozjpeg --test program pretrained:: --
//! --ignored --nocapture`.

use crate::support::generator;
use bonfire::checkpoint::{Key, Names, Published, Weights};
use bonfire::datasets::image::{
    Grey, ImageConfig, ImageSchema, ImageTarget, Interpolation, Resize, open_prediction,
};
use bonfire::datasets::records::LeftOut;
use bonfire::models::{EfficientNetConfig, Objective, tensor_keys};
use bonfire::prelude::*;
use burn::tensor::Device;
use serde_json::Value;
use std::path::Path;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
#[ignore = "needs published weights and pictures"]
fn real_weights_give_pytorchs_logits_on_real_pictures() {
    let _shared = generator::shared();
    let path =
        std::env::var("BONFIRE_EFFICIENTNET").expect("BONFIRE_EFFICIENTNET names the file of the script");
    let reference: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let device = Device::flex();
    let config = EfficientNetConfig::lite0([3, 224, 224], Objective::classes(1000)).with_tensorflow(true);
    let model = config.init(&device);
    let keys: Vec<Key> = tensor_keys(&model, &config.google_names())
        .into_iter()
        .map(|key| Key { path: key.path, name: key.name, shape: key.shape, transposed: key.transposed })
        .collect();
    let file = Path::new(reference["weights"].as_str().unwrap());
    let offered = [Names { library: "google", keys }];
    let choice = Published::open(file).unwrap().choose(&offered, "head", None, file).unwrap();
    let (weights, replaced) =
        choice.weights.translated(&offered[0].keys, &Weights::of(&model), "head", file).unwrap();
    assert!(replaced.is_empty());
    let model = weights.apply(model, file).unwrap().valid();

    let schema = ImageSchema {
        target: ImageTarget::Input,
        labels: Vec::new(),
        channels: 3,
        height: 224,
        width: 224,
        resize: Some(Resize::Short(256)),
        interpolation: Interpolation::Bicubic,
        center_crop: Some([224, 224]),
        mean: vec![0.5; 3],
        std: vec![0.5; 3],
        grey: Grey::Rec601,
        background: Some([255; 3]),
        left_out: LeftOut::default(),
        value: None,
        split: Default::default(),
    };
    let pictures = reference["pictures"].as_array().unwrap();
    let files: Vec<String> =
        pictures.iter().map(|picture| picture["file"].as_str().unwrap().to_string()).collect();
    let data = ImageConfig { train: "none".into(), ..ImageConfig::default() };
    let part = open_prediction(&data, &schema, &files).unwrap().next().unwrap().unwrap();
    let (mut worst_grey, mut grey, mut worst, mut same) = (0.0f64, 0.0, 0.0f64, 0);
    let mut exact = 0.0f64;
    let batches = part.samples.batches(Position::default(), 1, &device);
    for (picture, batch) in pictures.iter().zip(batches) {
        let input = batch.unwrap().input;
        let pixels: Vec<f32> = input.pixels.clone().into_data().try_to_vec().unwrap();
        let places = (0..3)
            .flat_map(|c| (0..28).flat_map(move |y| (0..28).map(move |x| (c * 224 + y * 8) * 224 + x * 8)));
        let theirs = numbers(&picture["pixels"]);
        let count = theirs.len();
        for (place, theirs) in places.zip(&theirs) {
            let ours = f64::from(pixels[place]).mul_add(127.5, 127.5);
            worst_grey = worst_grey.max((ours - theirs).abs());
            grey += (ours - theirs).abs() / (count * pictures.len()) as f64;
        }
        let Output::Logits(logits) = model.predict(input) else { panic!("classes have logits") };
        let ours: Vec<f32> = logits.into_data().try_to_vec().unwrap();
        let theirs = numbers(&picture["logits"]);
        let largest = |values: &mut dyn Iterator<Item = f64>| {
            values.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0
        };
        same += usize::from(
            largest(&mut ours.iter().map(|value| f64::from(*value))) == largest(&mut theirs.iter().copied()),
        );
        let apart = ours.iter().zip(&theirs).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
        worst = worst.max(apart);
        exact += apart / pictures.len() as f64;
    }
    println!(
        "{} pictures: pixels {grey:.4} grey levels apart on average, {worst_grey:.0} at most; logits {exact:.5} apart \
         on average of the worst, {worst:.5} at most; the same first class on {same}",
        pictures.len()
    );
    assert!(grey < 1.0 && worst < 1e-3 && same == pictures.len());
}
