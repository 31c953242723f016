//! The recipe's sections `[train]` and `[checkpoint]`, and the settings of all sections together.

mod batch_size;

pub use batch_size::BatchSize;

use crate::check::{above_zero, check, positive};
use crate::{LayerRates, OptimizerConfig, ScheduleConfig, TrainError};
use bonfire_cluster::Wire;
use serde::{Deserialize, Serialize};

/// The recipe's section `[train]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Passes over the training set. Where neither this nor `steps` is set: 10, and 1 for least squares.
    pub epochs: Option<u64>,
    /// Optimizer steps, instead of `epochs`.
    pub steps: Option<u64>,
    /// Samples whose mean gradient makes one step: `"full"` (batch gradient descent), 1
    /// (stochastic), or any number between (mini-batch). Of all ranks together, where there are several.
    pub batch_size: BatchSize,
    /// Batches whose mean gradient makes one step.
    pub accumulate: u64,
    /// The most samples on a device at once: a larger batch is computed in pieces and its
    /// gradient accumulated, which is the same mean in less memory.
    pub piece_size: usize,
    /// Leave out an epoch's last step when it would have fewer samples than the others.
    pub drop_last: bool,
    /// Steps between evaluations; each epoch's end when absent. The end of training always has one.
    pub evaluate_every: Option<u64>,
    /// Samples evaluated at once.
    pub evaluate_batch_size: usize,
    /// The largest norm of the whole gradient; a longer one is scaled down to it.
    pub clip_norm: Option<f64>,
    /// The largest magnitude of each element of the gradient; applied before `clip_norm`.
    pub clip_value: Option<f64>,
    /// Decay of an exponential moving average of the weights, which is evaluated and saved in their place; no
    /// average when absent.
    pub average: Option<f64>,
    /// Weight decay also pulls parameters of one dimension: biases, scales of norms.
    pub decay_biases_and_norms: bool,
    /// Evaluations without improvement of the monitored metric after which training stops.
    pub early_stopping: Option<u64>,
    /// The weights that training ends with.
    pub select: Select,
    /// The metric that says which evaluation is best; the first when absent (`loss` of
    /// classes and tokens, `mse` of values).
    pub monitor: Option<String>,
    /// The `k` of top-k accuracy, reported when there are more classes than that.
    pub top_k: usize,
    /// Steps between training records.
    pub report_every: u64,
    /// The numbers that forward and backward passes compute with.
    pub precision: Precision,
    /// The blocks of a deep model keep their inputs alone, and compute their inner values again in the
    /// backward pass: less memory, about one more forward pass a step.
    pub gradient_checkpointing: bool,
    /// The way the weights are found.
    pub solver: Solver,
    /// With `solver = "least_squares"`: the penalty on the squared weights, all but the constant's, beside
    /// the mean squared error (Hoerl and Kennard 1970).
    pub ridge: f64,
    /// The scaling of the optimizer's learning rate, which is meant for batches of `learning_rate_batch`
    /// samples, to `batch_size * accumulate`.
    pub scale_learning_rate: RateScaling,
    /// The samples a step that the learning rate is meant for, where it is scaled.
    pub learning_rate_batch: u64,
    /// Batch norm measures the whole batch where several ranks train together; otherwise each rank measures
    /// its own part. CPUs only.
    pub sync_batch_norm: bool,
    /// The numbers in which the ranks of a job exchange gradients: `bf16` takes half the bytes, and rounds
    /// twice.
    pub exchange: Precision,
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            epochs: None,
            steps: None,
            batch_size: BatchSize::Samples(64),
            accumulate: 1,
            piece_size: 1024,
            drop_last: false,
            evaluate_every: None,
            evaluate_batch_size: 256,
            clip_norm: None,
            clip_value: None,
            average: None,
            decay_biases_and_norms: false,
            early_stopping: None,
            select: Select::Last,
            monitor: None,
            top_k: 5,
            report_every: 10,
            precision: Precision::Fp32,
            gradient_checkpointing: false,
            solver: Solver::Gradient,
            ridge: 0.0,
            scale_learning_rate: RateScaling::None,
            learning_rate_batch: 256,
            sync_batch_norm: false,
            exchange: Precision::Fp32,
        }
    }
}

/// The numbers that forward and backward passes compute with. Weights, the optimizer's state and evaluation
/// are f32 in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits.
    Fp32,
    /// Brain floating point, f32 with its last 16 bits cut off: half the memory, and faster on GPUs that have
    /// it. Norms, the softmax of attention and losses stay f32, and nothing is scaled, as bf16 has the range
    /// of f32.
    Bf16,
}

/// The way weights are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Solver {
    /// Step by step down the gradient, by the optimizer.
    Gradient,
    /// One pass over the data and one step, for a linear regression of the squared error: the sums of the
    /// normal equations are gathered from all samples, whatever `batch_size` says, and solved. No optimizer
    /// takes part.
    LeastSquares,
}

/// The way a learning rate follows the samples of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateScaling {
    /// It does not.
    None,
    /// In proportion (Goyal et al., "Accurate, Large Minibatch SGD", 2017): for SGD, with a warm-up.
    Linear,
    /// By the square root (Krizhevsky 2014; Malladi et al. 2022): for Adam and its kin.
    Sqrt,
}

impl TrainConfig {
    /// The passes over the training set where neither `epochs` nor `steps` is set.
    pub fn default_epochs(&self) -> u64 {
        match self.solver {
            Solver::Gradient => 10,
            Solver::LeastSquares => 1,
        }
    }

    /// The samples of a batch: all of them for least squares.
    pub(crate) fn batch(&self) -> BatchSize {
        match self.solver {
            Solver::Gradient => self.batch_size,
            Solver::LeastSquares => BatchSize::Full,
        }
    }

    /// The factor on the optimizer's learning rate for steps of so many samples.
    pub(crate) fn rate_factor(&self, step: u64) -> f64 {
        let times = step as f64 / self.learning_rate_batch as f64;
        match self.scale_learning_rate {
            RateScaling::None => 1.0,
            RateScaling::Linear => times,
            RateScaling::Sqrt => times.sqrt(),
        }
    }

    /// The numbers in which gradients cross the network.
    pub(crate) fn wire(&self) -> Wire {
        match self.exchange {
            Precision::Fp32 => Wire::F32,
            Precision::Bf16 => Wire::Bf16,
        }
    }
}

/// The weights that training ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Select {
    /// The weights after the last step.
    Last,
    /// The weights of the best evaluation.
    Best,
}

/// The recipe's section `[checkpoint]`. Training also saves at its end, at an interruption, and at
/// each evaluation that is the best so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Steps between checkpoints.
    pub every_steps: Option<u64>,
    /// Minutes between checkpoints.
    pub every_minutes: Option<f64>,
    /// Epochs between checkpoints; 1 when none of the three is set.
    pub every_epochs: Option<u64>,
    /// The number of newest checkpoints that are kept. The checkpoint of the best evaluation is kept besides.
    pub keep: usize,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        CheckpointConfig { every_steps: None, every_minutes: None, every_epochs: None, keep: 2 }
    }
}

impl CheckpointConfig {
    /// Epochs between checkpoints, with the default resolved; 0 for never.
    pub(crate) fn epochs(&self) -> u64 {
        match (self.every_epochs, self.every_steps, self.every_minutes) {
            (Some(epochs), _, _) => epochs,
            (None, None, None) => 1,
            _ => 0,
        }
    }
}

/// Everything that decides a training run, but for the model and the data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FitConfig {
    /// `[train]`
    pub train: TrainConfig,
    /// `[optimizer]`
    pub optimizer: OptimizerConfig,
    /// `[schedule]`
    pub schedule: ScheduleConfig,
    /// `[checkpoint]`
    pub checkpoint: CheckpointConfig,
    /// `[finetune]`: learning rates of single layers.
    pub layers: LayerRates,
    /// Seeds dropout and sampling within the model.
    pub seed: u64,
}

/// The end of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Epochs(u64),
    Steps(u64),
}

impl FitConfig {
    /// Refuses values that no run can have.
    ///
    /// # Errors
    /// Names the recipe's key, its possible values, and the value found.
    pub fn check(&self) -> Result<(), TrainError> {
        let train = &self.train;
        if let (Some(epochs), Some(steps)) = (train.epochs, train.steps) {
            let found = format!("epochs = {epochs} and steps = {steps}");
            return Err(TrainError::config("train.epochs", "either epochs or steps", found));
        }
        positive("train.epochs", train.epochs)?;
        positive("train.steps", train.steps)?;
        if train.batch_size == BatchSize::Samples(0) {
            return Err(TrainError::config("train.batch_size", "\"full\" or a whole number from 1 on", 0));
        }
        positive("train.accumulate", Some(train.accumulate))?;
        if train.batch_size == BatchSize::Full && train.accumulate != 1 {
            let expected = "1 where batch_size is \"full\"";
            return Err(TrainError::config("train.accumulate", expected, train.accumulate));
        }
        positive("train.piece_size", Some(train.piece_size as u64))?;
        positive("train.evaluate_every", train.evaluate_every)?;
        positive("train.evaluate_batch_size", Some(train.evaluate_batch_size as u64))?;
        positive("train.early_stopping", train.early_stopping)?;
        positive("train.top_k", Some(train.top_k as u64))?;
        positive("train.report_every", Some(train.report_every))?;
        check(
            "train.ridge",
            "a number from 0 on",
            train.ridge,
            train.ridge >= 0.0 && train.ridge.is_finite(),
        )?;
        if train.solver == Solver::LeastSquares {
            let passes = train.steps.or(train.epochs).unwrap_or(train.default_epochs());
            check("train.epochs", "1 or none, as least squares take one pass", passes, passes == 1)?;
            let plain = train.average.is_none() && !train.drop_last;
            check(
                "train.solver",
                "\"gradient\" with train.average or train.drop_last",
                "\"least_squares\"",
                plain,
            )?;
        }
        positive("train.learning_rate_batch", Some(train.learning_rate_batch))?;
        above_zero("train.clip_norm", train.clip_norm)?;
        above_zero("train.clip_value", train.clip_value)?;
        if let Some(average) = train.average {
            check("train.average", "a decay from 0 to below 1", average, (0.0..1.0).contains(&average))?;
        }
        positive("checkpoint.every_steps", self.checkpoint.every_steps)?;
        positive("checkpoint.every_epochs", self.checkpoint.every_epochs)?;
        above_zero("checkpoint.every_minutes", self.checkpoint.every_minutes)?;
        positive("checkpoint.keep", Some(self.checkpoint.keep as u64))?;
        self.optimizer.check()?;
        self.layers.check()?;
        self.schedule.check()
    }

    /// The highest learning rate of steps of so many samples.
    pub(crate) fn peak_rate(&self, step_samples: u64) -> f64 {
        self.optimizer.learning_rate() * self.train.rate_factor(step_samples)
    }

    /// The end of training, with the default resolved.
    pub(crate) fn limit(&self) -> Limit {
        match (self.train.epochs, self.train.steps) {
            (_, Some(steps)) => Limit::Steps(steps),
            (Some(epochs), None) => Limit::Epochs(epochs),
            (None, None) => Limit::Epochs(self.train.default_epochs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_sizes_are_a_word_or_a_number() {
        let parse = |text: &str| toml::from_str::<TrainConfig>(text);
        assert_eq!(parse("batch_size = \"full\"").unwrap().batch_size, BatchSize::Full);
        assert_eq!(parse("batch_size = 12").unwrap().batch_size, BatchSize::Samples(12));
        for wrong in ["\"all\"", "-3", "1.5", "[1]"] {
            let error = parse(&format!("batch_size = {wrong}")).unwrap_err().to_string();
            assert!(error.contains("\"full\" or a whole number"), "{error}");
        }
        assert!(parse("batch_sise = 3").unwrap_err().to_string().contains("batch_sise"));
    }

    #[test]
    fn sections_survive_being_written_and_read() {
        let train = TrainConfig { steps: Some(5), batch_size: BatchSize::Full, ..TrainConfig::default() };
        let text = toml::to_string(&train).unwrap();
        assert_eq!(toml::from_str::<TrainConfig>(&text).unwrap(), train);
        let keys = serde_json::to_value(TrainConfig::default()).unwrap();
        assert!(keys.as_object().unwrap().contains_key("early_stopping"), "absent options are visible keys");
    }

    #[test]
    fn the_solver_decides_the_default_length() {
        let of = |solver| FitConfig {
            train: TrainConfig { solver, ..TrainConfig::default() },
            ..FitConfig::default()
        };
        assert_eq!(of(Solver::Gradient).limit(), Limit::Epochs(10));
        let least_squares = of(Solver::LeastSquares);
        least_squares.check().unwrap();
        assert_eq!(least_squares.limit(), Limit::Epochs(1));
        let mut filled_in = least_squares.clone();
        filled_in.train.epochs = Some(filled_in.train.default_epochs());
        filled_in.check().unwrap();
    }

    #[test]
    fn impossible_values_name_their_key() {
        type Break = fn(&mut FitConfig);
        let wrong: [(&str, Break); 10] = [
            ("train.epochs", |c| (c.train.epochs, c.train.steps) = (Some(1), Some(1))),
            ("train.steps", |c| c.train.steps = Some(0)),
            ("train.batch_size", |c| c.train.batch_size = BatchSize::Samples(0)),
            ("train.accumulate", |c| (c.train.batch_size, c.train.accumulate) = (BatchSize::Full, 2)),
            ("train.piece_size", |c| c.train.piece_size = 0),
            ("train.clip_norm", |c| c.train.clip_norm = Some(f64::NAN)),
            ("train.average", |c| c.train.average = Some(1.0)),
            ("checkpoint.keep", |c| c.checkpoint.keep = 0),
            ("checkpoint.every_minutes", |c| c.checkpoint.every_minutes = Some(0.0)),
            ("train.report_every", |c| c.train.report_every = 0),
        ];
        FitConfig::default().check().unwrap();
        for (key, break_it) in wrong {
            let mut config = FitConfig::default();
            break_it(&mut config);
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{key}: expected ")), "{error}");
        }
    }
}
