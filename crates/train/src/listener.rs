//! The events of training; logs, progress bars and dashboards listen to them.

use crate::{Costs, Pace, Parameter};
use bonfire_contract::Metric;
use serde_json::{Map, Value};

/// A receiver of the events of training.
pub trait Listener {
    /// Called at each event, on the training thread: be quick.
    fn on(&mut self, event: &Event<'_>);
}

/// An event of training.
#[derive(Debug)]
pub enum Event<'a> {
    /// Training starts or continues.
    Started {
        /// The model's tensors; [`parameter_table`](crate::parameter_table) prints them.
        parameters: &'a [Parameter],
        /// Steps that are planned, the steps of an earlier process included.
        total_steps: u64,
        /// Steps that are done already.
        step: u64,
        /// The checkpoint that it continues from.
        resumed: Option<&'a str>,
    },
    /// The costs of a step are known: its first forward pass is done.
    Costs(&'a Costs),
    /// The time of an epoch can be estimated.
    Pace(&'a Pace),
    /// A step is done.
    Step(&'a Progress),
    /// A report: every `report_every` steps, at each evaluation, and at the test.
    Record(&'a LogRecord),
    /// A checkpoint is on the disk.
    Saved {
        /// Its name, such as `step-000001200`.
        checkpoint: &'a str,
    },
    /// Something is not as it should be, and training goes on.
    Warning(&'a str),
    /// Training is over.
    Finished(&'a Summary),
}

/// The position of training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Steps that are planned.
    pub total_steps: u64,
    /// The epoch that the next sample is of, from 0.
    pub epoch: u64,
    /// Samples trained on, all epochs together.
    pub samples: u64,
    /// Samples trained on by this process.
    pub samples_here: u64,
    /// The training loss of the last step whose loss was read.
    pub loss: f64,
    /// The share of the steps' time so far that this process has waited for training data.
    pub waited_share: f64,
    /// The share that it has waited for other ranks and the network between them; none in a job of one rank.
    pub exchange_share: Option<f64>,
}

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogRecord {
    /// `train`, `valid` or `test`.
    pub kind: String,
    /// Steps done.
    pub step: u64,
    /// Epochs done, a fraction within one.
    pub epoch: f64,
    /// Seconds of training, evaluation included, all processes of the run together.
    pub seconds: f64,
    /// Samples trained on, or samples evaluated.
    pub samples: u64,
    /// The step's learning rate, in records of training.
    pub learning_rate: Option<f64>,
    /// The figures.
    pub metrics: Vec<Metric>,
}

impl LogRecord {
    /// The record as a flat JSON object, each figure under its name; figures that are no number
    /// are null.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("kind".into(), self.kind.clone().into());
        object.insert("step".into(), self.step.into());
        object.insert("epoch".into(), self.epoch.into());
        object.insert("seconds".into(), ((self.seconds * 1000.0).round() / 1000.0).into());
        object.insert("samples".into(), self.samples.into());
        if let Some(rate) = self.learning_rate {
            object.insert("learning_rate".into(), rate.into());
        }
        for metric in &self.metrics {
            object.insert(metric.name.clone(), metric.value.into());
        }
        Value::Object(object)
    }
}

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Its epochs or steps are done.
    Finished,
    /// The monitored metric did not improve for as long as `train.early_stopping` says.
    EarlyStopped,
    /// A signal came; a checkpoint was saved, where there is a run folder.
    Interrupted(i32),
}

/// The result of training.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Steps done.
    pub steps: u64,
    /// Epochs done.
    pub epochs: u64,
    /// Samples trained on.
    pub samples: u64,
    /// Seconds of training, evaluation included, all processes of the run together.
    pub seconds: f64,
    /// Samples trained on by this process over its seconds, evaluation included.
    pub samples_per_second: f64,
    /// Seconds from the start of the process (or of training) to the end of its first step.
    pub first_step_seconds: Option<f64>,
    /// The share of the steps' time that this process has waited for training data.
    pub waited_share: f64,
    /// The share that it has waited for other ranks and the network between them; none in a job of one rank.
    pub exchange_share: Option<f64>,
    /// The most memory this process held, in bytes.
    pub peak_memory_bytes: u64,
    /// The figures of the selected weights on the validation set; empty where there is none.
    pub metrics: Vec<Metric>,
    /// The figures on the test set; empty where there was no test set, or where training was interrupted.
    pub test: Vec<Metric>,
    /// Why training ended.
    pub stopped: Stopped,
    /// Corrupt samples skipped.
    pub skipped: u64,
}
