//! `bonfire train`: a recipe becomes a run folder.

use crate::args::TrainArguments;
use crate::document::Document;
use crate::feed::{Fed, Unwrapped};
use crate::recipe::Recipe;
use crate::recipes;
use crate::registry::{self, Build, Visit};
use crate::run::read_recipe;
use crate::sets::{Schema, Sets};
use anyhow::{Result, bail};
use bonfire_checkpoint::{Existing, RunFolder, write_atomically};
use bonfire_contract::{Loader, Task};
use bonfire_datasets::DataError;
use bonfire_device::DeviceName;
use bonfire_train::{Stopped, Terminal, TrainError, Trainer};
use burn::tensor::Device;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Runs the subcommand. The exit code is 0 for a finished run and 128 + signal for one that a
/// signal stopped, which `--resume` goes on with.
pub fn train(arguments: &TrainArguments, started: Instant) -> Result<ExitCode> {
    let (document, mut recipe) = plan(arguments)?;
    if let Some(device) = &arguments.device {
        recipe.device.clone_from(device);
    }
    recipe.fit().check().map_err(|error| placed(&document, error))?;
    let device = bonfire_device::open(&recipe.device)?.autodiff();
    let path = run_path(arguments, &recipe);
    let sets = recipe.data.open(recipe.seed).map_err(|error| match error {
        DataError::Config { key, expected, found } => {
            document.wrong(&format!("data.{key}"), expected, found).into()
        }
        other => anyhow::Error::new(other),
    })?;
    if let Schema::Table(schema) = &sets.schema {
        eprintln!("{schema}");
    }
    let existing = if arguments.resume { Existing::Resume } else { Existing::Refuse };
    let fit = Fit {
        document: &document,
        recipe: &recipe,
        sets: &sets,
        device: &device,
        path: &path,
        existing,
        started,
    };
    let build = Build {
        name: &recipe.model,
        options: &recipe.model_options,
        spec: &sets.schema.spec(&recipe.loss),
        document: &document,
        device: &device,
        seed: recipe.seed,
    };
    registry::build(&build, fit)
}

/// The recipe that was asked for: a name or file, or the one of the run to resume, and `--set`.
fn plan(arguments: &TrainArguments) -> Result<(Document, Recipe)> {
    let mut document = match (&arguments.recipe, &arguments.run) {
        (Some(recipe), _) => recipes::read(recipe)?,
        (None, Some(folder)) => read_recipe(&RunFolder::open(folder)?)?.0,
        (None, None) => bail!("--resume: expected a RECIPE or --run DIR, found neither"),
    };
    for assignment in &arguments.sets {
        document.set(assignment)?;
    }
    let recipe = Recipe::resolve(&document)?;
    Ok((document, recipe))
}

/// An error of a recipe's key, with the place the key came from.
fn placed(document: &Document, error: TrainError) -> anyhow::Error {
    match error {
        TrainError::Config { key, expected, found } => document.wrong(&key, expected, found).into(),
        other => other.into(),
    }
}

/// `--run`, or `runs/NAME`, numbered when a new run finds the name taken; the last of these when
/// it is to go on.
fn run_path(arguments: &TrainArguments, recipe: &Recipe) -> PathBuf {
    if let Some(path) = &arguments.run {
        return path.clone();
    }
    let base = Path::new("runs");
    let first = base.join(&recipe.name);
    let numbered = (2..).map(|number| base.join(format!("{}-{number}", recipe.name)));
    let mut taken = first.clone();
    for next in std::iter::once(first).chain(numbered) {
        if !next.exists() {
            return if arguments.resume { taken } else { next };
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
    existing: Existing,
    started: Instant,
}

impl Visit for Fit<'_> {
    type Output = ExitCode;

    fn visit<M: Task>(self, model: M, options: Map<String, Value>) -> Result<ExitCode>
    where
        M::Input: Fed,
    {
        let Fit { document, recipe, sets, device, path, existing, started } = self;
        let resolved = Recipe { model_options: options, ..recipe.clone() };
        if existing == Existing::Resume {
            refuse_another_recipe(path, &resolved)?;
        }
        let folder = RunFolder::create(path, existing)?;
        let begun = std::fs::read(folder.recipe()).ok();
        write_atomically(&folder.recipe(), resolved.to_toml().as_bytes())?;
        sets.schema.save(folder.path())?;

        let mut trainer = Trainer::new(recipe.fit(), device.clone())
            .run(folder.clone())
            .resume(existing == Existing::Resume)
            .metrics(sets.schema.metrics(recipe.train.top_k))
            .listener(Box::new(Terminal::new()))
            .read_loss_every(if DeviceName::parse(&recipe.device)?.is_cpu() {
                1
            } else {
                recipe.train.report_every
            })
            .started(started);
        let (train, valid, test) = (
            Unwrapped(sets.train.as_ref()),
            sets.valid.as_ref().map(|loader| Unwrapped(loader.as_ref())),
            sets.test.as_ref().map(|loader| Unwrapped(loader.as_ref())),
        );
        let valid = valid.as_ref().map(|loader| loader as &dyn Loader<M::Input>);
        let test = test.as_ref().map(|loader| loader as &dyn Loader<M::Input>);
        let fitted = match (trainer.fit_and_test(model, &train, valid, test), begun) {
            (Ok(fitted), _) => fitted,
            (Err(error @ TrainError::Config { .. }), Some(begun)) => {
                // Refused before a step: the run's recipe stays the one it was trained by.
                write_atomically(&folder.recipe(), &begun)?;
                return Err(placed(document, error));
            }
            (Err(error), _) => return Err(placed(document, error)),
        };
        let path = path.display();
        if let Stopped::Interrupted(signal) = fitted.summary.stopped {
            eprintln!("saved: `bonfire train --run {path} --resume` goes on");
            return Ok(ExitCode::from(128 + signal as u8));
        }
        eprintln!("run folder: {path}  (`bonfire evaluate {path}`, `bonfire predict {path} INPUT…`)");
        Ok(ExitCode::SUCCESS)
    }
}
