//! The step loop.

use crate::costs::{Costs, Stopwatch, measured};
use crate::evaluate::{Pass, Passed};
use crate::exchange::{Exchange, add_statistics, take_statistics};
use crate::feed::Feed;
use crate::fitting::Fitting;
use crate::gradient::{Accumulated, clip_norm, clip_value};
use crate::least_squares::LeastSquares;
use crate::passes::Forward;
use crate::plan::Plan;
use crate::ranks::{Ranks, Word};
use crate::session::{Session, number};
use crate::state::Due;
use crate::tensors::{AVERAGE, WEIGHTS};
use crate::{Event, FitConfig, Parameter, Select, Stopped, TrainError};
use bonfire_checkpoint::{RunFolder, Weights, save_weights};
use bonfire_contract::{Batch, Loader, Portion, Position, Target, Task};
use bonfire_kernels::{Together, multiply_adds, threads};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use std::path::Path;

/// Training under way.
pub(crate) struct Steps<'a, M: Task> {
    pub(crate) config: &'a FitConfig,
    pub(crate) plan: Plan,
    /// Where this process writes.
    pub(crate) run: Option<&'a RunFolder>,
    /// Whether this process, or rank 0 of its job, writes.
    pub(crate) keeps: bool,
    pub(crate) pass: Pass<'a>,
    pub(crate) valid: Option<&'a dyn Loader<M::Input>>,
    pub(crate) table: &'a [Parameter],
    pub(crate) feed: Feed<'a, M::Input>,
    pub(crate) session: Session<'a>,
    pub(crate) progress: Fitting<M>,
    /// Those of the best evaluation, where they are selected and no checkpoint keeps them.
    pub(crate) best_weights: Option<Weights>,
    /// Whether this epoch had a step; unknown, so granted, where a checkpoint stands within one.
    pub(crate) stepped: bool,
    pub(crate) stopwatch: Stopwatch,
    /// Whether the costs of a step are told.
    pub(crate) told: bool,
    pub(crate) ranks: Ranks,
    /// What several ranks exchange at each step; nothing where there is one.
    pub(crate) exchanges: Vec<Exchange>,
    /// The running statistics before the pieces of the open step.
    pub(crate) statistics: GradientsParams,
    /// The sums of least squares, where those are what is solved.
    pub(crate) least_squares: Option<LeastSquares>,
    /// By which batch norm measures the batches of all ranks, where it does.
    pub(crate) together: Option<Together>,
}

/// Why the gradient of a step has no further piece.
enum Pieces {
    /// It has all its samples.
    Whole,
    /// The epoch has no more, whether the step is whole or not.
    EpochEnded,
    /// A signal came.
    Interrupted(i32),
    /// A piece could not be read; the step is undone.
    Failed(TrainError),
}

impl<'a, M: Task> Steps<'a, M> {
    /// Steps until training is over.
    pub(crate) fn run(mut self) -> Result<(Self, Stopped), TrainError> {
        let stopped = loop {
            if let Some(due) = self.session.state.due
                && let Some(stopped) = self.report_evaluate_save(due)?
            {
                break stopped;
            }
            if self.session.finished() {
                break Stopped::Finished;
            }
            if self.session.out_of_patience() {
                break Stopped::EarlyStopped;
            }
            self.stopwatch.start();
            let epoch_ended = match self.accumulate()? {
                Pieces::Whole => false,
                Pieces::EpochEnded => true,
                Pieces::Interrupted(signal) => {
                    match &mut self.least_squares {
                        // One pass is begun again: the sums are no part of a checkpoint.
                        Some(sums) => {
                            *sums = LeastSquares::default();
                            self.undo(0);
                        }
                        None => self.collect_gradient(),
                    }
                    break Stopped::Interrupted(signal);
                }
                Pieces::Failed(error) => {
                    if self.session.unsaved()
                        && let Err(unsaved) = self.save(false)
                    {
                        self.session.emit(&Event::Warning(&format!("no checkpoint: {unsaved}")))?;
                    }
                    return Err(error);
                }
            };
            self = self.step(epoch_ended)?;
            // A device that fails here says so at its next op.
            let settle = || drop(self.pass.device.sync());
            if let Some(pace) = self.stopwatch.stop(self.session.state.samples, settle) {
                self.session.emit(&Event::Pace(&pace))?;
            }
            if epoch_ended {
                self.stopwatch.give_up();
            }
        };
        // An interrupted evaluation has saved already, so that it is not unsaved here.
        if self.session.unsaved() {
            self.save(false)?;
        }
        Ok((self, stopped))
    }

    /// What is due before the next step; why to stop, where a signal came meanwhile.
    fn report_evaluate_save(&mut self, due: Due) -> Result<Option<Stopped>, TrainError> {
        if due.step {
            self.session.report()?;
        }
        let mut improved = false;
        if let Some(valid) = self.valid.filter(|_| self.session.evaluation_due(due)) {
            let subject = self.progress.subject();
            let evaluation = match self.pass.over(&subject, valid)? {
                Passed::Through(evaluation) => evaluation,
                Passed::Interrupted(signal) => {
                    // With the evaluation still due.
                    self.save(false)?;
                    return Ok(Some(Stopped::Interrupted(signal)));
                }
            };
            improved = self.session.evaluated(&evaluation)?;
            if improved && !self.keeps && self.config.train.select == Select::Best {
                self.best_weights = Some(Weights::of(&subject));
            }
        }
        self.session.state.due = None;
        if self.keeps && (improved || self.session.checkpoint_due(due)) {
            self.save(improved)?;
        }
        Ok(None)
    }

    /// Adds up the gradient of one step, piece by piece.
    fn accumulate(&mut self) -> Result<Pieces, TrainError> {
        let (plan, drop_last) = (self.plan, self.config.train.drop_last);
        let position = self.feed.position();
        let left = plan.epoch.saturating_sub(position.samples);
        let within = position.samples % plan.step;
        // The last, short step of an epoch is not even begun where it would be dropped.
        let short = drop_last && within == 0 && left < plan.step;
        // A checkpoint may stand between an epoch's last piece and its step, or between a step's.
        let mut ended = short || left == 0;
        let mut wanted = match within == 0 && self.session.state.pieces > 0 {
            true => 0,
            false => plan.step - within,
        };
        let losses = self.session.pending();
        self.statistics = GradientsParams::new();
        add_statistics(&self.progress.model, self.table, &mut self.statistics);
        // What one rank alone knows of a signal it tells the others after its piece.
        let mut signal = if self.ranks.alone() { self.pass.interrupt.raised() } else { None };
        while signal.is_none() && !ended && wanted > 0 {
            let size = (plan.piece as u64).min(wanted) as usize;
            let read = self.feed.next(size);
            let (piece, failure) = match read {
                Ok(Some(portion)) => {
                    wanted -= portion.consumed().min(wanted);
                    (Some(portion), None)
                }
                // The epoch has fewer samples than it said, on all ranks.
                Ok(None) => {
                    ended = true;
                    break;
                }
                Err(error) => (None, Some(TrainError::from(error))),
            };
            self.session.waited = self.feed.waited();
            let mut word = Word { failed: failure.is_some(), clock: self.session.clock(), ..Word::default() };
            let batch = piece.and_then(Portion::batch);
            // A rank without samples comes to no batch norm, for which the others would wait.
            let together = match &self.together {
                Some(together) if self.ranks.saying(batch.is_some()) == self.ranks.count() => {
                    Some(together.clone())
                }
                _ => None,
            };
            if let Some(batch) = batch {
                let (loss, samples) = match &mut self.least_squares {
                    Some(sums) => add_to(sums, &self.progress.model, batch)?,
                    None => self.add_piece(batch, together.as_ref())?,
                };
                word.samples = samples;
                match self.ranks.alone() {
                    true => self.session.add_loss(loss, samples),
                    false => word.loss = number(loss) * samples as f64,
                }
            }
            word.signal = self.pass.interrupt.raised();
            let word = self.ranks.agree(word);
            if word.failed {
                let error = self.ranks.together(failure.map_or(Ok(()), Err)).expect_err("a rank has failed");
                self.undo(losses);
                return Ok(Pieces::Failed(error));
            }
            let state = &mut self.session.state;
            state.position = self.feed.position();
            if word.samples > 0 {
                state.pieces += 1;
                state.piece_samples += word.samples;
                if !self.ranks.alone() {
                    self.session.add_known_loss(word.loss / word.samples as f64, word.samples);
                }
            }
            self.session.clock_due |= word.clock;
            signal = word.signal;
            // With the last sample used, the epoch's end is known without asking for more.
            ended = self.feed.position().samples >= plan.epoch;
        }
        Ok(match (signal, ended) {
            (Some(signal), _) => Pieces::Interrupted(signal),
            (None, true) => Pieces::EpochEnded,
            (None, false) => Pieces::Whole,
        })
    }

    /// Adds this rank's part of a piece to the gradient: its mean loss, `[1]`, and its samples.
    fn add_piece(
        &mut self,
        batch: Batch<M::Input>,
        together: Option<&Together>,
    ) -> Result<(Tensor<1>, u64), TrainError> {
        let (progress, session) = (&mut self.progress, &mut self.session);
        let samples = batch.samples.len() as u64;
        let (ranks, rank) = (self.ranks.count() as u64, self.ranks.rank() as u64);
        // Dropout draws anew for each rank.
        let seed = mix(self.config.seed, session.state.step, session.state.pieces * ranks + rank);
        self.pass.device.seed(seed);
        // While a second handle is held, the batch is not among what the forward pass frees.
        let held = (!self.told).then(|| batch.clone());
        let forward =
            || Together::within(together, || Forward::new(&progress.model, batch, &self.config.train, seed));
        let piece = if held.is_some() {
            let ((piece, multiply_adds), bytes) = measured(self.pass.device, || multiply_adds(forward));
            piece.check(&self.config.train)?;
            session.emit(&Event::Costs(&Costs::new(self.table, samples, multiply_adds, bytes)))?;
            self.told = true;
            piece
        } else {
            forward()
        };
        drop(held);
        let loss = piece.loss();
        let table = self.table;
        beside_the_kernels(self.pass.device, || {
            Together::within(together, || progress.add_gradient(piece, samples, table));
        });
        Ok((loss, samples))
    }

    /// Goes back to the beginning of the open step, with the losses before it.
    fn undo(&mut self, losses: usize) {
        self.progress.accumulated = Accumulated::default();
        self.progress.model = take_statistics(self.progress.model.clone(), self.table, &mut self.statistics);
        self.session.forget_losses(losses);
        let state = &mut self.session.state;
        let Position { epoch, samples } = state.position;
        let within = match samples % self.plan.step {
            0 if state.pieces > 0 => self.plan.step, // all of them, but the step was not taken
            within => within,
        };
        state.position = Position { epoch, samples: samples - within };
        (state.pieces, state.piece_samples) = (0, 0);
        self.feed.go_to(state.position);
    }

    /// Brings the gradient of an open step together, for rank 0 to save.
    fn collect_gradient(&mut self) {
        let (pieces, samples) = (self.session.state.pieces, self.session.state.piece_samples);
        if pieces == 0 {
            return;
        }
        if let Some(mean) = self.mean_gradient(samples)
            && self.ranks.writes()
        {
            self.progress.accumulated = Accumulated::of_all(mean, pieces, samples, self.table);
        }
    }

    /// The mean gradient over the `samples` of a step, on all ranks the same; none where there is one rank. The ranks
    /// also go on with the mean of their running statistics, and so with the same model: each has normalised by its own
    /// part of the batch, and counts as often as it had samples.
    fn mean_gradient(&mut self, samples: u64) -> Option<GradientsParams> {
        if self.ranks.alone() {
            return None;
        }
        let accumulated = std::mem::take(&mut self.progress.accumulated);
        let of_gradient = accumulated.factor(samples);
        let of_statistics = accumulated.samples as f64 / samples as f64;
        let mut own = accumulated.gradient;
        add_statistics(&self.progress.model, self.table, &mut own);
        let factor =
            |parameter: &Parameter| if parameter.is_statistic() { of_statistics } else { of_gradient };
        let device = self.pass.device.clone().without_autodiff();
        let mut mean = GradientsParams::new();
        for exchange in &mut self.exchanges {
            exchange.sum(&self.ranks, self.table, &mut own, factor, &device, &mut mean);
        }
        self.progress.model = take_statistics(self.progress.model.clone(), self.table, &mut mean);
        Some(mean)
    }

    /// Takes the step whose gradient is accumulated, or drops it where it is short and is not
    /// wanted, and goes on to the next epoch where this one has ended.
    fn step(mut self, epoch_ended: bool) -> Result<Self, TrainError> {
        let samples = self.session.state.piece_samples;
        let dropped = self.config.train.drop_last && self.feed.position().samples % self.plan.step > 0;
        if dropped {
            self.progress.accumulated = Accumulated::default();
            (self.session.state.pieces, self.session.state.piece_samples) = (0, 0);
        }
        let step = samples > 0 && !dropped;
        if !step && !epoch_ended {
            return Ok(self); // none of its samples can be read
        }
        if step && self.least_squares.is_some() {
            self.solve(samples, epoch_ended)?;
        } else if step {
            self.session.check_losses()?;
            let rate = self.session.learning_rate(self.session.state.step);
            let count = self.session.state.step + 1;
            let (config, table) = (self.config, self.table);
            let gradient = self.mean_gradient(samples);
            let mut progress = self.progress;
            self.progress = beside_the_kernels(self.pass.device, move || {
                let gradient = gradient.unwrap_or_else(|| progress.accumulated.take_mean(table));
                progress.step(rate, clipped(gradient, table, config), count)
            });
            (self.session.state.pieces, self.session.state.piece_samples) = (0, 0);
            if epoch_ended {
                self.next_epoch();
            }
            self.session.step_done(samples, rate)?;
        } else {
            let expected = "at least one sample an epoch that can be read".to_string();
            if !self.stepped {
                return Err(TrainError::Empty { set: "training", expected, found: "none".into() });
            }
            self.next_epoch();
        }
        self.session.state.due = Some(Due { step, epoch: epoch_ended });
        self.stepped = step && !epoch_ended;
        Ok(self)
    }

    /// Sets the weights of the least squared error over all ranks' samples.
    fn solve(&mut self, samples: u64, epoch_ended: bool) -> Result<(), TrainError> {
        let mut least_squares = self.least_squares.take().expect("the solver that was asked for");
        let sizes = self.ranks.gather(&least_squares.sizes()).into_iter().max().expect("a rank");
        self.ranks.communicator().sum(least_squares.sums(sizes));
        let device = self.pass.device.clone().without_autodiff();
        let (weights, error) = least_squares.solve(self.config.train.ridge, samples, &device);
        self.progress.model = self.progress.model.clone().with_weights(Tensor::from_inner(weights));
        // What the weights leave, not what the first ones did.
        self.session.forget_losses(0);
        self.session.add_known_loss(error, samples);
        self.session.check_losses()?;
        (self.session.state.pieces, self.session.state.piece_samples) = (0, 0);
        self.least_squares = Some(LeastSquares::default());
        if epoch_ended {
            self.next_epoch();
        }
        self.session.step_done(samples, 1.0)
    }

    fn next_epoch(&mut self) {
        self.feed.next_epoch();
        self.session.state.position = self.feed.position();
    }

    /// Rank 0 writes a checkpoint; the others wait for it, and for what became of it.
    fn save(&mut self, best: bool) -> Result<(), TrainError> {
        self.ranks.check_weights(|| Weights::of(&self.progress.model))?;
        let saved = self.session.save(|| self.progress.tensors(self.table), best);
        self.ranks.together(saved)
    }

    /// The weights that training ends with, which the run folder keeps unless it was interrupted.
    pub(crate) fn select(self, stopped: Stopped) -> Result<(Session<'a>, M), TrainError> {
        let mut selected = self.progress.subject();
        if matches!(stopped, Stopped::Interrupted(_)) {
            return Ok((self.session, selected));
        }
        if self.config.train.select == Select::Best {
            let best = self.ranks.together(self.best_checkpoint())?;
            let best = match self.ranks.alone() {
                true => best,
                false => {
                    let found = best.is_some();
                    let mine = self.ranks.writes().then(|| (found, best.into_iter().collect()));
                    let (found, files) = self.ranks.from_first::<bool>(mine);
                    found.then(|| files.into_iter().next()).flatten()
                }
            };
            if let Some((path, bytes)) = best {
                let path = Path::new(&path);
                selected = Weights::from_safetensors(&bytes, path)?.apply(selected, path)?;
            } else if let Some(weights) = self.best_weights {
                selected = weights.apply(selected, Path::new("best weights"))?;
            }
        }
        let saved = self.run.map_or(Ok(()), |run| save_weights(&selected, &run.model()));
        self.ranks.together(saved.map_err(TrainError::from))?;
        Ok((self.session, selected))
    }

    /// The weights of the best evaluation and where they lie, where this process keeps them on disk.
    fn best_checkpoint(&self) -> Result<Option<(String, Vec<u8>)>, TrainError> {
        let best = self.session.state.best.as_ref().and_then(|best| best.checkpoint.as_deref());
        let (Some(name), Some(run)) = (best, self.run) else { return Ok(None) };
        let store = run.checkpoint_store();
        let file = if self.config.train.average.is_some() { AVERAGE } else { WEIGHTS };
        let bytes = store.load(name)?.remove(file).unwrap_or_default();
        Ok(Some((store.path(name).join(file).display().to_string(), bytes)))
    }
}

/// Runs the work on a thread of the kernels' pool where that computes for the device, so that the pool is woken once
/// and not at every op. Elsewhere it stays on the caller's thread, to which a device may bind its queue. Not for a
/// model's forward pass: Burn keeps running statistics apart by thread, and the pool's threads take turns.
fn beside_the_kernels<R: Send>(device: &Device, work: impl FnOnce() -> R + Send) -> R {
    // A pool of one thread would only take turns with the caller.
    match bonfire_kernels::serve(device) && threads::count() > 1 {
        true => threads::inside(work),
        false => work(),
    }
}

/// Adds a piece to the sums of least squares: its mean loss so far, `[1]`, and its samples.
fn add_to<M: Task>(
    sums: &mut LeastSquares,
    model: &M,
    batch: Batch<M::Input>,
) -> Result<(Tensor<1>, u64), TrainError> {
    let samples = batch.samples.len() as u64;
    match (model.regressors(batch.input), batch.target) {
        (Some(regressors), Target::Values(values)) => {
            let (regressors, values) = (off_graph(regressors), off_graph(values));
            sums.add(regressors, values.clone())?;
            Ok(((values.clone() * values).mean(), samples))
        }
        _ => {
            let expected = "\"gradient\" for all but a linear regression of the squared error";
            Err(TrainError::config("train.solver", expected, "\"least_squares\""))
        }
    }
}

fn off_graph<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.device().is_autodiff() { tensor.inner() } else { tensor }
}

fn clipped(mut gradient: GradientsParams, table: &[Parameter], config: &FitConfig) -> GradientsParams {
    if let Some(largest) = config.train.clip_value {
        clip_value(&mut gradient, table, largest);
    }
    if let Some(largest) = config.train.clip_norm {
        clip_norm(&mut gradient, table, largest);
    }
    gradient
}

/// A seed for the dropout of one piece, as far from the next piece's as from any other
/// (SplitMix64's finaliser, Steele et al. 2014).
pub(crate) fn mix(seed: u64, step: u64, piece: u64) -> u64 {
    [step, piece].into_iter().fold(seed, |state, part| {
        let mut z = state.wrapping_add(part.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}
