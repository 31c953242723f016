//! Figures from outputs and targets, exact over any number of batches, on the host in f64.
//!
//! | output | figures |
//! |---|---|
//! | logits | loss (nats), accuracy, top-k accuracy, AUROC, F1, ECE (calibration); confusion matrix |
//! | logits of several labels | loss (nats a label), exact match, AUROC, mean average precision, F1 |
//! | values | MSE, MAE, RMSE (in the target's own unit, MSE in its square), R2 |
//! | token logits | loss (nats a token), perplexity, bits per character |
//! | reconstruction | mean squared error over all elements |
//!
//! `loss` is the plain cross-entropy, without weights or smoothing. No figure of values and reconstructions
//! has that name, as the trained loss may be another.

mod calibration;
mod classes;
mod confusion;
mod labels;
mod ranking;
mod values;
mod views;
mod worst;

pub use calibration::{Bin, Calibration};
pub use classes::ClassFigures;
pub use confusion::Confusion;
pub use values::ValueScale;
pub use views::average_views;
pub use worst::Worst;

use crate::TrainError;
use bonfire_contract::{Metric, Output, Target};
use burn::tensor::{DType, Int, Tensor, activation::log_softmax};
use classes::Classes;
use labels::Labels;
use serde::{Deserialize, Serialize};
use values::Column;
use worst::WorstSamples;

/// The facts of the task that the figures need.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricConfig {
    /// The `k` of top-k accuracy, reported when there are more classes than that.
    pub top_k: usize,
    /// The standardisation of each predicted value; mean 0 and deviation 1 where it is missing.
    pub values: Vec<ValueScale>,
    /// The characters that a token stands for on average: 1 for characters and bytes. Bits per character are
    /// reported when it is known.
    pub characters_per_token: Option<f64>,
    /// The number of samples of the highest loss that are kept, where there are classes.
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
    /// The figures. The first is the loss, or the squared error where the trained loss may be another.
    pub metrics: Vec<Metric>,
    /// Confusions of classes.
    pub confusion: Option<Confusion>,
    /// Calibration of classes: how often the model is right, by how sure it is.
    pub calibration: Option<Calibration>,
    /// The samples of the highest loss among classes, the highest first.
    pub worst: Vec<Worst>,
    /// Samples evaluated.
    pub samples: u64,
    /// Samples that the model says numbers about that are not finite, where an evaluation within training met
    /// any. Then no figure is a number, and there is nothing beside them.
    pub not_finite: u64,
}

impl Evaluation {
    /// The figures of each class; none where the target is not a class.
    pub fn per_class(&self) -> Vec<ClassFigures> {
        self.confusion.as_ref().map(ClassFigures::of).unwrap_or_default()
    }
}

/// Collects figures batch by batch.
pub struct Meter {
    config: MetricConfig,
    sums: Sums,
    /// Batches so far, for messages.
    batches: u64,
    /// True where outputs that are not finite are counted, and no error.
    counting: bool,
}

/// The sums of a meter, which the ranks of a job send each other.
#[derive(Serialize, Deserialize)]
pub(crate) struct Sums {
    samples: u64,
    not_finite: u64,
    kind: Kind,
    worst: WorstSamples,
}

#[derive(Serialize, Deserialize)]
enum Kind {
    Nothing,
    Classes(Classes),
    Labels(Labels),
    Values(Vec<Column>),
    Tokens { nats: f64, tokens: u64 },
    Reconstruction { squares: f64, elements: u64 },
}

impl Meter {
    /// A meter that has seen nothing.
    pub fn new(config: &MetricConfig) -> Self {
        let worst = WorstSamples::new(config.worst);
        let sums = Sums { samples: 0, not_finite: 0, kind: Kind::Nothing, worst };
        Meter { config: config.clone(), sums, batches: 0, counting: false }
    }

    /// Counts outputs that are not finite in place of refusing them. One of them, and no figure is a number.
    pub(crate) fn counting_not_finite(mut self, counting: bool) -> Self {
        self.counting = counting;
        self
    }

    /// Takes in a batch, whose samples follow those before.
    ///
    /// # Errors
    /// As [`add_samples`](Self::add_samples).
    pub fn add(&mut self, output: Output, target: Target) -> Result<(), TrainError> {
        self.add_samples(&[], output, target)
    }

    /// Takes in a batch. `samples` are the numbers of its samples in their set; where it is empty, they
    /// follow the samples before.
    ///
    /// # Errors
    /// When the target is not of the output's kind or size, or a class is outside the logits; when a number
    /// is not finite, which is never the best answer nor the worst.
    pub fn add_samples(&mut self, samples: &[u64], output: Output, target: Target) -> Result<(), TrainError> {
        self.batches += 1;
        match (output, target) {
            (Output::Logits(logits), Target::Classes(classes)) => self.add_classes(samples, logits, classes),
            (Output::Logits(logits), Target::Probabilities(labels)) => {
                self.add_labels(samples, logits, labels)
            }
            (Output::Values(found), Target::Values(expected)) => self.add_values(samples, found, expected),
            (Output::TokenLogits(logits), Target::NextTokens(next)) => self.add_tokens(samples, logits, next),
            (Output::Reconstruction { output, input }, Target::Input) => {
                self.add_reconstruction(samples, output, input)
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

    /// The number of the sample in place `at` of a batch.
    fn number(&self, samples: &[u64], at: usize) -> u64 {
        samples.get(at).copied().unwrap_or(self.sums.samples + at as u64)
    }

    /// Refuses numbers, `width` of each sample of a batch, of which one is not finite.
    fn check_finite(
        &self,
        samples: &[u64],
        expected: &'static str,
        numbers: &[f64],
        width: usize,
    ) -> Result<(), TrainError> {
        let Some(at) = numbers.iter().position(|number| !number.is_finite()) else { return Ok(()) };
        let (sample, found) = (self.number(samples, at / width.max(1)), numbers[at].to_string());
        Err(TrainError::NotFinite { sample, batch: self.batches, expected, found })
    }

    /// As [`check_finite`](Self::check_finite), of what the model says. A meter that counts goes on, with
    /// zeros in place of all that it says about such a sample.
    fn check_output(
        &mut self,
        samples: &[u64],
        expected: &'static str,
        numbers: &mut [f64],
        width: usize,
    ) -> Result<(), TrainError> {
        if !self.counting {
            return self.check_finite(samples, expected, numbers, width);
        }
        for row in numbers.chunks_mut(width.max(1)) {
            if !row.iter().all(|number| number.is_finite()) {
                row.fill(0.0);
                self.sums.not_finite += 1;
            }
        }
        Ok(())
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
        let mut logits = float_values(logits);
        self.check_output(samples, "logits", &mut logits, width)?;
        let numbers: Vec<u64> = (0..batch).map(|at| self.number(samples, at)).collect();
        if matches!(self.sums.kind, Kind::Nothing) {
            self.sums.kind = Kind::Classes(Classes::new(width));
        }
        let Kind::Classes(sums) = &mut self.sums.kind else {
            return Err(TrainError::mismatch("outputs of one kind", "logits after another kind"));
        };
        for ((row, &label), sample) in logits.chunks_exact(width.max(1)).zip(&labels).zip(numbers) {
            let class = usize::try_from(label).ok().filter(|&class| class < width).ok_or_else(|| {
                TrainError::mismatch(format!("a class below {width}"), format!("class {label}"))
            })?;
            let answer = sums.add(row, class, self.config.top_k);
            self.sums.worst.add(sample, class, answer);
        }
        self.sums.samples += batch as u64;
        Ok(())
    }

    /// Labels of which a sample may have several: the target says 1 for each that it has, and 0.
    fn add_labels(
        &mut self,
        samples: &[u64],
        logits: Tensor<2>,
        labels: Tensor<2>,
    ) -> Result<(), TrainError> {
        let ([batch, width], shape) = (logits.dims(), labels.dims());
        if shape != [batch, width] {
            return Err(TrainError::mismatch(format!("labels [{batch}, {width}]"), format!("{shape:?}")));
        }
        let (mut logits, labels) = (float_values(logits), float_values(labels));
        self.check_output(samples, "logits", &mut logits, width)?;
        if let Some(share) = labels.iter().find(|label| **label != 0.0 && **label != 1.0) {
            return Err(TrainError::mismatch("labels, each 0 or 1", format!("{share} of a class")));
        }
        if matches!(self.sums.kind, Kind::Nothing) {
            self.sums.kind = Kind::Labels(Labels::new(width));
        }
        let Kind::Labels(sums) = &mut self.sums.kind else {
            return Err(TrainError::mismatch("outputs of one kind", "logits of labels after another kind"));
        };
        for (row, truth) in logits.chunks_exact(width.max(1)).zip(labels.chunks_exact(width.max(1))) {
            sums.add(row, truth);
        }
        self.sums.samples += batch as u64;
        Ok(())
    }

    fn add_values(
        &mut self,
        samples: &[u64],
        found: Tensor<2>,
        expected: Tensor<2>,
    ) -> Result<(), TrainError> {
        let ([batch, width], shape) = (found.dims(), expected.dims());
        if shape != [batch, width] {
            return Err(TrainError::mismatch(format!("values [{batch}, {width}]"), format!("{shape:?}")));
        }
        let (mut found, expected) = (float_values(found), float_values(expected));
        self.check_output(samples, "values", &mut found, width)?;
        self.check_finite(samples, "target values", &expected, width)?;
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
    fn add_tokens(
        &mut self,
        samples: &[u64],
        logits: Tensor<3>,
        next: Tensor<2, Int>,
    ) -> Result<(), TrainError> {
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
        let mut chosen = float_values(log_softmax(logits, 2).gather(2, indices)); // [B, T, 1]
        // What is said where there is no token does not count.
        chosen.iter_mut().zip(&targets).for_each(|(chosen, &target)| {
            if target < 0 {
                *chosen = 0.0;
            }
        });
        self.check_output(samples, "logits of tokens", &mut chosen, length)?;
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

    fn add_reconstruction(
        &mut self,
        samples: &[u64],
        output: Tensor<2>,
        input: Tensor<2>,
    ) -> Result<(), TrainError> {
        let ([batch, width], shape) = (output.dims(), input.dims());
        if shape != [batch, width] {
            return Err(TrainError::mismatch(format!("an input [{batch}, {width}]"), format!("{shape:?}")));
        }
        let difference = output - input;
        let mut rows = float_values((difference.clone() * difference).sum_dim(1)); // [B, 1]
        self.check_output(samples, "squared errors", &mut rows, 1)?;
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

    /// The sums so far, of one of several meters that have taken in `all` samples together.
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

    /// Adds the sums of another meter, whose samples follow this one's.
    pub(crate) fn merge(&mut self, other: Sums) -> Result<(), TrainError> {
        self.sums.samples += other.samples;
        self.sums.not_finite += other.not_finite;
        self.sums.worst.merge(other.worst);
        match (&mut self.sums.kind, other.kind) {
            (_, Kind::Nothing) => {}
            (kind @ Kind::Nothing, other) => *kind = other,
            (Kind::Classes(sums), Kind::Classes(other)) if sums.classes == other.classes => sums.merge(other),
            (Kind::Labels(sums), Kind::Labels(other)) if sums.labels == other.labels => sums.merge(other),
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

    /// Refuses a monitored figure that [`Meter::finish`] can never give after the samples so far. The AUROC
    /// is granted: a set without one of two classes has none, which only its end shows.
    pub(crate) fn check_monitor(&self, monitor: &str) -> Result<(), TrainError> {
        let mut names: Vec<String> = self.figures().into_iter().map(|metric| metric.name).collect();
        let scored = matches!(&self.sums.kind, Kind::Classes(sums) if sums.classes > 1);
        let of_labels = matches!(&self.sums.kind, Kind::Labels(_));
        let granted = [("auroc", scored || of_labels), ("mean_average_precision", of_labels)];
        for (name, _) in granted.into_iter().filter(|(_, granted)| *granted) {
            if !names.iter().any(|known| known == name) {
                names.push(name.into());
            }
        }
        if names.is_empty() || names.iter().any(|name| name == monitor) {
            return Ok(());
        }
        Err(TrainError::config("train.monitor", format!("one of {}", names.join(", ")), monitor))
    }

    /// The figures of everything taken in.
    pub fn finish(self) -> Evaluation {
        let (samples, not_finite) = (self.sums.samples, self.sums.not_finite);
        if not_finite > 0 {
            let no_number = |metric: Metric| Metric { value: f64::NAN, ..metric };
            let metrics = self.figures().into_iter().map(no_number).collect();
            let (confusion, calibration, worst) = (None, None, Vec::new());
            return Evaluation { metrics, confusion, calibration, worst, samples, not_finite };
        }
        let (confusion, calibration) = match &self.sums.kind {
            Kind::Classes(sums) => (Some(sums.confusion().clone()), Some(sums.calibration.clone())),
            _ => (None, None),
        };
        let metrics = self.figures();
        Evaluation { metrics, confusion, calibration, worst: self.sums.worst.sorted(), samples, not_finite }
    }

    fn figures(&self) -> Vec<Metric> {
        match &self.sums.kind {
            Kind::Nothing => Vec::new(),
            Kind::Classes(sums) => sums.figures(self.config.top_k),
            Kind::Labels(sums) => sums.figures(),
            Kind::Values(columns) => values::figures(columns, &self.config.values),
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

fn float_values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data_dtype(DType::F64).as_slice::<f64>().expect("the type asked for").to_vec()
}

fn int_values<const D: usize>(tensor: Tensor<D, Int>) -> Vec<i64> {
    tensor.into_data_dtype(DType::I64).as_slice::<i64>().expect("the type asked for").to_vec()
}

#[cfg(test)]
mod tests;
