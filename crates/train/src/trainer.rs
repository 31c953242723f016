//! The trainer: who trains what, with which settings, and what comes of it.

use crate::{Evaluation, FitConfig, Interrupt, Listener, MetricConfig, Summary};
use bonfire_checkpoint::RunFolder;
use bonfire_cluster::{Alone, Communicator};
use burn::tensor::Device;
use std::sync::Arc;
use std::time::Instant;

/// Trains tasks as a [`FitConfig`] says.
pub struct Trainer {
    pub(crate) config: FitConfig,
    pub(crate) device: Device,
    pub(crate) run: Option<RunFolder>,
    pub(crate) resume: bool,
    pub(crate) metrics: MetricConfig,
    pub(crate) listeners: Vec<Box<dyn Listener>>,
    pub(crate) interrupt: Option<Interrupt>,
    pub(crate) started: Instant,
    pub(crate) read_loss_every: u64,
    pub(crate) communicator: Arc<dyn Communicator>,
}

/// A trained model, with the figures of its training.
#[derive(Debug)]
pub struct Fitted<M> {
    /// The selected weights (averaged where `train.average` says so), without gradients.
    pub model: M,
    /// The figures of the run.
    pub summary: Summary,
    /// The evaluation on the test set; none where there was no test set, or where training was interrupted.
    pub tested: Option<Evaluation>,
    /// Corrupt samples of the test set that were skipped.
    pub skipped_in_test: u64,
}

impl Trainer {
    /// A trainer that keeps nothing on disk and tells nobody. The device gets autodiff if it has
    /// none.
    pub fn new(config: FitConfig, device: Device) -> Self {
        let metrics = MetricConfig { top_k: config.train.top_k, ..MetricConfig::default() };
        let device = if device.is_autodiff() { device } else { device.autodiff() };
        Trainer {
            config,
            device,
            run: None,
            resume: false,
            metrics,
            listeners: Vec::new(),
            interrupt: None,
            started: Instant::now(),
            read_loss_every: 1,
            communicator: Arc::new(Alone),
        }
    }

    /// Keeps checkpoints, records and the final weights in a run folder.
    pub fn run(mut self, run: RunFolder) -> Self {
        self.run = Some(run);
        self
    }

    /// Continues from the run's newest intact checkpoint, where it has one.
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// The facts of the task that evaluation needs.
    pub fn metrics(mut self, metrics: MetricConfig) -> Self {
        self.metrics = metrics;
        self
    }

    /// Adds a listener.
    pub fn listener(mut self, listener: Box<dyn Listener>) -> Self {
        self.listeners.push(listener);
        self
    }

    /// The start of the process, for the time to the first step.
    pub fn started(mut self, started: Instant) -> Self {
        self.started = started;
        self
    }

    /// The interrupt that asks training to stop. Without one, SIGINT, SIGTERM and SIGUSR1 ask where there is
    /// a run folder, and nothing asks elsewhere.
    pub fn interrupt(mut self, interrupt: Interrupt) -> Self {
        self.interrupt = Some(interrupt);
        self
    }

    /// Steps between readings of the loss, 1 by default. Each reading waits for the device, which costs
    /// nothing on a CPU. On a GPU, more steps between readings train faster, and a loss that is not finite is
    /// noticed later. Losses are also read at every report and checkpoint.
    pub fn read_loss_every(mut self, steps: u64) -> Self {
        self.read_loss_every = steps.max(1);
        self
    }

    /// The ranks that train together, each with a trainer of the same settings; by default this process
    /// alone. Each rank reads its share of every batch, and all end with the same weights. All begin with the
    /// weights of rank 0, which alone keeps a [run](Self::run) and resumes it.
    pub fn communicator(mut self, communicator: Arc<dyn Communicator>) -> Self {
        self.communicator = communicator;
        self
    }
}

#[cfg(test)]
mod tests;
