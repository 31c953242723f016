//! Trains any task: how training starts, or starts again where it stopped, and what it ends with.

use crate::costs::Stopwatch;
use crate::evaluate::{Pass, Passed};
use crate::exchange::Exchange;
use crate::feed::Feed;
use crate::fitting::{Checkpoint, Fitting};
use crate::gradient::Accumulated;
use crate::least_squares::LeastSquares;
use crate::parameters::{parameters, renumber};
use crate::plan::Plan;
use crate::precision;
use crate::ranks::Ranks;
use crate::session::{Opening, Session};
use crate::state::State;
use crate::training::Steps;
use crate::{
    Evaluation, Event, FitConfig, Interrupt, Listener, MetricConfig, Solver, Stopped, Summary, TrainError,
};
use bonfire_checkpoint::{Files, RunFolder, Weights};
use bonfire_cluster::{Alone, Communicator};
use bonfire_contract::{Loader, Task};
use bonfire_kernels::Together;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
    communicator: Arc<dyn Communicator>,
}

/// What training ends with.
#[derive(Debug)]
pub struct Fitted<M> {
    /// The selected weights (averaged where `train.average` says so), without gradients.
    pub model: M,
    /// The figures of the run.
    pub summary: Summary,
    /// All that was found on the test set; none where there was none, or where training was interrupted.
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

    /// What asks training to stop; without one, SIGINT, SIGTERM and SIGUSR1 do where there is a run folder,
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

    /// The ranks that train together, each with a trainer of the same settings; by default this process alone. Each reads
    /// its share of every batch, and all end with the same weights. Rank 0 begins with its own, which all take over, and
    /// alone keeps a [run](Self::run) and resumes it; the others follow.
    pub fn communicator(mut self, communicator: Arc<dyn Communicator>) -> Self {
        self.communicator = communicator;
        self
    }

    /// Trains `model`, which should be made on this trainer's device, on `train`; evaluates on
    /// `valid`.
    ///
    /// # Errors
    /// When a setting is impossible, a sample cannot be read, the loss or a weight is no number any
    /// more, or the run folder cannot be written or read. [`TrainError::Rank`] is known to all ranks of the job; after
    /// another error the others wait, until [`Communicator::abort`] ends the job.
    pub fn fit<M: Task>(
        &mut self,
        model: M,
        train: &dyn Loader<M::Input>,
        valid: Option<&dyn Loader<M::Input>>,
    ) -> Result<Fitted<M>, TrainError> {
        self.fit_and_test(model, train, valid, None)
    }

    /// As [`Trainer::fit`], then evaluates the selected weights on `test`, a set that no decision
    /// looked at: a record of kind `test`, and [`Summary::test`]. Left out when training was
    /// interrupted.
    ///
    /// # Errors
    /// As [`Trainer::fit`].
    pub fn fit_and_test<M: Task>(
        &mut self,
        model: M,
        train: &dyn Loader<M::Input>,
        valid: Option<&dyn Loader<M::Input>>,
        test: Option<&dyn Loader<M::Input>>,
    ) -> Result<Fitted<M>, TrainError> {
        let ranks = Ranks::new(self.communicator.clone(), self.config.train.wire());
        let plan = self.plan(train.len(), valid.is_some())?;
        let keeps = ranks.of_first(ranks.writes().then(|| (self.run.is_some(), Files::new()))).0;
        let interrupt = self.wish_to_stop(keeps)?;
        let _listening = interrupt.listen();
        let newest = ranks.together(self.newest_checkpoint())?;
        let resumed = spread(&ranks, newest);

        let on_plain = model.devices().iter().any(|device| !device.is_autodiff());
        let model = renumber(if on_plain { model.train() } else { model });
        let model = if resumed.is_none() { from_first(&ranks, model)? } else { model };
        let table = parameters(&model);
        let mut progress = Fitting::start(&self.config, model, &table)?;
        let mut state = State::default();
        if let Some(checkpoint) = &resumed {
            (progress, state) = progress.restore(checkpoint, &table, &self.device)?;
            if !ranks.writes() {
                // The gradient of an open step counts once.
                progress.accumulated = Accumulated::default();
            }
            plan.check_length(&state)?;
            // Only now, that it is known to continue.
            if let Some(run) = &self.run {
                run.checkpoint_store().set_aside_newer(&checkpoint.name)?;
            }
        }
        let config = &self.config;
        let mut session = Session::open(
            Opening {
                config,
                plan,
                run: self.run.as_ref(),
                keeps,
                ranks: ranks.clone(),
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

        let pass = Pass {
            metrics: &self.metrics,
            views: 1,
            monitor: config.train.monitor.as_deref(),
            batch_size: config.train.evaluate_batch_size,
            device: &self.device,
            interrupt: &interrupt,
            ranks: &ranks,
        };
        let feed = Feed::new(train, ranks.share(), session.state.position, self.device.clone());
        let together = (config.train.sync_batch_norm && !ranks.alone()).then(|| {
            let ranks = ranks.clone();
            Together::new(move |numbers| ranks.communicator().sum(numbers))
        });
        let steps = Steps {
            config,
            plan,
            run: self.run.as_ref(),
            keeps,
            pass,
            valid,
            table: &table,
            feed,
            session,
            progress,
            best_weights: None,
            stepped: resumed.is_some(),
            stopwatch: Stopwatch::new(if config.train.drop_last {
                plan.epoch / plan.step * plan.step
            } else {
                plan.epoch
            }),
            told: false,
            exchange: (!ranks.alone()).then(|| Exchange::new(&table, ranks.wire, ranks.count())),
            mean: None,
            statistics: GradientsParams::new(),
            least_squares: (config.train.solver == Solver::LeastSquares).then(LeastSquares::default),
            together,
            ranks: ranks.clone(),
        };
        let (steps, stopped) = steps.run()?;
        let (mut session, model) = steps.select(stopped)?;

        let mut summary = session.summary(stopped, ranks.skipped(train.skipped()));
        let mut tested = None;
        if let Some(test) = test.filter(|_| !matches!(stopped, Stopped::Interrupted(_))) {
            match pass.over(&model, test)? {
                Passed::Through(evaluation) => {
                    session.tested(&evaluation)?;
                    summary.test.clone_from(&evaluation.metrics);
                    tested = Some(evaluation);
                }
                Passed::Interrupted(signal) => summary.stopped = Stopped::Interrupted(signal),
            }
        }
        let skipped_in_test = test.map_or(0, |test| ranks.skipped(test.skipped()));
        session.finish(&mut summary)?;
        Ok(Fitted { model, summary, tested, skipped_in_test })
    }

    /// What the settings come to for this many samples.
    fn plan(&self, samples: u64, validated: bool) -> Result<Plan, TrainError> {
        self.config.check()?;
        precision::check(self.config.train.precision, &self.device)?;
        let apart = !self.config.train.sync_batch_norm || bonfire_kernels::serve(&self.device);
        let expected = "false on this device: batch norm measures the ranks together on the CPU (flex) alone";
        crate::config::check("train.sync_batch_norm", expected, true, apart)?;
        Plan::new(&self.config, samples, validated, self.communicator.size())
    }

    fn wish_to_stop(&self, keeps: bool) -> Result<Interrupt, TrainError> {
        match (&self.interrupt, keeps) {
            (Some(interrupt), _) => Ok(interrupt.clone()),
            (None, true) => Interrupt::from_signals(),
            (None, false) => Ok(Interrupt::new()),
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
        let Some(loaded) = store.load_newest()? else {
            if run.model().exists() {
                let name = run.checkpoints().display().to_string();
                let expected = "one to continue from, as the run has a model.safetensors".into();
                return Err(TrainError::Resume { name, expected, found: "none".into() });
            }
            // Stopped before its first checkpoint: it starts again.
            return Ok(None);
        };
        let path = store.path(&loaded.name);
        Ok(Some(Checkpoint { name: loaded.name, path, files: loaded.files, warnings: loaded.warnings }))
    }
}

/// Rank 0's checkpoint, on all ranks: whether the others see its disk does not matter.
fn spread(ranks: &Ranks, newest: Option<Checkpoint>) -> Option<Checkpoint> {
    if ranks.alone() {
        return newest;
    }
    let mine = ranks.writes().then(|| match newest {
        Some(Checkpoint { name, path, files, warnings }) => (Some((name, path, warnings)), files),
        None => (None, Files::new()),
    });
    let (head, files) = ranks.of_first::<Option<(String, PathBuf, Vec<String>)>>(mine);
    head.map(|(name, path, warnings)| Checkpoint { name, path, files, warnings })
}

/// The model with rank 0's weights.
fn from_first<M: Task>(ranks: &Ranks, model: M) -> Result<M, TrainError> {
    const FILE: &str = "weights of rank 0";
    if ranks.alone() {
        return Ok(model);
    }
    let mine = match ranks.writes() {
        true => Weights::of(&model).to_safetensors(Path::new(FILE)).map(Some),
        false => Ok(None),
    };
    let mine = ranks.together(mine.map_err(TrainError::from))?;
    let (_, files) = ranks.of_first(mine.map(|bytes| ((), Files::from([(FILE.to_string(), bytes)]))));
    Ok(Weights::from_safetensors(&files[FILE], Path::new(FILE))?.apply(model, Path::new(FILE))?)
}

#[cfg(test)]
mod tests;
