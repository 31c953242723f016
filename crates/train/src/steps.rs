//! The step loop.

use crate::evaluate::Passed;
use crate::gradient::{Accumulated, clip_norm, clip_value};
use crate::least_squares::LeastSquares;
use crate::ranks::Ranks;
use crate::session::Session;
use crate::state::Due;
use crate::tensors::{AVERAGE, WEIGHTS};
use crate::training::{Pieces, Steps, beside_the_kernels};
use crate::waits::Waited;
use crate::{Event, FitConfig, Parameter, Select, Stopped, TrainError};
use bonfire_checkpoint::{Weights, save_weights};
use bonfire_contract::Task;
use burn::optim::GradientsParams;
use std::path::Path;

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
            let waited = self.waited();
            self.session.waits.begin(waited);
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
                    // What fails before the first step has nothing to save.
                    if self.session.state.step > 0
                        && self.session.unsaved()
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

    /// Takes the step whose gradient is accumulated, or drops it where it is short and is not
    /// wanted, and goes on to the next epoch where this one has ended.
    fn step(mut self, epoch_ended: bool) -> Result<Self, TrainError> {
        let samples = self.session.state.piece_samples;
        let dropped =
            self.config.train.drop_last && !self.feed.position().samples.is_multiple_of(self.plan.step);
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
            let gradient = self.mean_gradient();
            let (config, table, ranks, mut progress) = (self.config, self.table, &self.ranks, self.progress);
            self.progress = beside_the_kernels(self.pass.device, move || {
                let gradient = gradient.unwrap_or_else(|| progress.accumulated.take_mean(table));
                progress.step(rate, clipped(gradient, table, config, ranks), count)
            });
            (self.session.state.pieces, self.session.state.piece_samples) = (0, 0);
            if epoch_ended {
                self.next_epoch();
            }
            self.step_done(samples, rate)?;
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

    /// Counts a step of `samples`, and the time that it waited.
    pub(crate) fn step_done(&mut self, samples: u64, rate: f64) -> Result<(), TrainError> {
        let waited = self.waited();
        self.session.waits.end(waited);
        self.session.step_done(samples, rate)
    }

    fn waited(&self) -> Waited {
        Waited { data: self.feed.waited(), ranks: self.ranks.waited() }
    }

    pub(crate) fn next_epoch(&mut self) {
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
                    let (found, files) = self.ranks.of_first::<bool>(mine);
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

fn clipped(
    mut gradient: GradientsParams,
    table: &[Parameter],
    config: &FitConfig,
    ranks: &Ranks,
) -> GradientsParams {
    if let Some(largest) = config.train.clip_value {
        clip_value(&mut gradient, table, largest);
    }
    if let Some(largest) = config.train.clip_norm {
        clip_norm(&mut gradient, table, largest, ranks);
    }
    gradient
}
