//! A finished run, opened to evaluate or predict with.

use crate::bucket::BucketRun;
use crate::document::Document;
use crate::recipe::{Data, Recipe};
use crate::registry::{Build, VisitModel};
use crate::sets::Schema;
use anyhow::{Context, Result, bail};
use bonfire_checkpoint::{RunFolder, load_weights, write_atomically};
use bonfire_datasets::source::Object;
use bonfire_models::Architecture;
use burn::module::Module;
use burn::tensor::Device;
use std::path::{Path, PathBuf};

/// A run folder's recipe and schema, and the device to use it on.
pub struct Run {
    pub folder: RunFolder,
    pub document: Document,
    pub recipe: Recipe,
    pub schema: Schema,
    pub device: Device,
    /// Keeps the copy of a run in a bucket while it is used.
    _bucket: Option<BucketRun>,
    /// The run folder as it was named.
    name: PathBuf,
}

/// Reads the recipe that a run folder keeps.
pub fn read_recipe(folder: &RunFolder) -> Result<(Document, Recipe)> {
    let name = folder.recipe().display().to_string();
    let document = Document::parse(&name, &recipe_text(folder)?)?;
    let recipe = Recipe::resolve(&document)?;
    Ok((document, recipe))
}

/// The text of the recipe that a run folder keeps.
pub fn recipe_text(folder: &RunFolder) -> Result<String> {
    let path = folder.recipe();
    std::fs::read_to_string(&path)
        .with_context(|| format!("{}: expected the run's recipe, found nothing readable", path.display()))
}

impl Run {
    /// Opens a run folder; `device` replaces the recipe's.
    pub fn open(path: &Path, device: Option<&str>) -> Result<Self> {
        let mut bucket = BucketRun::of(path)?;
        let folder = match &mut bucket {
            None => RunFolder::open(path)?,
            Some(bucket) => {
                bucket.fetch(false)?;
                RunFolder::open(bucket.local())?
            }
        };
        let (document, recipe) = read_recipe(&folder)?;
        let schema = recipe.data.load_schema(folder.path())?;
        let device = bonfire_device::open(device.unwrap_or(&recipe.device))?;
        Ok(Run { folder, document, recipe, schema, device, _bucket: bucket, name: path.to_path_buf() })
    }

    /// The recipe's data, with so many crops of each picture where `--crops` asks for them.
    ///
    /// # Errors
    /// When the data are no pictures.
    pub fn data(&self, crops: Option<usize>) -> Result<Data> {
        let mut data = self.recipe.data.clone();
        match (crops, &mut data) {
            (None, _) => {}
            (Some(crops), Data::Image(config)) => config.crops = crops,
            (Some(_), data) => bail!("--crops: expected a run on pictures, found one on {}s", data.kind()),
        }
        Ok(data)
    }

    /// Writes the run's report, where the run was named: in a bucket, too. Hands back its place.
    ///
    /// # Errors
    /// When that place cannot be written to.
    pub fn write_report(&self, page: &str) -> Result<String> {
        let path = self.folder.report();
        write_atomically(&path, page.as_bytes())?;
        let file = path.file_name().unwrap_or_default();
        if self._bucket.is_none() {
            return Ok(path.display().to_string());
        }
        let uri =
            format!("{}/{}", self.name.display().to_string().trim_end_matches('/'), file.to_string_lossy());
        Object::create(&uri)?.write(page.as_bytes().to_vec().into())?;
        Ok(uri)
    }

    /// Builds the run's model, loads its weights and hands it on.
    pub fn visit<V: VisitModel>(&self, visitor: V) -> Result<V::Output> {
        let build = Build {
            name: &self.recipe.model,
            options: &self.recipe.model_options,
            spec: &self.schema.spec(&self.recipe.loss),
            document: &self.document,
            device: &self.device,
            seed: self.recipe.seed,
        };
        build.visit(Load { run: self, then: visitor })
    }
}

struct Load<'a, V> {
    run: &'a Run,
    then: V,
}

impl<V: VisitModel> VisitModel for Load<'_, V> {
    type Output = V::Output;

    fn visit<A: Architecture>(self, model: A::Model, config: A) -> Result<V::Output> {
        let path = self.run.folder.model();
        if !path.is_file() {
            bail!(
                "{}: expected the weights of a finished run, found none; `bonfire train --run {} --resume` goes on with it",
                path.display(),
                self.run.folder.path().display()
            );
        }
        let model = load_weights(model, &path)?;
        self.then.visit(model.valid(), config)
    }
}
