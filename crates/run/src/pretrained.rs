//! Weights to begin with, from wherever they lie and whoever wrote them; and weights for others to read.

use crate::{Notices, RunError};
use bonfire_checkpoint::{Key, Weights, write_atomically};
use bonfire_datasets::source;
use bonfire_models::{Architecture, LayerNames, tensor_keys};
use burn::module::Module;
use burn::tensor::Device;
use std::path::Path;

/// The path of the layer that answers, in every model.
const HEAD: &str = "head";

/// The model with the weights of `uri`, whose names are those of one of the libraries or the model's own. A
/// head of another size keeps the model's weights. Tensors that the architecture can fit to other data, such
/// as positions of patches, are fitted. Both are told to `notices`.
///
/// # Errors
/// When nothing readable is there, or a tensor is missing, is one too many or has another shape.
pub(crate) fn load<A: Architecture>(
    config: &A,
    model: A::Model,
    uri: &str,
    notices: &Notices,
) -> Result<A::Model, RunError> {
    let folder;
    let local = Path::new(uri.strip_prefix("file://").unwrap_or(uri));
    let path = if local.is_file() {
        local.to_path_buf()
    } else {
        // The readers want a file.
        folder = tempfile::tempdir().map_err(RunError::io(&std::env::temp_dir()))?;
        let name = uri.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("weights");
        let path = folder.path().join(name);
        write_atomically(&path, &source::read(uri)?)?;
        path
    };
    let mut weights = Weights::published(&path)?;
    let own = Weights::of(&model);
    let (library, keys) = best(&weights, candidates(&model, &config.names_elsewhere(), &own));
    fit(config, &mut weights, &keys, notices);
    let (weights, replaced) = weights.translated(&keys, &own, HEAD, Path::new(uri))?;
    let taken = keys.len() - replaced.len();
    notices(&format!("pretrained: {taken} tensors by {library} names from {uri}"));
    for replaced in replaced {
        notices(&format!(
            "pretrained: {} is drawn anew: expected shape {:?}, found {:?}",
            replaced.name, replaced.expected, replaced.found
        ));
    }
    Ok(weights.apply(model, Path::new(uri))?)
}

/// Fits tensors of another shape to the model's, as far as its architecture can.
fn fit<A: Architecture>(config: &A, weights: &mut Weights, keys: &[Key], notices: &Notices) {
    for key in keys {
        let found = weights.get(&key.name).filter(|found| found.shape().as_slice() != key.shape);
        let Some(found) = found else { continue };
        if let Some(fitted) = config.fit(&key.path, found, &Device::default()) {
            let [from, to] = [found, &fitted].map(|data| data.shape().to_vec());
            notices(&format!("pretrained: {} {from:?} are interpolated to {to:?}", key.name));
            weights.insert(&key.name, fitted);
        }
    }
}

/// Writes a model's weights under the names of a library (`torchvision`, `timm`) as safetensors, and hands
/// back their number.
///
/// # Errors
/// When that library has no such model, or the file cannot be written.
pub(crate) fn export<M: Module>(
    model: &M,
    library: &str,
    libraries: &[(&'static str, LayerNames)],
    path: &Path,
) -> Result<usize, RunError> {
    let Some((_, names)) = libraries.iter().find(|(known, _)| *known == library) else {
        let known: Vec<&str> = libraries.iter().map(|(known, _)| *known).collect();
        let known = if known.is_empty() { "none".to_string() } else { known.join(" or ") };
        let expected = format!("a library that has this model ({known})");
        return Err(RunError::argument("library", expected, library));
    };
    let weights = Weights::of(model).for_publication(&keys(model, names), path)?;
    write_atomically(path, &weights.to_safetensors(path)?)?;
    Ok(weights.iter().count())
}

/// The names of a library for each tensor.
fn keys<M: Module>(model: &M, names: &LayerNames) -> Vec<Key> {
    let keys = tensor_keys(model, names).into_iter();
    keys.map(|key| Key { path: key.path, name: key.name, shape: key.shape, transposed: key.transposed })
        .collect()
}

/// Each library's keys, and the model's own.
fn candidates<M: Module>(
    model: &M,
    libraries: &[(&'static str, LayerNames)],
    own: &Weights,
) -> Vec<(&'static str, Vec<Key>)> {
    let ours = own.iter().map(|(path, data)| Key {
        path: path.to_string(),
        name: path.to_string(),
        shape: data.shape().to_vec(),
        transposed: false,
    });
    let mut candidates = vec![("Bonfire's", ours.collect())];
    candidates.extend(libraries.iter().map(|(library, names)| (*library, keys(model, names))));
    candidates
}

/// The keys of which the file has most names.
fn best(weights: &Weights, candidates: Vec<(&'static str, Vec<Key>)>) -> (&'static str, Vec<Key>) {
    let known = |keys: &[Key]| keys.iter().filter(|key| weights.get(&key.name).is_some()).count();
    let best = candidates.into_iter().max_by_key(|(_, keys)| known(keys));
    best.expect("a model has its own names at least")
}
