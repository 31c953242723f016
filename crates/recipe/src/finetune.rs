//! The `[finetune]` section: the weights that training begins with, and the share of the learning rate of
//! each layer.

use crate::{DataConfig, Document, RecipeError};
use bonfire_datasets::image::ImageConfig;
use bonfire_train::LayerRates;
use serde::{Deserialize, Serialize};

/// The keys of pictures that change them at random in training.
const AUGMENTATION: [&str; 13] = [
    "random_resized_crop",
    "train_size",
    "progressive_resizing",
    "repeats",
    "random_crop",
    "flip",
    "vertical_flip",
    "rand_augment",
    "trivial_augment",
    "color_jitter",
    "random_erasing",
    "mixup",
    "cutmix",
];

/// The `[finetune]` section. Patterns name tensors by their paths, `*` standing for anything; `bonfire models
/// NAME` lists the paths.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FinetuneConfig {
    /// URI of the weights to begin with: PyTorch's (`.pth`, `.pt`, `.ckpt`) or safetensors, of torchvision,
    /// timm, a training script or a run's `model.safetensors`. A head that is missing or of another size is
    /// drawn anew.
    pub pretrained: Option<String>,
    /// The part of the names in that file that stands before a model's own, such as `state_dict.teacher`; by
    /// default the one below which most names are known, averaged weights before others.
    pub prefix: Option<String>,
    /// Patterns of the tensors that are not trained. Layers that are frozen as a whole compute as in
    /// evaluation.
    pub freeze: Vec<String>,
    /// True to train the head alone, on features that the rest of the model computes once, as in evaluation.
    pub probe: bool,
    /// Pairs of a pattern and the factor on the learning rate of the tensors that it names; the first that
    /// names a tensor counts: `[["head*", 10.0]]`.
    pub layer_rates: Vec<(String, f64)>,
    /// The factor on the learning rate from one block to the one before it, down from the head, which has 1.
    pub layer_decay: f64,
}

impl Default for FinetuneConfig {
    fn default() -> Self {
        FinetuneConfig {
            pretrained: None,
            prefix: None,
            freeze: Vec::new(),
            probe: false,
            layer_rates: Vec::new(),
            layer_decay: 1.0,
        }
    }
}

impl FinetuneConfig {
    /// The factors on the learning rate, layer by layer, as the trainer takes them.
    pub fn rates(&self) -> LayerRates {
        LayerRates { factors: self.layer_rates.clone(), decay: self.layer_decay }
    }

    /// Refuses keys that would change nothing.
    ///
    /// # Errors
    /// Names the first of them: one that needs `pretrained`, or what a probe would leave out.
    pub(crate) fn check(&self, document: &Document, data: &DataConfig) -> Result<(), RecipeError> {
        let without = "without finetune.pretrained";
        if let (Some(prefix), None) = (&self.prefix, &self.pretrained) {
            return Err(document.wrong("finetune.prefix", format!("none {without}"), format!("'{prefix}'")));
        }
        if !self.probe {
            return Ok(());
        }
        if self.pretrained.is_none() {
            return Err(document.wrong("finetune.probe", format!("false {without}"), true));
        }
        if !self.freeze.is_empty() {
            let expected = "none with finetune.probe, which freezes everything but the head";
            return Err(document.wrong("finetune.freeze", expected, format!("{:?}", self.freeze)));
        }
        let DataConfig::Image(config) = data else { return Ok(()) };
        let value = |config: &ImageConfig| serde_json::to_value(config).expect("a config serialises");
        let (given, usual) = (value(config), value(&ImageConfig::default()));
        match AUGMENTATION.into_iter().find(|key| given[key] != usual[key]) {
            None => Ok(()),
            Some(key) => {
                let expected = format!(
                    "{} with finetune.probe, whose features are computed once, of each picture as it is",
                    match &usual[key] {
                        serde_json::Value::Null => "none".to_string(),
                        usual => usual.to_string(),
                    }
                );
                Err(document.wrong(&format!("data.{key}"), expected, &given[key]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Recipe;

    fn refused(keys: &str, tuning: &str) -> String {
        let text = format!(
            "[data]\nkind = 'image'\ntrain = 'x'\n{keys}\n[model]\nname = 'lenet'\n[finetune]\n{tuning}"
        );
        let resolved = Recipe::resolve(&Document::parse("r.toml", &text).unwrap());
        resolved.err().map_or(String::new(), |error| error.to_string())
    }

    #[test]
    fn a_probe_refuses_what_it_would_leave_out() {
        let probe = "pretrained = 'x.pth'\nprobe = true";
        assert_eq!(refused("", probe), "");
        assert_eq!(refused("flip = true", "pretrained = 'x.pth'"), "");
        let error = refused("flip = true", probe);
        assert!(error.contains("data.flip") && error.contains("false with finetune.probe"), "{error}");
        for key in
            ["random_crop = 4", "mixup = 0.2", "random_resized_crop = 0.5", "color_jitter = { hue = 0.1 }"]
        {
            let name = key.split(' ').next().unwrap();
            assert!(refused(key, probe).contains(&format!("data.{name}")), "{key}");
        }
        let error = refused("", "probe = true");
        assert!(error.contains("finetune.probe") && error.contains("finetune.pretrained"), "{error}");
        assert!(refused("", "prefix = 'a'").contains("finetune.prefix"));
        assert!(refused("", &format!("{probe}\nfreeze = ['stem*']")).contains("finetune.freeze"));
    }

    #[test]
    fn every_key_of_augmentation_is_a_key_of_pictures() {
        let usual = serde_json::to_value(ImageConfig::default()).unwrap();
        for key in AUGMENTATION {
            assert!(usual.get(key).is_some(), "{key}");
        }
    }
}
