//! A recipe becomes a run folder: a run that begins, or goes on.
//!
//! ```text
//! Beginning -> recipe -> place of the run -> data by the run's schema -> model, weights to begin with -> Trainer
//! ```
//!
//! All ranks of a job take the same way. Rank 0 alone keeps the run, and an error of any rank before the first step is an
//! error of all.

use crate::bucket::{BucketRun, Publisher};
use crate::feed::Unwrapped;
use crate::model::{Build, VisitModel};
use crate::ranks::{self, agreed};
use crate::run::{read_recipe, recipe_text};
use crate::schema::Schema;
use crate::sets::Sets;
use crate::{Notices, RunError, pretrained};
use bonfire_checkpoint::{Existing, RunFolder, write_atomically};
use bonfire_cluster::Communicator;
use bonfire_contract::{Loader, Task};
use bonfire_device::DeviceName;
use bonfire_models::Architecture;
use bonfire_recipe::{Document, Recipe};
use bonfire_train::{Evaluation, Fitted, Listener, Precision, Stopped, TrainError, Trainer};
use burn::tensor::Device;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// A run as it is asked for.
#[derive(Clone, Debug, Default)]
pub struct Beginning {
    /// A TOML file or a built-in recipe; none to go on by the recipe of the run folder.
    pub recipe: Option<String>,
    /// Changes of the recipe's keys, each `key.path=value`.
    pub sets: Vec<String>,
    /// The device, in place of the recipe's.
    pub device: Option<String>,
    /// The run folder, which may lie in a bucket; none for `runs/` and the recipe's name.
    pub run: Option<PathBuf>,
    /// Whether to go on from the run's last checkpoint.
    pub resume: bool,
}

/// A run that is ready to be trained: its recipe resolved, its data open.
pub struct Training {
    /// The recipe, every key with its value.
    pub recipe: Recipe,
    /// The data, encoded by the run's schema.
    pub sets: Sets,
    /// The run folder as it was named.
    pub name: PathBuf,
    document: Document,
    device: Device,
    /// The folder that the run is worked in.
    path: PathBuf,
    /// The run in a bucket whose copy `path` is.
    bucket: Option<Rc<RefCell<BucketRun>>>,
    resume: bool,
    communicator: Arc<dyn Communicator>,
    notices: Notices,
}

/// The outcome of training.
pub struct Trained {
    /// Why training ended.
    pub stopped: Stopped,
    /// The metrics on the test set, where there is one and training is finished.
    pub tested: Option<Evaluation>,
    /// Corrupt samples of the test set that were left out.
    pub skipped_in_test: u64,
    /// The run folder, on the rank that keeps it.
    pub folder: Option<RunFolder>,
}

impl Training {
    /// Reads the recipe, finds the place of the run, and opens the data.
    ///
    /// # Errors
    /// When the recipe, the device or the data are not as they should be, the place holds another run, or a run that
    /// goes on would not be the run that began: by another recipe, or on data that its schema does not fit.
    pub fn begin(
        beginning: &Beginning,
        communicator: &Arc<dyn Communicator>,
        notices: Notices,
    ) -> Result<Self, RunError> {
        let ranks = &**communicator;
        let first = ranks.rank() == 0;
        let resume = beginning.resume;
        let bucket = agreed(ranks, if first { bucket(beginning) } else { Ok(None) })?;
        let copy = bucket.as_ref().map(|bucket| bucket.borrow().local());
        let place = copy.as_deref().or(beginning.run.as_deref());
        let begun = agreed(ranks, if first { begun(beginning, place) } else { Ok(String::new()) })?;
        let begun = ranks.broadcast(0, begun.into_bytes());
        let (document, recipe, device) = agreed(ranks, plan(beginning, place, begun))?;
        let path = place.map_or_else(|| default_path(resume, &recipe), Path::to_path_buf);
        let kept = if resume && first { kept_schema(&path, &recipe) } else { Ok(None) };
        let kept = agreed(ranks, kept)?;
        let sets = ranks::open(ranks, &document, &recipe, kept)?;
        ranks::check(ranks, &recipe, &sets, &device)?;
        let name = beginning.run.clone().unwrap_or_else(|| path.clone());
        let communicator = communicator.clone();
        Ok(Training { recipe, sets, name, document, device, path, bucket, resume, communicator, notices })
    }

    /// The job's ranks, machines and batches in a line; none for one rank.
    pub fn layout(&self) -> Option<String> {
        ranks::layout(&*self.communicator, &self.recipe, &*self.sets.train)
    }

    /// Trains the model, and measures it on the test set. `started` is when the program began, for the time to the
    /// first step; `listener` hears of the progress where this rank keeps the run.
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
            seed: self.recipe.seed,
        };
        let fitted = build.visit(Fit { training: self, started, listener });
        match fitted {
            // Others may have got as far as beginning the run.
            Err(error) => agreed(&*self.communicator, Err(error)),
            Ok(fitted) => fitted,
        }
    }

    /// Brings the bucket of the run, if it has one, to the state of its copy.
    ///
    /// # Errors
    /// When the bucket cannot be written to.
    pub fn publish(&self) -> Result<(), RunError> {
        self.bucket.as_ref().map_or(Ok(()), |bucket| bucket.borrow_mut().put())
    }
}

/// The recipe of the run to go on with, where no other is named.
fn begun(beginning: &Beginning, place: Option<&Path>) -> Result<String, RunError> {
    match (&beginning.recipe, place) {
        (Some(_), _) => Ok(String::new()),
        (None, Some(folder)) => recipe_text(&RunFolder::open(folder)?),
        (None, None) => Err(RunError::unexpected("--resume", "a RECIPE or --run DIR", "neither")),
    }
}

/// The recipe that was asked for, a name or file or the text `begun` of the run to resume, with its changes; and its
/// device.
fn plan(
    beginning: &Beginning,
    place: Option<&Path>,
    begun: Vec<u8>,
) -> Result<(Document, Recipe, Device), RunError> {
    let mut document = match &beginning.recipe {
        Some(recipe) => bonfire_recipe::read(recipe)?,
        None => {
            let path = place.unwrap_or(Path::new("")).join("recipe.toml").display().to_string();
            let text = String::from_utf8(begun);
            Document::parse(&path, &text.map_err(|error| RunError::unexpected(&path, "UTF-8", error))?)?
        }
    };
    for assignment in &beginning.sets {
        document.set(assignment)?;
    }
    let mut recipe = Recipe::resolve(&document)?;
    if let Some(device) = &beginning.device {
        recipe.device.clone_from(device);
    }
    recipe.fit().check().map_err(|error| of_key(&document, error))?;
    if recipe.train.precision == Precision::Bf16 && DeviceName::parse(&recipe.device)?.is_cpu() {
        // Flex has the type, but rounds after ops in f32; ndarray has not even that.
        let expected = "\"fp32\" on a CPU, where bf16 is slower than fp32";
        return Err(document.wrong("train.precision", expected, "\"bf16\"").into());
    }
    let device = bonfire_device::open(&recipe.device)?.autodiff();
    Ok((document, recipe, device))
}

/// The schema of the run that goes on; none of a run that was stopped before it kept one. A run goes on by its own recipe
/// alone: by another one it would be a run that no recipe describes.
fn kept_schema(path: &Path, recipe: &Recipe) -> Result<Option<Schema>, RunError> {
    if path.join("recipe.toml").exists() {
        let (_, begun) = read_recipe(&RunFolder::open(path)?)?;
        if let Some(difference) = begun.difference(recipe) {
            let found = format!(
                "another: {difference} (evaluation, checkpoints and the device may change, and the length where the \
                 schedule does not depend on it)"
            );
            return Err(RunError::unexpected(path.display(), "the recipe that the run began with", found));
        }
    }
    Ok(Schema::load_if_kept(&recipe.data, path)?)
}

/// The run that `--run` names in a bucket, fetched when it is to go on.
fn bucket(beginning: &Beginning) -> Result<Option<Rc<RefCell<BucketRun>>>, RunError> {
    let Some(path) = &beginning.run else { return Ok(None) };
    let Some(mut bucket) = BucketRun::of(path)? else { return Ok(None) };
    if bucket.exists()? {
        if !beginning.resume {
            let found = "a run; --resume goes on with a run, --run names another place";
            return Err(RunError::unexpected(path.display(), "a place for a new run", found));
        }
        bucket.fetch(true)?;
    }
    Ok(Some(Rc::new(RefCell::new(bucket))))
}

/// `runs/NAME`, numbered when a new run finds the name taken; the last of these when it is to go on.
fn default_path(resume: bool, recipe: &Recipe) -> PathBuf {
    let base = Path::new("runs");
    let first = base.join(&recipe.name);
    let numbered = (2..).map(|number| base.join(format!("{}-{number}", recipe.name)));
    let mut taken = first.clone();
    for next in std::iter::once(first).chain(numbered) {
        if !next.exists() {
            return if resume { taken } else { next };
        }
        taken = next;
    }
    taken
}

/// An error of training; of a recipe's key, with the place that the key came from.
fn of_key(document: &Document, error: TrainError) -> RunError {
    match error {
        TrainError::Config { key, expected, found } => document.wrong(&key, expected, found).into(),
        other => other.into(),
    }
}

/// As [`of_key`], of training itself, which says whether all ranks of a job have the error.
fn ended(document: &Document, error: TrainError) -> RunError {
    let known_to_all = error.is_known_to_all();
    let error = of_key(document, error);
    if known_to_all { RunError::OfAll(Box::new(error)) } else { error }
}

struct Fit<'a> {
    training: &'a Training,
    started: Instant,
    listener: Box<dyn Listener>,
}

/// The kind of input that an architecture's model takes.
type InputOf<A> = <<A as Architecture>::Model as Task>::Input;

/// A run as its training begins.
struct Begun<M> {
    model: M,
    /// The folder, where this rank keeps the run.
    folder: Option<RunFolder>,
    /// The recipe that the folder had before.
    recipe: Option<Vec<u8>>,
}

impl Training {
    /// Creates or opens the run folder, and takes over the weights that the run begins with.
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
        let model = match &tuning.pretrained {
            // The other ranks take over the weights of the first.
            Some(uri) if starts && first => pretrained::load(config, model, uri, &self.notices)?,
            _ => model,
        };
        let model =
            bonfire_train::freeze(model, &tuning.freeze).map_err(|error| of_key(&self.document, error))?;
        let existing = if self.resume { Existing::Resume } else { Existing::Refuse };
        let folder = first.then(|| RunFolder::create(&self.path, existing)).transpose()?;
        let recipe = folder.as_ref().and_then(|folder| std::fs::read(folder.recipe()).ok());
        if let Some(folder) = &folder {
            write_atomically(&folder.recipe(), self.recipe.to_toml().as_bytes())?;
            // The schema is the run's: it is written once.
            if Schema::load_if_kept(&self.recipe.data, folder.path())?.is_none() {
                self.sets.schema.save(folder.path())?;
            }
        }
        // A bucket that refuses is to be known before an epoch is spent.
        self.publish()?;
        Ok(Begun { model, folder, recipe })
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

    /// Runs the trainer over the sets, as the kind of input that the model takes.
    fn train<A: Architecture>(
        &self,
        mut trainer: Trainer,
        model: A::Model,
        config: &A,
    ) -> Result<Fitted<A::Model>, TrainError> {
        let Sets { train, valid, test, .. } = &self.sets;
        let train = Unwrapped(train.as_ref());
        let valid = valid.as_ref().map(|loader| Unwrapped(loader.as_ref()));
        let test = test.as_ref().map(|test| Unwrapped(test.loader.as_ref()));
        let valid = valid.as_ref().map(|loader| loader as &dyn Loader<InputOf<A>>);
        let test = test.as_ref().map(|loader| loader as &dyn Loader<InputOf<A>>);
        trainer.fit_or_solve(model, config.least_squares(), &train, valid, test)
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
            Ok(fitted) => Ok(Trained {
                stopped: fitted.summary.stopped,
                tested: fitted.tested,
                skipped_in_test: fitted.skipped_in_test,
                folder,
            }),
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
