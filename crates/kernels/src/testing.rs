//! Compares a fast path with its twin: the same outputs and gradients on the same inputs.
//!
//! Tests of an op's own cases call [`check`]; [`crate::proof`] walks all ops.

use crate::splitmix;
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An input: random or fixed numbers, and their shape.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub values: Vec<f32>,
    pub shape: Vec<usize>,
    /// True if the input takes a gradient.
    pub tracked: bool,
}

/// A lock for tests that seed: flex has one random generator for the whole process.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Numbers in `[-1, 1)` from a SplitMix64 generator with this seed.
pub(crate) fn random(shape: &[usize], seed: u64) -> Sample {
    let state = seed.wrapping_mul(splitmix::GOLDEN);
    let number = |place| (splitmix::at(state, place) >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
    let count: usize = shape.iter().product();
    Sample { values: (0..count as u64).map(number).collect(), shape: shape.to_vec(), tracked: true }
}

/// Number `element` of filling `number`, in `[-0.4, 0.4)`. Any 10,007 consecutive elements of a filling are
/// distinct.
pub(crate) fn filled(number: usize, element: usize) -> f64 {
    let raw = (element * 7919 + number * 104_729 + 17) % 10_007;
    (raw as f64 / 10_007.0 - 0.5) * 0.8
}

impl Sample {
    /// The sample with each number changed.
    pub(crate) fn map(mut self, change: impl Fn(f32) -> f32) -> Self {
        self.values.iter_mut().for_each(|value| *value = change(*value));
        self
    }

    /// The sample without a gradient.
    pub(crate) fn untracked(self) -> Self {
        Sample { tracked: false, ..self }
    }

    pub(crate) fn numbers(&self) -> Vec<f64> {
        self.values.iter().map(|value| f64::from(*value)).collect()
    }
}

/// The layout of inputs in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Row after row.
    Plain,
    /// The first axis moves fastest.
    Permuted,
    /// Inside a larger tensor, with NaN on all sides.
    Sliced,
    /// From the last number to the first.
    Flipped,
    /// The first place of the first axis, again and again.
    Expanded,
}

/// The type, the layout and the graph of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub dtype: DType,
    pub layout: Layout,
    /// True if the run is on a graph.
    pub graph: bool,
}

impl Setting {
    pub(crate) const FAST: Setting = Setting { dtype: DType::F32, layout: Layout::Plain, graph: true };

    fn device(self) -> Device {
        if self.graph { Device::flex().autodiff() } else { Device::flex() }
    }

    fn tensor<const D: usize>(self, numbers: Vec<f64>, shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(numbers, shape), (&self.device(), self.dtype))
    }
}

/// The inputs of one run, as leaves of its graph.
pub(crate) struct Inputs {
    leaves: Vec<Tensor<1>>,
    shapes: Vec<Vec<usize>>,
    pub layout: Layout,
}

impl Inputs {
    /// Inputs with these numbers, of the samples' shapes.
    pub(crate) fn new(numbers: &[Vec<f64>], samples: &[Sample], setting: Setting) -> Self {
        let leaf = |(numbers, sample): (&Vec<f64>, &Sample)| {
            let numbers = stored(numbers, &sample.shape, setting.layout);
            let count = numbers.len();
            let leaf = setting.tensor(numbers, [count]);
            if sample.tracked && setting.graph { leaf.require_grad() } else { leaf }
        };
        let shapes = samples.iter().map(|sample| sample.shape.clone()).collect();
        Inputs { leaves: numbers.iter().zip(samples).map(leaf).collect(), shapes, layout: setting.layout }
    }

    /// Input `index`, in its shape.
    pub(crate) fn get<const D: usize>(&self, index: usize) -> Tensor<D> {
        let shape: [usize; D] = self.shapes[index].as_slice().try_into().expect("the input's rank");
        let leaf = self.leaves[index].clone();
        match self.layout {
            Layout::Plain => leaf.reshape(shape),
            Layout::Permuted => {
                let mut reversed = shape;
                reversed.reverse();
                leaf.reshape(reversed).permute(std::array::from_fn(|axis| D - 1 - axis))
            }
            Layout::Sliced => {
                let framed = leaf.reshape(shape.map(|size| size + 2));
                (0..D).fold(framed, |inside, axis| inside.narrow(axis, 1, shape[axis]))
            }
            Layout::Flipped => leaf.reshape(shape).flip(std::array::from_fn::<usize, D, _>(|axis| axis)),
            Layout::Expanded => {
                let mut first = shape;
                first[0] = 1;
                leaf.reshape(first).expand(shape)
            }
        }
    }
}

/// The numbers of a leaf that [`Inputs::get`] turns into the layout.
fn stored(numbers: &[f64], shape: &[usize], layout: Layout) -> Vec<f64> {
    match layout {
        Layout::Plain | Layout::Permuted | Layout::Flipped => numbers.to_vec(),
        Layout::Expanded => numbers[..numbers.len().checked_div(shape[0]).unwrap_or(0)].to_vec(),
        Layout::Sliced => {
            let mut framed = vec![f64::NAN; shape.iter().map(|size| size + 2).product()];
            for (place, number) in numbers.iter().enumerate() {
                let (mut left, mut to, mut stride) = (place, 0, 1);
                for size in shape.iter().rev() {
                    to += (left % size + 1) * stride;
                    (left, stride) = (left / size, stride * (size + 2));
                }
                framed[to] = *number;
            }
            framed
        }
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter().collect()
}

/// The result of a run: the output, and for each tracked input the gradient of a weighted sum of the output's
/// numbers.
pub(crate) struct Outcome {
    pub output: Vec<f64>,
    pub gradients: Vec<Vec<f64>>,
}

/// The weights of the output's numbers in an [`Outcome`]'s sum, as in `golden/make.py`.
pub(crate) fn weights_of_outcome(count: usize) -> Vec<f64> {
    (0..count).map(|element| filled(99, element)).collect()
}

/// Runs an op. Also runs it backwards if the setting has a graph and an input is tracked.
pub(crate) fn outcome<const D: usize>(
    samples: &[Sample],
    setting: Setting,
    op: impl Fn(&Inputs) -> Tensor<D>,
) -> Outcome {
    let numbers: Vec<_> = samples.iter().map(Sample::numbers).collect();
    let inputs = Inputs::new(&numbers, samples, setting);
    let output = op(&inputs);
    let found = values(output.clone());
    if !setting.graph || samples.iter().all(|sample| !sample.tracked) {
        return Outcome { output: found, gradients: Vec::new() };
    }
    let weights = setting.tensor(weights_of_outcome(found.len()), output.dims());
    let gradients = (output * weights).sum().backward();
    let of_leaf = |(leaf, sample): (&Tensor<1>, &Sample)| {
        let zeros = || vec![0.0; leaf.dims()[0]];
        sample.tracked.then(|| leaf.grad(&gradients).map(values).unwrap_or_else(zeros))
    };
    Outcome { output: found, gradients: inputs.leaves.iter().zip(samples).filter_map(of_leaf).collect() }
}

/// Asserts that numbers differ by at most the share `tolerance` of the largest, or of `least` if that is
/// larger.
pub(crate) fn assert_close(what: &str, found: &[f64], expected: &[f64], tolerance: f64, least: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: how many numbers");
    let largest = expected.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let close = (found - expected).abs() <= tolerance * largest.max(least)
            || (found.is_nan() && expected.is_nan());
        assert!(close || found == expected, "{what} at {place} is {found}, expected {expected}");
    }
}

/// Asserts that two ops agree within 1e-4 of the largest number. Compares the outputs with and without a
/// graph, all gradients, and the other gradients while each input in turn is untracked.
pub(crate) fn check<const D: usize>(
    name: &str,
    samples: &[Sample],
    fast: impl Fn(&Inputs) -> Tensor<D>,
    plain: impl Fn(&Inputs) -> Tensor<D>,
) {
    check_within(1e-4, name, samples, fast, plain);
}

/// [`check`] with another tolerance.
pub(crate) fn check_within<const D: usize>(
    tolerance: f64,
    name: &str,
    samples: &[Sample],
    fast: impl Fn(&Inputs) -> Tensor<D>,
    plain: impl Fn(&Inputs) -> Tensor<D>,
) {
    let close = |what: &str, found: &[f64], expected: &[f64]| {
        // below 0.1, both sides may be rounding errors of a thousand numbers around 1 that cancel
        assert_close(&format!("{name}: {what}"), found, expected, tolerance, 0.1);
    };
    let inference = Setting { graph: false, ..Setting::FAST };
    let numbers: Vec<_> = samples.iter().map(Sample::numbers).collect();
    let inputs = Inputs::new(&numbers, samples, inference);
    let (found, expected) = (fast(&inputs), plain(&inputs));
    assert_eq!(found.dims(), expected.dims(), "{name}: shapes");
    let nothing = expected.dims().contains(&0);
    close("the output without a graph", &values(found), &values(expected));
    if nothing {
        assert_no_slopes(name, outcome(samples, Setting::FAST, &fast));
        return;
    }
    for left_out in (0..=samples.len()).rev() {
        let mut samples = samples.to_vec();
        if let Some(sample) = samples.get_mut(left_out) {
            sample.tracked = false;
        }
        let found = outcome(&samples, Setting::FAST, &fast);
        let expected = outcome(&samples, Setting::FAST, &plain);
        close("the output", &found.output, &expected.output);
        assert_eq!(found.gradients.len(), expected.gradients.len());
        for (index, (found, expected)) in found.gradients.iter().zip(&expected.gradients).enumerate() {
            let what = format!("gradient {index} (input {left_out} of {} untracked)", samples.len());
            close(&what, found, expected);
        }
    }
}

/// Asserts that an empty output's gradients are zeros.
pub(crate) fn assert_no_slopes(name: &str, outcome: Outcome) {
    for (index, gradient) in outcome.gradients.iter().enumerate() {
        assert!(gradient.iter().all(|slope| *slope == 0.0), "{name}: gradient {index} is {gradient:?}");
    }
}

thread_local! {
    static TWINS: Cell<bool> = const { Cell::new(false) };
}

/// True if ops on this thread run their twins in place of their fast paths.
pub(crate) fn twins_run() -> bool {
    TWINS.get()
}

/// Runs `work` with the twins of the ops it calls.
pub(crate) fn with_twins<T>(work: impl FnOnce() -> T) -> T {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            TWINS.set(false);
        }
    }
    TWINS.set(true);
    let _reset = Reset;
    work()
}

/// Runs this binary's tests again with each narrower instruction set of the machine.
#[test]
fn narrower_instruction_sets_pass_the_same_tests() {
    if std::env::var_os("BONFIRE_CPU").is_some() {
        return;
    }
    for name in ["portable", "avx2"] {
        if crate::Isa::named(name).is_some_and(|isa| isa >= crate::Isa::detected()) {
            continue;
        }
        let tests = std::env::current_exe().unwrap();
        let run = std::process::Command::new(tests).env("BONFIRE_CPU", name).arg("--quiet").output().unwrap();
        assert!(run.status.success(), "BONFIRE_CPU={name}:\n{}", String::from_utf8_lossy(&run.stdout));
    }
}
