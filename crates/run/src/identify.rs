//! The architecture of published weights, by the names and shapes of their tensors.

use crate::RunError;
use crate::pretrained::{HEAD, candidates, with_local};
use bonfire_checkpoint::{Published, Weights};
use bonfire_models::registry::{ARCHITECTURES, Visit, visit};
use bonfire_models::spec::{Misfit, Sample};
use bonfire_models::{Architecture, PublishedPixels};
use bonfire_recipe::propose::Pretrained;
use burn::tensor::Device;
use std::path::Path;

/// The share of an architecture's tensors that weights have at least.
const MOST: f64 = 0.95;

/// The architecture that the weights of `uri` are of, and the pictures that they were trained on.
///
/// # Errors
/// When nothing readable is there, or no architecture for pictures has such tensors.
pub fn identify(uri: &str) -> Result<Pretrained, RunError> {
    with_local(uri, |path| {
        let published = Published::open(path)?;
        let device = bonfire_device::first()?;
        let mut best: Option<(f64, &str, PublishedPixels)> = None;
        for architecture in ARCHITECTURES {
            let spec = (architecture.example)();
            if !matches!(spec.sample, Sample::Image(_)) {
                continue;
            }
            let (share, pixels) = visit(architecture.name, &spec, Match(&published, &device))
                .map_err(|Misfit { key, expected, found }| RunError::unexpected(key, expected, found))?;
            if best.is_none_or(|(most, ..)| share > most) {
                best = Some((share, architecture.name, pixels));
            }
        }
        match best {
            Some((share, name, pixels)) if share >= MOST => Ok(Pretrained {
                uri: uri.to_string(),
                architecture: name.to_string(),
                size: pixels.size,
                mean: pixels.mean.to_vec(),
                std: pixels.std.to_vec(),
            }),
            best => {
                let first: Vec<&str> = published.names().take(4).collect();
                let nearest =
                    best.filter(|(share, ..)| *share > 0.0).map_or(String::new(), |(share, name, _)| {
                        format!("; the nearest is {name}, {:.0} % of whose tensors it has", 100.0 * share)
                    });
                let found = format!("{} tensors, {} …{nearest}", published.names().count(), first.join(", "));
                Err(RunError::unexpected(uri, "weights of one of the architectures for pictures", found))
            }
        }
    })
}

/// The share of an architecture's tensors, its head aside, that weights have by name and shape; and the pictures
/// that they were trained on.
struct Match<'a>(&'a Published, &'a Device);

impl Visit for Match<'_> {
    type Output = (f64, PublishedPixels);

    fn visit<A: Architecture>(self, default: A) -> Self::Output {
        let Match(published, device) = self;
        let model = default.init(device);
        let offered = candidates(&model, &default.names_elsewhere(), &Weights::of(&model));
        let Ok(choice) = published.choose(&offered, HEAD, None, Path::new("")) else {
            return (0.0, PublishedPixels::IMAGENET);
        };
        let names = &offered[choice.names];
        let head = format!("{HEAD}.");
        let body = || names.keys.iter().filter(|key| !key.path.starts_with(&head));
        let fits = |shape: &[usize], name: &str| choice.weights.shape(name) == Some(shape);
        let known = body().filter(|key| fits(&key.shape, &key.name)).count();
        (known as f64 / body().count().max(1) as f64, default.published_pixels(names.library))
    }
}
