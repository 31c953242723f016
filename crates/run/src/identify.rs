//! The architecture of published weights, by the names and shapes of their tensors.

use crate::RunError;
use crate::pretrained::{candidates, local_copy};
use bonfire_checkpoint::Weights;
use bonfire_models::Architecture;
use bonfire_models::registry::{ARCHITECTURES, Visit, find, visit};
use bonfire_models::spec::Sample;
use bonfire_recipe::propose::Pretrained;

/// The share of an architecture's tensors that weights have to name.
const MOST: f64 = 0.95;

/// The architecture that the weights of `uri` are of, and the pictures that they were trained on.
///
/// # Errors
/// When nothing readable is there, or no architecture for pictures has such tensors.
pub fn identify(uri: &str) -> Result<Pretrained, RunError> {
    let weights = local_copy(uri, |path| Ok(Weights::published(path)?))?;
    let mut best: Option<(f64, Pretrained)> = None;
    for architecture in ARCHITECTURES.iter().filter(|known| matches!((known.example)().sample, Sample::Image(_))) {
        let spec = (find(architecture.name)?.example)();
        let (share, library) = visit(architecture.name, &spec, Match(&weights))?;
        if best.as_ref().is_none_or(|(most, _)| share > *most) {
            let pixels = bonfire_models::published_pixels(architecture.name, library);
            let pretrained = Pretrained {
                uri: uri.to_string(),
                architecture: architecture.name.to_string(),
                size: pixels.size,
                mean: pixels.mean.to_vec(),
                std: pixels.std.to_vec(),
            };
            best = Some((share, pretrained));
        }
    }
    match best {
        Some((share, pretrained)) if share >= MOST => Ok(pretrained),
        best => {
            let nearest = best.map(|(share, nearest)| {
                format!("; the nearest is {}, {:.0} % of whose tensors it has", nearest.architecture, 100.0 * share)
            });
            let found = format!("{}{}", weights.summary(), nearest.unwrap_or_default());
            Err(RunError::unexpected(uri, "weights of one of the architectures for pictures", found))
        }
    }
}

/// The share of an architecture's tensors, its head aside, that weights have by name and shape; and the library
/// whose names these are.
struct Match<'a>(&'a Weights);

impl Visit for Match<'_> {
    type Output = (f64, &'static str);

    fn visit<A: Architecture>(self, default: A) -> Self::Output {
        let model = default.init(&Default::default());
        let own = Weights::of(&model);
        let shares = candidates(&model, &default.names_elsewhere(), &own).into_iter().map(|(library, keys)| {
            let known = keys.iter().filter(|key| {
                self.0.get(&key.name).is_some_and(|found| {
                    let mut shape = key.shape.clone();
                    if key.transposed {
                        shape.reverse();
                    }
                    found.shape().as_slice() == shape || key.path.starts_with("head")
                })
            });
            (known.count() as f64 / keys.len().max(1) as f64, library)
        });
        shares.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, ""))
    }
}
