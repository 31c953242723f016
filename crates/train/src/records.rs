//! The figures of training on their way to the log and the listeners.

use crate::keep::{Best, Due, to_figures, to_metrics};
use crate::r#loop::FitLoop;
use crate::{
    Evaluation, Event, LogRecord, Progress, Select, Stopped, Summary, TrainError, peak_memory_bytes,
};
use bonfire_contract::{Metric, Task};

impl<M: Task> FitLoop<'_, M> {
    /// Reads the losses where this step asks for it, so that a diverged model is noticed before its update.
    ///
    /// # Errors
    /// When a loss is not finite.
    pub(crate) fn check_losses(&mut self) -> Result<(), TrainError> {
        let step = self.state.step + 1;
        if self.losses.are_read_after(step) || step.is_multiple_of(self.config.train.report_every) {
            self.read_losses()
        } else {
            Ok(())
        }
    }

    /// Reads all losses of pieces that are not yet read.
    ///
    /// # Errors
    /// When a loss is not finite.
    pub(crate) fn read_losses(&mut self) -> Result<(), TrainError> {
        let read = self.losses.read_into(&mut self.state);
        read.map_err(|loss| self.keeper.diverged(&self.state, "loss", loss))
    }

    /// The position of training.
    pub(crate) fn progress(&self) -> Progress {
        Progress {
            step: self.state.step,
            total_steps: self.length.total_steps,
            epoch: self.state.position.epoch,
            samples: self.state.samples,
            samples_here: self.timing.samples_here(self.state.samples),
            loss: self.losses.last,
            waited_share: self.timing.waits.for_data(),
            exchange_share: self.timing.exchange_share(),
        }
    }

    /// Tells the pace of an epoch once it can be estimated. After an epoch the user has seen it.
    pub(crate) fn tell_pace(&mut self, epoch_ended: bool) -> Result<(), TrainError> {
        // A device that fails here says so at its next op.
        let settle = || drop(self.evaluator.device.sync());
        if let Some(pace) = self.timing.stopwatch.stop(self.state.samples, settle) {
            self.keeper.emit(&Event::Pace(&pace))?;
        }
        if epoch_ended {
            self.timing.stopwatch.give_up();
        }
        Ok(())
    }

    /// Writes the training record that is due.
    ///
    /// # Errors
    /// When a loss is not finite, or the log cannot be written.
    pub(crate) fn report(&mut self, due: Due) -> Result<(), TrainError> {
        let regular = self.state.step.is_multiple_of(self.config.train.report_every);
        if !due.step || !(regular || self.length.is_reached(&self.state)) {
            return Ok(());
        }
        self.read_losses()?;
        if self.state.window_samples == 0 {
            return Ok(());
        }
        let loss = self.state.window_loss / self.state.window_samples as f64;
        (self.state.window_loss, self.state.window_samples) = (0.0, 0);
        // After a resume the step's rate is computed anew.
        let computed = || {
            let peak = self.config.peak_rate(self.length.step);
            self.config.schedule.learning_rate(peak, self.state.step - 1, self.length.total_steps)
        };
        let record = LogRecord {
            kind: "train".into(),
            learning_rate: Some(self.last_rate.unwrap_or_else(computed)),
            samples: self.state.samples,
            metrics: vec![Metric::lower("loss", loss)],
            ..self.record()
        };
        self.keeper.emit(&Event::Record(&record))
    }

    /// A record of this moment, without figures.
    fn record(&self) -> LogRecord {
        let position = self.state.position;
        LogRecord {
            kind: String::new(),
            step: self.state.step,
            epoch: position.epoch as f64 + position.samples as f64 / self.length.epoch as f64,
            seconds: self.timing.seconds(),
            samples: 0,
            learning_rate: None,
            metrics: Vec::new(),
        }
    }

    /// Records an evaluation on the validation set; true when it is the best so far.
    ///
    /// # Errors
    /// When it lacks the monitored metric, or the log cannot be written.
    pub(crate) fn record_evaluation(&mut self, evaluation: &Evaluation) -> Result<bool, TrainError> {
        let metrics = &evaluation.metrics;
        let monitored = match &self.config.train.monitor {
            None => metrics.first(),
            Some(name) => Some(metrics.iter().find(|metric| metric.name == *name).ok_or_else(|| {
                let names: Vec<_> = metrics.iter().map(|metric| metric.name.as_str()).collect();
                TrainError::config("train.monitor", format!("one of {}", names.join(", ")), name)
            })?),
        };
        let improving = monitored.filter(|metric| match &self.state.best {
            None => metric.value.is_finite(),
            Some(best) => metric.beats(best.value),
        });
        let figures = to_figures(metrics);
        if let Some(metric) = improving {
            let best = Best { checkpoint: None, value: metric.value, metrics: figures.clone() };
            (self.state.best, self.state.stale) = (Some(best), 0);
        } else {
            self.state.stale += 1;
        }
        let improved = improving.is_some();
        (self.state.last, self.state.evaluated) = (figures, Some(self.state.step));
        self.keeper.note_change();
        self.emit_evaluation("valid", evaluation)?;
        Ok(improved)
    }

    /// Tells of an evaluation on a set; of outputs that are not finite, once in a training.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub(crate) fn emit_evaluation(&mut self, set: &str, evaluation: &Evaluation) -> Result<(), TrainError> {
        let Evaluation { samples, not_finite, .. } = *evaluation;
        if not_finite > 0 && !std::mem::replace(&mut self.warned_of_not_finite, true) {
            self.keeper.emit(&Event::Warning(&format!(
                "evaluation on the {set} set after step {}: expected finite outputs, found others for {not_finite} of \
                 {samples} samples: no figure of such an evaluation is a number, and it is never the best",
                self.state.step
            )))?;
        }
        let metrics = evaluation.metrics.clone();
        let record = LogRecord { kind: set.into(), samples, metrics, ..self.record() };
        self.keeper.emit(&Event::Record(&record))
    }

    /// The figures of the run, without a test.
    pub(crate) fn summary(&self, stopped: Stopped, skipped: u64) -> Summary {
        let metrics = match (&self.state.best, self.config.train.select, stopped) {
            (_, _, Stopped::Interrupted(_)) | (None, _, _) | (_, Select::Last, _) => &self.state.last,
            (Some(best), Select::Best, _) => &best.metrics,
        };
        Summary {
            steps: self.state.step,
            epochs: self.state.position.epoch,
            samples: self.state.samples,
            seconds: self.timing.seconds(),
            samples_per_second: self.timing.samples_per_second(self.state.samples),
            first_step_seconds: self.timing.first_step_seconds,
            waited_share: self.timing.waits.for_data(),
            exchange_share: self.timing.exchange_share(),
            peak_memory_bytes: peak_memory_bytes(),
            metrics: to_metrics(metrics),
            test: Vec::new(),
            stopped,
            skipped,
        }
    }
}
