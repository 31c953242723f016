//! An architecture in figures: its options, parameters and multiply-adds, without drawing its weights.

use anyhow::Result;
use bonfire_contract::{Input, Task};
use bonfire_kernels::multiply_adds;
use bonfire_models::Architecture;
use bonfire_models::registry::{Visit, find, visit};
use bonfire_models::spec::Spec;
use bonfire_recipe::model_options::options;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};
use serde_json::{Map, Value};

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
pub fn describe(name: &str) -> Result<Description> {
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
