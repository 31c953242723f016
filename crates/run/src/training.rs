//! A recipe becomes a run folder: a run that begins, or goes on.
//!
//! ```text
//! Beginning -> recipe -> place of the run -> data by the run's schema
//!           -> model, weights to begin with -> Trainer
//! ```
//!
//! All ranks of a job take the same way. Rank 0 alone keeps the run, and an error of any rank before the
//! first step is an error of all.

use crate::bucket::BucketRun;
use crate::places::anchor;
use crate::ranks::{self, agreed};
use crate::run::{read_recipe, recipe_text};
use crate::schema::Schema;
use crate::sets::Sets;
use crate::{Notices, RunError};
use bonfire_checkpoint::RunFolder;
use bonfire_cluster::Communicator;
use bonfire_device::DeviceName;
use bonfire_recipe::paths::PATHS;
use bonfire_recipe::{Document, Recipe};
use bonfire_train::{Evaluation, Precision, Stopped, TrainError};
use burn::tensor::Device;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// A run as it is asked for.
#[derive(Clone, Debug, Default)]
pub struct Beginning {
    /// A TOML file or a built-in recipe; none to go on by the recipe of the run folder.
    pub recipe: Option<String>,
    /// Changes of the recipe's keys, each `key.path=value`.
    pub changes: Vec<String>,
    /// The device, in place of the recipe's.
    pub device: Option<String>,
    /// The run folder, which may lie in a bucket; none for `runs/` and the recipe's name.
    pub run: Option<PathBuf>,
    /// True to go on from the run's last checkpoint.
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
    pub(crate) document: Document,
    pub(crate) device: Device,
    /// The folder that the run is worked in.
    pub(crate) path: PathBuf,
    /// The run in a bucket whose copy `path` is.
    pub(crate) bucket: Option<Rc<RefCell<BucketRun>>>,
    pub(crate) resume: bool,
    pub(crate) communicator: Arc<dyn Communicator>,
    pub(crate) notices: Notices,
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
    /// When the recipe, the device or the data are not as they should be, the place holds another run, or a
    /// run that goes on would not be the run that began: by another recipe, or on data that its schema does
    /// not fit.
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
        let told: Notices = if first { notices.clone() } else { Rc::new(|_: &str| ()) };
        let (document, recipe, device) = agreed(ranks, plan(beginning, place, begun, &told))?;
        let path = place.map_or_else(|| default_path(resume, &recipe), Path::to_path_buf);
        let kept = if resume && first { kept_schema(&path, &document, &recipe, &told) } else { Ok(None) };
        let kept = agreed(ranks, kept)?;
        let sets = ranks::open(ranks, &document, &recipe, kept)?;
        ranks::check(ranks, &recipe, &sets, &device)?;
        let name = beginning.run.clone().unwrap_or_else(|| path.clone());
        if first && resume && !path.join("run.json").exists() {
            notices(&format!("no run at {}: a new one begins", name.display()));
        }
        let communicator = communicator.clone();
        Ok(Training { recipe, sets, name, document, device, path, bucket, resume, communicator, notices })
    }

    /// The job's ranks, machines and batches in a line; none for one rank.
    pub fn layout(&self) -> Option<String> {
        ranks::layout(&*self.communicator, &self.recipe, &*self.sets.train)
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
        (None, None) => Err(RunError::argument("resume", "a recipe or a run folder beside it", "neither")),
    }
}

/// The recipe that was asked for, a name or file or the text `begun` of the run to resume, with its changes;
/// and its device.
fn plan(
    beginning: &Beginning,
    place: Option<&Path>,
    begun: Vec<u8>,
    notices: &Notices,
) -> Result<(Document, Recipe, Device), RunError> {
    let mut document = match &beginning.recipe {
        Some(recipe) => bonfire_recipe::read(recipe)?,
        None => {
            let path = place.unwrap_or(Path::new("")).join("recipe.toml").display().to_string();
            let text = String::from_utf8(begun);
            Document::parse(&path, &text.map_err(|error| RunError::unexpected(&path, "UTF-8", error))?)?
        }
    };
    for assignment in &beginning.changes {
        document.set(assignment)?;
    }
    anchor(&mut document, beginning.recipe.as_deref(), notices)?;
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

/// The schema of the run that goes on; none of a run that was stopped before it kept one. A run goes on by
/// its own recipe alone: by another one it would be a run that no recipe describes. Data of which `--set` says
/// that they lie elsewhere are held against the schema.
fn kept_schema(
    path: &Path,
    document: &Document,
    recipe: &Recipe,
    notices: &Notices,
) -> Result<Option<Schema>, RunError> {
    if path.join("recipe.toml").exists() {
        let (began_as, begun) = read_recipe(&RunFolder::open(path)?)?;
        let moved: Vec<&str> = PATHS.into_iter().filter(|key| document.is_argument(key)).collect();
        if let Some(difference) = begun.difference_but(recipe, &moved) {
            let found = format!(
                "another: {difference} (evaluation, reading ahead, checkpoints and the device may change, and the \
                 length where the schedule does not depend on it)"
            );
            return Err(RunError::unexpected(path.display(), "the recipe that the run began with", found));
        }
        for key in moved {
            if let (Some(began), Some(now)) = (began_as.text(key), document.text(key))
                && began != now
            {
                notices(&format!("{key}: the run began with {began}, and goes on with {now}"));
            }
        }
        return Ok(Schema::load_if_kept(&begun.data, path)?);
    }
    Ok(Schema::load_if_kept(&recipe.data, path)?)
}

/// The run that is named in a bucket, fetched when it is to go on.
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
pub(crate) fn of_key(document: &Document, error: TrainError) -> RunError {
    match error {
        TrainError::Config { key, expected, found } => document.wrong(&key, expected, found).into(),
        other => other.into(),
    }
}
