//! A run folder, opened to evaluate, predict or export with.

use crate::bucket::BucketRun;
use crate::model::{Build, VisitModel};
use crate::schema::Schema;
use crate::{RunError, pretrained};
use bonfire_checkpoint::{RunFolder, load_weights, step_of_weights, write_atomically};
use bonfire_datasets::source::Object;
use bonfire_models::Architecture;
use bonfire_recipe::{DataConfig, Document, Recipe};
use burn::module::Module;
use burn::tensor::Device;
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
}

/// A line about weights that are older than the run's newest checkpoint, of the run that was named `name`.
fn older_weights(folder: &RunFolder, name: &Path) -> Result<Option<String>, RunError> {
    let path = folder.model();
    if !path.is_file() {
        return Ok(None);
    }
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
    std::fs::read_to_string(&path).map_err(|cause| {
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
                RunFolder::open(bucket.local())?
            }
        };
        let (document, recipe) = read_recipe(&folder)?;
        let schema = Schema::load(&recipe.data, folder.path())?;
        let notices = older_weights(&folder, path)?.into_iter().collect();
        Ok(Run { folder, recipe, schema, document, bucket, name: path.to_path_buf(), notices })
    }

    /// Lines for a person to read before the run's answers: that a finished run was resumed and has not ended
    /// again, so that its weights are older than its newest checkpoint.
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
        let mut data = self.recipe.data.clone();
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
    /// When that library has no such model, the run is not finished, or the file cannot be written.
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
    /// When the run is not finished or its weights are damaged.
    pub fn visit<V: VisitModel>(&self, device: &Device, visitor: V) -> Result<V::Output, RunError> {
        let recipe = &self.recipe;
        let build = Build {
            name: &recipe.model,
            options: &recipe.model_options,
            spec: &self.schema.spec(&recipe.loss),
            document: &self.document,
            device,
            seed: None,
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
        if !path.is_file() {
            let run = self.run.folder.path().display();
            let found = format!("none; `bonfire train --run {run} --resume` goes on with it");
            return Err(RunError::unexpected(path.display(), "the weights of a finished run", found));
        }
        let model = load_weights(model, &path)?;
        Ok(self.visitor.visit(model.valid(), config))
    }
}
