//! The costs of a step, and the ways to reduce them, gradient checkpointing and bf16, on every architecture.

use crate::support::architectures::{batch, calm, cases, filled, small, weights};
use crate::support::generator;
use crate::support::program::Workshop;
use anyhow::Result;
use bonfire::models::registry::{ARCHITECTURES, Entry};
use bonfire::models::spec::Spec;
use bonfire::prelude::*;
use bonfire::recipe::Document;
use bonfire::run::{Build, VisitModel};
use bonfire::train::{Costs, Event, Listener, Precision, optimizers};
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::rc::Rc;

/// A loader of one batch an epoch, always the same one.
struct One<I> {
    input: I,
    target: Target,
}

impl<I: Input> Loader<I> for One<I> {
    fn len(&self) -> u64 {
        self.input.len() as u64
    }

    fn portions(&self, start: Position, _: usize, _: Share, _: &Device) -> Portions<'_, I> {
        let consumed = self.len() - start.samples;
        let samples = (start.samples..self.len()).collect();
        let batch = Batch { input: self.input.clone(), target: self.target.clone(), consumed, samples };
        Box::new((consumed > 0).then_some(Ok(Portion::Samples(batch))).into_iter())
    }
}

/// The costs and the losses that a run reports.
#[derive(Default)]
struct Told {
    costs: Option<Costs>,
    losses: Vec<f64>,
}

struct Ear(Rc<RefCell<Told>>);

impl Listener for Ear {
    fn on(&mut self, event: &Event<'_>) {
        match event {
            Event::Costs(costs) => self.0.borrow_mut().costs = Some((*costs).clone()),
            Event::Record(record) => self.0.borrow_mut().losses.push(record.metrics[0].value),
            _ => {}
        }
    }
}

/// A run's weights after its steps, and its report.
type Trained = (Vec<(String, Vec<f32>)>, Told);

struct Fit<'a> {
    spec: &'a Spec,
    device: &'a Device,
    train: TrainConfig,
    samples: usize,
}

impl VisitModel for Fit<'_> {
    type Output = Result<Trained>;

    fn visit<A: Architecture>(self, model: A::Model, _: A) -> Result<Trained> {
        let (input, target) = batch::<<A::Model as Task>::Input>(self.spec, self.samples, self.device);
        let sgd = optimizers::Sgd { learning_rate: 1e-3, ..Default::default() };
        let optimizer = OptimizerConfig::Sgd(sgd);
        let config = FitConfig { train: self.train, optimizer, seed: 5, ..FitConfig::default() };
        let told = Rc::new(RefCell::new(Told::default()));
        let mut trainer = Trainer::new(config, self.device.clone()).listener(Box::new(Ear(told.clone())));
        let fitted = trainer.fit(filled(model), &One { input, target }, None)?;
        drop(trainer);
        let told = Rc::into_inner(told).expect("the trainer is gone").into_inner();
        Ok((weights(&fitted.model), told))
    }
}

fn steps(steps: u64) -> TrainConfig {
    TrainConfig { steps: Some(steps), report_every: 1, ..TrainConfig::default() }
}

fn fit(
    architecture: &Entry,
    spec: &Spec,
    options: &Map<String, Value>,
    train: TrainConfig,
    samples: usize,
) -> Result<Trained> {
    let device = device::open("cpu")?.autodiff();
    let document = Document::parse("test", "")?;
    let build = Build {
        name: architecture.name,
        options,
        spec,
        document: &document,
        device: &device,
        seed: Some(1),
        memory: None,
    };
    build.visit(Fit { spec, device: &device, train, samples })?
}

fn assert_same(name: &str, found: &Trained, expected: &Trained) {
    assert_eq!(found.1.losses, expected.1.losses, "{name}");
    for ((path, found), (_, expected)) in found.0.iter().zip(&expected.0) {
        for (found, expected) in found.iter().zip(expected) {
            let close = (found - expected).abs() <= 1e-6 * expected.abs().max(1.0);
            assert!(close, "{name}: {path}: {found} is not {expected}");
        }
    }
}

#[test]
fn checkpointing_changes_no_weight_and_is_refused_where_it_does_nothing() {
    let _alone = generator::alone();
    let kept = TrainConfig { gradient_checkpointing: true, ..steps(3) };
    let mut refused = Vec::new();
    for architecture in ARCHITECTURES {
        let (spec, options) = (small(architecture), calm(architecture));
        match fit(architecture, &spec, &options, kept.clone(), 4) {
            Ok(found) => {
                let expected = fit(architecture, &spec, &options, steps(3), 4).unwrap();
                assert_same(architecture.name, &found, &expected);
            }
            Err(error) => {
                let error = error.to_string();
                assert!(error.starts_with("train.gradient_checkpointing: expected false for"), "{error}");
                refused.push(architecture.name);
            }
        }
    }
    let shallow = [
        "linear",
        "logistic",
        "mlp",
        "lenet",
        "cnn",
        "autoencoder",
        "conv_autoencoder",
        "vae",
        "lstm",
        "gru",
        "lstm_lm",
        "gru_lm",
    ];
    assert_eq!(refused, shallow);
}

#[test]
fn blocks_draw_the_same_numbers_when_they_run_again() {
    let _alone = generator::alone();
    let random = [
        ("vit_ti16", json!({"layers": 3, "dropout": 0.2, "drop_path": 0.5})),
        ("resnet18", json!({"layers": [1, 2, 1, 1], "dropout": 0.2, "drop_path": 0.5})),
        ("convnext_tiny", json!({"layers": [1, 2, 1, 1], "drop_path": 0.5})),
        ("gpt", json!({"layers": 3, "dropout": 0.3})),
        ("transformer", json!({"layers": 2, "dropout": 0.3})),
    ];
    for (name, options) in random {
        let architecture = ARCHITECTURES.iter().find(|architecture| architecture.name == name).unwrap();
        let Value::Object(options) = options else { unreachable!("an object") };
        let spec = small(architecture);
        // Each step has two pieces, whose random numbers differ.
        let train = |gradient_checkpointing| TrainConfig { gradient_checkpointing, ..steps(4) };
        let found = fit(architecture, &spec, &options, train(true), 4).unwrap();
        assert_same(name, &found, &fit(architecture, &spec, &options, train(false), 4).unwrap());
    }
}

#[test]
fn costs_count_weights_products_and_what_is_kept() {
    let _alone = generator::alone();
    let find = |name: &str| ARCHITECTURES.iter().find(|architecture| architecture.name == name).unwrap();
    let costs = |name: &str, options: &Map<String, Value>, gradient_checkpointing, samples| {
        let train = TrainConfig { gradient_checkpointing, batch_size: BatchSize::Full, ..steps(1) };
        let spec = small(find(name));
        fit(find(name), &spec, options, train, samples).unwrap().1.costs.expect("every run tells them")
    };
    // A row of the table has 5 columns and 2 classes.
    let mlp = costs("mlp", json!({"hidden": [512, 256]}).as_object().unwrap(), false, 64);
    let weights = 5 * 512 + 512 * 256 + 256 * 2;
    assert_eq!((mlp.multiply_adds, mlp.samples), (weights as u64, 64));
    assert_eq!((mlp.parameters, mlp.trained), (weights + 770, weights + 770));
    // Two hidden layers, less the memory that earlier graphs of this process may free meanwhile, plus the
    // graph itself.
    let (bytes, hidden) = (mlp.activation_bytes.unwrap(), 64 * 4 * (512 + 256));
    assert!((hidden * 3 / 4..hidden * 2).contains(&bytes), "{bytes} for {hidden}");

    let options = Map::new();
    let (whole, kept) = (costs("resnet50", &options, false, 4), costs("resnet50", &options, true, 4));
    assert_eq!((whole.parameters, whole.multiply_adds), (kept.parameters, kept.multiply_adds));
    let (whole, kept) = (whole.activation_bytes.unwrap(), kept.activation_bytes.unwrap());
    assert!(whole > 2 * kept, "{whole} bytes and {kept}");
}

#[test]
fn a_narrow_copy_computes_and_the_model_learns() {
    let _alone = generator::alone();
    for (architecture, spec) in cases() {
        let options = calm(architecture);
        let narrow = TrainConfig { precision: Precision::Bf16, ..steps(2) };
        let (found, expected) = (
            fit(architecture, &spec, &options, narrow, 2)
                .unwrap_or_else(|error| panic!("{}: {error:#}", architecture.name)),
            fit(architecture, &spec, &options, steps(2), 2).unwrap(),
        );
        let (found, expected) = (found.1.losses[0], expected.1.losses[0]);
        let close = (found - expected).abs() <= 0.1 * expected.abs().max(1.0);
        assert!(close, "{}: a loss of {found}, in fp32 {expected}", architecture.name);
    }
}

#[test]
fn updates_too_small_for_bf16_are_not_lost() {
    let _alone = generator::alone();
    let architecture = ARCHITECTURES.iter().find(|architecture| architecture.name == "mlp").unwrap();
    let (spec, options) = (small(architecture), calm(architecture));
    let moved = |precision, count| -> Vec<f32> {
        let train = TrainConfig { precision, ..steps(count) };
        let values = |weights: Vec<(String, Vec<f32>)>| weights.into_iter().flat_map(|(_, values)| values);
        let (after, _) = fit(architecture, &spec, &options, train.clone(), 4).unwrap();
        let (once, _) =
            fit(architecture, &spec, &options, TrainConfig { steps: Some(1), ..train }, 4).unwrap();
        values(after).zip(values(once)).map(|(after, once)| after - once).collect()
    };
    let (narrow, full) = (moved(Precision::Bf16, 9), moved(Precision::Fp32, 9));
    let norm = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
    let apart: Vec<f32> = narrow.iter().zip(&full).map(|(narrow, full)| narrow - full).collect();
    assert!(norm(&full) > 0.0 && norm(&apart) < 0.1 * norm(&full), "{} of {}", norm(&apart), norm(&full));
}

#[test]
fn bf16_and_checkpointing_go_together() {
    let _alone = generator::alone();
    let architecture = ARCHITECTURES.iter().find(|architecture| architecture.name == "gpt").unwrap();
    let (spec, options) = (small(architecture), calm(architecture));
    let train = |gradient_checkpointing| TrainConfig {
        gradient_checkpointing,
        precision: Precision::Bf16,
        ..steps(3)
    };
    let found = fit(architecture, &spec, &options, train(true), 4).unwrap();
    assert_same("gpt", &found, &fit(architecture, &spec, &options, train(false), 4).unwrap());
}

#[test]
fn a_device_without_bf16_refuses_it() {
    let _shared = generator::shared();
    let architecture = &ARCHITECTURES[0];
    let (spec, document) = (small(architecture), Document::parse("test", "").unwrap());
    for listing in device::list() {
        let Ok(device) = device::open(&listing.name) else { continue };
        if device.supports_dtype(bonfire::burn::tensor::DType::BF16) {
            continue;
        }
        let (name, options, device) = (architecture.name, &Map::new(), &device.autodiff());
        let build =
            Build { name, options, spec: &spec, document: &document, device, seed: Some(1), memory: None };
        let train = TrainConfig { precision: Precision::Bf16, ..steps(1) };
        let error = build.visit(Fit { spec: &spec, device, train, samples: 2 }).unwrap().err().unwrap();
        let expected =
            "train.precision: expected \"fp32\" on a device whose backend has no arithmetic of bf16";
        assert!(error.to_string().starts_with(expected), "{}: {error}", listing.name);
    }
}

#[test]
fn the_program_tells_costs_and_pace_and_refuses_bf16_on_a_cpu() {
    let workshop = Workshop::new();
    let arguments = ["train", "fashion", "--run", "run", "--set", "train.steps=30"];
    let told = workshop.succeed(&arguments).stderr;
    for part in [" trained; ", " multiply-adds a sample; ", " of activations for ", "an epoch takes "] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let refused = |run: &str, setting: &str, message: &str| {
        workshop.fail(&["train", "fashion", "--run", run, "--set", setting], &[message]);
    };
    refused("narrow", "train.precision=bf16", "train.precision: expected \"fp32\" on a CPU");
    assert!(!workshop.path("narrow").exists());
    refused("wrong", "train.precision=fp8", "fp32");
    refused("kept", "train.gradient_checkpointing=true", "train.gradient_checkpointing: expected false");
}
