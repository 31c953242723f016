//! Holds a fast path and its twin together: the same outputs and the same gradients on the same inputs.

use burn::tensor::{DType, Device, Tensor, TensorData};

/// An input: numbers of a fixed formula, and their shape.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub values: Vec<f32>,
    pub shape: Vec<usize>,
    /// Whether its gradient is asked for.
    pub tracked: bool,
}

/// Numbers in [-1, 1) of a generator (SplitMix64) that `seed` starts.
pub(crate) fn random(shape: &[usize], seed: u64) -> Sample {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let count = shape.iter().product();
    Sample { values: (0..count).map(|_| next()).collect(), shape: shape.to_vec(), tracked: true }
}

impl Sample {
    /// Each number changed.
    pub(crate) fn map(mut self, change: impl Fn(f32) -> f32) -> Self {
        self.values.iter_mut().for_each(|value| *value = change(*value));
        self
    }

    /// Without a gradient.
    pub(crate) fn untracked(self) -> Self {
        Sample { tracked: false, ..self }
    }
}

/// The inputs of one run, as leaves of its graph.
pub(crate) struct Inputs {
    leaves: Vec<Tensor<1>>,
    shapes: Vec<Vec<usize>>,
}

impl Inputs {
    fn new(samples: &[Sample], device: &Device) -> Self {
        let leaf = |sample: &Sample| {
            let leaf =
                Tensor::from_data(TensorData::new(sample.values.clone(), [sample.values.len()]), device);
            if sample.tracked && device.is_autodiff() { leaf.require_grad() } else { leaf }
        };
        let shapes = samples.iter().map(|sample| sample.shape.clone()).collect();
        Inputs { leaves: samples.iter().map(leaf).collect(), shapes }
    }

    /// The input at `index`, in its shape.
    pub(crate) fn get<const D: usize>(&self, index: usize) -> Tensor<D> {
        let shape: [usize; D] = self.shapes[index].as_slice().try_into().expect("the input's rank");
        self.leaves[index].clone().reshape(shape)
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("f32")
}

/// The output, and the gradient of each tracked input, of a weighted sum of the output.
fn outcome<const D: usize>(
    samples: &[Sample],
    op: impl Fn(&Inputs) -> Tensor<D>,
) -> (Vec<f32>, Vec<Vec<f32>>) {
    let device = Device::flex().autodiff();
    let inputs = Inputs::new(samples, &device);
    let output = op(&inputs);
    let found = values(output.clone());
    if found.is_empty() || samples.iter().all(|sample| !sample.tracked) {
        return (found, Vec::new());
    }
    let weights = random(&output.dims(), 977);
    let weights = Tensor::<D>::from_data(TensorData::new(weights.values, output.dims()), &device);
    let gradients = (output * weights).sum().backward();
    let of_leaf = |(leaf, sample): (&Tensor<1>, &Sample)| {
        sample
            .tracked
            .then(|| leaf.grad(&gradients).map(values).unwrap_or_else(|| vec![0.0; sample.values.len()]))
    };
    (found, inputs.leaves.iter().zip(samples).filter_map(of_leaf).collect())
}

fn assert_close(name: &str, what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{name}: numbers of {what}");
    let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let close = (found - expected).abs() <= tolerance * largest.max(1e-3)
            || (found.is_nan() && expected.is_nan());
        assert!(close || found == expected, "{name}: {what} at {place} is {found}, expected {expected}");
    }
}

/// Asserts that two ops agree within 1e-4 of the largest number: outputs with and without a graph, all gradients, and
/// the remaining gradients when each input in turn asks for none.
pub(crate) fn check<const D: usize>(
    name: &str,
    samples: &[Sample],
    fast: impl Fn(&Inputs) -> Tensor<D>,
    plain: impl Fn(&Inputs) -> Tensor<D>,
) {
    check_within(1e-4, name, samples, fast, plain);
}

/// [`check`] with a tolerance of its own.
pub(crate) fn check_within<const D: usize>(
    tolerance: f32,
    name: &str,
    samples: &[Sample],
    fast: impl Fn(&Inputs) -> Tensor<D>,
    plain: impl Fn(&Inputs) -> Tensor<D>,
) {
    let inference = Inputs::new(samples, &Device::flex());
    let (found, expected) = (fast(&inference), plain(&inference));
    assert_eq!(found.dims(), expected.dims(), "{name}: shapes");
    assert_close(name, "the output without a graph", &values(found), &values(expected), tolerance);
    for left_out in (0..=samples.len()).rev() {
        let mut samples = samples.to_vec();
        if let Some(sample) = samples.get_mut(left_out) {
            sample.tracked = false;
        }
        let (found, gradients) = outcome(&samples, &fast);
        let (expected, expected_gradients) = outcome(&samples, &plain);
        assert_close(name, "the output", &found, &expected, tolerance);
        assert_eq!(gradients.len(), expected_gradients.len());
        for (index, (found, expected)) in gradients.iter().zip(&expected_gradients).enumerate() {
            let what = format!("gradient {index} (input {left_out} of {} untracked)", samples.len());
            assert_close(name, &what, found, expected, tolerance);
        }
    }
}

/// Asserts that the gradients of a fast path are what central differences of its twin in double precision say.
///
/// In `f64` an op's public function is its twin, so that `op` serves for both.
pub(crate) fn check_differences<const D: usize>(
    name: &str,
    samples: &[Sample],
    op: impl Fn(&Inputs) -> Tensor<D>,
) {
    const STEP: f64 = 1e-5;
    let (_, gradients) = outcome(samples, &op);
    let mut tracked = gradients.into_iter();
    let numbers: Vec<Vec<f64>> =
        samples.iter().map(|sample| sample.values.iter().map(|value| f64::from(*value)).collect()).collect();
    let loss = |numbers: &[Vec<f64>]| -> f64 {
        let device = Device::flex();
        let leaf = |numbers: &Vec<f64>| {
            Tensor::from_data(TensorData::new(numbers.clone(), [numbers.len()]), (&device, DType::F64))
        };
        let shapes = samples.iter().map(|sample| sample.shape.clone()).collect();
        let output = op(&Inputs { leaves: numbers.iter().map(leaf).collect(), shapes });
        let weights = random(&output.dims(), 977).values;
        let output: Vec<f64> = output.into_data().try_into_vec().expect("f64");
        output.iter().zip(weights).map(|(output, weight)| output * f64::from(weight)).sum()
    };
    for (index, sample) in samples.iter().enumerate().filter(|(_, sample)| sample.tracked) {
        let mut slope = |place: usize| {
            let mut moved = numbers.clone();
            moved[index][place] += STEP;
            let above = loss(&moved);
            moved[index][place] -= 2.0 * STEP;
            ((above - loss(&moved)) / (2.0 * STEP)) as f32
        };
        let expected: Vec<f32> = (0..sample.values.len()).map(&mut slope).collect();
        let found = tracked.next().expect("a gradient for each tracked input");
        assert_close(name, &format!("the gradient of input {index} by differences"), &found, &expected, 2e-4);
    }
}

/// Runs this binary's tests again with each narrower instruction set that the machine has.
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
