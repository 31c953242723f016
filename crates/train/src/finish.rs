//! The end of training: the weights are selected, kept and tested.

use crate::evaluate::Passed;
use crate::r#loop::FitLoop;
use crate::{Event, Fitted, Select, Stopped, TrainError, peak_memory_bytes};
use bonfire_checkpoint::Weights;
use bonfire_contract::{Loader, Skipped, Task};
use std::path::Path;

impl<M: Task> FitLoop<'_, M> {
    /// Selects the weights and tests them, unless training was interrupted. `skipped` are the corrupt samples
    /// of the training set.
    ///
    /// # Errors
    /// When the weights cannot be read or written, or the test fails.
    pub(crate) fn finish(
        mut self,
        stopped: Stopped,
        skipped: Skipped,
        test: Option<&dyn Loader<M::Input>>,
    ) -> Result<Fitted<M>, TrainError> {
        let interrupted = matches!(stopped, Stopped::Interrupted(_));
        let model = if interrupted { self.learner.to_evaluate() } else { self.select()? };
        let mut summary = self.summary(stopped, self.ranks.skipped(skipped));
        let mut tested = None;
        if let Some(test) = test.filter(|_| !interrupted) {
            match self.evaluator.over(&model, test)? {
                Passed::Through(evaluation) => {
                    self.emit_evaluation("test", &evaluation)?;
                    summary.test.clone_from(&evaluation.metrics);
                    tested = Some(evaluation);
                }
                Passed::Interrupted(signal) => summary.stopped = Stopped::Interrupted(signal),
            }
        }
        let skipped_in_test = test.map_or(0, |test| self.ranks.skipped(test.skipped()));
        self.keeper.sync()?;
        summary.peak_memory_bytes = peak_memory_bytes();
        self.keeper.emit(&Event::Finished(&summary))?;
        Ok(Fitted { model, summary, tested, skipped_in_test })
    }

    /// The weights that training ends with. The run folder keeps them.
    fn select(&mut self) -> Result<M, TrainError> {
        let mut selected = self.learner.to_evaluate();
        if self.config.train.select == Select::Best {
            let averaged = self.config.train.average.is_some();
            let best = self.ranks.agreed(self.keeper.best_weights(&self.state, averaged))?;
            if let Some((path, bytes)) = self.ranks.file_of_first(best) {
                let path = Path::new(&path);
                selected = Weights::from_safetensors(&bytes, path)?.apply(selected, path)?;
            } else if let Some(weights) = self.best_weights.take() {
                selected = weights.apply(selected, Path::new("best weights"))?;
            } else {
                let metric = self.config.train.monitor.as_deref().unwrap_or("first figure");
                self.keeper.emit(&Event::Warning(&format!(
                    "train.select: expected an evaluation whose {metric} is a number, found none: the weights are \
                     those of the last step"
                )))?;
            }
        }
        self.ranks.agreed(self.keeper.save_model(&selected, self.state.step))?;
        Ok(selected)
    }
}
