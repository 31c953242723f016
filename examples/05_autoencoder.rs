//! A convolutional autoencoder with 32 codes a picture: reaches a mean squared error of 0.0205 on the test
//! pictures.
//!
//! cargo run --release --example 05_autoencoder

use bonfire::datasets::image::ImageTarget;
use bonfire::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = device::open("cpu")?.autodiff();
    let config = ImageConfig {
        train: "builtin:fashion-mnist-small/train-images-idx3-ubyte.gz".into(),
        test: Some("builtin:fashion-mnist-small/t10k-images-idx3-ubyte.gz".into()),
        target: ImageTarget::Input,
        flip: true,
        ..ImageConfig::default()
    };
    let data = image::open(&config, 1)?;

    device.seed(1);
    let [channels, height, width] = [data.schema.channels, data.schema.height, data.schema.width];
    let model = ConvAutoencoderConfig::new([channels, height, width]).with_codes(32).init(&device);
    let fit = FitConfig {
        train: TrainConfig { epochs: Some(10), ..TrainConfig::default() },
        optimizer: OptimizerConfig::named("adamw").expect("AdamW is registered"),
        schedule: ScheduleConfig::named("cosine").expect("cosine is registered"),
        ..FitConfig::default()
    };
    let fitted = Trainer::new(fit, device.clone()).listener(Box::new(Terminal::new())).fit(
        model,
        &data.train,
        None,
    )?;

    let test = data.test.expect("the config names a test file");
    let evaluation = evaluate(&fitted.model, &test, &MetricConfig::default(), 256, &device.inner())?;
    for metric in evaluation.metrics {
        println!("{} {:.5}", metric.name, metric.value);
    }
    Ok(())
}
