//! The start of training: settings are checked, and the learner is new or comes back from a checkpoint.

use crate::costs::Stopwatch;
use crate::evaluate::Evaluator;
use crate::feed::Feed;
use crate::keep::{Checkpoint, Keeper, State};
use crate::learner::{Accumulated, Learner, precision};
use crate::length::Length;
use crate::r#loop::FitLoop;
use crate::losses::Losses;
use crate::parameters::{Parameter, parameters, renumber};
use crate::ranks::Ranks;
use crate::step::{GradientStep, LeastSquaresStep, SharedGradient, Step, no_least_squares};
use crate::timing::Timing;
use crate::{Event, Fitted, Interrupt, Select, Solver, TrainError, Trainer};
use bonfire_contract::{LeastSquares, Loader, Task};

/// A learner at the point where training goes on.
struct Begun<M> {
    learner: Learner<M>,
    state: State,
    table: Vec<Parameter>,
    /// The checkpoint that the learner comes from.
    resumed: Option<Checkpoint>,
}

/// All that training is opened with beside the trainer's settings.
struct Opening<'a, M: Task> {
    ranks: &'a Ranks,
    length: Length,
    /// True where this process, or rank 0 of its job, has a run folder.
    job_has_run: bool,
    interrupt: &'a Interrupt,
    learner: Learner<M>,
    state: State,
    table: &'a [Parameter],
    resumed: Option<&'a Checkpoint>,
    least_squares: Option<LeastSquares<M>>,
    train: &'a dyn Loader<M::Input>,
    valid: Option<&'a dyn Loader<M::Input>>,
}

impl Trainer {
    /// Trains `model`, which should be made on this trainer's device, on `train`; evaluates on `valid`.
    ///
    /// # Errors
    /// When a setting is impossible, a sample cannot be read, the loss or a weight is no longer finite, or
    /// the run folder cannot be written or read. [`TrainError::Rank`] is known to all ranks of the job; after
    /// another error the others wait, until
    /// [`Communicator::abort`](bonfire_cluster::Communicator::abort) ends the job.
    pub fn fit<M: Task>(
        &mut self,
        model: M,
        train: &dyn Loader<M::Input>,
        valid: Option<&dyn Loader<M::Input>>,
    ) -> Result<Fitted<M>, TrainError> {
        self.fit_and_test(model, train, valid, None)
    }

    /// As [`Trainer::fit`], then evaluates the selected weights on `test`, a set that no decision looked at:
    /// a record of kind `test`, and [`Summary::test`](crate::Summary::test). There is no test where training
    /// was interrupted.
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
        self.fit_or_solve(model, None, train, valid, test)
    }

    /// As [`Trainer::fit_and_test`], of a model that `train.solver = "least_squares"` can solve, where
    /// `least_squares` says how.
    ///
    /// # Errors
    /// As [`Trainer::fit`]; and when the solver is to be least squares, and the model has none.
    pub fn fit_or_solve<M: Task>(
        &mut self,
        model: M,
        least_squares: Option<LeastSquares<M>>,
        train: &dyn Loader<M::Input>,
        valid: Option<&dyn Loader<M::Input>>,
        test: Option<&dyn Loader<M::Input>>,
    ) -> Result<Fitted<M>, TrainError> {
        let (ranks, length) = self.check(train.len(), valid.is_some(), least_squares.is_some())?;
        let job_has_run = ranks.holds_of_first(self.run.is_some());
        let interrupt = self.interrupt_of(job_has_run)?;
        let _listening = interrupt.listen();
        let Begun { learner, state, table, resumed } = self.begin(model, length, &ranks)?;
        let training = self.open(Opening {
            ranks: &ranks,
            length,
            job_has_run,
            interrupt: &interrupt,
            learner,
            state,
            table: &table,
            resumed: resumed.as_ref(),
            least_squares,
            train,
            valid,
        })?;
        let (training, stopped) = training.run()?;
        training.finish(stopped, train.skipped(), test)
    }

    /// The ranks of the job, and the length of training on so many samples.
    ///
    /// # Errors
    /// When a setting is impossible, or does not fit the device or the model.
    fn check(&self, samples: u64, validated: bool, solvable: bool) -> Result<(Ranks, Length), TrainError> {
        let train = &self.config.train;
        self.config.check()?;
        precision::check(train.precision, &self.device)?;
        let apart = !train.sync_batch_norm || bonfire_kernels::serve(&self.device);
        let expected = "false on this device: batch norm measures the ranks together on the CPU (flex) alone";
        crate::check::check("train.sync_batch_norm", expected, true, apart)?;
        let length = Length::new(&self.config, samples, validated, self.communicator.size())?;
        if train.solver == Solver::LeastSquares && !solvable {
            return Err(no_least_squares());
        }
        Ok((Ranks::new(self.communicator.clone(), train.wire()), length))
    }

    /// The interrupt to look at: the one that was given, or the process's signals where the job has a run
    /// folder.
    fn interrupt_of(&self, job_has_run: bool) -> Result<Interrupt, TrainError> {
        match &self.interrupt {
            Some(interrupt) => Ok(interrupt.clone()),
            None if job_has_run => Interrupt::from_signals(),
            None => Ok(Interrupt::new()),
        }
    }

    /// A new learner, or the learner of the run's newest checkpoint where training is to be resumed.
    ///
    /// # Errors
    /// When a checkpoint cannot be read or does not fit, or a setting does not fit the model.
    fn begin<M: Task>(&self, model: M, length: Length, ranks: &Ranks) -> Result<Begun<M>, TrainError> {
        let resumed = ranks.checkpoint_of_first(ranks.agreed(self.newest_checkpoint())?);
        let on_plain = model.devices().iter().any(|device| !device.is_autodiff());
        let model = renumber(if on_plain { model.train() } else { model });
        let model = if resumed.is_none() { ranks.model_of_first(model)? } else { model };
        let table = parameters(&model);
        let mut learner = Learner::new(&self.config, model, &table)?;
        let mut state = State::default();
        if let Some(checkpoint) = &resumed {
            (learner, state) = learner.restore(checkpoint, &table, &self.device)?;
            if !ranks.is_first() {
                // The gradient of an open step counts once.
                learner.gradient = Accumulated::default();
            }
            length.check_reached(&state)?;
            ranks.agreed(self.check_best(&state))?;
            // Only now is it known that training continues from this checkpoint.
            if let Some(run) = &self.run {
                run.checkpoint_store().set_aside_newer(&checkpoint.name)?;
            }
        }
        Ok(Begun { learner, state, table, resumed })
    }

    /// Checks that the weights of the best evaluation so far are there where training ends with them: after
    /// the last step is too late to hear that they are not.
    ///
    /// # Errors
    /// When their checkpoint is missing or damaged.
    fn check_best(&self, state: &State) -> Result<(), TrainError> {
        let best = state.best.as_ref().and_then(|best| best.checkpoint.as_ref());
        let (Select::Best, Some(name), Some(run)) = (self.config.train.select, best, &self.run) else {
            return Ok(());
        };
        run.checkpoint_store().load(name).map(drop).map_err(|error| TrainError::Resume {
            name: name.clone(),
            expected: "the weights of the best evaluation so far, which train.select = \"best\" ends with"
                .into(),
            found: error.to_string(),
        })
    }

    /// Clears the remains of a killed writer, and reads the checkpoint to continue from.
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

    /// Training before its first step in this process. The listeners hear that it starts.
    ///
    /// # Errors
    /// When the log cannot be opened.
    fn open<'a, M: Task>(&'a mut self, opening: Opening<'a, M>) -> Result<FitLoop<'a, M>, TrainError> {
        let Opening { ranks, length, job_has_run, interrupt, learner, state, table, resumed, .. } = opening;
        let Trainer { config, device, run, metrics, listeners, .. } = self;
        let (config, device) = (&*config, &*device);
        let mut keeper =
            Keeper::open(&config.checkpoint, run.as_ref(), job_has_run, listeners, resumed, state.log_bytes)?;
        keeper.emit(&Event::Started {
            parameters: table,
            total_steps: length.total_steps,
            step: state.step,
            resumed: resumed.map(|checkpoint| checkpoint.name.as_str()),
        })?;
        for warning in resumed.iter().flat_map(|checkpoint| &checkpoint.warnings) {
            keeper.emit(&Event::Warning(warning))?;
        }
        let step: Box<dyn Step<M> + 'a> = match opening.least_squares {
            Some(model) if config.train.solver == Solver::LeastSquares => {
                Box::new(LeastSquaresStep::new(model, config.train.ridge, device, ranks.clone()))
            }
            _ => {
                let gradient = GradientStep::new(config, length, table, device, ranks.share());
                if ranks.alone() {
                    Box::new(gradient)
                } else {
                    Box::new(SharedGradient::new(gradient, ranks.clone(), config.train.sync_batch_norm))
                }
            }
        };
        let stopwatch = Stopwatch::new(length.trained_samples(config.train.drop_last));
        let (seconds, samples, continues_step) = (state.seconds, state.samples, state.pieces > 0);
        Ok(FitLoop {
            config,
            length,
            table,
            ranks: ranks.clone(),
            interrupt: interrupt.clone(),
            feed: Feed::new(opening.train, ranks.share(), state.position, device.clone()),
            valid: opening.valid,
            evaluator: Evaluator {
                metrics,
                views: 1,
                monitor: config.train.monitor.as_deref(),
                counts_not_finite: true,
                batch_size: config.train.evaluate_batch_size,
                device,
                interrupt,
                ranks,
            },
            step,
            learner,
            state,
            losses: Losses::new(self.read_loss_every),
            keeper,
            timing: Timing::start(self.started, seconds, samples, !ranks.alone(), stopwatch),
            last_rate: None,
            best_weights: None,
            warned_of_not_finite: false,
            continues_step,
            stepped: resumed.is_some(),
        })
    }
}
