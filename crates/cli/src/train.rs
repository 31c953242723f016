//! `bonfire train`: a recipe becomes a run folder.

use crate::args::TrainArguments;
use crate::bucket::{BucketRun, Publisher};
use crate::document::Document;
use crate::feed::Unwrapped;
use crate::job::{self, agreed};
use crate::model_options;
use crate::pretrained;
use crate::recipe::Recipe;
use crate::recipes;
use crate::registry::{Build, VisitModel};
use crate::report::Report;
use crate::run::{read_recipe, recipe_text};
use crate::sets::{Schema, Sets};
use anyhow::{Result, bail};
use bonfire_checkpoint::{Existing, RunFolder, write_atomically};
use bonfire_cluster::Communicator;
use bonfire_contract::{Loader, Task};
use bonfire_device::DeviceName;
use bonfire_models::Architecture;
use bonfire_train::{Precision, Stopped, Terminal, TrainError, Trainer};
use burn::tensor::Device;
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// Runs the subcommand. The exit code is 0 for a finished run and 128 + signal for one that a
/// signal stopped, which `--resume` goes on with.
pub fn train(
    arguments: &TrainArguments,
    started: Instant,
    communicator: &Arc<dyn Communicator>,
) -> Result<ExitCode> {
    let ranks = &**communicator;
    // Rank 0 alone keeps the run.
    let first = ranks.rank() == 0;
    let bucket = agreed(ranks, if first { bucket(arguments) } else { Ok(None) })?;
    let named = arguments.run.as_deref();
    // Where the run is worked in.
    let local = bucket.as_ref().map(|bucket| bucket.borrow().local());
    let local = local.as_deref().or(named);
    let begun = agreed(ranks, if first { begun(arguments, local) } else { Ok(String::new()) })?;
    let begun = ranks.broadcast(0, begun.into_bytes());
    let Plan { document, recipe, device } = agreed(ranks, plan(arguments, local, begun))?;
    let path = local.map_or_else(|| default_path(arguments.resume, &recipe), Path::to_path_buf);
    // A run that was stopped before it kept a schema has none to go on with.
    let known = arguments.resume.then(|| recipe.data.load_schema(&path).ok()).flatten();
    let sets = job::open(ranks, &document, &recipe, known)?;
    job::check(ranks, &recipe, &sets, &device)?;
    if let (Schema::Table(schema), true) = (&sets.schema, first) {
        eprintln!("{schema}");
    }
    if let (Some(layout), true) = (job::layout(ranks, &recipe, &*sets.train), first) {
        eprintln!("{layout}");
    }
    let existing = if arguments.resume { Existing::Resume } else { Existing::Refuse };
    let reached = Cell::new(false);
    let fit = Fit {
        document: &document,
        recipe: &recipe,
        sets: &sets,
        device: &device,
        path: &path,
        name: if bucket.is_some() { named.unwrap_or(&path) } else { &path },
        bucket,
        existing,
        started,
        communicator,
        reached: &reached,
    };
    let build = Build {
        name: &recipe.model,
        options: &recipe.model_options,
        spec: &sets.schema.spec(&recipe.loss),
        document: &document,
        device: &device,
        seed: recipe.seed,
    };
    build.visit(fit).or_else(|error| match reached.get() {
        true => Err(error),
        // Others may have got as far as beginning the run.
        false => agreed(ranks, Err(error)),
    })
}

/// What is to be trained, and on what.
struct Plan {
    document: Document,
    recipe: Recipe,
    device: Device,
}

/// The recipe of the run to go on with, where no other is named.
fn begun(arguments: &TrainArguments, run: Option<&Path>) -> Result<String> {
    match (&arguments.recipe, run) {
        (Some(_), _) => Ok(String::new()),
        (None, Some(folder)) => Ok(recipe_text(&RunFolder::open(folder)?)?),
        (None, None) => bail!("--resume: expected a RECIPE or --run DIR, found neither"),
    }
}

/// The recipe that was asked for: a name or file, or that of the run to resume, and `--set`.
fn plan(arguments: &TrainArguments, run: Option<&Path>, begun: Vec<u8>) -> Result<Plan> {
    let mut document = match &arguments.recipe {
        Some(recipe) => recipes::read(recipe)?,
        None => {
            let path = run.unwrap_or(Path::new("")).join("recipe.toml");
            Document::parse(&path.display().to_string(), &String::from_utf8(begun)?)?
        }
    };
    for assignment in &arguments.sets {
        document.set(assignment)?;
    }
    let mut recipe = Recipe::resolve(&document)?;
    if let Some(device) = &arguments.device {
        recipe.device.clone_from(device);
    }
    recipe.fit().check().map_err(|error| placed(&document, error))?;
    if recipe.train.precision == Precision::Bf16 && DeviceName::parse(&recipe.device)?.is_cpu() {
        // Flex has the type, but rounds after ops in f32; ndarray has not even that.
        let expected = "\"fp32\" on a CPU, where bf16 is slower than fp32";
        return Err(document.wrong("train.precision", expected, "\"bf16\"").into());
    }
    let device = bonfire_device::open(&recipe.device)?.autodiff();
    Ok(Plan { document, recipe, device })
}

/// An error of a recipe's key, with the place the key came from.
fn placed(document: &Document, error: TrainError) -> anyhow::Error {
    match error {
        TrainError::Config { key, expected, found } => document.wrong(&key, expected, found).into(),
        other => other.into(),
    }
}

/// As [`placed`], of training itself, which says whether all ranks of a job have the error.
fn ended(document: &Document, error: TrainError) -> anyhow::Error {
    match error.is_known_to_all() {
        true => job::Known(placed(document, error)).into(),
        false => placed(document, error),
    }
}

/// The run that `--run` names in a bucket, fetched when it is to go on.
fn bucket(arguments: &TrainArguments) -> Result<Option<Rc<RefCell<BucketRun>>>> {
    let Some(path) = &arguments.run else { return Ok(None) };
    let Some(mut bucket) = BucketRun::of(path)? else { return Ok(None) };
    match bucket.exists()? {
        true if arguments.resume => bucket.fetch(true)?,
        true => bail!(
            "{}: expected a place for a new run, found a run; --resume goes on with a run, --run names another place",
            path.display()
        ),
        false => {}
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

/// Resuming under another recipe would be a run that no recipe describes. A folder without a run
/// yet has nothing to differ from.
fn refuse_another_recipe(path: &Path, recipe: &Recipe) -> Result<()> {
    if !path.join("recipe.toml").exists() {
        return Ok(());
    }
    let (_, begun) = read_recipe(&RunFolder::open(path)?)?;
    match begun.difference(recipe) {
        Some(difference) => bail!(
            "{}: expected the recipe that the run began with, found another: {difference} (evaluation, checkpoints \
             and the device may change, and the length where the schedule does not depend on it)",
            path.display()
        ),
        None => Ok(()),
    }
}

struct Fit<'a> {
    document: &'a Document,
    recipe: &'a Recipe,
    sets: &'a Sets,
    device: &'a Device,
    path: &'a Path,
    /// The run folder as it was named.
    name: &'a Path,
    /// The run in a bucket whose copy `path` is.
    bucket: Option<Rc<RefCell<BucketRun>>>,
    existing: Existing,
    started: Instant,
    communicator: &'a Arc<dyn Communicator>,
    /// Set when there is a model.
    reached: &'a Cell<bool>,
}

/// A run as its training begins.
struct Begun<M> {
    model: M,
    /// Where this rank keeps it.
    folder: Option<RunFolder>,
    /// Its recipe so far.
    recipe: Option<Vec<u8>>,
}

impl Fit<'_> {
    /// Creates or opens the run, and takes over the weights that it begins with.
    fn begin<A: Architecture>(&self, model: A::Model, config: &A) -> Result<Begun<A::Model>> {
        let first = self.communicator.rank() == 0;
        let resolved = Recipe { model_options: model_options::options(config), ..self.recipe.clone() };
        if self.existing == Existing::Resume && first {
            refuse_another_recipe(self.path, &resolved)?;
        }
        let tuning = &self.recipe.finetune;
        // A run that was stopped before its first checkpoint starts again, from the same weights.
        let begins = match RunFolder::open(self.path) {
            Ok(folder) if self.existing == Existing::Resume => folder.checkpoint_store().names()?.is_empty(),
            _ => true,
        };
        let model = match &tuning.pretrained {
            // The other ranks take over the weights of the first.
            Some(uri) if begins && first => pretrained::load(model, config, uri)?,
            _ => model,
        };
        let model =
            bonfire_train::freeze(model, &tuning.freeze).map_err(|error| placed(self.document, error))?;
        let folder = first.then(|| RunFolder::create(self.path, self.existing)).transpose()?;
        let recipe = folder.as_ref().and_then(|folder| std::fs::read(folder.recipe()).ok());
        if let Some(folder) = &folder {
            write_atomically(&folder.recipe(), resolved.to_toml().as_bytes())?;
            self.sets.schema.save(folder.path())?;
        }
        if let Some(bucket) = &self.bucket {
            // A bucket that refuses is to be known before an epoch is spent.
            bucket.borrow_mut().put()?;
        }
        Ok(Begun { model, folder, recipe })
    }
}

impl VisitModel for Fit<'_> {
    type Output = ExitCode;

    fn visit<A: Architecture>(self, model: A::Model, config: A) -> Result<ExitCode> {
        self.reached.set(true);
        let begun = self.begin(model, &config);
        let Fit { document, recipe, sets, device, name, bucket, existing, started, communicator, .. } = self;
        let Begun { model, folder, recipe: begun } = agreed(&**communicator, begun)?;
        let first = communicator.rank() == 0;

        let mut trainer = Trainer::new(recipe.fit(), device.clone())
            .communicator(communicator.clone())
            .resume(existing == Existing::Resume)
            .metrics(sets.schema.metrics(recipe.train.top_k))
            .read_loss_every(if DeviceName::parse(&recipe.device)?.is_cpu() {
                1
            } else {
                recipe.train.report_every
            })
            .started(started);
        if let Some(folder) = &folder {
            trainer = trainer.run(folder.clone()).listener(Box::new(Terminal::new()));
        }
        if let Some(bucket) = &bucket {
            trainer = trainer.listener(Box::new(Publisher(bucket.clone())));
        }
        let (train, valid, test) = (
            Unwrapped(sets.train.as_ref()),
            sets.valid.as_ref().map(|loader| Unwrapped(loader.as_ref())),
            sets.test.as_ref().map(|test| Unwrapped(test.loader.as_ref())),
        );
        let valid = valid.as_ref().map(|loader| loader as &dyn Loader<<A::Model as Task>::Input>);
        let test = test.as_ref().map(|loader| loader as &dyn Loader<<A::Model as Task>::Input>);
        let least_squares = config.least_squares();
        let fitted = match (trainer.fit_or_solve(model, least_squares, &train, valid, test), begun) {
            (Ok(fitted), _) => fitted,
            (Err(error @ TrainError::Config { .. }), Some(begun)) => {
                // Refused before a step: the run's recipe stays the one it was trained by.
                if let Some(folder) = &folder {
                    write_atomically(&folder.recipe(), &begun)?;
                }
                return Err(ended(document, error));
            }
            (Err(error), _) => return Err(ended(document, error)),
        };
        if let (Some(evaluation), Some(folder)) = (&fitted.tested, &folder) {
            let report = Report {
                name: &recipe.name,
                data: "the test set",
                crops: 1,
                evaluation,
                labels: sets.schema.labels(),
                skipped: fitted.skipped_in_test,
                pictures: sets.test.as_ref().and_then(|test| test.pictures.as_ref()),
            };
            if let Err(error) = write_atomically(&folder.report(), report.page().as_bytes()) {
                eprintln!("warning: no report: {error}");
            }
        }
        if let Some(bucket) = &bucket {
            bucket.borrow_mut().put()?;
        }
        let path = name.display();
        if let Stopped::Interrupted(signal) = fitted.summary.stopped {
            if first {
                eprintln!("saved: `bonfire train --run {path} --resume` goes on");
            }
            return Ok(ExitCode::from(128 + signal as u8));
        }
        if first {
            eprintln!("run folder: {path}  (`bonfire evaluate {path}`, `bonfire predict {path} INPUT…`)");
        }
        Ok(ExitCode::SUCCESS)
    }
}
