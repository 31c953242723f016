//! A run folder, opened to evaluate, predict or export with.

use crate::bucket::BucketRun;
use crate::model::{Build, VisitModel};
use crate::places::seen_from_here;
use crate::schema::Schema;
use crate::{RunError, pretrained};
use bonfire_checkpoint::{RunFolder, Weights, load_weights, step_of_weights, write_atomically};
use bonfire_contract::files;
use bonfire_datasets::source::Object;
use bonfire_models::Architecture;
use bonfire_recipe::{DataConfig, Document, LONGEST_RECIPE, Recipe};
use burn::module::Module;
use burn::tensor::Device;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A run: its folder, its recipe, and the schema of its data.
pub struct Run {
    /// The folder; of a run in a bucket, a copy that lasts as long as this value.
    pub folder: RunFolder,
    /// The run's recipe, every key with its value.
    pub recipe: Recipe,
    /// Everything that was learned of the data when the run began.
    pub schema: Schema,
    /// The places of the recipe's keys, for messages.
    document: Document,
    /// Keeps the copy of a run in a bucket while it is used.
    bucket: Option<BucketRun>,
    /// The run folder as it was named.
    name: PathBuf,
    notices: Vec<String>,
    /// The weights of the newest checkpoint, of a run that has not ended.
    unfinished: Option<Unfinished>,
}

/// The weights of a run that has not ended.
struct Unfinished {
    /// Their file in the checkpoint.
    path: PathBuf,
    bytes: Vec<u8>,
}

/// The files of a checkpoint that hold weights to answer with: their average, where the run keeps one.
const WEIGHTS: [&str; 2] = ["average.safetensors", "weights.safetensors"];

/// The newest intact checkpoint of a run without final weights, and lines about it and its run, which was
/// named `name`; none of a run that has ended, or has no checkpoint.
fn unfinished(folder: &RunFolder, name: &Path) -> Result<Option<(Unfinished, Vec<String>)>, RunError> {
    if folder.has_model()? {
        return Ok(None);
    }
    let store = folder.checkpoint_store();
    let Some(mut loaded) = store.load_newest()? else { return Ok(None) };
    let place = store.path(&loaded.name);
    let weights = WEIGHTS.iter().find_map(|file| Some((file, loaded.files.remove(*file)?)));
    let Some((file, bytes)) = weights else {
        return Err(RunError::unexpected(place.display(), "weights in a checkpoint", "none"));
    };
    let state: Option<Value> =
        loaded.files.get("state.json").and_then(|state| serde_json::from_slice(state).ok());
    let step = state.and_then(|state| state["step"].as_u64());
    let step = step.map_or(loaded.name.clone(), |step| format!("step {step}"));
    let name = name.display();
    let mut notices = loaded.warnings;
    notices.push(format!(
        "{name}: the run is not finished: the weights are those of its checkpoint at {step}; `bonfire train \
         --run {name} --resume` goes on with it"
    ));
    Ok(Some((Unfinished { path: place.join(file), bytes }, notices)))
}

/// A line about weights that are older than the run's newest checkpoint, of the run that was named `name`.
fn older_weights(folder: &RunFolder, name: &Path) -> Result<Option<String>, RunError> {
    if !folder.has_model()? {
        return Ok(None);
    }
    let path = folder.model();
    let (step, newest) = (step_of_weights(&path)?, folder.checkpoint_store().newest_step()?);
    let (Some(step), Some(newest)) = (step, newest) else { return Ok(None) };
    let name = name.display();
    Ok((newest > step).then(|| {
        format!(
            "{name}: the weights are those of step {step}, and the run has gone on to step {newest} without an end: \
             `bonfire train --run {name} --resume` ends it"
        )
    }))
}

/// Reads the recipe that a run folder keeps.
pub(crate) fn read_recipe(folder: &RunFolder) -> Result<(Document, Recipe), RunError> {
    let name = folder.recipe().display().to_string();
    let document = Document::parse(&name, &recipe_text(folder)?)?;
    let recipe = Recipe::resolve(&document)?;
    Ok((document, recipe))
}

/// The text of the recipe that a run folder keeps.
pub(crate) fn recipe_text(folder: &RunFolder) -> Result<String, RunError> {
    let path = folder.recipe();
    files::read_text(&path, LONGEST_RECIPE).map_err(|cause| {
        RunError::unexpected(path.display(), "the run's recipe", format!("nothing readable: {cause}"))
    })
}

impl Run {
    /// Opens a run folder, which may lie in a bucket.
    ///
    /// # Errors
    /// When there is no run, or its recipe or schema is missing or damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RunError> {
        let path = path.as_ref();
        let mut bucket = BucketRun::of(path)?;
        let folder = match &mut bucket {
            None => RunFolder::open(path)?,
            Some(bucket) => {
                bucket.fetch(false)?;
                let folder = RunFolder::open(bucket.local())?;
                if !folder.has_model()? {
                    // Of a run that has not ended, the weights lie in its checkpoints.
                    bucket.fetch(true)?;
                }
                folder
            }
        };
        let (document, recipe) = read_recipe(&folder)?;
        let schema = Schema::load(&recipe.data, folder.path())?;
        let mut notices: Vec<String> = older_weights(&folder, path)?.into_iter().collect();
        let unfinished = unfinished(&folder, path)?.map(|(unfinished, lines)| {
            notices.extend(lines);
            unfinished
        });
        let name = path.to_path_buf();
        Ok(Run { folder, recipe, schema, document, bucket, name, notices, unfinished })
    }

    /// Lines for a person to read before the run's answers: that a finished run was resumed and has not ended
    /// again, so that its weights are older than its newest checkpoint; or that it has never ended, and its
    /// weights are those of that checkpoint.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// The device of that name, or else the recipe's.
    ///
    /// # Errors
    /// When there is no such device.
    pub fn device(&self, name: Option<&str>) -> Result<Device, RunError> {
        Ok(bonfire_device::open(name.unwrap_or(&self.recipe.device))?)
    }

    /// The recipe's data, with so many crops of each picture where `crops` says it.
    ///
    /// # Errors
    /// When the data are no pictures.
    pub fn data(&self, crops: Option<usize>) -> Result<DataConfig, RunError> {
        let mut data = seen_from_here(&self.recipe.data);
        match (crops, &mut data) {
            (None, _) => {}
            (Some(crops), DataConfig::Image(config)) => config.crops = crops,
            (Some(_), data) => {
                let found = format!("one on {}s", data.kind());
                return Err(RunError::argument("crops", "a run on pictures", found));
            }
        }
        Ok(data)
    }

    /// Writes the run's report into the run folder as it was named, which may lie in a bucket. Hands back the
    /// place of the report.
    ///
    /// # Errors
    /// When that place cannot be written to.
    pub fn write_report(&self, page: &str) -> Result<String, RunError> {
        let path = self.folder.report();
        write_atomically(&path, page.as_bytes())?;
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        if self.bucket.is_none() {
            return Ok(path.display().to_string());
        }
        let uri = format!("{}/{file}", self.name.display().to_string().trim_end_matches('/'));
        Object::create(&uri)?.write(page.as_bytes().to_vec().into())?;
        Ok(uri)
    }

    /// Writes the weights under the names that a library (`torchvision`, `timm`) gives them, as safetensors.
    /// Hands back the number of tensors.
    ///
    /// # Errors
    /// When that library has no such model, the run has no weights yet, or the file cannot be written.
    pub fn export(&self, library: &str, to: &Path) -> Result<usize, RunError> {
        struct Export<'a>(&'a str, &'a Path, &'a Path);
        impl VisitModel for Export<'_> {
            type Output = Result<usize, RunError>;

            fn visit<A: Architecture>(self, model: A::Model, config: A) -> Self::Output {
                pretrained::export(&model, self.0, &config.names_elsewhere(), self.1, self.2)
            }
        }
        let own = self.name.join(self.folder.model().file_name().unwrap_or_default());
        self.visit(&bonfire_device::first()?, Export(library, &own, to))?
    }

    /// Builds the run's model on `device`, loads its weights and hands it on.
    ///
    /// # Errors
    /// When the run has no weights yet, or they are damaged.
    pub fn visit<V: VisitModel>(&self, device: &Device, visitor: V) -> Result<V::Output, RunError> {
        let recipe = &self.recipe;
        let build = Build {
            name: &recipe.model,
            options: &recipe.model_options,
            spec: &self.schema.spec(&recipe.loss),
            document: &self.document,
            device,
            seed: None,
            memory: None,
        };
        build.visit(Load { run: self, visitor })?
    }
}

struct Load<'a, V> {
    run: &'a Run,
    visitor: V,
}

impl<V: VisitModel> VisitModel for Load<'_, V> {
    type Output = Result<V::Output, RunError>;

    fn visit<A: Architecture>(self, model: A::Model, config: A) -> Self::Output {
        let path = self.run.folder.model();
        let model = match &self.run.unfinished {
            Some(Unfinished { path, bytes }) => Weights::from_safetensors(bytes, path)?.apply(model, path)?,
            None if !path.is_file() => {
                let expected = "the weights of a finished run, or a checkpoint of another";
                let found = format!(
                    "neither; `bonfire train --run {} --resume` goes on with it",
                    self.run.name.display()
                );
                return Err(RunError::unexpected(path.display(), expected, found));
            }
            None => load_weights(model, &path)?,
        };
        Ok(self.visitor.visit(model.valid(), config))
    }
}
