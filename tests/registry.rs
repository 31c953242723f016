//! Tests that every registered architecture must pass.

use crate::support::architectures::{Descent, answer, batch, cases, filled, small, weights, with};
use crate::support::generator;
use anyhow::Result;
use bonfire::burn::optim::AdamConfig;
use bonfire::checkpoint::{load_weights, save_weights};
use bonfire::models::registry::ARCHITECTURES;
use bonfire::models::spec::{Question, Sample, Spec};
use bonfire::prelude::*;
use bonfire::run::VisitModel;

#[test]
fn the_loss_falls_on_a_tiny_set() {
    let _shared = generator::shared();
    let device = device::open("cpu").unwrap().autodiff();
    for (architecture, spec) in cases() {
        let optimizer = AdamConfig::new().init();
        let descent = Descent { spec: &spec, device: &device, optimizer, steps: 12, learning_rate: 0.002 };
        let losses = with(architecture, &spec, &device, descent).unwrap().losses;
        let (first, last) = (losses[0], losses[losses.len() - 1]);
        assert!(last < first, "{}: {losses:?}", architecture.name);
    }
}

struct SaveAndLoad<'a> {
    spec: &'a Spec,
    device: &'a Device,
}

impl VisitModel for SaveAndLoad<'_> {
    type Output = Result<()>;

    fn visit<A: Architecture>(self, model: A::Model, _: A) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("model.safetensors");
        let (input, _) = batch::<<A::Model as Task>::Input>(self.spec, 3, self.device);
        save_weights(&model, &path)?;
        // Other weights of the same architecture, to be replaced.
        let loaded = load_weights(filled(model.clone()), &path)?;
        assert_eq!(weights(&model), weights(&loaded));
        assert_eq!(answer(model.predict(input.clone())), answer(loaded.predict(input)));
        Ok(())
    }
}

#[test]
fn weights_survive_a_save_and_a_load() {
    let _shared = generator::shared();
    let device = device::open("cpu").unwrap();
    for (architecture, spec) in cases() {
        with(architecture, &spec, &device, SaveAndLoad { spec: &spec, device: &device })
            .flatten()
            .unwrap_or_else(|error| panic!("{}: {error:#}", architecture.name));
    }
}

struct Nothing;

impl VisitModel for Nothing {
    type Output = ();

    fn visit<A: Architecture>(self, _: A::Model, _: A) {}
}

#[test]
fn impossible_sizes_are_refused_with_a_message() {
    let _shared = generator::shared();
    let device = device::open("cpu").unwrap();
    for (architecture, spec) in cases() {
        let nothing = match spec.sample {
            Sample::Image(_) => Sample::Image([0, 28, 28]),
            Sample::Table { .. } => Sample::Table { num_numeric: 0, category_sizes: Vec::new() },
            Sample::Text { .. } => Sample::Text { vocabulary: 0, max_tokens: 6 },
            Sample::Bag { .. } => Sample::Bag { features: 0 },
        };
        let error =
            with(architecture, &Spec { sample: nothing, ..spec.clone() }, &device, Nothing).unwrap_err();
        let message = format!("{error:#}");
        assert!(
            message.contains("expected") && message.contains("found"),
            "{}: {message}",
            architecture.name
        );

        let question = match spec.question {
            Question::Class(_) => Question::Class(0),
            Question::Labels(_) => Question::Labels(0),
            Question::Value(_) => Question::Value(0),
            Question::NextToken | Question::Reconstruction => Question::Class(3),
        };
        let error = with(architecture, &Spec { question, ..spec }, &device, Nothing).unwrap_err();
        assert!(format!("{error:#}").contains("expected"), "{}: {error:#}", architecture.name);
    }
}

#[test]
fn data_of_another_kind_are_refused_by_name() {
    let _shared = generator::shared();
    let device = device::open("cpu").unwrap();
    let text = Sample::Text { vocabulary: 9, max_tokens: 4 };
    for architecture in
        ARCHITECTURES.iter().filter(|architecture| (architecture.example)().sample.kind() != "text")
    {
        let spec = Spec { sample: text.clone(), ..small(architecture) };
        let message = format!("{:#}", with(architecture, &spec, &device, Nothing).unwrap_err());
        assert!(
            message.contains("model.name") && message.contains("text"),
            "{}: {message}",
            architecture.name
        );
    }
}
