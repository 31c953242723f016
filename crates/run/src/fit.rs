//! The part of training that knows the model: the run folder begins with its weights, and the trainer runs.

use crate::bucket::Publisher;
use crate::feed::Unwrapped;
use crate::model::{Build, VisitModel};
use crate::pretrained::HEAD;
use crate::probe::Computing;
use crate::ranks::agreed;
use crate::schema::Schema;
use crate::sets::Sets;
use crate::training::{Trained, Training, of_key};
use crate::{RunError, pretrained};
use bonfire_checkpoint::{Existing, RunFolder, Weights, write_atomically};
use bonfire_contract::{Loader, Table, Task};
use bonfire_datasets::memory;
use bonfire_device::DeviceName;
use bonfire_models::{Architecture, Probe};
use bonfire_recipe::{Document, model_options};
use bonfire_train::{Evaluation, Fitted, Listener, Stopped, TrainError, Trainer};
use std::time::Instant;

/// The training of a run's model, whichever its architecture.
struct Fit<'a> {
    training: &'a Training,
    /// When the program began.
    started: Instant,
    /// Hears of the progress, where this rank keeps the run.
    listener: Box<dyn Listener>,
}

/// The kind of input that an architecture's model takes.
type InputOf<A> = <<A as Architecture>::Model as Task>::Input;

/// A training that ended, whatever its model.
struct Ended {
    stopped: Stopped,
    tested: Option<Evaluation>,
    skipped_in_test: u64,
}

impl<M: Task> From<Fitted<M>> for Ended {
    fn from(fitted: Fitted<M>) -> Self {
        let Fitted { summary, tested, skipped_in_test, .. } = fitted;
        Ended { stopped: summary.stopped, tested, skipped_in_test }
    }
}

/// A run as its training begins.
struct Begun<M> {
    model: M,
    /// The folder, where this rank keeps the run.
    folder: Option<RunFolder>,
    /// The recipe that the folder had before.
    recipe: Option<Vec<u8>>,
}

impl Training {
    /// Trains the model, and measures it on the test set. `started` is when the program began, for the time
    /// to the first step; `listener` hears of the progress where this rank keeps the run.
    ///
    /// # Errors
    /// When the model does not fit the data, the run folder cannot be written to, or training fails.
    pub fn fit(&self, started: Instant, listener: Box<dyn Listener>) -> Result<Trained, RunError> {
        let build = Build {
            name: &self.recipe.model,
            options: &self.recipe.model_options,
            spec: &self.sets.schema.spec(&self.recipe.loss),
            document: &self.document,
            device: &self.device,
            seed: Some(self.recipe.seed),
            memory: DeviceName::parse(&self.recipe.device)?.is_cpu().then(memory::limit),
        };
        let fitted = build.visit(Fit { training: self, started, listener });
        match fitted {
            // Others may have got as far as beginning the run.
            Err(error) => agreed(&*self.communicator, Err(error)),
            Ok(fitted) => fitted,
        }
    }

    /// Creates or opens the run folder, and takes over the weights that the run begins with. A loss key
    /// without a use is refused where training starts; a run that has been trained with one goes on.
    fn begin_folder<A: Architecture>(
        &self,
        model: A::Model,
        config: &A,
    ) -> Result<Begun<A::Model>, RunError> {
        let first = self.communicator.rank() == 0;
        let tuning = &self.recipe.finetune;
        // A run that was stopped before its first checkpoint starts again, from the same weights.
        let starts = match RunFolder::open(&self.path) {
            Ok(folder) if self.resume => folder.checkpoint_store().names()?.is_empty(),
            _ => true,
        };
        if starts && first {
            let checked = self.sets.schema.spec(&self.recipe.loss).check_loss();
            checked.map_err(|misfit| model_options::misfit(&self.document, misfit))?;
        }
        let model = match &tuning.pretrained {
            // The other ranks take over the weights of the first.
            Some(uri) if starts && first => pretrained::load(config, model, uri, tuning, &self.notices)?,
            _ => model,
        };
        let frozen = if tuning.probe { self.all_but_the_head(&model)? } else { tuning.freeze.clone() };
        let mut model =
            bonfire_train::freeze(model, &frozen).map_err(|error| of_key(&self.document, error))?;
        if tuning.probe && !starts {
            // Features are computed anew, by the weights that the run began with.
            model = self.with_kept_weights(model)?;
        }
        let existing = if self.resume { Existing::Resume } else { Existing::Refuse };
        let folder = first.then(|| RunFolder::create(&self.path, existing)).transpose()?;
        let recipe = folder.as_ref().and_then(|folder| std::fs::read(folder.recipe()).ok());
        if let Some(folder) = &folder {
            if Schema::lacks_marks(&self.recipe.data, folder.path())? {
                self.sets.schema.save(folder.path())?;
            }
            write_atomically(&folder.recipe(), self.recipe.to_toml()?.as_bytes())?;
            // The schema is the run's: it is written once.
            if Schema::load_if_kept(&self.recipe.data, folder.path())?.is_none() {
                self.sets.schema.save(folder.path())?;
            }
        }
        // A bucket that refuses is to be known before an epoch is spent.
        self.publish()?;
        Ok(Begun { model, folder, recipe })
    }

    /// The paths of a probe's frozen tensors.
    fn all_but_the_head<M: Task>(&self, model: &M) -> Result<Vec<String>, RunError> {
        let refuse =
            |expected: &str, found| Err(self.document.wrong("finetune.probe", expected, found).into());
        let ranks = self.communicator.size();
        if ranks > 1 {
            return refuse("false with several ranks: one computes features once", format!("{ranks} ranks"));
        }
        let paths = bonfire_train::parameters(model).into_iter().map(|parameter| parameter.path);
        let head = format!("{HEAD}.");
        let (head, rest): (Vec<String>, Vec<String>) = paths.partition(|path| path.starts_with(&head));
        match head.is_empty() {
            true => refuse("false with a model without a head", self.recipe.model.clone()),
            false => Ok(rest),
        }
    }

    /// The model with the weights of the run's newest checkpoint.
    fn with_kept_weights<M: Task>(&self, model: M) -> Result<M, RunError> {
        let store = RunFolder::open(&self.path)?.checkpoint_store();
        let Some(loaded) = store.load_newest()? else { return Ok(model) };
        let path = store.path(&loaded.name).join(bonfire_train::WEIGHTS);
        let Some(bytes) = loaded.files.get(bonfire_train::WEIGHTS) else { return Ok(model) };
        Ok(Weights::from_safetensors(bytes, &path)?.apply(model, &path)?)
    }

    /// The trainer of this run.
    fn trainer(&self, fit: Fit<'_>, folder: Option<&RunFolder>) -> Result<Trainer, RunError> {
        let train = &self.recipe.train;
        let is_cpu = DeviceName::parse(&self.recipe.device)?.is_cpu();
        let mut trainer = Trainer::new(self.recipe.fit(), self.device.clone())
            .communicator(self.communicator.clone())
            .resume(self.resume)
            .metrics(self.sets.schema.metrics(train.top_k))
            .read_loss_every(if is_cpu { 1 } else { train.report_every })
            .started(fit.started);
        if let Some(folder) = folder {
            trainer = trainer.run(folder.clone()).listener(fit.listener);
        }
        if let Some(bucket) = &self.bucket {
            let (bucket, notices) = (bucket.clone(), self.notices.clone());
            trainer = trainer.listener(Box::new(Publisher { bucket, notices }));
        }
        Ok(trainer)
    }

    /// Runs the trainer over the sets, as the kind of input that the model takes; or over the features of a
    /// probe.
    fn train<A: Architecture>(
        &self,
        mut trainer: Trainer,
        model: A::Model,
        config: &A,
    ) -> Result<Ended, TrainError> {
        let Sets { train, valid, test, .. } = &self.sets;
        let train = Unwrapped(train.as_ref());
        let valid = valid.as_ref().map(|loader| Unwrapped(loader.as_ref()));
        let test = test.as_ref().map(|test| Unwrapped(test.loader.as_ref()));
        let valid = valid.as_ref().map(|loader| loader as &dyn Loader<InputOf<A>>);
        let test = test.as_ref().map(|loader| loader as &dyn Loader<InputOf<A>>);
        if self.recipe.finetune.probe {
            return self.train_probe::<A>(trainer, model, &train, valid, test);
        }
        Ok(trainer.fit_or_solve(model, config.least_squares(), &train, valid, test)?.into())
    }

    /// Trains the head on features.
    fn train_probe<A: Architecture>(
        &self,
        mut trainer: Trainer,
        model: A::Model,
        train: &dyn Loader<InputOf<A>>,
        valid: Option<&dyn Loader<InputOf<A>>>,
        test: Option<&dyn Loader<InputOf<A>>>,
    ) -> Result<Ended, TrainError> {
        let Some(probe) = Probe::new(model, A::headed) else {
            return Err(TrainError::Config {
                key: "finetune.probe".into(),
                expected: "false with a model that is no head on features".into(),
                found: self.recipe.model.clone(),
            });
        };
        let batch_size = self.recipe.train.evaluate_batch_size;
        let computing = Computing { batch_size, device: &self.device, notices: &self.notices };
        let of = |loader, set, seed| computing.of(&probe, loader, set, seed);
        let train = of(train, "training", Some(self.recipe.seed))?;
        let valid = valid.map(|valid| of(valid, "validation", None)).transpose()?;
        let test = test.map(|test| of(test, "test", None)).transpose()?;
        let valid = valid.as_ref().map(|features| features as &dyn Loader<Table>);
        let test = test.as_ref().map(|features| features as &dyn Loader<Table>);
        Ok(trainer.fit_and_test(probe, &train, valid, test)?.into())
    }
}

impl VisitModel for Fit<'_> {
    type Output = Result<Trained, RunError>;

    fn visit<A: Architecture>(self, model: A::Model, config: A) -> Self::Output {
        let training = self.training;
        let begun = training.begin_folder(model, &config);
        let Begun { model, folder, recipe } = agreed(&*training.communicator, begun)?;
        let trainer = training.trainer(self, folder.as_ref())?;
        match training.train(trainer, model, &config) {
            Ok(Ended { stopped, tested, skipped_in_test }) => {
                Ok(Trained { stopped, tested, skipped_in_test, folder })
            }
            Err(error) => {
                // Refused before a step: the run's recipe stays the one that it was trained by.
                if let (TrainError::Config { .. }, Some(folder), Some(recipe)) = (&error, &folder, recipe) {
                    write_atomically(&folder.recipe(), &recipe)?;
                }
                Err(ended(&training.document, error))
            }
        }
    }
}

/// An error of training itself, which says whether all ranks of a job have it.
fn ended(document: &Document, error: TrainError) -> RunError {
    let known_to_all = error.is_known_to_all();
    let error = of_key(document, error);
    if known_to_all { RunError::OfAll(Box::new(error)) } else { error }
}

#[cfg(test)]
mod tests;
