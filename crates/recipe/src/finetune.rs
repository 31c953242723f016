//! The `[finetune]` section: the weights that training begins with, and the share of the learning rate of
//! each layer.

use bonfire_train::LayerRates;
use serde::{Deserialize, Serialize};

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
}
