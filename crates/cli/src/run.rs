//! A finished run, opened to evaluate or predict with.

use crate::bucket::BucketRun;
use crate::document::Document;
use crate::feed::Fed;
use crate::recipe::Recipe;
use crate::registry::{self, Build, Built, Visit};
use crate::sets::Schema;
use anyhow::{Context, Result};
use bonfire_checkpoint::{RunFolder, load_weights};
use bonfire_contract::Task;
use burn::tensor::Device;
use std::path::Path;

/// A run folder's recipe and schema, and the device to use it on.
pub struct Run {
    pub folder: RunFolder,
    pub document: Document,
    pub recipe: Recipe,
    pub schema: Schema,
    pub device: Device,
    /// Keeps the copy of a run in a bucket while it is used.
    _bucket: Option<BucketRun>,
}

/// Reads the recipe that a run folder keeps.
pub fn read_recipe(folder: &RunFolder) -> Result<(Document, Recipe)> {
    let path = folder.recipe();
    let name = path.display().to_string();
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("{name}: expected the run's recipe, found nothing readable"))?;
    let document = Document::parse(&name, &text)?;
    let recipe = Recipe::resolve(&document)?;
    Ok((document, recipe))
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
        Ok(Run { folder, document, recipe, schema, device, _bucket: bucket })
    }

    /// Builds the run's model, loads its weights and hands it on.
    pub fn visit<V: Visit>(&self, visitor: V) -> Result<V::Output> {
        let build = Build {
            name: &self.recipe.model,
            options: &self.recipe.model_options,
            spec: &self.schema.spec(&self.recipe.loss),
            document: &self.document,
            device: &self.device,
            seed: self.recipe.seed,
        };
        registry::build(&build, Load { run: self, then: visitor })
    }
}

struct Load<'a, V> {
    run: &'a Run,
    then: V,
}

impl<V: Visit> Visit for Load<'_, V> {
    type Output = V::Output;

    fn visit<M: Task>(self, model: M, built: Built) -> Result<V::Output>
    where
        M::Input: Fed,
    {
        let path = self.run.folder.model();
        if !path.is_file() {
            anyhow::bail!(
                "{}: expected the weights of a finished run, found none; `bonfire train --run {} --resume` goes on with it",
                path.display(),
                self.run.folder.path().display()
            );
        }
        let model = load_weights(model, &path)?;
        self.then.visit(model.valid(), built)
    }
}
