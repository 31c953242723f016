//! The bookkeeping of one training run, the same for every model: losses, records, what is due,
//! checkpoints.

use crate::config::{FitConfig, Limit};
use crate::plan::Plan;
use crate::ranks::Ranks;
use crate::state::{Best, Due, State, to_figures, to_metrics};
use crate::tensors::{STATE, Tensors};
use crate::waits::Waits;
use crate::{
    Evaluation, Event, Listener, MetricsLog, Parameter, Progress, Record, Select, Stopped, Summary,
    TrainError, peak_memory_bytes,
};
use bonfire_checkpoint::RunFolder;
use bonfire_contract::Metric;
use burn::tensor::{DType, Tensor};
use std::time::Instant;

/// One run of one process.
pub(crate) struct Session<'a> {
    config: &'a FitConfig,
    plan: Plan,
    /// Where this process writes.
    run: Option<&'a RunFolder>,
    /// Whether this process, or rank 0 of its job, writes.
    keeps: bool,
    ranks: Ranks,
    log: Option<MetricsLog>,
    listeners: &'a mut [Box<dyn Listener>],
    pub(crate) state: State,
    /// The checkpoint that is the newest on the disk.
    kept: Option<String>,
    /// Whether anything has changed since then.
    dirty: bool,
    /// Losses that are not yet taken in, each with its samples.
    losses: Vec<(Loss, u64)>,
    /// Whether a checkpoint is due by the clock.
    pub(crate) clock_due: bool,
    read_loss_every: u64,
    last_loss: f64,
    last_rate: f64,
    process_started: Instant,
    began: Instant,
    saved: Instant,
    seconds_before: f64,
    samples_before: u64,
    first_step_seconds: Option<f64>,
    pub(crate) waits: Waits,
}

/// The mean loss of a piece.
#[allow(clippy::large_enum_variant)] // a few at a time
enum Loss {
    /// Still on the device, `[1]`.
    There(Tensor<1>),
    Known(f64),
}

/// What a session is opened with.
pub(crate) struct Opening<'a> {
    pub(crate) config: &'a FitConfig,
    pub(crate) plan: Plan,
    pub(crate) run: Option<&'a RunFolder>,
    pub(crate) keeps: bool,
    pub(crate) ranks: Ranks,
    pub(crate) listeners: &'a mut [Box<dyn Listener>],
    pub(crate) state: State,
    pub(crate) resumed: Option<String>,
    pub(crate) process_started: Instant,
    pub(crate) read_loss_every: u64,
}

impl<'a> Session<'a> {
    /// Opens the log at the state's length and tells the listeners.
    pub(crate) fn open(opening: Opening<'a>, parameters: &[Parameter]) -> Result<Self, TrainError> {
        let Opening {
            config,
            plan,
            run,
            keeps,
            ranks,
            listeners,
            state,
            resumed,
            process_started,
            read_loss_every,
        } = opening;
        let log = run.map(|run| MetricsLog::open(&run.metrics(), state.log_bytes)).transpose()?;
        let now = Instant::now();
        let mut session = Session {
            config,
            plan,
            run,
            keeps,
            ranks,
            log,
            listeners,
            seconds_before: state.seconds,
            samples_before: state.samples,
            dirty: resumed.is_none(),
            kept: resumed.clone(),
            state,
            losses: Vec::new(),
            clock_due: false,
            read_loss_every,
            last_loss: f64::NAN,
            last_rate: f64::NAN,
            process_started,
            began: now,
            saved: now,
            first_step_seconds: None,
            waits: Waits::default(),
        };
        let (total_steps, step) = (plan.total_steps, session.state.step);
        let resumed = resumed.as_deref();
        session.emit(&Event::Started { parameters, total_steps, step, resumed })?;
        Ok(session)
    }

    /// Tells the log and every listener.
    pub(crate) fn emit(&mut self, event: &Event<'_>) -> Result<(), TrainError> {
        for listener in self.listeners.iter_mut() {
            listener.on(event);
        }
        match &mut self.log {
            None => Ok(()),
            Some(log) => {
                log.on(event);
                log.check()
            }
        }
    }

    /// Seconds of training so far, all processes together.
    fn seconds(&self) -> f64 {
        self.seconds_before + self.began.elapsed().as_secs_f64()
    }

    /// The share of the steps' time that this process has waited for other ranks, where there are any.
    fn exchange_share(&self) -> Option<f64> {
        (!self.ranks.alone()).then(|| self.waits.for_ranks())
    }

    pub(crate) fn finished(&self) -> bool {
        match self.plan.limit {
            Limit::Steps(steps) => self.state.step >= steps,
            Limit::Epochs(epochs) => self.state.position.epoch >= epochs,
        }
    }

    pub(crate) fn out_of_patience(&self) -> bool {
        self.config.train.early_stopping.is_some_and(|patience| self.state.stale >= patience)
    }

    /// Takes in the loss of a piece, `[1]`.
    pub(crate) fn add_loss(&mut self, loss: Tensor<1>, samples: u64) {
        self.dirty = true;
        self.losses.push((Loss::There(loss), samples));
    }

    /// Takes in the mean loss of a piece's samples on all ranks.
    pub(crate) fn add_known_loss(&mut self, loss: f64, samples: u64) {
        self.dirty = true;
        self.losses.push((Loss::Known(loss), samples));
    }

    /// Losses not yet taken in.
    pub(crate) fn pending(&self) -> usize {
        self.losses.len()
    }

    /// Leaves out the losses after the first `kept` that are not yet taken in.
    pub(crate) fn forget_losses(&mut self, kept: usize) {
        self.losses.truncate(kept);
    }

    /// Reads the losses where the step asks for it: a diverged model is noticed before its update.
    pub(crate) fn check_losses(&mut self) -> Result<(), TrainError> {
        match (self.state.step + 1).is_multiple_of(self.read_loss_every) || self.report_is_next() {
            true => self.read_losses(),
            false => Ok(()),
        }
    }

    fn report_is_next(&self) -> bool {
        (self.state.step + 1).is_multiple_of(self.config.train.report_every)
    }

    fn read_losses(&mut self) -> Result<(), TrainError> {
        for (loss, samples) in std::mem::take(&mut self.losses) {
            let loss = match loss {
                Loss::There(loss) => number(loss),
                Loss::Known(loss) => loss,
            };
            if !loss.is_finite() {
                return Err(self.diverged("loss", loss));
            }
            self.state.window_loss += loss * samples as f64;
            self.state.window_samples += samples;
            self.last_loss = loss;
        }
        Ok(())
    }

    fn diverged(&self, what: &str, found: impl ToString) -> TrainError {
        let kept = match (&self.kept, self.run) {
            (Some(name), _) => format!("; nothing after checkpoint {name} was saved"),
            (None, Some(_)) => "; no checkpoint was saved".into(),
            (None, None) => String::new(),
        };
        TrainError::Diverged { step: self.state.step + 1, what: what.into(), found: found.to_string(), kept }
    }

    /// Counts a step of `samples`.
    pub(crate) fn step_done(&mut self, samples: u64, rate: f64) -> Result<(), TrainError> {
        self.state.step += 1;
        self.state.samples += samples;
        self.last_rate = rate;
        self.dirty = true;
        self.first_step_seconds.get_or_insert_with(|| self.process_started.elapsed().as_secs_f64());
        let progress = Progress {
            step: self.state.step,
            total_steps: self.plan.total_steps,
            epoch: self.state.position.epoch,
            samples: self.state.samples,
            samples_here: self.state.samples - self.samples_before,
            loss: self.last_loss,
            waited_share: self.waits.for_data(),
            exchange_share: self.exchange_share(),
        };
        self.emit(&Event::Step(&progress))
    }

    /// Writes the training record that is due.
    pub(crate) fn report(&mut self) -> Result<(), TrainError> {
        if !self.state.step.is_multiple_of(self.config.train.report_every) && !self.finished() {
            return Ok(());
        }
        self.read_losses()?;
        if self.state.window_samples == 0 {
            return Ok(());
        }
        let loss = self.state.window_loss / self.state.window_samples as f64;
        (self.state.window_loss, self.state.window_samples) = (0.0, 0);
        // After a resume the step's rate is computed anew.
        let rate = match self.last_rate.is_nan() {
            true => self.learning_rate(self.state.step - 1),
            false => self.last_rate,
        };
        let record = Record {
            kind: "train".into(),
            learning_rate: Some(rate),
            samples: self.state.samples,
            metrics: vec![Metric::lower("loss", loss)],
            ..self.record()
        };
        self.emit(&Event::Record(&record))
    }

    /// The rate of a step, counted from 0.
    pub(crate) fn learning_rate(&self, step: u64) -> f64 {
        let rate = self.config.optimizer.learning_rate() * self.config.train.rate_factor(self.plan.step);
        self.config.schedule.learning_rate(rate, step, self.plan.total_steps)
    }

    /// A record of this moment, without figures.
    pub(crate) fn record(&self) -> Record {
        let position = self.state.position;
        Record {
            kind: String::new(),
            step: self.state.step,
            epoch: position.epoch as f64 + position.samples as f64 / self.plan.epoch as f64,
            seconds: self.seconds(),
            samples: 0,
            learning_rate: None,
            metrics: Vec::new(),
        }
    }

    pub(crate) fn evaluation_due(&self, due: Due) -> bool {
        let regular = match self.config.train.evaluate_every {
            Some(steps) => due.step && self.state.step.is_multiple_of(steps),
            None => due.epoch,
        };
        (regular || self.finished()) && self.state.evaluated != Some(self.state.step)
    }

    /// Records an evaluation; true when it is the best so far.
    pub(crate) fn evaluated(&mut self, evaluation: &Evaluation) -> Result<bool, TrainError> {
        let metrics = &evaluation.metrics;
        let monitored = match &self.config.train.monitor {
            None => metrics.first(),
            Some(name) => Some(metrics.iter().find(|metric| metric.name == *name).ok_or_else(|| {
                let names: Vec<_> = metrics.iter().map(|metric| metric.name.as_str()).collect();
                TrainError::config("train.monitor", format!("one of {}", names.join(", ")), name)
            })?),
        };
        let metrics_now = to_figures(metrics);
        let improved = monitored.is_some_and(|metric| match &self.state.best {
            None => !metric.value.is_nan(),
            Some(best) => metric.beats(best.value),
        });
        if let (true, Some(metric)) = (improved, monitored) {
            let best = Best { checkpoint: None, value: metric.value, metrics: metrics_now.clone() };
            (self.state.best, self.state.stale) = (Some(best), 0);
        } else {
            self.state.stale += 1;
        }
        (self.state.last, self.state.evaluated) = (metrics_now, Some(self.state.step));
        self.dirty = true;
        let samples = evaluation.samples;
        let record = Record { kind: "valid".into(), samples, metrics: metrics.clone(), ..self.record() };
        self.emit(&Event::Record(&record))?;
        Ok(improved)
    }

    pub(crate) fn checkpoint_due(&self, due: Due) -> bool {
        let config = &self.config.checkpoint;
        let steps = config.every_steps.is_some_and(|n| due.step && self.state.step.is_multiple_of(n));
        let epochs =
            due.epoch && config.epochs() > 0 && self.state.position.epoch.is_multiple_of(config.epochs());
        self.keeps && (steps || self.clock_due || epochs)
    }

    /// Whether the time between checkpoints is over.
    pub(crate) fn clock(&self) -> bool {
        let minutes = self.config.checkpoint.every_minutes;
        minutes.is_some_and(|minutes| self.saved.elapsed().as_secs_f64() >= 60.0 * minutes)
    }

    /// Whether a checkpoint would hold anything that the newest does not.
    pub(crate) fn unsaved(&self) -> bool {
        self.keeps && self.dirty
    }

    /// Writes a checkpoint of the state and these tensors, and prunes the older ones.
    pub(crate) fn save<'b>(
        &mut self,
        tensors: impl FnOnce() -> Tensors<'b>,
        best: bool,
    ) -> Result<(), TrainError> {
        self.read_losses()?;
        let Some(run) = self.run else {
            (self.dirty, self.clock_due) = (false, false); // rank 0 writes
            return Ok(());
        };
        let tensors = tensors();
        if let Some(path) = tensors.weights.first_not_finite() {
            return Err(self.diverged(&format!("`{path}`"), "a number that is not"));
        }
        let store = run.checkpoint_store();
        let name = store.next_name(self.state.step)?;
        if let (true, Some(kept)) = (best, &mut self.state.best) {
            kept.checkpoint = Some(name.clone());
        }
        self.state.seconds = self.seconds();
        self.state.log_bytes = self.log.as_mut().map_or(Ok(0), MetricsLog::sync)?;

        let mut files = tensors.files(&store.path(&name))?;
        let state = serde_json::to_vec_pretty(&self.state).expect("a state is plain numbers and strings");
        files.insert(STATE.into(), state);
        store.save(&name, &files)?;
        let best = self.state.best.as_ref().and_then(|best| best.checkpoint.as_deref());
        store.prune(self.config.checkpoint.keep, &[&name, best.unwrap_or(&name)])?;
        (self.dirty, self.clock_due, self.saved, self.kept) =
            (false, false, Instant::now(), Some(name.clone()));
        self.emit(&Event::Saved { checkpoint: &name })
    }

    /// What training came to, without a test.
    pub(crate) fn summary(&self, stopped: Stopped, skipped: u64) -> Summary {
        let metrics = match (&self.state.best, self.config.train.select, stopped) {
            (_, _, Stopped::Interrupted(_)) | (None, _, _) | (_, Select::Last, _) => &self.state.last,
            (Some(best), Select::Best, _) => &best.metrics,
        };
        let here = (self.state.samples - self.samples_before) as f64;
        Summary {
            steps: self.state.step,
            epochs: self.state.position.epoch,
            samples: self.state.samples,
            seconds: self.seconds(),
            samples_per_second: here / self.began.elapsed().as_secs_f64().max(1e-9),
            first_step_seconds: self.first_step_seconds,
            waited_share: self.waits.for_data(),
            exchange_share: self.exchange_share(),
            peak_memory_bytes: peak_memory_bytes(),
            metrics: to_metrics(metrics),
            test: Vec::new(),
            stopped,
            skipped,
        }
    }

    /// Records the test of the selected weights.
    pub(crate) fn tested(&mut self, evaluation: &Evaluation) -> Result<(), TrainError> {
        let (samples, metrics) = (evaluation.samples, evaluation.metrics.clone());
        self.emit(&Event::Record(&Record { kind: "test".into(), samples, metrics, ..self.record() }))
    }

    /// Ends the session.
    pub(crate) fn finish(mut self, summary: &mut Summary) -> Result<(), TrainError> {
        if let Some(log) = &mut self.log {
            log.sync()?;
        }
        summary.peak_memory_bytes = peak_memory_bytes();
        self.emit(&Event::Finished(summary))
    }
}

/// The number in a tensor of one, once the device has it.
pub(crate) fn number(tensor: Tensor<1>) -> f64 {
    tensor.into_data_dtype(DType::F64).as_slice::<f64>().expect("the type asked for")[0]
}
