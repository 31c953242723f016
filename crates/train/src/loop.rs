//! The training loop.
//!
//! ```text
//! end of a step or an epoch -> record, evaluate, checkpoint -> stop? -> pieces of a step -> update -> …
//! ```

use crate::evaluate::{Evaluator, Passed};
use crate::feed::Feed;
use crate::keep::{Due, Keeper, State};
use crate::learner::{Accumulated, Learner};
use crate::length::Length;
use crate::losses::{Loss, Losses};
use crate::ranks::Ranks;
use crate::step::Step;
use crate::timing::Timing;
use crate::{Event, FitConfig, Interrupt, Parameter, Select, Stopped, TrainError};
use bonfire_checkpoint::Weights;
use bonfire_contract::{Loader, Task};

/// The loop of one training, under way.
pub(crate) struct FitLoop<'a, M: Task> {
    pub(crate) config: &'a FitConfig,
    pub(crate) length: Length,
    pub(crate) table: &'a [Parameter],
    pub(crate) ranks: Ranks,
    pub(crate) interrupt: Interrupt,
    pub(crate) feed: Feed<'a, M::Input>,
    pub(crate) valid: Option<&'a dyn Loader<M::Input>>,
    pub(crate) evaluator: Evaluator<'a>,
    pub(crate) step: Box<dyn Step<M> + 'a>,
    pub(crate) learner: Learner<M>,
    pub(crate) state: State,
    pub(crate) losses: Losses,
    pub(crate) keeper: Keeper<'a>,
    pub(crate) timing: Timing,
    /// The learning rate of the last step of this process.
    pub(crate) last_rate: Option<f64>,
    /// The weights of the best evaluation, where they are selected and no checkpoint keeps them.
    pub(crate) best_weights: Option<Weights>,
    /// True once an evaluation met outputs that are not finite, of which one warning is enough.
    pub(crate) warned_of_not_finite: bool,
    /// True within a step of which an earlier process took in the first pieces.
    pub(crate) continues_step: bool,
    /// True once this epoch had a step. Unknown, so true, where training continues within an epoch.
    pub(crate) stepped: bool,
}

/// The reason why the open step takes no further piece.
pub(crate) enum Pieces {
    /// It has all its samples.
    Whole,
    /// The epoch has no more samples, whether the step is whole or not.
    EpochEnded,
    /// A signal came.
    Interrupted(i32),
    /// A piece could not be read, and the step is undone.
    Failed(TrainError),
}

impl<M: Task> FitLoop<'_, M> {
    /// Steps until training is over.
    ///
    /// # Errors
    /// When a sample cannot be read, a loss or a weight is not finite, or the run folder refuses.
    pub(crate) fn run(mut self) -> Result<(Self, Stopped), TrainError> {
        let stopped = loop {
            if let Some(due) = self.state.due {
                self.report(due)?;
                if let Some(signal) = self.evaluate_and_checkpoint(due)? {
                    break Stopped::Interrupted(signal);
                }
            }
            if let Some(stopped) = self.is_over() {
                break stopped;
            }

            self.timing.begin_step(&self.feed, &self.ranks);
            let epoch_ended = match self.take_pieces() {
                Pieces::Whole => false,
                Pieces::EpochEnded => true,
                Pieces::Interrupted(signal) => {
                    self.pause();
                    break Stopped::Interrupted(signal);
                }
                Pieces::Failed(error) => return Err(self.failed(error)?),
            };
            if let Some(samples) = self.samples_to_step_on() {
                self.check_losses()?;
                let updated = self.step.update(self.learner, self.state.open_step());
                self.learner = updated.learner;
                if let Some(loss) = updated.loss {
                    self.losses.add(Loss::Known(loss), samples);
                    self.check_losses()?;
                }
                self.end_step(samples, updated.rate, epoch_ended)?;
            } else if epoch_ended {
                self.end_epoch_without_step()?;
            }
            self.tell_pace(epoch_ended)?;
        };
        // An interrupted evaluation has saved already.
        if self.keeper.is_behind() {
            self.save(false)?;
        }
        Ok((self, stopped))
    }

    /// The reason why training is over, where it is.
    fn is_over(&self) -> Option<Stopped> {
        let patience = self.config.train.early_stopping;
        if self.length.is_reached(&self.state) {
            Some(Stopped::Finished)
        } else if patience.is_some_and(|patience| self.state.stale >= patience) {
            Some(Stopped::EarlyStopped)
        } else {
            None
        }
    }

    /// Makes the evaluation and the checkpoint that are due. A signal that interrupts the evaluation comes
    /// back.
    fn evaluate_and_checkpoint(&mut self, due: Due) -> Result<Option<i32>, TrainError> {
        let mut improved = false;
        if let Some(valid) = self.valid.filter(|_| self.evaluation_is_due(due)) {
            let model = self.learner.to_evaluate();
            let evaluation = match self.evaluator.over(&model, valid)? {
                Passed::Through(evaluation) => evaluation,
                Passed::Interrupted(signal) => {
                    // With the evaluation still due.
                    self.save(false)?;
                    return Ok(Some(signal));
                }
            };
            improved = self.record_evaluation(&evaluation)?;
            if improved && !self.keeper.keeps_best() && self.config.train.select == Select::Best {
                self.best_weights = Some(Weights::of(&model));
            }
        }
        self.state.due = None;
        if self.keeper.is_due(due, &self.state, improved) {
            self.save(improved)?;
        }
        Ok(None)
    }

    fn evaluation_is_due(&self, due: Due) -> bool {
        let regular = match self.config.train.evaluate_every {
            Some(steps) => due.step && self.state.step.is_multiple_of(steps),
            None => due.epoch,
        };
        (regular || self.length.is_reached(&self.state)) && self.state.evaluated != Some(self.state.step)
    }

    /// Keeps the open step for a checkpoint, or undoes it where no checkpoint could hold it.
    fn pause(&mut self) {
        if !self.step.pause(&mut self.learner, self.state.open_step()) {
            self.undo(0);
        }
    }

    /// Saves the steps before the one that failed; the error comes back.
    fn failed(&mut self, error: TrainError) -> Result<TrainError, TrainError> {
        // An error before the first step has nothing to save. A step that an earlier process began cannot be
        // undone here: its first pieces have moved running statistics and are among the reported losses. The
        // checkpoint that it left stands within this very step, and holds all that is to be kept.
        if self.state.step > 0
            && !self.continues_step
            && self.keeper.is_behind()
            && let Err(unsaved) = self.save(false)
        {
            self.keeper.emit(&Event::Warning(&format!("no checkpoint: {unsaved}")))?;
        }
        Ok(error)
    }

    /// The samples of the open step; none where no sample of it could be read, or where it is short and
    /// dropped.
    fn samples_to_step_on(&mut self) -> Option<u64> {
        let short = !self.feed.position().samples.is_multiple_of(self.length.step);
        if self.config.train.drop_last && short {
            self.learner.gradient = Accumulated::default();
            self.state.close_step();
        }
        Some(self.state.piece_samples).filter(|&samples| samples > 0)
    }

    /// Counts a step that was taken.
    fn end_step(&mut self, samples: u64, rate: f64, epoch_ended: bool) -> Result<(), TrainError> {
        self.state.close_step();
        if epoch_ended {
            self.next_epoch();
        }
        self.state.step += 1;
        self.state.samples += samples;
        self.state.due = Some(Due { step: true, epoch: epoch_ended });
        self.stepped = !epoch_ended;
        self.continues_step = false;
        self.last_rate = Some(rate);
        self.keeper.note_change();
        self.timing.end_step(&self.feed, &self.ranks);
        self.keeper.emit(&Event::Step(&self.progress()))
    }

    /// Goes on to the next epoch after the last pieces gave no step.
    fn end_epoch_without_step(&mut self) -> Result<(), TrainError> {
        if !self.stepped {
            let expected = "at least one sample an epoch that can be read".to_string();
            return Err(TrainError::Empty { set: "training", expected, found: "none".into() });
        }
        self.next_epoch();
        self.state.due = Some(Due { step: false, epoch: true });
        (self.stepped, self.continues_step) = (false, false);
        Ok(())
    }

    fn next_epoch(&mut self) {
        self.feed.next_epoch();
        self.state.position = self.feed.position();
    }

    /// Writes a checkpoint on the rank that keeps the run; all ranks wait for it, and hear whether it was
    /// written.
    pub(crate) fn save(&mut self, best: bool) -> Result<(), TrainError> {
        self.ranks.check_weights(|| Weights::of(&self.learner.model))?;
        let saved = self.read_losses().and_then(|()| {
            self.state.seconds = self.timing.seconds();
            self.keeper.save(&mut self.state, || self.learner.tensors(self.table), best)
        });
        self.ranks.agreed(saved)
    }
}
