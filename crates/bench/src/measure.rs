//! One op: its inputs, its arithmetic and traffic by formula, and its measured time.

use crate::figures::median;
use burn::tensor::{Device, Distribution, Int, Tensor};
use std::time::{Duration, Instant};

/// Runs before the measured ones.
const WARM_UP: usize = 2;
/// The least number of measured runs.
const LEAST: usize = 15;
/// The time after which measuring stops, if there are enough runs.
const ENOUGH: Duration = Duration::from_millis(300);

/// An input of an op, to be filled with random numbers.
#[derive(Clone, Debug)]
pub enum Fill {
    /// Uniform in `[-1, 1)`, and tracked by autodiff.
    Floats(Vec<usize>),
    /// Uniform in `[0, below)`.
    Indices {
        /// The shape.
        shape: Vec<usize>,
        /// The upper bound, exclusive.
        below: i64,
    },
}

impl Fill {
    fn shape(&self) -> &[usize] {
        match self {
            Fill::Floats(shape) | Fill::Indices { shape, .. } => shape,
        }
    }
}

/// An input of floats of `shape`.
pub fn floats<const D: usize>(shape: [usize; D]) -> Fill {
    Fill::Floats(shape.to_vec())
}

/// An input of indices below `below`, of `shape`.
pub fn indices<const D: usize>(shape: [usize; D], below: i64) -> Fill {
    Fill::Indices { shape: shape.to_vec(), below }
}

/// The inputs of an op, on a device.
pub struct Inputs(Vec<(Leaf, Vec<usize>)>);

enum Leaf {
    Floats(Tensor<1>),
    Indices(Tensor<1, Int>),
}

impl Inputs {
    fn new(fills: &[Fill], device: &Device) -> Self {
        let leaf = |fill: &Fill| {
            let count: usize = fill.shape().iter().product();
            let random =
                |low: f64, high: f64| Tensor::<1>::random([count], Distribution::Uniform(low, high), device);
            let leaf = match fill {
                Fill::Floats(_) if device.is_autodiff() => Leaf::Floats(random(-1.0, 1.0).require_grad()),
                Fill::Floats(_) => Leaf::Floats(random(-1.0, 1.0)),
                Fill::Indices { below, .. } => Leaf::Indices(random(0.0, *below as f64).int()),
            };
            (leaf, fill.shape().to_vec())
        };
        Inputs(fills.iter().map(leaf).collect())
    }

    /// Input `index` as floats.
    ///
    /// # Panics
    /// When the input holds indices, or has another number of axes.
    pub fn floats<const D: usize>(&self, index: usize) -> Tensor<D> {
        let (Leaf::Floats(leaf), shape) = &self.0[index] else { panic!("input {index} is not of floats") };
        leaf.clone().reshape(ranked::<D>(shape))
    }

    /// Input `index` as indices.
    ///
    /// # Panics
    /// When the input holds floats, or has another number of axes.
    pub fn indices<const D: usize>(&self, index: usize) -> Tensor<D, Int> {
        let (Leaf::Indices(leaf), shape) = &self.0[index] else { panic!("input {index} is not of indices") };
        leaf.clone().reshape(ranked::<D>(shape))
    }
}

fn ranked<const D: usize>(shape: &[usize]) -> [usize; D] {
    shape.try_into().expect("the input's rank")
}

/// An op to measure.
pub struct Op {
    /// The op's name.
    pub name: &'static str,
    fills: Vec<Fill>,
    /// Additions and multiplications forward, and backward if there is a backward pass.
    flops: (f64, Option<f64>),
    /// Bytes forward and backward; inputs and outputs once each if absent.
    bytes: Option<(f64, f64)>,
    run: Run,
}

type Run = Box<dyn Fn(&Inputs) -> Outcome>;

/// The size of an op's output, and its backward pass.
struct Outcome {
    numbers: usize,
    backward: Box<dyn FnOnce()>,
}

/// One pass of an op, measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pass {
    /// Additions and multiplications, by formula.
    pub flops: f64,
    /// The least number of bytes read and written, by formula.
    pub bytes: f64,
    /// The median time.
    pub milliseconds: f64,
}

impl Pass {
    /// 10⁹ additions and multiplications a second.
    pub fn gflops(&self) -> f64 {
        self.flops / self.milliseconds / 1e6
    }

    /// 10⁹ bytes a second.
    pub fn gigabytes(&self) -> f64 {
        self.bytes / self.milliseconds / 1e6
    }

    /// Additions and multiplications a byte.
    pub fn intensity(&self) -> f64 {
        self.flops / self.bytes
    }
}

/// Both passes of an op.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The op's name.
    pub name: &'static str,
    /// The shapes of the op's inputs.
    pub shapes: String,
    /// The forward pass, without autodiff.
    pub forward: Pass,
    /// The backward pass alone, for the gradients of all inputs.
    pub backward: Option<Pass>,
}

impl Measured {
    /// The sum of both passes.
    pub fn whole(&self) -> Pass {
        let Pass { flops, bytes, milliseconds } = self.forward;
        match self.backward {
            None => self.forward,
            Some(back) => Pass {
                flops: flops + back.flops,
                bytes: bytes + back.bytes,
                milliseconds: milliseconds + back.milliseconds,
            },
        }
    }
}

impl Op {
    /// An op that does `flops` additions and multiplications forward, and twice as many backward.
    pub fn new<const D: usize>(
        name: &'static str,
        fills: impl Into<Vec<Fill>>,
        flops: f64,
        run: impl Fn(&Inputs) -> Tensor<D> + 'static,
    ) -> Self {
        let run = move |inputs: &Inputs| {
            let output = run(inputs);
            Outcome {
                numbers: output.shape().num_elements(),
                backward: Box::new(move || drop(output.backward())),
            }
        };
        Op { name, fills: fills.into(), flops: (flops, Some(2.0 * flops)), bytes: None, run: Box::new(run) }
    }

    /// The same op with another number of additions and multiplications backward.
    pub fn backward_flops(mut self, flops: f64) -> Self {
        self.flops.1 = Some(flops);
        self
    }

    /// The same op without a backward pass, such as an optimizer.
    pub fn forward_only(mut self) -> Self {
        self.flops.1 = None;
        self
    }

    /// The same op with the bytes of each pass, if it touches only some of its inputs.
    pub fn bytes(mut self, forward: f64, backward: f64) -> Self {
        self.bytes = Some((forward, backward));
        self
    }

    /// The shapes of the op's inputs.
    pub fn shapes(&self) -> String {
        let shape = |fill: &Fill| {
            let sizes: Vec<String> = fill.shape().iter().map(ToString::to_string).collect();
            sizes.join("x")
        };
        self.fills.iter().map(shape).collect::<Vec<_>>().join(" ")
    }

    /// Times both passes on a device without autodiff.
    pub fn measure(&self, device: &Device) -> Measured {
        let inputs = Inputs::new(&self.fills, device);
        let mut numbers = 0;
        let forward = time(|| {
            let start = Instant::now();
            let outcome = (self.run)(&inputs);
            let taken = start.elapsed();
            numbers = outcome.numbers;
            taken
        });
        let backward = self.flops.1.map(|flops| {
            let inputs = Inputs::new(&self.fills, &device.clone().autodiff());
            let milliseconds = time(|| {
                let outcome = (self.run)(&inputs);
                let start = Instant::now();
                (outcome.backward)();
                start.elapsed()
            });
            (flops, milliseconds)
        });
        let bytes = self.bytes.unwrap_or_else(|| self.traffic(numbers));
        Measured {
            name: self.name,
            shapes: self.shapes(),
            forward: Pass { flops: self.flops.0, bytes: bytes.0, milliseconds: forward },
            backward: backward.map(|(flops, milliseconds)| Pass { flops, bytes: bytes.1, milliseconds }),
        }
    }

    /// The least bytes of each pass. Forward reads each input and writes the output. Backward reads each
    /// input and the output's gradient, and writes the gradient of each input of floats.
    fn traffic(&self, output: usize) -> (f64, f64) {
        let count = |fill: &Fill| fill.shape().iter().product::<usize>() as f64;
        let floats = |fill: &&Fill| matches!(fill, Fill::Floats(_));
        let tracked: f64 = self.fills.iter().filter(floats).map(count).sum();
        let all: f64 = self.fills.iter().map(count).sum();
        (4.0 * (all + output as f64), 4.0 * (all + output as f64 + tracked))
    }
}

/// The median milliseconds of `work`, which returns its own duration.
pub(crate) fn time(mut work: impl FnMut() -> Duration) -> f64 {
    for _ in 0..WARM_UP {
        work();
    }
    let began = Instant::now();
    let mut times = Vec::new();
    while times.len() < LEAST || began.elapsed() < ENOUGH {
        times.push(work().as_secs_f64() * 1e3);
    }
    median(&times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_passes_are_counted_and_run() {
        let op = Op::new("product", [floats([4, 3]), floats([3, 5])], 120.0, |x| {
            x.floats::<2>(0).matmul(x.floats(1))
        });
        let measured = op.measure(&Device::flex());
        assert_eq!(measured.shapes, "4x3 3x5");
        assert_eq!((measured.forward.flops, measured.forward.bytes), (120.0, 4.0 * (12.0 + 15.0 + 20.0)));
        let backward = measured.backward.unwrap();
        assert_eq!((backward.flops, backward.bytes), (240.0, 4.0 * (2.0 * 27.0 + 20.0)));
        assert_eq!(measured.whole().flops, 360.0);
    }

    #[test]
    fn indices_are_read_and_have_no_gradient() {
        let op = Op::new("choose", [floats([9, 2]), indices([6], 9)], 1.0, |x| {
            x.floats::<2>(0).select(0, x.indices(1))
        });
        let measured = op.measure(&Device::flex());
        assert_eq!(measured.forward.bytes, 4.0 * (18.0 + 6.0 + 12.0));
        assert_eq!(measured.backward.unwrap().bytes, 4.0 * (18.0 + 6.0 + 12.0 + 18.0));
        let op = op.forward_only().bytes(8.0, 0.0);
        let measured = op.measure(&Device::flex());
        assert_eq!((measured.forward.bytes, measured.backward), (8.0, None));
    }

    #[test]
    fn rates_of_known_figures() {
        let pass = Pass { flops: 4e9, bytes: 2e9, milliseconds: 500.0 };
        assert_eq!((pass.gflops(), pass.gigabytes(), pass.intensity()), (8.0, 4.0, 2.0));
    }
}
