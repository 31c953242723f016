//! Trains any task: the step loop, and how it starts again where it stopped.

use crate::evaluate::{evaluate, evaluate_until};
use crate::feed::Feed;
use crate::fitting::{Checkpoint, Fitting};
use crate::gradient::{Accumulated, clip_norm, clip_value};
use crate::parameters::{parameters, renumber};
use crate::plan::Plan;
use crate::session::{AVERAGE, Opening, Session, WEIGHTS};
use crate::state::{Due, State};
use crate::{
    Evaluation, Event, FitConfig, Interrupt, Listener, MetricConfig, MetricsLog, Record, Select, Stopped,
    Summary, TrainError,
};
use bonfire_checkpoint::{RunFolder, Weights, save_weights};
use bonfire_contract::{Input, Loader, Task};
use burn::optim::GradientsParams;
use burn::tensor::Device;
use std::path::Path;
use std::time::Instant;

/// Trains tasks as a [`FitConfig`] says.
pub struct Trainer {
    config: FitConfig,
    device: Device,
    run: Option<RunFolder>,
    resume: bool,
    metrics: MetricConfig,
    listeners: Vec<Box<dyn Listener>>,
    interrupt: Option<Interrupt>,
    started: Instant,
    read_loss_every: u64,
    /// Where the last fit ended.
    fitted: Option<Record>,
}

/// What training ends with.
#[derive(Debug)]
pub struct Fitted<M> {
    /// The selected weights (averaged where `train.average` says so), without gradients.
    pub model: M,
    /// The figures of the run.
    pub summary: Summary,
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
            fitted: None,
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

    /// What evaluation needs to know of the task.
    pub fn metrics(mut self, metrics: MetricConfig) -> Self {
        self.metrics = metrics;
        self
    }

    /// Adds a listener.
    pub fn listener(mut self, listener: Box<dyn Listener>) -> Self {
        self.listeners.push(listener);
        self
    }

    /// When the process started, for the time to the first step.
    pub fn started(mut self, started: Instant) -> Self {
        self.started = started;
        self
    }

    /// What asks training to stop; without one, SIGINT and SIGTERM do where there is a run folder,
    /// and nothing does elsewhere.
    pub fn interrupt(mut self, interrupt: Interrupt) -> Self {
        self.interrupt = Some(interrupt);
        self
    }

    /// Steps between readings of the loss, 1 by default. Each reading waits for the device: free on
    /// a CPU, not on a GPU, where a loss that is no number is then noticed that much later. Losses
    /// are read at every report and checkpoint besides.
    pub fn read_loss_every(mut self, steps: u64) -> Self {
        self.read_loss_every = steps.max(1);
        self
    }

    /// Trains `model`, which should be made on this trainer's device, on `train`; evaluates on
    /// `valid`.
    ///
    /// # Errors
    /// When a setting is impossible, a sample cannot be read, the loss or a weight is no number any
    /// more, or the run folder cannot be written or read.
    pub fn fit<M: Task>(
        &mut self,
        model: M,
        train: &dyn Loader<M::Input>,
        valid: Option<&dyn Loader<M::Input>>,
    ) -> Result<Fitted<M>, TrainError> {
        self.config.check()?;
        let plan = Plan::new(&self.config, train.len(), valid.is_some())?;
        let interrupt = self.wish_to_stop()?;
        let _listening = interrupt.listen();
        let resumed = self.newest_checkpoint()?;

        let on_plain = model.devices().iter().any(|device| !device.is_autodiff());
        let model = renumber(if on_plain { model.train() } else { model });
        let table = parameters(&model);
        let mut progress = Fitting::start(&self.config, model, &table);
        let (device, config) = (self.device.clone(), &self.config);
        let mut state = State::default();
        if let Some(checkpoint) = &resumed {
            (progress, state) = progress.restore(checkpoint, &table, &device)?;
        }
        let mut session = Session::open(
            Opening {
                config,
                plan,
                run: self.run.as_ref(),
                listeners: &mut self.listeners,
                state,
                resumed: resumed.as_ref().map(|checkpoint| checkpoint.name.clone()),
                process_started: self.started,
                read_loss_every: self.read_loss_every,
            },
            &table,
        )?;
        for warning in resumed.iter().flat_map(|checkpoint| &checkpoint.warnings) {
            session.emit(&Event::Warning(warning))?;
        }
        let mut feed = Feed::new(train, session.state.position, device.clone());
        let mut best_weights = None;
        // Whether this epoch had a step; unknown, so granted, where a checkpoint stands within one.
        let mut stepped = resumed.is_some();

        let stopped = loop {
            if let Some(due) = session.state.due {
                if due.step {
                    session.report()?;
                }
                let mut improved = false;
                if let Some(valid) = valid.filter(|_| session.evaluation_due(due)) {
                    let subject = progress.subject();
                    let batch = config.train.evaluate_batch_size;
                    match evaluate_until(&subject, valid, &self.metrics, batch, &device, &interrupt)? {
                        Some(evaluation) => improved = session.evaluated(&evaluation)?,
                        None => {
                            session.save(progress.tensors(&table), false)?;
                            break Stopped::Interrupted(interrupt.raised().unwrap_or_default());
                        }
                    }
                    if improved && self.run.is_none() && config.train.select == Select::Best {
                        best_weights = Some(Weights::of(&subject));
                    }
                }
                session.state.due = None;
                // A best evaluation between checkpoints is worth one only where it is selected.
                let wanted = improved && config.train.select == Select::Best;
                if wanted || session.checkpoint_due(due) {
                    session.save(progress.tensors(&table), improved)?;
                }
            }
            if session.finished() {
                break Stopped::Finished;
            }
            if session.out_of_patience() {
                break Stopped::EarlyStopped;
            }

            let accumulated = &mut progress.accumulated;
            let left = plan.epoch.saturating_sub(feed.position().samples);
            // The last, short step of an epoch is not even begun where it would be dropped.
            let short = config.train.drop_last && accumulated.pieces == 0 && left < plan.step;
            // A checkpoint may stand between an epoch's last piece and its step.
            let mut ended = short || left == 0;
            let mut signal = interrupt.raised();
            while signal.is_none() && !ended && accumulated.samples < plan.step {
                let size = (plan.piece as u64).min(plan.step - accumulated.samples) as usize;
                let Some(batch) = feed.next(size)? else {
                    ended = true;
                    break;
                };
                session.state.position = feed.position();
                let samples = batch.input.len() as u64;
                if samples > 0 {
                    device.seed(mix(config.seed, session.state.step, accumulated.pieces));
                    let loss = progress.model.loss(batch.input, batch.target); // [1]
                    session.add_loss(loss.clone().inner(), samples);
                    let gradient = GradientsParams::from_grads(loss.backward(), &progress.model);
                    accumulated.add(gradient, samples, &table);
                }
                signal = interrupt.raised();
                // With the last sample used, the epoch's end is known without asking for more.
                ended = feed.position().samples >= plan.epoch;
            }
            if let Some(signal) = signal {
                (session.state.pieces, session.state.piece_samples) =
                    (accumulated.pieces, accumulated.samples);
                if session.unsaved() {
                    session.save(progress.tensors(&table), false)?;
                }
                break Stopped::Interrupted(signal);
            }

            let samples = accumulated.samples;
            let dropped = config.train.drop_last && samples < plan.step;
            if dropped {
                *accumulated = Accumulated::default();
            }
            let step = samples > 0 && !dropped;
            if step {
                session.check_losses()?;
                let mut gradient = progress.accumulated.take_mean(&table);
                if let Some(largest) = config.train.clip_value {
                    clip_value(&mut gradient, &table, largest);
                }
                if let Some(largest) = config.train.clip_norm {
                    clip_norm(&mut gradient, &table, largest);
                }
                let rate = session.learning_rate(session.state.step);
                progress = progress.step(rate, gradient, session.state.step + 1);
                (session.state.pieces, session.state.piece_samples) = (0, 0);
                if ended {
                    feed.next_epoch();
                    session.state.position = feed.position();
                }
                session.step_done(samples, rate)?;
            } else {
                let expected = "at least one sample an epoch that can be read".to_string();
                if !stepped {
                    return Err(TrainError::Empty { set: "training", expected, found: "none".into() });
                }
                feed.next_epoch();
                session.state.position = feed.position();
            }
            session.state.due = Some(Due { step, epoch: ended });
            stepped = step && !ended;
        };

        let interrupted = matches!(stopped, Stopped::Interrupted(_));
        if !interrupted && session.unsaved() {
            session.save(progress.tensors(&table), false)?;
        }
        let mut selected = progress.subject();
        let best = session.state.best.clone().filter(|_| !interrupted && config.train.select == Select::Best);
        match (best.and_then(|best| best.checkpoint), best_weights, &self.run) {
            (Some(name), _, Some(run)) => {
                let store = run.checkpoint_store();
                let file = if config.train.average.is_some() { AVERAGE } else { WEIGHTS };
                let path = store.path(&name).join(file);
                let bytes = store.load(&name)?.remove(file).unwrap_or_default();
                selected = Weights::from_safetensors(&bytes, &path)?.apply(selected, &path)?;
            }
            (_, Some(weights), None) if !interrupted => {
                selected = weights.apply(selected, Path::new("best weights"))?;
            }
            _ => {}
        }
        if let Some(run) = self.run.as_ref().filter(|_| !interrupted) {
            save_weights(&selected, &run.model())?;
        }
        self.fitted = Some(session.record());
        let summary = session.finish(stopped, train.skipped())?;
        Ok(Fitted { model: selected, summary })
    }

    /// Evaluates the model that [`Trainer::fit`] ended with on a set that no decision looked at, and
    /// adds a record of kind `test` to the log and the listeners.
    ///
    /// # Errors
    /// When the set is empty or cannot be read, or the log cannot be written.
    pub fn test<M: Task>(&mut self, model: &M, set: &dyn Loader<M::Input>) -> Result<Evaluation, TrainError> {
        let batch = self.config.train.evaluate_batch_size;
        let evaluation = evaluate(model, set, &self.metrics, batch, &self.device)?;
        let (samples, metrics) = (evaluation.samples, evaluation.metrics.clone());
        let place = self.fitted.clone().unwrap_or_default();
        let record = Record { kind: "test".into(), samples, metrics, ..place };
        for listener in &mut self.listeners {
            listener.on(&Event::Record(&record));
        }
        if let Some(run) = &self.run {
            // Resuming the run cuts the log back to its last checkpoint, so this never doubles.
            MetricsLog::append(&run.metrics())?.write(&record)?;
        }
        Ok(evaluation)
    }

    fn wish_to_stop(&self) -> Result<Interrupt, TrainError> {
        match (&self.interrupt, &self.run) {
            (Some(interrupt), _) => Ok(interrupt.clone()),
            (None, Some(_)) => Interrupt::from_signals(),
            (None, None) => Ok(Interrupt::new()),
        }
    }

    /// Clears what a killed writer left, and reads the checkpoint to continue from.
    fn newest_checkpoint(&self) -> Result<Option<Checkpoint>, TrainError> {
        let Some(run) = &self.run else { return Ok(None) };
        let store = run.checkpoint_store();
        store.clean()?;
        if !self.resume {
            return Ok(None);
        }
        let Some(loaded) = store.load_newest()? else { return Ok(None) };
        let path = store.path(&loaded.name);
        Ok(Some(Checkpoint { name: loaded.name, path, files: loaded.files, warnings: loaded.warnings }))
    }
}

/// A seed for the dropout of one piece, as far from the next piece's as from any other
/// (SplitMix64's finaliser, Steele et al. 2014).
fn mix(seed: u64, step: u64, piece: u64) -> u64 {
    [step, piece].into_iter().fold(seed, |state, part| {
        let mut z = state.wrapping_add(part.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

#[cfg(test)]
mod tests;
