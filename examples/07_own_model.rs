//! A model of one's own: a network that mixes patches and channels (MLP-Mixer, Tolstikhin et al. 2021), on
//! pictures of clothes. Reaches 82 % of the 500 test pictures after 10 epochs.
//!
//! cargo run --release --example 07_own_model
//!
//! Axes: `B` pictures, `P` patches, `D` numbers in a patch, `K` classes.

use bonfire::burn;
use bonfire::burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use bonfire::burn::tensor::activation::gelu;
use bonfire::prelude::*;
use bonfire::train::optimizers::AdamW;

const PATCH: usize = 4;
const WIDTH: usize = 64;

/// One round of mixing: first among patches, then among channels, each with a residual.
#[derive(Module, Debug)]
struct Mix {
    norm_patches: LayerNorm,
    patches: Linear,
    norm_channels: LayerNorm,
    expand: Linear,
    contract: Linear,
}

impl Mix {
    fn new(patches: usize, device: &Device) -> Self {
        Mix {
            norm_patches: LayerNormConfig::new(WIDTH).init(device),
            patches: LinearConfig::new(patches, patches).init(device),
            norm_channels: LayerNormConfig::new(WIDTH).init(device),
            expand: LinearConfig::new(WIDTH, 2 * WIDTH).init(device),
            contract: LinearConfig::new(2 * WIDTH, WIDTH).init(device),
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let mixed = self.norm_patches.forward(x.clone()).swap_dims(1, 2); // [B, D, P]
        let x = x + gelu(self.patches.forward(mixed)).swap_dims(1, 2); // [B, P, D]
        let mixed = self.norm_channels.forward(x.clone());
        x + self.contract.forward(gelu(self.expand.forward(mixed))) // [B, P, D]
    }
}

/// The model: patches, two rounds of mixing, a mean over the patches, a linear head.
#[derive(Module, Debug)]
struct Mixer {
    embed: Linear,
    rounds: Vec<Mix>,
    norm: LayerNorm,
    head: Linear,
    #[module(skip)]
    objective: Objective,
}

impl Mixer {
    fn new(side: usize, objective: Objective, device: &Device) -> Self {
        let patches = (side / PATCH) * (side / PATCH);
        Mixer {
            embed: LinearConfig::new(PATCH * PATCH, WIDTH).init(device),
            rounds: (0..2).map(|_| Mix::new(patches, device)).collect(),
            norm: LayerNormConfig::new(WIDTH).init(device),
            head: LinearConfig::new(WIDTH, objective.head()).init(device),
            objective,
        }
    }

    fn forward(&self, pixels: Tensor<4>) -> Tensor<2> {
        let [batch, _, height, width] = pixels.dims();
        let (rows, columns) = (height / PATCH, width / PATCH);
        let patches = pixels.reshape([batch, rows, PATCH, columns, PATCH]).swap_dims(2, 3);
        let mut x = self.embed.forward(patches.reshape([batch, rows * columns, PATCH * PATCH])); // [B, P, D]
        for round in &self.rounds {
            x = round.forward(x);
        }
        let pooled: Tensor<2> = self.norm.forward(x).mean_dim(1).squeeze_dim(1); // [B, D]
        self.head.forward(pooled) // [B, K]
    }
}

/// The interface of the trainer to a model.
impl Task for Mixer {
    type Input = Images;

    fn predict(&self, input: Images) -> Output {
        self.objective.output(self.forward(input.pixels))
    }

    fn loss(&self, input: Images, target: Target) -> Tensor<1> {
        self.objective.loss(self.forward(input.pixels), target)
    }
}

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

    device.seed(1);
    let model = Mixer::new(data.schema.height, Objective::classes(data.schema.labels.len()), &device);
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
