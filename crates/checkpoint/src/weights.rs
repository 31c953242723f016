//! A module's tensors by path, and their safetensors file.
//!
//! Paths are the module's field names joined by dots, `conv_1.weight`. The running statistics of batch
//! normalisation are tensors of the module and are kept like weights. Saving and loading keep every bit.

use crate::{CheckpointError, header, write_atomically};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::kind::Basic;
use burn::tensor::{Bool, BoolStore, DType, Device, Int, Shape, Tensor, TensorData, bf16, f16};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Tensors on the host, by path.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    tensors: BTreeMap<String, TensorData>,
}

/// Writes a module's weights as safetensors, atomically.
///
/// # Errors
/// When the file system refuses.
pub fn save_weights<M: Module>(module: &M, path: &Path) -> Result<(), CheckpointError> {
    write_atomically(path, &Weights::of(module).to_safetensors(path)?)
}

/// The key of the metadata with a [`Stated`].
const STATED: &str = "bonfire";
/// The key of the metadata with the step alone, as earlier versions wrote it.
const STEP: &str = "step";

/// What a file of final weights states of itself. A file holds both or neither: a checksum in a file beside
/// it could be of another instant.
#[derive(Serialize, Deserialize)]
struct Stated {
    step: u64,
    /// See [`Weights::checksum`].
    crc32: String,
}

/// As [`save_weights`], of the weights that a run ends with after `step` steps. The file states the step and
/// a checksum of its tensors.
///
/// # Errors
/// When the file system refuses.
pub fn save_final_weights<M: Module>(module: &M, step: u64, path: &Path) -> Result<(), CheckpointError> {
    let weights = Weights::of(module);
    let stated = Stated { step, crc32: weights.checksum() };
    let stated = serde_json::to_string(&stated).expect("a step and a checksum are plain");
    write_atomically(path, &weights.serialized(path, STATED, stated)?)
}

/// The step that a safetensors file of final weights states; none where it states none. No tensor is read.
///
/// # Errors
/// When the file cannot be read, or does not begin as safetensors.
pub fn step_of_weights(path: &Path) -> Result<Option<u64>, CheckpointError> {
    let mut file = File::open(path).map_err(CheckpointError::io("read", path))?;
    stated_step(&mut file, path)
}

/// As [`step_of_weights`], of a file that is open.
pub(crate) fn stated_step(file: &mut dyn Read, path: &Path) -> Result<Option<u64>, CheckpointError> {
    /// The rest of a header is passed by.
    #[derive(Deserialize)]
    struct Header {
        #[serde(rename = "__metadata__", default)]
        metadata: Value,
    }
    let header = header::json(file).map_err(CheckpointError::io("read", path))?;
    let Header { metadata } = serde_json::from_slice(&header)
        .map_err(|error| CheckpointError::malformed(path, "a safetensors file", error))?;
    let stated = metadata[STATED].as_str().and_then(|text| serde_json::from_str::<Stated>(text).ok());
    let alone = || metadata[STEP].as_str().and_then(|step| step.parse().ok());
    Ok(stated.map(|stated| stated.step).or_else(alone))
}

/// Loads the weights of a safetensors file into `module`.
///
/// # Errors
/// When the file cannot be read or is not safetensors; when its tensors are not those whose checksum it
/// states, or one holds a number that is not finite; when it lacks a tensor of the module, has one too many,
/// or has one of another shape. All but the first three name the tensor.
pub fn load_weights<M: Module>(module: M, path: &Path) -> Result<M, CheckpointError> {
    let metadata = fs::metadata(path).map_err(CheckpointError::io("read", path))?;
    if !metadata.is_file() {
        return Err(CheckpointError::malformed(path, "a file of weights", "no file"));
    }
    let bytes = fs::read(path).map_err(CheckpointError::io("read", path))?;
    let weights = Weights::from_safetensors(&bytes, path)?;
    weights.check(&bytes, path)?;
    weights.apply(module, path)
}

impl Weights {
    /// The tensors of a module, read back to the host.
    pub fn of<M: Module>(module: &M) -> Self {
        let mut collector = Collector::default();
        // `valid` also brings running statistics up to the last forward.
        module.valid().visit(&mut collector);
        collector.weights
    }

    /// Adds or replaces one tensor.
    pub fn insert(&mut self, path: impl Into<String>, data: TensorData) {
        self.tensors.insert(path.into(), data);
    }

    /// The tensor at `path`.
    pub fn get(&self, path: &str) -> Option<&TensorData> {
        self.tensors.get(path)
    }

    /// Paths and tensors, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &TensorData)> {
        self.tensors.iter().map(|(path, data)| (path.as_str(), data))
    }

    /// Checks tensors that were read from `bytes`, the file at `path`, as those of a trained model.
    ///
    /// # Errors
    /// When they are not those whose checksum the file states, or one holds a number that is not finite.
    fn check(&self, bytes: &[u8], path: &Path) -> Result<(), CheckpointError> {
        let unfit = |expected: String, found: String| CheckpointError::malformed(path, expected, found);
        let (_, header) = SafeTensors::read_metadata(bytes)
            .map_err(|error| unfit("a safetensors file".into(), error.to_string()))?;
        if let Some(text) = header.metadata().as_ref().and_then(|metadata| metadata.get(STATED)) {
            let stated: Stated = serde_json::from_str(text)
                .map_err(|error| unfit("a step and a checksum in its metadata".into(), error.to_string()))?;
            let found = self.checksum();
            if stated.crc32 != found {
                return Err(unfit(
                    format!("the tensors that training wrote, with crc32 {}", stated.crc32),
                    format!("damaged ones, with crc32 {found}"),
                ));
            }
        }
        match self.first_not_finite() {
            None => Ok(()),
            Some(tensor) => Err(CheckpointError::Tensor {
                path: path.to_path_buf(),
                tensor: tensor.to_string(),
                expected: "finite numbers".into(),
                found: "one that is not".into(),
            }),
        }
    }

    /// The CRC-32 of the tensors' paths, types, shapes and bytes, in the order of their paths, in hexadecimal:
    /// of all that a file says of them but where they lie in it.
    fn checksum(&self) -> String {
        let mut hasher = crc32fast::Hasher::new();
        for (path, data) in &self.tensors {
            hasher.update(
                format!("{path} {:?} {:?}\n", to_file_type(data.dtype()), data.shape().as_slice()).as_bytes(),
            );
            hasher.update(data.as_bytes());
        }
        format!("{:08x}", hasher.finalize())
    }

    /// The path of the first tensor with an infinite number or a NaN.
    pub fn first_not_finite(&self) -> Option<&str> {
        self.iter().find(|(_, data)| !is_finite(data)).map(|(path, _)| path)
    }

    /// The bytes of a safetensors file with these tensors; `path` names the file in errors.
    ///
    /// # Errors
    /// When safetensors lacks a tensor's type (quantised numbers).
    pub fn to_safetensors(&self, path: &Path) -> Result<Vec<u8>, CheckpointError> {
        self.serialized(path, "format", "bonfire".to_string())
    }

    /// The bytes of a safetensors file with one entry of metadata: the order of several would change from one
    /// process to the next.
    fn serialized(&self, path: &Path, key: &str, value: String) -> Result<Vec<u8>, CheckpointError> {
        let mut views = Vec::with_capacity(self.tensors.len());
        for (name, data) in &self.tensors {
            let dtype = to_file_type(data.dtype()).ok_or_else(|| CheckpointError::Tensor {
                path: path.to_path_buf(),
                tensor: name.clone(),
                expected: "numbers of a plain type".into(),
                found: format!("{:?}", data.dtype()),
            })?;
            let view = TensorView::new(dtype, data.shape().to_vec(), data.as_bytes())
                .map_err(|error| CheckpointError::malformed(path, "a well-formed tensor", error))?;
            views.push((name.as_str(), view));
        }
        let metadata = HashMap::from([(key.to_string(), value)]);
        serialize(views, Some(metadata))
            .map_err(|error| CheckpointError::malformed(path, "safetensors", error))
    }

    /// Reads a safetensors file; `path` names it in errors.
    ///
    /// # Errors
    /// When the bytes are not safetensors, or hold numbers of a type that Burn lacks.
    pub fn from_safetensors(bytes: &[u8], path: &Path) -> Result<Self, CheckpointError> {
        let file = SafeTensors::deserialize(bytes)
            .map_err(|error| CheckpointError::malformed(path, "a safetensors file", error))?;
        let mut weights = Weights::default();
        for (name, view) in file.tensors() {
            let dtype = to_burn_type(view.dtype()).ok_or_else(|| CheckpointError::Tensor {
                path: path.to_path_buf(),
                tensor: name.clone(),
                expected: "numbers of a plain type".into(),
                found: format!("{:?}", view.dtype()),
            })?;
            let shape = Shape::from(view.shape().to_vec());
            weights.insert(name, TensorData::from_bytes_vec(view.data().to_vec(), shape, dtype));
        }
        Ok(weights)
    }

    /// Loads these tensors into `module`; `path` names their file in errors. Parameter ids, devices and
    /// gradient tracking stay the module's own.
    ///
    /// # Errors
    /// When a tensor is missing, one too many, or of another shape or kind of number.
    pub fn apply<M: Module>(self, module: M, path: &Path) -> Result<M, CheckpointError> {
        let mut loader = Loader { path: Vec::new(), weights: self, wrong: None };
        let module = module.map(&mut loader);
        let left = loader.weights.tensors.pop_first();
        let extra = left.map(|(tensor, data)| {
            (
                tensor,
                "no such tensor in the model".into(),
                format!("one of shape {:?}", data.shape().as_slice()),
            )
        });
        match loader.wrong.or(extra) {
            None => Ok(module),
            Some((tensor, expected, found)) => {
                Err(CheckpointError::Tensor { path: path.to_path_buf(), tensor, expected, found })
            }
        }
    }
}

/// True for numbers none of which is infinite or a NaN.
pub(crate) fn is_finite(data: &TensorData) -> bool {
    match data.dtype() {
        DType::F32 => data.as_slice::<f32>().is_ok_and(|values| values.iter().all(|v| v.is_finite())),
        DType::F64 => data.as_slice::<f64>().is_ok_and(|values| values.iter().all(|v| v.is_finite())),
        DType::F16 => data.as_slice::<f16>().is_ok_and(|values| values.iter().all(|v| v.is_finite())),
        DType::BF16 => data.as_slice::<bf16>().is_ok_and(|values| values.iter().all(|v| v.is_finite())),
        _ => true,
    }
}

/// Reads a module's tensors to the host.
#[derive(Default)]
struct Collector {
    path: Vec<String>,
    weights: Weights,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    // Loading checks the shape of the saved form: a column-major linear layer keeps its weight transposed in
    // memory.
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.weights.insert(self.path.join("."), param.transform_for_save().into_value().into_data());
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.weights.insert(self.path.join("."), param.transform_for_save().into_value().into_data());
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.weights.insert(self.path.join("."), param.transform_for_save().into_value().into_data());
    }
}

/// Loads tensors into a module and remembers the first that does not fit.
struct Loader {
    path: Vec<String>,
    weights: Weights,
    wrong: Option<(String, String, String)>,
}

impl Loader {
    /// The tensor of the current path, if it has this shape and its type `fits`.
    fn take<const D: usize, K: Basic>(
        &mut self,
        shape: Shape,
        device: &Device,
        fits: fn(DType) -> bool,
    ) -> Option<Tensor<D, K>> {
        let path = self.path.join(".");
        let found = match self.weights.tensors.remove(&path) {
            Some(data) if *data.shape() == shape && fits(data.dtype()) => {
                return Some(Tensor::from_data(data, device));
            }
            Some(data) => format!("shape {:?} of {:?}", data.shape().as_slice(), data.dtype()),
            None => "none".to_string(),
        };
        self.wrong.get_or_insert((path, format!("shape {:?}", shape.as_slice()), found));
        None
    }
}

impl ModuleMapper for Loader {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.take(param.lazy_shape(), &param.lazy_device(), |dtype| dtype.is_float()) {
            Some(tensor) => {
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            None => param,
        }
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        match self.take(param.lazy_shape(), &param.lazy_device(), |dtype| dtype.is_int() || dtype.is_uint()) {
            Some(tensor) => {
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            None => param,
        }
    }

    fn map_bool<const D: usize>(&mut self, param: Param<Tensor<D, Bool>>) -> Param<Tensor<D, Bool>> {
        match self.take(param.lazy_shape(), &param.lazy_device(), |dtype| dtype.is_bool()) {
            Some(tensor) => {
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            None => param,
        }
    }
}

fn to_file_type(dtype: DType) -> Option<Dtype> {
    Some(match dtype {
        DType::F64 => Dtype::F64,
        DType::F32 | DType::Flex32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I64 => Dtype::I64,
        DType::I32 => Dtype::I32,
        DType::I16 => Dtype::I16,
        DType::I8 => Dtype::I8,
        DType::U64 => Dtype::U64,
        DType::U32 => Dtype::U32,
        DType::U16 => Dtype::U16,
        DType::U8 => Dtype::U8,
        DType::Bool(BoolStore::Native | BoolStore::U8) => Dtype::BOOL,
        _ => return None,
    })
}

pub(crate) fn to_burn_type(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U64 => DType::U64,
        Dtype::U32 => DType::U32,
        Dtype::U16 => DType::U16,
        Dtype::U8 => DType::U8,
        Dtype::BOOL => DType::Bool(BoolStore::U8),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::RunningState;
    use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};

    #[derive(Module, Debug)]
    struct Net {
        first: Linear,
        norms: Vec<BatchNorm>,
        last: Option<Linear>,
    }

    fn net(width: usize, device: &Device) -> Net {
        Net {
            first: LinearConfig::new(3, width).init(device),
            norms: vec![BatchNormConfig::new(width).init(device)],
            last: Some(LinearConfig::new(width, 2).with_bias(false).init(device)),
        }
    }

    fn bits(weights: &Weights) -> Vec<(String, Vec<u8>)> {
        weights.iter().map(|(path, data)| (path.to_string(), data.as_bytes().to_vec())).collect()
    }

    #[test]
    fn weights_and_running_statistics_survive_bit_for_bit() {
        let device = Device::flex().autodiff();
        let trained = net(4, &device);
        // A forward pass in training leaves an update of the running statistics pending.
        let input = Tensor::<2>::from_data([[1e-40, 2.0, -0.0], [3.5, 0.1, 7.0]], &device);
        trained.norms[0].forward(trained.first.forward(input));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        save_weights(&trained, &path).unwrap();

        let loaded = load_weights(net(4, &device), &path).unwrap();
        let (expected, found) = (Weights::of(&trained), Weights::of(&loaded));
        assert_eq!(bits(&expected), bits(&found));
        let paths: Vec<_> = found.iter().map(|(path, _)| path).collect();
        let expected = [
            "first.bias",
            "first.weight",
            "last.weight",
            "norms.0.beta",
            "norms.0.gamma",
            "norms.0.running_mean",
            "norms.0.running_var",
        ];
        assert_eq!(paths, expected);
        assert_ne!(found.get("norms.0.running_mean").unwrap().to_vec_f32(), vec![0.0; 4]);
        assert!(loaded.first.weight.is_require_grad());
    }

    trait ToVec {
        fn to_vec_f32(&self) -> Vec<f32>;
    }

    impl ToVec for TensorData {
        fn to_vec_f32(&self) -> Vec<f32> {
            self.as_slice::<f32>().unwrap().to_vec()
        }
    }

    #[test]
    fn final_weights_state_their_step() {
        let device = Device::flex();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let net = net(4, &device);
        save_weights(&net, &path).unwrap();
        assert_eq!(step_of_weights(&path).unwrap(), None);
        save_final_weights(&net, 1200, &path).unwrap();
        assert_eq!(step_of_weights(&path).unwrap(), Some(1200));
        let loaded = load_weights(self::net(4, &device), &path).unwrap();
        assert_eq!(bits(&Weights::of(&loaded)), bits(&Weights::of(&net)));
        let whole = fs::read(&path).unwrap();
        for cut in [0, 7, 8, 100] {
            fs::write(&path, &whole[..cut]).unwrap();
            let error = step_of_weights(&path).unwrap_err().to_string();
            assert!(error.contains("model.safetensors"), "{error}");
        }
        // A header of 2^63 bytes.
        fs::write(&path, [&[0, 0, 0, 0, 0, 0, 0, 0x80], &whole[8..]].concat()).unwrap();
        assert!(step_of_weights(&path).is_err());
    }

    #[test]
    fn a_tensor_that_does_not_fit_is_named() {
        let device = Device::flex();
        let path = Path::new("model.safetensors");
        let message = |weights: Weights| weights.apply(net(4, &device), path).unwrap_err().to_string();

        let wide = message(Weights::of(&net(5, &device)));
        assert_eq!(
            wide,
            "model.safetensors: tensor `first.weight`: expected shape [3, 4], found shape [3, 5] of F32"
        );
        let mut missing = Weights::of(&net(4, &device));
        missing.tensors.remove("last.weight");
        assert!(message(missing).contains("`last.weight`: expected shape [4, 2], found none"));
        let mut extra = Weights::of(&net(4, &device));
        extra.insert("head.weight", TensorData::new(vec![1.0f32], [1]));
        assert!(
            message(extra)
                .contains("`head.weight`: expected no such tensor in the model, found one of shape [1]")
        );
        let mut whole = Weights::of(&net(4, &device));
        whole.insert("first.bias", TensorData::new(vec![1i64; 4], [4]));
        assert!(message(whole).contains("`first.bias`: expected shape [4], found shape [4] of I64"));
    }

    #[test]
    fn files_that_are_not_safetensors_are_errors() {
        let device = Device::flex();
        let path = Path::new("model.safetensors");
        let bytes = Weights::of(&net(4, &device)).to_safetensors(path).unwrap();
        for cut in [0, 7, 8, 100, bytes.len() - 1] {
            let error = Weights::from_safetensors(&bytes[..cut], path).unwrap_err().to_string();
            assert!(error.starts_with("model.safetensors: expected a safetensors file"), "{error}");
        }
        // A header of 2^63 bytes.
        let mut hostile = bytes.clone();
        hostile[7] = 0x80;
        assert!(Weights::from_safetensors(&hostile, path).is_err());
        assert!(load_weights(net(4, &device), Path::new("/nowhere/model.safetensors")).is_err());
    }

    #[test]
    fn numbers_that_are_not_finite_are_found() {
        let device = Device::flex();
        let mut weights = Weights::of(&net(4, &device));
        assert_eq!(weights.first_not_finite(), None);
        weights.insert("last.weight", TensorData::new(vec![1.0f32, f32::NAN], [2]));
        assert_eq!(weights.first_not_finite(), Some("last.weight"));
    }

    #[test]
    fn damaged_final_weights_are_refused_or_load_every_bit() {
        let device = Device::flex();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let trained = net(4, &device);
        let bits_of = |net: &Net| bits(&Weights::of(net));
        save_final_weights(&trained, 1200, &path).unwrap();
        let whole = fs::read(&path).unwrap();
        for (at, bit) in (0..whole.len()).flat_map(|at| [(at, 1 << (at % 8)), (at, 0x40)]) {
            let mut damaged = whole.clone();
            damaged[at] ^= bit;
            fs::write(&path, &damaged).unwrap();
            match load_weights(net(4, &device), &path) {
                // The blank at the end of the header, or the name of the checksum.
                Ok(loaded) => assert_eq!(bits_of(&loaded), bits_of(&trained), "byte {at} of {}", whole.len()),
                Err(error) => assert!(error.to_string().contains("model.safetensors"), "{error}"),
            }
        }
    }

    #[test]
    fn weights_without_a_checksum_must_be_finite() {
        let device = Device::flex();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let mut weights = Weights::of(&net(4, &device));
        weights.insert("first.bias", TensorData::new(vec![1.0f32, f32::INFINITY, 0.0, 0.0], [4]));
        fs::write(&path, weights.serialized(&path, STEP, "7".into()).unwrap()).unwrap();
        assert_eq!(step_of_weights(&path).unwrap(), Some(7));
        let error = load_weights(net(4, &device), &path).unwrap_err().to_string();
        assert!(
            error.ends_with("tensor `first.bias`: expected finite numbers, found one that is not"),
            "{error}"
        );
    }

    #[test]
    fn running_state_alone_is_a_tensor_of_the_module() {
        let device = Device::flex();
        let state = RunningState::new(Tensor::<1>::from_data([1.0, 2.0], &device));
        let weights = Weights::of(&state);
        assert_eq!(weights.iter().count(), 1);
    }
}
