//! Figures from outputs and targets, exact over any number of batches, on the host in f64.
//!
//! | output | figures |
//! |---|---|
//! | logits | loss (nats), accuracy (top-1), top-k accuracy, AUROC, F1, expected calibration error; confusion matrix |
//! | values | MSE (standardised unit), MAE, RMSE (the target's own unit), R2 |
//! | token logits | loss (nats a token), perplexity, bits per character |
//! | reconstruction | mean squared error over all elements |
//!
//! `loss` is the plain cross-entropy, without weights or smoothing. Of values and reconstructions no
//! figure has that name, as the loss that is trained may be another.

use crate::calibration::Calibration;
use crate::classes::Classes;
use crate::worst::{Worst, WorstSamples};
use crate::{ClassFigures, TrainError};
use bonfire_contract::{Metric, Output, Target};
use burn::tensor::{DType, Int, Tensor, activation::log_softmax};
use serde::{Deserialize, Serialize};

/// The standardisation of one predicted value: `original = standardised * std + mean`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValueScale {
    /// The target column's mean, in its own unit.
    pub mean: f64,
    /// The target column's standard deviation, in its own unit.
    pub std: f64,
}

/// What the figures need to know of the task.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricConfig {
    /// The `k` of top-k accuracy, reported when there are more classes than that.
    pub top_k: usize,
    /// How each predicted value was standardised; where it is missing, mean 0 and deviation 1.
    pub values: Vec<ValueScale>,
    /// How many characters a token stands for on average: 1 for characters and bytes. Bits per
    /// character are reported when it is known.
    pub characters_per_token: Option<f64>,
    /// How many samples of the highest loss are kept, where there are classes.
    pub worst: usize,
}

impl Default for MetricConfig {
    fn default() -> Self {
        MetricConfig { top_k: 5, values: Vec::new(), characters_per_token: Some(1.0), worst: 0 }
    }
}

/// The figures of one pass over a set.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The figures; the first is the loss, or what stands for it where the trained loss is another.
    pub metrics: Vec<Metric>,
    /// Of classes: row the true class, column the predicted one.
    pub confusion: Option<Vec<Vec<u64>>>,
    /// Of classes: how often the model is right, by how sure it is.
    pub calibration: Option<Calibration>,
    /// Of classes: the samples of the highest loss, the highest first.
    pub worst: Vec<Worst>,
    /// Samples evaluated.
    pub samples: u64,
}

impl Evaluation {
    /// The figures of each class; none where the target is not a class.
    pub fn per_class(&self) -> Vec<ClassFigures> {
        self.confusion.as_deref().map(ClassFigures::of).unwrap_or_default()
    }
}

/// Collects figures batch by batch.
pub struct Meter {
    config: MetricConfig,
    sums: Sums,
}

/// What a meter has taken in, which the ranks of a job send each other.
#[derive(Serialize, Deserialize)]
pub(crate) struct Sums {
    samples: u64,
    kind: Kind,
    worst: WorstSamples,
}

#[derive(Serialize, Deserialize)]
enum Kind {
    Nothing,
    Classes(Classes),
    Values(Vec<Column>),
    Tokens { nats: f64, tokens: u64 },
    Reconstruction { squares: f64, elements: u64 },
}

/// Running sums of one predicted value, in the standardised unit.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Column {
    count: f64,
    absolute: f64,
    squares: f64,
    /// Mean and sum of squared deviations of the target (Welford 1962).
    mean: f64,
    spread: f64,
}

impl Meter {
    /// A meter that has seen nothing.
    pub fn new(config: &MetricConfig) -> Self {
        let worst = WorstSamples::new(config.worst);
        Meter { config: config.clone(), sums: Sums { samples: 0, kind: Kind::Nothing, worst } }
    }

    /// Takes in a batch, whose samples follow those before.
    ///
    /// # Errors
    /// As [`add_samples`](Self::add_samples).
    pub fn add(&mut self, output: Output, target: Target) -> Result<(), TrainError> {
        self.add_samples(&[], output, target)
    }

    /// Takes in a batch; `samples` are the numbers of its samples in their set, those that follow the ones before
    /// where there are none.
    ///
    /// # Errors
    /// When the target is not of the output's kind or size, or a class is outside the logits.
    pub fn add_samples(&mut self, samples: &[u64], output: Output, target: Target) -> Result<(), TrainError> {
        match (output, target) {
            (Output::Logits(logits), Target::Classes(classes)) => self.add_classes(samples, logits, classes),
            (Output::Values(found), Target::Values(expected)) => self.add_values(found, expected),
            (Output::TokenLogits(logits), Target::NextTokens(next)) => self.add_tokens(logits, next),
            (Output::Reconstruction { output, input }, Target::Input) => {
                self.add_reconstruction(output, input)
            }
            (output, target) => Err(TrainError::mismatch(
                match output {
                    Output::Logits(_) => "classes",
                    Output::Values(_) => "values",
                    Output::TokenLogits(_) => "next tokens",
                    Output::Reconstruction { .. } => "the input",
                },
                match target {
                    Target::Classes(_) => "classes",
                    Target::Probabilities(_) => "probabilities of classes",
                    Target::Values(_) => "values",
                    Target::NextTokens(_) => "next tokens",
                    Target::Input => "the input",
                    Target::Absent => "none",
                },
            )),
        }
    }

    fn add_classes(
        &mut self,
        samples: &[u64],
        logits: Tensor<2>,
        classes: Tensor<1, Int>,
    ) -> Result<(), TrainError> {
        let [batch, width] = logits.dims();
        let labels = int_values(classes);
        if labels.len() != batch {
            return Err(TrainError::mismatch(format!("{batch} classes"), labels.len()));
        }
        let logits = float_values(logits);
        if matches!(self.sums.kind, Kind::Nothing) {
            self.sums.kind = Kind::Classes(Classes::new(width));
        }
        let Kind::Classes(sums) = &mut self.sums.kind else {
            return Err(TrainError::mismatch("outputs of one kind", "logits after another kind"));
        };
        for (at, (row, &label)) in logits.chunks_exact(width.max(1)).zip(&labels).enumerate() {
            let class = usize::try_from(label).ok().filter(|&class| class < width).ok_or_else(|| {
                TrainError::mismatch(format!("a class below {width}"), format!("class {label}"))
            })?;
            let answer = sums.add(row, class, self.config.top_k);
            let sample = samples.get(at).copied().unwrap_or(self.sums.samples + at as u64);
            self.sums.worst.add(sample, class, answer);
        }
        self.sums.samples += batch as u64;
        Ok(())
    }

    fn add_values(&mut self, found: Tensor<2>, expected: Tensor<2>) -> Result<(), TrainError> {
        let ([batch, width], shape) = (found.dims(), expected.dims());
        if shape != [batch, width] {
            return Err(TrainError::mismatch(format!("values [{batch}, {width}]"), format!("{shape:?}")));
        }
        let (found, expected) = (float_values(found), float_values(expected));
        if matches!(self.sums.kind, Kind::Nothing) {
            self.sums.kind = Kind::Values(vec![Column::default(); width]);
        }
        match &mut self.sums.kind {
            Kind::Values(columns) if columns.len() == width => {
                for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    columns[i % width].add(*found, *expected);
                }
            }
            _ => {
                return Err(TrainError::mismatch("outputs of one kind and width", format!("{width} values")));
            }
        }
        self.sums.samples += batch as u64;
        Ok(())
    }

    /// The logits of a large vocabulary stay on the device; one number a token comes to the host. A
    /// negative target stands for no token.
    fn add_tokens(&mut self, logits: Tensor<3>, next: Tensor<2, Int>) -> Result<(), TrainError> {
        let ([batch, length, vocabulary], shape) = (logits.dims(), next.dims());
        if shape != [batch, length] {
            return Err(TrainError::mismatch(
                format!("next tokens [{batch}, {length}]"),
                format!("{shape:?}"),
            ));
        }
        let targets = int_values(next.clone());
        if let Some(token) = targets.iter().find(|&&token| token >= vocabulary as i64) {
            return Err(TrainError::mismatch(
                format!("a token below {vocabulary}"),
                format!("token {token}"),
            ));
        }
        let indices = next.clamp_min(0).unsqueeze_dim::<3>(2); // [B, T, 1]
        let chosen = float_values(log_softmax(logits, 2).gather(2, indices)); // [B, T, 1]
        if matches!(self.sums.kind, Kind::Nothing) {
            self.sums.kind = Kind::Tokens { nats: 0.0, tokens: 0 };
        }
        let Kind::Tokens { nats, tokens } = &mut self.sums.kind else {
            return Err(TrainError::mismatch("outputs of one kind", "token logits after another kind"));
        };
        for (chosen, _) in chosen.iter().zip(&targets).filter(|(_, target)| **target >= 0) {
            *nats -= chosen;
            *tokens += 1;
        }
        self.sums.samples += batch as u64;
        Ok(())
    }

    fn add_reconstruction(&mut self, output: Tensor<2>, input: Tensor<2>) -> Result<(), TrainError> {
        let ([batch, width], shape) = (output.dims(), input.dims());
        if shape != [batch, width] {
            return Err(TrainError::mismatch(format!("an input [{batch}, {width}]"), format!("{shape:?}")));
        }
        let difference = output - input;
        let rows = float_values((difference.clone() * difference).sum_dim(1)); // [B, 1]
        if matches!(self.sums.kind, Kind::Nothing) {
            self.sums.kind = Kind::Reconstruction { squares: 0.0, elements: 0 };
        }
        let Kind::Reconstruction { squares, elements } = &mut self.sums.kind else {
            return Err(TrainError::mismatch("outputs of one kind", "a reconstruction after another kind"));
        };
        *squares += rows.iter().sum::<f64>();
        *elements += (batch * width) as u64;
        self.sums.samples += batch as u64;
        Ok(())
    }

    /// What was taken in so far, by one of several meters that have taken in `all` samples together.
    pub(crate) fn sums(&mut self, all: u64) -> &Sums {
        if let Kind::Classes(sums) = &mut self.sums.kind {
            sums.forget_scores_of_too_many(all);
        }
        &self.sums
    }

    /// Samples taken in so far.
    pub(crate) fn samples(&self) -> u64 {
        self.sums.samples
    }

    /// Takes in what another meter did, whose samples follow this one's.
    pub(crate) fn merge(&mut self, other: Sums) -> Result<(), TrainError> {
        self.sums.samples += other.samples;
        self.sums.worst.merge(other.worst);
        match (&mut self.sums.kind, other.kind) {
            (_, Kind::Nothing) => {}
            (kind @ Kind::Nothing, other) => *kind = other,
            (Kind::Classes(sums), Kind::Classes(other)) if sums.classes == other.classes => sums.merge(other),
            (Kind::Values(columns), Kind::Values(others)) if columns.len() == others.len() => {
                columns.iter_mut().zip(others).for_each(|(column, other)| column.merge(other));
            }
            (Kind::Tokens { nats, tokens }, Kind::Tokens { nats: more_nats, tokens: more }) => {
                *nats += more_nats;
                *tokens += more;
            }
            (
                Kind::Reconstruction { squares, elements },
                Kind::Reconstruction { squares: more_squares, elements: more },
            ) => {
                *squares += more_squares;
                *elements += more;
            }
            _ => return Err(TrainError::mismatch("outputs of one kind and width", "others on another rank")),
        }
        Ok(())
    }

    /// Refuses a monitored figure that [`Meter::finish`] can never give after what was taken in. The
    /// AUROC is granted: a set without one of two classes has none, which only its end shows.
    pub(crate) fn check_monitor(&self, monitor: &str) -> Result<(), TrainError> {
        let mut names: Vec<String> = self.figures().into_iter().map(|metric| metric.name).collect();
        let scored = matches!(&self.sums.kind, Kind::Classes(sums) if sums.classes > 1);
        if scored && !names.iter().any(|name| name == "auroc") {
            names.push("auroc".into());
        }
        if names.is_empty() || names.iter().any(|name| name == monitor) {
            return Ok(());
        }
        Err(TrainError::config("train.monitor", format!("one of {}", names.join(", ")), monitor))
    }

    /// The figures of everything taken in.
    pub fn finish(self) -> Evaluation {
        let (confusion, calibration) = match &self.sums.kind {
            Kind::Classes(sums) => (Some(sums.confusion()), Some(sums.calibration.clone())),
            _ => (None, None),
        };
        let metrics = self.figures();
        Evaluation {
            metrics,
            confusion,
            calibration,
            worst: self.sums.worst.sorted(),
            samples: self.sums.samples,
        }
    }

    fn figures(&self) -> Vec<Metric> {
        match &self.sums.kind {
            Kind::Nothing => Vec::new(),
            Kind::Classes(sums) => sums.figures(self.config.top_k),
            Kind::Values(columns) => finish_values(columns, &self.config.values),
            Kind::Tokens { nats, tokens } => {
                let nats = nats / *tokens as f64;
                let mut metrics = vec![Metric::lower("loss", nats), Metric::lower("perplexity", nats.exp())];
                metrics.extend(self.config.characters_per_token.map(|characters| {
                    Metric::lower("bits_per_character", nats / std::f64::consts::LN_2 / characters)
                }));
                metrics
            }
            Kind::Reconstruction { squares, elements } => {
                vec![Metric::lower("reconstruction_error", squares / *elements as f64)]
            }
        }
    }
}

impl Column {
    fn add(&mut self, found: f64, expected: f64) {
        let error = found - expected;
        self.count += 1.0;
        self.absolute += error.abs();
        self.squares += error * error;
        let off = expected - self.mean;
        self.mean += off / self.count;
        self.spread += off * (expected - self.mean);
    }

    /// Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979.
    fn merge(&mut self, other: Column) {
        if other.count == 0.0 {
            return;
        }
        let count = self.count + other.count;
        let apart = other.mean - self.mean;
        self.spread += other.spread + apart * apart * self.count * other.count / count;
        self.mean += apart * other.count / count;
        self.count = count;
        self.absolute += other.absolute;
        self.squares += other.squares;
    }
}

/// MSE in the standardised unit; MAE and RMSE over all values, each in its own unit; R2 is the mean over values.
fn finish_values(columns: &[Column], scales: &[ValueScale]) -> Vec<Metric> {
    let (mut count, mut standardised, mut absolute, mut squares, mut explained) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (i, column) in columns.iter().enumerate() {
        let std = scales.get(i).map_or(1.0, |scale| scale.std);
        count += column.count;
        standardised += column.squares;
        absolute += column.absolute * std;
        squares += column.squares * std * std;
        explained += 1.0 - column.squares / column.spread;
    }
    vec![
        Metric::lower("mse", standardised / count),
        Metric::lower("mae", absolute / count),
        Metric::lower("rmse", (squares / count).sqrt()),
        Metric::higher("r2", explained / columns.len() as f64),
    ]
}

fn float_values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data_dtype(DType::F64).as_slice::<f64>().expect("the type asked for").to_vec()
}

fn int_values<const D: usize>(tensor: Tensor<D, Int>) -> Vec<i64> {
    tensor.into_data_dtype(DType::I64).as_slice::<i64>().expect("the type asked for").to_vec()
}

#[cfg(test)]
mod tests;
