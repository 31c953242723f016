//! A small GPT on nine plays of Shakespeare: reaches 2.47 nats a character on the last tenth of the
//! file after 300 steps, and writes a few lines.
//!
//! cargo run --release --example 06_attention

use bonfire::datasets::text::{TextTask, VocabularyKind};
use bonfire::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = device::open("cpu")?.autodiff();
    let config = TextConfig {
        train: "builtin:shakespeare.txt.gz".into(),
        valid_fraction: 0.1, // the last tenth
        task: TextTask::LanguageModel,
        vocabulary: VocabularyKind::Character,
        max_tokens: 64,
        ..TextConfig::default()
    };
    let data = text::open(&config, 1)?;

    device.seed(1);
    let model = GptConfig::new(data.schema.len(), config.max_tokens).init(&device);
    let fit = FitConfig {
        train: TrainConfig {
            steps: Some(300),
            batch_size: BatchSize::Samples(12),
            clip_norm: Some(1.0),
            evaluate_every: Some(300),
            ..TrainConfig::default()
        },
        optimizer: OptimizerConfig::named("adamw").expect("AdamW is registered"),
        ..FitConfig::default()
    };
    let valid = data.valid.expect("a tenth is held out");
    let fitted = Trainer::new(fit, device.clone()).listener(Box::new(Terminal::new())).fit(
        model,
        &data.train,
        Some(&valid),
    )?;
    for metric in fitted.summary.metrics {
        println!("{} {:.3}", metric.name, metric.value);
    }

    // Takes the likeliest character each time; `bonfire predict` draws with a temperature.
    let plain = device.inner();
    let mut tokens = data.schema.encode("ROMEO:\n")?;
    for _ in 0..200 {
        let context = &tokens[tokens.len().saturating_sub(config.max_tokens)..];
        let ids: Vec<i64> = context.iter().map(|token| i64::from(*token)).collect();
        let shape = [1, ids.len()];
        let padding = Tensor::<2, Bool>::from_data(TensorData::new(vec![false; ids.len()], shape), &plain);
        let input = Tokens { tokens: Tensor::from_data(TensorData::new(ids, shape), &plain), padding };
        let likeliest = fitted.model.next_logits(input).argmax(1); // [1, 1]
        tokens.push(likeliest.into_scalar::<i64>() as u32);
    }
    println!("{}", data.schema.decode(&tokens));
    Ok(())
}
