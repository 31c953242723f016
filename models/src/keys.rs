//! The names that other libraries give to a model's tensors.
//!
//! Each architecture that others have published weights for tells, in its own file, what they call its layers
//! (`torchvision_names`, `timm_names`). What happens inside a layer is the same everywhere and said here:
//! PyTorch's norms have `weight` and `bias` where Burn's have `gamma` and `beta`, and PyTorch's linear layers
//! keep `[out, in]` where Burn's keep `[in, out]`.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// Pairs of our path and their name, of a layer (`head`, `fc`) or of a single tensor.
pub type LayerNames = Vec<(String, String)>;

/// A tensor here and there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorKey {
    /// Its path in the module, `stages.0.1.convolutions.0.norm.gamma`.
    pub path: String,
    /// Its name in the other library, `layer1.1.bn1.weight`.
    pub name: String,
    /// Its sizes in the other library.
    pub shape: Vec<usize>,
    /// True where rows and columns change places between the two libraries.
    pub transposed: bool,
}

/// Every float tensor of a module, in the order of its fields, with its name in the library that the names
/// are of. Batch counters (`num_batches_tracked`) have no counterpart here.
///
/// # Panics
/// When the names lack a layer: they are not of this module.
pub fn tensor_keys<M: Module>(module: &M, names: &LayerNames) -> Vec<TensorKey> {
    let mut reader = Reader { names, path: Vec::new(), containers: Vec::new(), keys: Vec::new() };
    module.visit(&mut reader);
    reader.keys
}

struct Reader<'a> {
    names: &'a LayerNames,
    path: Vec<String>,
    containers: Vec<String>,
    keys: Vec<TensorKey>,
}

impl Reader<'_> {
    fn name_of(&self, path: &str) -> Option<String> {
        let named =
            |wanted: &str| self.names.iter().find(|(ours, _)| ours == wanted).map(|(_, theirs)| theirs);
        if let Some(name) = named(path) {
            return Some(name.clone());
        }
        let (layer, tensor) = path.rsplit_once('.')?;
        let tensor = match tensor {
            "gamma" => "weight",
            "beta" => "bias",
            other => other,
        };
        Some(format!("{}.{tensor}", named(layer)?))
    }
}

impl ModuleVisitor for Reader<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.push(name.to_owned());
        self.containers.push(container_type.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
        self.containers.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".");
        let name = self.name_of(&path).unwrap_or_else(|| panic!("no name for {path}"));
        let mut shape = param.lazy_shape().to_vec();
        let transposed =
            D == 2 && self.containers.last().is_some_and(|container| container.ends_with("Linear"));
        if transposed {
            shape.reverse();
        }
        self.keys.push(TensorKey { path, name, shape, transposed });
    }
}
