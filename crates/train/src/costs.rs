//! The costs of training, told after the first forward pass, and its pace, told after the first steps.

use crate::Parameter;
use burn::tensor::Device;
use std::fmt;
use std::time::{Duration, Instant};

/// The costs of one step, known after its first forward pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Costs {
    /// Numbers that are weights, running statistics left out.
    pub parameters: usize,
    /// The weights that are not frozen.
    pub trained: usize,
    /// Multiply-adds of a sample's forward pass, as [`bonfire_kernels::multiply_adds`] counts them.
    pub multiply_adds: u64,
    /// Bytes that the first forward pass left behind for its backward pass: the device's allocator holds them
    /// after it and did not before. A tensor that an op kept is counted once, and tensors that share memory
    /// are counted as one. Weights, the batch, gradients, the optimizer's state and the scratch memory of ops
    /// are not counted. On a GPU, buffers that the driver of the backend allocates at its first ops are. None
    /// where the allocator does not tell: on a CPU, an allocator other than
    /// [`Recycling`](bonfire_kernels::memory::Recycling).
    pub activation_bytes: Option<u64>,
    /// Samples of that forward pass.
    pub samples: u64,
}

impl Costs {
    pub(crate) fn new(
        table: &[Parameter],
        samples: u64,
        multiply_adds: u64,
        activation_bytes: Option<u64>,
    ) -> Self {
        let weights = || table.iter().filter(|parameter| !parameter.is_statistic());
        Costs {
            parameters: weights().map(Parameter::numbers).sum(),
            trained: weights().filter(|parameter| parameter.trained).map(Parameter::numbers).sum(),
            multiply_adds: multiply_adds / samples.max(1),
            activation_bytes,
            samples,
        }
    }
}

impl fmt::Display for Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Costs { parameters, trained, multiply_adds, samples, .. } = self;
        write!(
            f,
            "{parameters} parameters, {trained} trained; {} multiply-adds a sample",
            abbreviated(*multiply_adds)
        )?;
        match self.activation_bytes {
            Some(bytes) => write!(f, "; {} of activations for {samples} samples", in_bytes(bytes)),
            None => Ok(()),
        }
    }
}

/// The time of an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Seconds that the steps of an epoch are estimated to take, reading the data included, evaluation and
    /// checkpoints not. Pictures that grow from epoch to epoch take longer later.
    pub epoch_seconds: f64,
    /// Steps that were measured.
    pub steps: u64,
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an epoch takes {}, estimated from {} steps", in_time(self.epoch_seconds), self.steps)
    }
}

/// The outcome of `run`, and the growth of the device's allocator over it, in bytes.
pub(crate) fn measured<T>(device: &Device, run: impl FnOnce() -> T) -> (T, Option<u64>) {
    let in_use = || {
        // Queued work has not asked for its memory yet.
        device.sync().ok()?;
        device.memory_pool_usage().map(|usage| usage.bytes_in_use)
    };
    let before = in_use();
    let (outcome, growth) = bonfire_kernels::memory::growth(run);
    let bytes = match before {
        Some(before) => in_use().map(|after| after.saturating_sub(before)),
        None => growth.map(|bytes| bytes.max(0).unsigned_abs()),
    };
    (outcome, bytes)
}

/// Times the first steps of a process.
pub(crate) struct Stopwatch {
    /// Samples of an epoch.
    epoch: u64,
    begun: Option<Instant>,
    spent: Duration,
    steps: u64,
    /// Samples after the first step, which is left out: it draws memory, and tunes kernels on a GPU.
    first: u64,
    done: bool,
}

impl Stopwatch {
    /// The most steps that are measured, the first left out.
    const MOST: u64 = 9;
    /// The fewest, where they are slow.
    const FEWEST: u64 = 2;
    /// The time of these steps, all together, above which they are slow.
    const PATIENCE: Duration = Duration::from_secs(5);

    /// A stopwatch of a run whose epochs have this many samples.
    pub(crate) fn new(epoch: u64) -> Self {
        let (begun, spent) = (None, Duration::ZERO);
        Stopwatch { epoch, begun, spent, steps: 0, first: 0, done: false }
    }

    /// Begins a step.
    pub(crate) fn start(&mut self) {
        self.begun = (!self.done).then(Instant::now);
    }

    /// Ends a step, after which `samples` are done in all; the pace where enough is measured. `settle` waits
    /// for the device where it computes on its own.
    pub(crate) fn stop(&mut self, samples: u64, settle: impl FnOnce()) -> Option<Pace> {
        let begun = self.begun.take()?;
        if self.first == 0 {
            settle();
            self.first = samples;
            return None;
        }
        self.steps += 1;
        self.spent += begun.elapsed();
        let slow = self.steps >= Self::FEWEST && self.spent >= Self::PATIENCE;
        if self.steps < Self::MOST && !slow {
            return None;
        }
        let begun = Instant::now();
        settle();
        self.spent += begun.elapsed();
        self.done = true;
        let seconds = self.spent.as_secs_f64() / samples.saturating_sub(self.first).max(1) as f64;
        Some(Pace { epoch_seconds: seconds * self.epoch as f64, steps: self.steps })
    }

    /// Measures no more: an epoch has been seen.
    pub(crate) fn give_up(&mut self) {
        self.done = true;
    }
}

/// `1.81 G`: a count in thousands, millions or thousands of millions, with three digits at least.
pub fn abbreviated(number: u64) -> String {
    let (unit, name) = match number {
        0..1_000 => return number.to_string(),
        1_000..1_000_000 => (1e3, "k"),
        1_000_000..1_000_000_000 => (1e6, "M"),
        _ => (1e9, "G"),
    };
    format!("{:.2} {name}", number as f64 / unit)
}

/// `12.3 MiB`
fn in_bytes(bytes: u64) -> String {
    match bytes as f64 / 1024.0 {
        kibi if kibi < 1024.0 => format!("{kibi:.1} KiB"),
        kibi if kibi < 1024.0 * 1024.0 => format!("{:.1} MiB", kibi / 1024.0),
        kibi => format!("{:.2} GiB", kibi / (1024.0 * 1024.0)),
    }
}

/// `0.84 s`, `3 min 20 s`, `5 h 12 min`
fn in_time(seconds: f64) -> String {
    match seconds.round() as u64 {
        0..10 => format!("{seconds:.2} s"),
        whole @ 10..60 => format!("{whole} s"),
        whole @ 60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        whole => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_told_in_a_line() {
        let tensor = |path: &str, trained| {
            let (path, id) = (path.to_string(), burn::module::ParamId::from(1));
            Parameter { path, id, shape: vec![10, 3], trained }
        };
        let table = [tensor("a.weight", true), tensor("b.weight", false), tensor("norm.running_mean", false)];
        let told = |bytes| Costs::new(&table, 8, 8 * 61_470, bytes).to_string();
        let line = "60 parameters, 30 trained; 61.47 k multiply-adds a sample";
        assert_eq!(told(None), line);
        assert_eq!(told(Some(3 << 20)), format!("{line}; 3.0 MiB of activations for 8 samples"));
    }

    #[test]
    fn units_fit_their_numbers() {
        let counts = [999, 61_470, 300_774_272, 1_814_073_344].map(abbreviated);
        assert_eq!(counts, ["999", "61.47 k", "300.77 M", "1.81 G"]);
        assert_eq!([100, 3 << 19, 5 << 29].map(in_bytes), ["0.1 KiB", "1.5 MiB", "2.50 GiB"]);
        let times = [0.456, 12.3, 200.4, 18_730.0].map(in_time);
        assert_eq!(times, ["0.46 s", "12 s", "3 min 20 s", "5 h 12 min"]);
    }

    #[test]
    fn the_pace_leaves_the_first_step_out_and_is_told_once() {
        let mut stopwatch = Stopwatch::new(1000);
        let mut paces = Vec::new();
        for step in 1..30 {
            stopwatch.start();
            if step == 1 {
                std::thread::sleep(Duration::from_millis(200));
            }
            paces.extend(stopwatch.stop(4 * step, || ()));
        }
        assert_eq!((paces.len(), paces[0].steps), (1, Stopwatch::MOST));
        // 200 ms for 40 samples would be 5 s.
        assert!(paces[0].epoch_seconds < 1.0, "{:?}", paces[0]);
        stopwatch = Stopwatch::new(1000);
        stopwatch.give_up();
        stopwatch.start();
        assert_eq!(stopwatch.stop(4, || ()), None);
    }
}
