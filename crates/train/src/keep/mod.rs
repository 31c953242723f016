//! The keeper of a run: its log, its checkpoints, its final weights, and the listeners.
//!
//! A process without a run folder has a keeper that keeps nothing and only tells its listeners: a run in
//! memory, and every rank but the first.

mod checkpoint;
mod log;
mod rescue;
mod state;

pub use checkpoint::WEIGHTS;
pub(crate) use checkpoint::{AVERAGE, Checkpoint, GRADIENT, Tensors};
pub use log::MetricsLog;
pub(crate) use state::{Best, Due, OpenStep, State, to_figures, to_metrics};

#[cfg(test)]
pub(crate) use checkpoint::OPTIMIZER;

use crate::{CheckpointConfig, Event, Listener, TrainError};
use bonfire_checkpoint::{CheckpointError, RunFolder, Whereabouts, save_final_weights};
use burn::module::Module;
use rescue::Remembered;
use std::time::{Duration, Instant};

/// Keeps a run on disk, where this process has a run folder, and tells the listeners.
pub(crate) struct Keeper<'a> {
    config: &'a CheckpointConfig,
    run: Option<&'a RunFolder>,
    remembered: Remembered,
    /// True where this process, or rank 0 of its job, has a run folder.
    job_has_run: bool,
    log: Option<MetricsLog>,
    listeners: &'a mut [Box<dyn Listener>],
    /// The newest checkpoint on the disk.
    newest: Option<String>,
    /// True once anything has changed since the newest checkpoint.
    changed: bool,
    saved_at: Instant,
    looked_at: Instant,
    /// True once a checkpoint is due by the clock.
    pub(crate) clock_due: bool,
}

impl<'a> Keeper<'a> {
    /// Opens the log, and drops what comes after its first `log_bytes`.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn open(
        config: &'a CheckpointConfig,
        run: Option<&'a RunFolder>,
        job_has_run: bool,
        listeners: &'a mut [Box<dyn Listener>],
        resumed: Option<&Checkpoint>,
        log_bytes: u64,
    ) -> Result<Self, TrainError> {
        Ok(Keeper {
            config,
            run,
            remembered: run.map(Remembered::of).unwrap_or_default(),
            job_has_run,
            log: run.map(|run| MetricsLog::open(&run.metrics(), log_bytes)).transpose()?,
            listeners,
            newest: resumed.map(|checkpoint| checkpoint.name.clone()),
            changed: resumed.is_none(),
            saved_at: Instant::now(),
            looked_at: Instant::now(),
            clock_due: false,
        })
    }

    /// Tells the listeners and the log.
    ///
    /// # Errors
    /// When the log cannot be written.
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

    /// Notes that the newest checkpoint lacks something from now on.
    pub(crate) fn note_change(&mut self) {
        self.changed = true;
    }

    /// True where a checkpoint would hold anything that the newest does not.
    pub(crate) fn is_behind(&self) -> bool {
        self.job_has_run && self.changed
    }

    /// True once the minutes between checkpoints are over, by this process's clock, and where the run folder
    /// is no longer at its path: the checkpoint that is due then meets that, and keeps what it can.
    pub(crate) fn clock_rings(&mut self) -> bool {
        let minutes = self.config.every_minutes;
        minutes.is_some_and(|minutes| self.saved_at.elapsed().as_secs_f64() >= 60.0 * minutes)
            || self.has_vanished()
    }

    /// True where the run folder is no longer at its path, as it was a second ago at most.
    fn has_vanished(&mut self) -> bool {
        let Some(run) = self.run else { return false };
        if self.looked_at.elapsed() < Duration::from_secs(1) {
            return false;
        }
        self.looked_at = Instant::now();
        run.whereabouts() != Whereabouts::Here
    }

    /// True where a checkpoint is due: at these ends, by the clock, or because the last evaluation is the
    /// best so far.
    pub(crate) fn is_due(&self, due: Due, state: &State, improved: bool) -> bool {
        let (steps, epochs) = (self.config.every_steps, self.config.epochs());
        let by_steps = steps.is_some_and(|steps| due.step && state.step.is_multiple_of(steps));
        let by_epochs = due.epoch && epochs > 0 && state.position.epoch.is_multiple_of(epochs);
        self.job_has_run && (improved || by_steps || by_epochs || self.clock_due)
    }

    /// True where some disk has the weights of the best evaluation, so that they need not be held in memory.
    pub(crate) fn keeps_best(&self) -> bool {
        self.job_has_run
    }

    /// Writes a checkpoint, and prunes the older ones. `best` says that its evaluation is the best so far.
    ///
    /// # Errors
    /// When a weight is no finite number, the run folder is gone, or the file system refuses.
    pub(crate) fn save<'t>(
        &mut self,
        state: &mut State,
        tensors: impl FnOnce() -> Tensors<'t>,
        best: bool,
    ) -> Result<(), TrainError> {
        (self.changed, self.clock_due) = (false, false);
        let Some(run) = self.run else { return Ok(()) };
        let tensors = tensors();
        if let Some(path) = tensors.weights.first_not_finite() {
            return Err(self.diverged(state, &format!("`{path}`"), "a number that is not"));
        }
        let elsewhere = run.whereabouts();
        if elsewhere != Whereabouts::Here {
            state.log_bytes = self.log.as_mut().map_or(Ok(0), MetricsLog::sync)?;
            return self.remembered.rescue(run, &elsewhere, self.log.as_ref(), state, &tensors);
        }
        let store = run.checkpoint_store();
        let name = store.next_name(state.step)?;
        if let (true, Some(evaluation)) = (best, &mut state.best) {
            evaluation.checkpoint = Some(name.clone());
        }
        state.log_bytes = self.log.as_mut().map_or(Ok(0), MetricsLog::sync)?;
        store.save(&name, &tensors.files(state, &store.path(&name))?)?;
        let best = state.best.as_ref().and_then(|best| best.checkpoint.as_deref());
        store.prune(self.config.keep, &[&name, best.unwrap_or(&name)])?;
        (self.saved_at, self.newest) = (Instant::now(), Some(name.clone()));
        self.emit(&Event::Saved { checkpoint: &name })
    }

    /// The error of a number that is not finite, with the checkpoint that is left.
    pub(crate) fn diverged(&self, state: &State, what: &str, found: impl ToString) -> TrainError {
        let kept = match (&self.newest, self.run) {
            (Some(name), _) => format!("; nothing after checkpoint {name} was saved"),
            (None, Some(_)) => "; no checkpoint was saved".into(),
            (None, None) => String::new(),
        };
        TrainError::Diverged { step: state.step + 1, what: what.into(), found: found.to_string(), kept }
    }

    /// The file with the weights of the best evaluation, where this process has it: its path and its bytes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn best_weights(
        &self,
        state: &State,
        averaged: bool,
    ) -> Result<Option<(String, Vec<u8>)>, TrainError> {
        let best = state.best.as_ref().and_then(|best| best.checkpoint.as_deref());
        let (Some(name), Some(run)) = (best, self.run) else { return Ok(None) };
        let store = run.checkpoint_store();
        let file = if averaged { AVERAGE } else { WEIGHTS };
        let bytes = store.load(name)?.remove(file).unwrap_or_default();
        Ok(Some((store.path(name).join(file).display().to_string(), bytes)))
    }

    /// Writes the weights that training ends with after so many steps.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn save_model<M: Module>(&self, model: &M, step: u64) -> Result<(), TrainError> {
        match self.run {
            None => Ok(()),
            Some(run) => match run.whereabouts() {
                Whereabouts::Here => Ok(save_final_weights(model, step, &run.model())?),
                elsewhere => {
                    let found = match elsewhere {
                        Whereabouts::Moved(path) => format!(
                            "it at {path}, without the weights that training ends with; `bonfire train --run {path} \
                             --resume` ends it",
                            path = path.display()
                        ),
                        _ => "it gone with all its checkpoints".to_string(),
                    };
                    Err(CheckpointError::Vanished { path: run.path().to_path_buf(), found }.into())
                }
            },
        }
    }

    /// Brings the log to the disk.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn sync(&mut self) -> Result<(), TrainError> {
        self.log.as_mut().map_or(Ok(0), MetricsLog::sync).map(|_| ())
    }
}
