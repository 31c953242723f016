//! A recipe's model: the architecture's default for the data, the recipe's keys laid over it, checked, and its weights
//! drawn.

use crate::document::{Document, RecipeError};
use crate::model_options::{configured, misfit, options};
use bonfire_contract::{ConfigError, Input, Task};
use bonfire_kernels::multiply_adds;
use bonfire_models::Architecture;
use bonfire_models::registry::{Visit, find, visit};
use bonfire_models::spec::Spec;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use serde_json::{Map, Value};

/// Work on a model that was built, whichever it is.
pub trait VisitModel {
    /// The result of the work.
    type Output;

    /// Called once, with the model and the config that made it, the recipe's keys among its own.
    ///
    /// # Errors
    /// Those of the visitor's own work.
    fn visit<A: Architecture>(self, model: A::Model, config: A) -> anyhow::Result<Self::Output>;
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
    /// The seed of the initial weights.
    pub seed: u64,
}

impl<'a> Build<'a> {
    /// Builds the model and hands it to `visitor`.
    ///
    /// # Errors
    /// When the architecture does not fit the data, or an option or size is impossible; and the visitor's own errors.
    pub fn visit<V: VisitModel>(&self, visitor: V) -> anyhow::Result<V::Output> {
        let built = visit(self.name, self.spec, Configured { build: self, visitor });
        built.map_err(|error| misfit(self.document, error))?
    }
}

struct Configured<'a, V> {
    build: &'a Build<'a>,
    visitor: V,
}

impl<V: VisitModel> Visit for Configured<'_, V> {
    type Output = anyhow::Result<V::Output>;

    fn visit<A: Architecture>(self, default: A) -> Self::Output {
        let Build { options, document, device, seed, .. } = *self.build;
        let config = configured(document, options, &default)?;
        config.check().map_err(|error| impossible(document, &error))?;
        device.seed(seed);
        let model = with_weights_drawn(document, config.init(device))?;
        self.visitor.visit(model, config)
    }
}

/// An architecture with its default options on its example's sizes.
pub struct Description {
    /// Options and their defaults.
    pub options: Map<String, Value>,
    /// The number of parameters that training changes: running statistics are not among them.
    pub parameters: usize,
    /// Multiply-adds of a forward pass of one sample, as papers count them; see [`multiply_adds`].
    pub multiply_adds: u64,
    /// Each parameter's path, shape and count.
    pub summary: String,
}

/// Describes an architecture. Its weights are not drawn, for nothing that is told depends on them.
///
/// # Errors
/// When there is no such architecture, or this machine has no device of this build's backends.
pub fn describe(name: &str) -> anyhow::Result<Description> {
    struct Describe<'a>(&'a Spec, &'a Device);
    impl Visit for Describe<'_> {
        type Output = Description;

        fn visit<A: Architecture>(self, default: A) -> Description {
            let Describe(spec, device) = self;
            let model = default.init(device).map(&mut Zeros);
            let summary = bonfire_train::tensor_summary(&model);
            let trained = bonfire_train::parameters(&model).into_iter().filter(|parameter| parameter.trained);
            let parameters = trained.map(|parameter| parameter.numbers()).sum();
            let zeros = spec.sample.zeros(&device.clone().inner());
            let input =
                <A::Model as Task>::Input::from_any(zeros).expect("a model takes its example's samples");
            let model = model.valid();
            let (_, multiply_adds) = multiply_adds(|| model.predict(input));
            Description { options: options(&default), parameters, multiply_adds, summary }
        }
    }
    let device = bonfire_device::first()?.autodiff();
    let spec = (find(name)?.example)();
    Ok(visit(name, &spec, Describe(&spec, &device))?)
}

/// Zeros for weights that are not drawn yet: memory that nobody writes is not taken.
struct Zeros;

impl ModuleMapper for Zeros {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if param.is_initialized() {
            return param;
        }
        let zeros = Tensor::zeros(param.lazy_shape(), &param.lazy_device());
        Param::initialized(param.id, zeros.require_grad())
    }
}

/// A config's own refusal, under the recipe's key that decides the field.
fn impossible(document: &Document, error: &ConfigError) -> RecipeError {
    let key = match error.field.strip_prefix("objective.") {
        Some("loss") => "loss.name".to_string(),
        Some("outputs") => "data".to_string(),
        Some(field) => format!("loss.{field}"),
        None if error.field == "picture" => "data.resize".to_string(),
        None => format!("model.{}", error.field),
    };
    document.wrong(&key, &error.expected, &error.found)
}

/// Burn draws a parameter when it is first read. All are read here, so that the weights depend on the seed alone and
/// not on the order in which a forward pass meets them.
///
/// # Errors
/// When there are more parameters than any machine's memory holds.
fn with_weights_drawn<M: Module>(document: &Document, model: M) -> Result<M, RecipeError> {
    const MOST_PARAMETERS: usize = 100_000_000_000;
    let parameters = model.num_params();
    if parameters > MOST_PARAMETERS {
        let expected = format!("sizes of at most {MOST_PARAMETERS} parameters together");
        return Err(document.wrong("model", expected, format!("{parameters} parameters")));
    }
    struct Read;
    impl ModuleVisitor for Read {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let _ = param.val();
        }
    }
    model.visit(&mut Read);
    Ok(model)
}
