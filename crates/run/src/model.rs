//! A recipe's model: the architecture's default for the data, the recipe's keys laid over it, checked, and
//! its weights drawn where none are loaded.

use crate::RunError;
use bonfire_datasets::size;
use bonfire_models::Architecture;
use bonfire_models::registry;
use bonfire_models::spec::Spec;
use bonfire_recipe::{Document, RecipeError, model_options};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use serde_json::{Map, Value};

/// Work on a model that was built, whichever its architecture.
pub trait VisitModel {
    /// The result of the work.
    type Output;

    /// Called once, with the model and the config that made it, the recipe's keys among its own.
    fn visit<A: Architecture>(self, model: A::Model, config: A) -> Self::Output;
}

/// Everything that decides a model: its name, its options, the data's sizes, device and seed.
pub struct Build<'a> {
    /// The architecture's registered name.
    pub name: &'a str,
    /// The recipe's keys below `[model]`, but for the name.
    pub options: &'a Map<String, Value>,
    /// The data's sizes and the question asked.
    pub spec: &'a Spec,
    /// The source of the keys, for messages.
    pub document: &'a Document,
    /// The device that holds the weights; with autodiff to train them.
    pub device: &'a Device,
    /// The seed of the initial weights; none where all of them are to be loaded, and none need be drawn.
    pub seed: Option<u64>,
    /// Bytes that the parameters may take; none where the device has memory of its own.
    pub memory: Option<u64>,
}

impl Build<'_> {
    /// Builds the model and hands it to `visitor`.
    ///
    /// # Errors
    /// When the architecture does not fit the data, or an option or size is impossible.
    pub fn visit<V: VisitModel>(&self, visitor: V) -> Result<V::Output, RunError> {
        let built = registry::visit(self.name, self.spec, Configured { build: self, visitor });
        built.map_err(|misfit| RunError::from(model_options::misfit(self.document, misfit)))?
    }
}

struct Configured<'a, V> {
    build: &'a Build<'a>,
    visitor: V,
}

impl<V: VisitModel> registry::Visit for Configured<'_, V> {
    type Output = Result<V::Output, RunError>;

    fn visit<A: Architecture>(self, default: A) -> Self::Output {
        let Build { options, document, device, seed, memory, .. } = *self.build;
        let config = model_options::checked(document, options, &default)?;
        if let Some(seed) = seed {
            device.seed(seed);
        }
        let model = config.init(device);
        check_size(document, &model, memory)?;
        if seed.is_some() {
            draw_weights(&model);
        }
        Ok(self.visitor.visit(model, config))
    }
}

/// Refuses more parameters than the memory holds, before one of them is drawn; on a device with memory of its
/// own, more than any has.
fn check_size<M: Module>(document: &Document, model: &M, memory: Option<u64>) -> Result<(), RecipeError> {
    const MOST_BYTES: u64 = 400_000_000_000;
    let parameters = model.num_params() as u64;
    let bytes = parameters.saturating_mul(4);
    let most = memory.unwrap_or(MOST_BYTES);
    if bytes <= most {
        return Ok(());
    }
    let by = if memory.is_some() { " (BONFIRE_MEMORY, --max-memory)" } else { "" };
    let expected = format!("parameters of at most {}{by}, by its sizes and those of the data", size(most));
    Err(document.wrong("model", expected, format!("{parameters}, {}", size(bytes))))
}

/// Burn draws a parameter when it is first read. All are read here, so that the weights depend on the seed
/// alone and not on the order in which a forward pass meets them.
fn draw_weights<M: Module>(model: &M) {
    struct Read;
    impl ModuleVisitor for Read {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let _ = param.val();
        }
    }
    model.visit(&mut Read);
}
