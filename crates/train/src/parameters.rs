//! The parameters of a model as a table: all that the loop knows of a module without its type.

use bonfire_checkpoint::Weights;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use std::fmt::Write;

/// One float tensor of a module.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its path in the module, `conv_1.weight`.
    pub path: String,
    /// Its identity, under which gradients and optimizer state are kept.
    pub id: ParamId,
    /// Its sizes.
    pub shape: Vec<usize>,
    /// True where it is trained; running statistics and frozen parameters are not.
    pub trained: bool,
}

impl Parameter {
    /// The number of its elements.
    pub fn numbers(&self) -> usize {
        self.shape.iter().product()
    }

    /// True for a running statistic. No gradient changes it.
    pub fn is_statistic(&self) -> bool {
        names_statistic(&self.path)
    }
}

/// True for the path of a running statistic, by the names that Burn's batch norm gives them.
pub(crate) fn names_statistic(path: &str) -> bool {
    matches!(path.rsplit('.').next(), Some("running_mean" | "running_var"))
}

/// The float tensors of a module in visiting order.
pub fn parameters<M: Module>(module: &M) -> Vec<Parameter> {
    let mut table = Table { path: Vec::new(), parameters: Vec::new() };
    module.visit(&mut table);
    table.parameters
}

/// The parameters of a module: one line a tensor (path, shape, count), then the total.
pub fn tensor_summary<M: Module>(module: &M) -> String {
    parameter_table(&parameters(module))
}

/// As [`tensor_summary`], of parameters that are listed already.
pub fn parameter_table(parameters: &[Parameter]) -> String {
    let width = parameters.iter().map(|p| p.path.len()).max().unwrap_or(0).max(5);
    let mut text = String::new();
    for parameter in parameters {
        let note = if parameter.trained { "" } else { "  not trained" };
        let shape = format!("{:?}", parameter.shape);
        let (path, numbers) = (&parameter.path, parameter.numbers());
        writeln!(text, "{path:width$}  {shape:20}  {numbers:>12}{note}").expect("strings take any text");
    }
    let total: usize = parameters.iter().map(Parameter::numbers).sum();
    let trained: usize = parameters.iter().filter(|p| p.trained).map(Parameter::numbers).sum();
    write!(text, "{:width$}  {:20}  {total:>12}  {trained} trained", "total", "")
        .expect("strings take any text");
    text
}

/// Numbers the identities of a module's parameters 1, 2, … in visiting order, so that one process finds the
/// state that another stored under them. Running statistics keep theirs: nothing is stored under them.
pub(crate) fn renumber<M: Module>(module: M) -> M {
    module.map(&mut Renumber { next: 1 })
}

struct Renumber {
    next: u64,
}

impl ModuleMapper for Renumber {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (_, tensor, mapper) = param.consume();
        let id = ParamId::from(self.next);
        self.next += 1;
        Param::from_mapped_value(id, tensor, mapper)
    }
}

struct Table {
    path: Vec<String>,
    parameters: Vec<Parameter>,
}

impl ModuleVisitor for Table {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let (path, shape) = (self.path.join("."), param.shape().to_vec());
        self.parameters.push(Parameter { path, id: param.id, shape, trained: param.is_require_grad() });
    }
}

/// Runs `$body` with `$D` as the constant number of dimensions.
macro_rules! by_dimensions {
    ($dimensions:expr, $D:ident => $body:expr) => {
        match $dimensions {
            1 => by_dimensions!(@ 1, $D => $body),
            2 => by_dimensions!(@ 2, $D => $body),
            3 => by_dimensions!(@ 3, $D => $body),
            4 => by_dimensions!(@ 4, $D => $body),
            5 => by_dimensions!(@ 5, $D => $body),
            6 => by_dimensions!(@ 6, $D => $body),
            dimensions => panic!("parameters have 1 to 6 dimensions, not {dimensions}"),
        }
    };
    (@ $value:literal, $D:ident => $body:expr) => {{
        const $D: usize = $value;
        $body
    }};
}
pub(crate) use by_dimensions;

/// Tensors kept by identity, read back to the host by path.
pub(crate) fn to_weights(tensors: &GradientsParams, parameters: &[Parameter]) -> Weights {
    let mut weights = Weights::default();
    for parameter in parameters {
        let data: Option<TensorData> =
            by_dimensions!(parameter.shape.len(), D => tensors.get::<D>(parameter.id).map(Tensor::into_data));
        if let Some(data) = data {
            weights.insert(&parameter.path, data);
        }
    }
    weights
}

/// The inverse of [`to_weights`]; the error says which tensor has another shape than its parameter.
pub(crate) fn from_weights(
    weights: &Weights,
    parameters: &[Parameter],
    device: &Device,
) -> Result<GradientsParams, String> {
    let mut tensors = GradientsParams::new();
    for parameter in parameters {
        let Some(data) = weights.get(&parameter.path) else { continue };
        if data.shape().as_slice() != parameter.shape {
            return Err(format!("`{}` of shape {:?}", parameter.path, data.shape().as_slice()));
        }
        by_dimensions!(parameter.shape.len(), D => {
            tensors.register(parameter.id, Tensor::<D>::from_data(data.clone(), device));
        });
    }
    Ok(tensors)
}
