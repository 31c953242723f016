//! A CNN on 2,500 pictures of clothes: reaches 88 % of the 500 test pictures.
//!
//! cargo run --release --example 03_cnn

use bonfire::prelude::*;
use bonfire::train::optimizers::AdamW;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = device::open("cpu")?.autodiff();
    let config = ImageConfig {
        train: "builtin:fashion-mnist-small/train-images-idx3-ubyte.gz".into(),
        test: Some("builtin:fashion-mnist-small/t10k-images-idx3-ubyte.gz".into()),
        mean: Some(vec![0.2860]),
        std: Some(vec![0.3530]),
        flip: true,
        ..ImageConfig::default()
    };
    let data = image::open(&config, 1)?;
    let schema = &data.schema;

    device.seed(1);
    let picture = [schema.channels, schema.height, schema.width];
    let model = CnnConfig::new(picture, Objective::classes(schema.labels.len())).init(&device);
    println!("{} parameters", model.num_params());
    let fit = FitConfig {
        train: TrainConfig { epochs: Some(10), ..TrainConfig::default() },
        optimizer: OptimizerConfig::AdamW(AdamW { learning_rate: 5e-3, ..AdamW::default() }),
        schedule: ScheduleConfig::named("one_cycle").expect("one-cycle is registered"),
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
        println!("{} {:.4}", metric.name, metric.value);
    }
    Ok(())
}
