//! The step loop.

use crate::costs::{Costs, Stopwatch, measured};
use crate::evaluate::Pass;
use crate::feed::Feed;
use crate::fitting::Fitting;
use crate::gradient::{Accumulated, clip_norm, clip_value};
use crate::passes::Forward;
use crate::plan::Plan;
use crate::session::Session;
use crate::state::Due;
use crate::tensors::{AVERAGE, WEIGHTS};
use crate::{Event, FitConfig, Parameter, Select, Stopped, TrainError};
use bonfire_checkpoint::{RunFolder, Weights, save_weights};
use bonfire_contract::{Input, Loader, Task};
use bonfire_kernels::{multiply_adds, threads};
use burn::optim::GradientsParams;
use burn::tensor::Device;
use std::path::Path;

/// Training under way.
pub(crate) struct Steps<'a, M: Task> {
    pub(crate) config: &'a FitConfig,
    pub(crate) plan: Plan,
    pub(crate) run: Option<&'a RunFolder>,
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
}

/// Why the gradient of a step has no further piece.
enum Pieces {
    /// It has all its samples.
    Whole,
    /// The epoch has no more, whether the step is whole or not.
    EpochEnded,
    /// A signal came.
    Interrupted(i32),
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
                    let accumulated = &self.progress.accumulated;
                    (self.session.state.pieces, self.session.state.piece_samples) =
                        (accumulated.pieces, accumulated.samples);
                    break Stopped::Interrupted(signal);
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
            let Some(evaluation) = self.pass.over(&subject, valid)? else {
                // With the evaluation still due.
                self.save(false)?;
                let signal = self.pass.interrupt.raised().unwrap_or_default();
                return Ok(Some(Stopped::Interrupted(signal)));
            };
            improved = self.session.evaluated(&evaluation)?;
            if improved && self.run.is_none() && self.config.train.select == Select::Best {
                self.best_weights = Some(Weights::of(&subject));
            }
        }
        self.session.state.due = None;
        if self.run.is_some() && (improved || self.session.checkpoint_due(due)) {
            self.save(improved)?;
        }
        Ok(None)
    }

    /// Adds up the gradient of one step, piece by piece.
    fn accumulate(&mut self) -> Result<Pieces, TrainError> {
        let (plan, drop_last) = (self.plan, self.config.train.drop_last);
        let (progress, session) = (&mut self.progress, &mut self.session);
        let left = plan.epoch.saturating_sub(self.feed.position().samples);
        // The last, short step of an epoch is not even begun where it would be dropped.
        let short = drop_last && progress.accumulated.pieces == 0 && left < plan.step;
        // A checkpoint may stand between an epoch's last piece and its step.
        let mut ended = short || left == 0;
        let mut signal = self.pass.interrupt.raised();
        while signal.is_none() && !ended && progress.accumulated.samples < plan.step {
            let size = (plan.piece as u64).min(plan.step - progress.accumulated.samples) as usize;
            let Some(batch) = self.feed.next(size)? else {
                ended = true;
                break;
            };
            session.state.position = self.feed.position();
            session.waited = self.feed.waited();
            let samples = batch.input.len() as u64;
            if samples > 0 {
                let pieces = progress.accumulated.pieces;
                let seed = mix(self.config.seed, session.state.step, pieces);
                self.pass.device.seed(seed);
                // While a second handle is held, the batch is not among what the forward pass frees.
                let held = (!self.told).then(|| batch.clone());
                let forward = || Forward::new(&progress.model, batch, &self.config.train, seed);
                let piece = if held.is_some() {
                    let ((piece, multiply_adds), bytes) =
                        measured(self.pass.device, || multiply_adds(forward));
                    piece.check(&self.config.train)?;
                    session.emit(&Event::Costs(&Costs::new(self.table, samples, multiply_adds, bytes)))?;
                    self.told = true;
                    piece
                } else {
                    forward()
                };
                drop(held);
                session.add_loss(piece.loss(), samples);
                let table = self.table;
                beside_the_kernels(self.pass.device, || progress.add_gradient(piece, samples, table));
            }
            signal = self.pass.interrupt.raised();
            // With the last sample used, the epoch's end is known without asking for more.
            ended = self.feed.position().samples >= plan.epoch;
        }
        Ok(match (signal, ended) {
            (Some(signal), _) => Pieces::Interrupted(signal),
            (None, true) => Pieces::EpochEnded,
            (None, false) => Pieces::Whole,
        })
    }

    /// Takes the step whose gradient is accumulated, or drops it where it is short and is not
    /// wanted, and goes on to the next epoch where this one has ended.
    fn step(mut self, epoch_ended: bool) -> Result<Self, TrainError> {
        let samples = self.progress.accumulated.samples;
        let dropped = self.config.train.drop_last && samples < self.plan.step;
        if dropped {
            self.progress.accumulated = Accumulated::default();
        }
        let step = samples > 0 && !dropped;
        if step {
            self.session.check_losses()?;
            let rate = self.session.learning_rate(self.session.state.step);
            let (mut progress, config, table) = (self.progress, self.config, self.table);
            let count = self.session.state.step + 1;
            self.progress = beside_the_kernels(self.pass.device, move || {
                let gradient = clipped(progress.accumulated.take_mean(table), table, config);
                progress.step(rate, gradient, count)
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

    fn next_epoch(&mut self) {
        self.feed.next_epoch();
        self.session.state.position = self.feed.position();
    }

    fn save(&mut self, best: bool) -> Result<(), TrainError> {
        self.session.save(self.progress.tensors(self.table), best)
    }

    /// The weights that training ends with, which the run folder keeps unless it was interrupted.
    pub(crate) fn select(self, stopped: Stopped) -> Result<(Session<'a>, M), TrainError> {
        let mut selected = self.progress.subject();
        if matches!(stopped, Stopped::Interrupted(_)) {
            return Ok((self.session, selected));
        }
        if self.config.train.select == Select::Best {
            let best = self.session.state.best.as_ref().and_then(|best| best.checkpoint.as_deref());
            if let (Some(name), Some(run)) = (best, self.run) {
                let store = run.checkpoint_store();
                let file = if self.config.train.average.is_some() { AVERAGE } else { WEIGHTS };
                let path = store.path(name).join(file);
                let bytes = store.load(name)?.remove(file).unwrap_or_default();
                selected = Weights::from_safetensors(&bytes, &path)?.apply(selected, &path)?;
            } else if let Some(weights) = self.best_weights {
                selected = weights.apply(selected, Path::new("best weights"))?;
            }
        }
        if let Some(run) = self.run {
            save_weights(&selected, &run.model())?;
        }
        Ok((self.session, selected))
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
