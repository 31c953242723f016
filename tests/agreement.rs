//! The same step on every backend: one step of gradient descent of every registered architecture on each
//! device of this build, compared with the first one, flex.
//!
//! The default build has one backend and compares nothing: `--features ndarray` adds another one of the CPU,
//! `--features wgpu` the GPU, or Mesa's software driver, where the machine has one.
//! `BONFIRE_REQUIRE_DEVICE=ndarray,wgpu` makes it an error when one of these is missing.

use crate::support::architectures::{Descent, Trace, cases, with};
use crate::support::generator;
use bonfire::burn::optim::SgdConfig;
use bonfire::device;
use bonfire::models::registry::Entry;
use bonfire::models::spec::{Sample, Spec};

/// The devices of this build that the machine has.
fn devices() -> Vec<String> {
    let present = device::list().into_iter().filter(|listing| listing.devices.is_some_and(|count| count > 0));
    let names: Vec<String> = present.map(|listing| listing.name).collect();
    let required = std::env::var("BONFIRE_REQUIRE_DEVICE").unwrap_or_default();
    for required in required.split(',').filter(|name| !name.is_empty()) {
        assert!(names.iter().any(|name| name == required), "expected a {required} device, found {names:?}");
    }
    names
}

fn step(device: &str, architecture: &Entry, spec: &Spec) -> Trace {
    let device = device::open(device).unwrap().autodiff();
    let optimizer = SgdConfig::new().init();
    let descent = Descent { spec, device: &device, optimizer, steps: 1, learning_rate: 0.1 };
    with(architecture, spec, &device, descent)
        .unwrap_or_else(|error| panic!("{}: {error:#}", architecture.name))
}

/// True for devices on which the architecture is tested. ImageNet's models of colour pictures are tested on
/// CPU backends only: on a GPU's software driver they would take many minutes.
fn is_tried(architecture: &Entry, device: &str) -> bool {
    let in_colour = matches!((architecture.example)().sample, Sample::Image([3, ..]));
    !in_colour || ["cpu", "flex", "ndarray"].contains(&device)
}

#[test]
fn every_architecture_takes_the_same_step_on_every_device() {
    let _shared = generator::shared();
    let devices = devices();
    let (first, others) = devices.split_first().expect("a build has at least one device");
    if others.is_empty() {
        eprintln!("left out: {first} is the only device of this build");
        return;
    }
    for (architecture, spec) in &cases() {
        let expected = step(first, architecture, spec);
        for other in others.iter().filter(|other| is_tried(architecture, other)) {
            let found = step(other, architecture, spec);
            agree(architecture.name, other, &expected, &found);
            eprintln!("{}: {first} and {other} agree", architecture.name);
        }
    }
}

/// Asserts that losses are within 1e-4 of each other, and every weight's change within 1e-3 of the largest
/// change in its tensor: backends add thousands of f32 products in different orders.
fn agree(name: &str, device: &str, expected: &Trace, found: &Trace) {
    let (a, b) = (expected.losses[0], found.losses[0]);
    assert!((a - b).abs() <= 1e-4 * a.abs().max(1.0), "{name} on {device}: loss {b}, expected {a}");
    assert_eq!(expected.after.len(), found.after.len());
    for (((path, before), (_, a)), (_, b)) in expected.before.iter().zip(&expected.after).zip(&found.after) {
        let change = before.iter().zip(a).map(|(before, after)| (after - before).abs()).fold(0.0, f32::max);
        let difference = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(
            difference <= 1e-3 * change + 2e-6,
            "{name} on {device}: {path}: differs by {difference} where the step changed it by {change}"
        );
    }
    for (a, b) in expected.answer.iter().zip(&found.answer) {
        assert!((a - b).abs() <= 1e-3 * a.abs().max(1.0), "{name} on {device}: answers {b}, expected {a}");
    }
}
