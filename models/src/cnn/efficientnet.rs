//! EfficientNet-B0 and -Lite0: inverted residuals found by search.
//!
//! Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", 2019, table 1;
//! Lite0 of Google's "EfficientNet-Lite", 2020, has ReLU6 in place of SiLU and no squeeze and excitation.
//! What differs: paddings are symmetric and epsilons 1e-5 unless asked otherwise, as in torchvision's B0 and
//! timm's `efficientnet_lite0`; the drop probability is 0 for the first block and reaches its end at the
//! last.

use super::check_picture;
use super::conv_norm::{Ways, names};
use super::inverted::{InvertedNetwork, Plan, Stage};
use crate::architecture::{Architecture, PublishedPixels};
use crate::check;
use crate::headed::Headed;
use crate::keys::LayerNames;
use crate::objective::Objective;
use crate::spec::{Misfit, Spec};
use bonfire_contract::{ConfigError, Images};
use burn::config::Config;
use burn::nn::{Initializer, LinearConfig};
use burn::tensor::Device;

const MODEL: &str = "efficientnet";

/// Expansion, kernel, stride and channels of the paper's stages.
const STAGES: [[usize; 4]; 7] = [
    [1, 3, 1, 16],
    [6, 3, 2, 24],
    [6, 5, 2, 40],
    [6, 3, 2, 80],
    [6, 5, 1, 112],
    [6, 5, 2, 192],
    [6, 3, 1, 320],
];

/// Channels before the head.
const LAST: usize = 1280;

/// An EfficientNet.
pub type EfficientNet = InvertedNetwork;

/// Sizes of an [`EfficientNet`].
#[derive(Config, Debug, PartialEq)]
pub struct EfficientNetConfig {
    /// `[channels, height, width]` of a picture.
    pub picture: [usize; 3],
    /// The classes or values that are predicted, and the loss on them.
    pub objective: Objective,
    /// Blocks of each stage.
    #[config(default = "[1, 2, 2, 3, 3, 4, 1]")]
    pub layers: [usize; 7],
    /// True: blocks weigh their channels by squeeze and excitation.
    #[config(default = true)]
    pub squeeze: bool,
    /// The function between layers.
    #[config(default = "crate::Activation::Silu")]
    pub activation: crate::Activation,
    /// True: paddings and epsilons are TensorFlow's, for weights that were trained there (timm's `tf_` models
    /// and Google's own).
    #[config(default = false)]
    pub tensorflow: bool,
    /// The probability that the last block is left out of a sample in training, in `[0, 1)`; it rises from 0.
    #[config(default = 0.2)]
    pub drop_path: f64,
    /// The share of the features before the head that is dropped in training, in `[0, 1)`.
    #[config(default = 0.2)]
    pub dropout: f64,
}

impl EfficientNetConfig {
    /// EfficientNet-B0.
    pub fn b0(picture: [usize; 3], objective: Objective) -> Self {
        Self::new(picture, objective)
    }

    /// EfficientNet-Lite0.
    pub fn lite0(picture: [usize; 3], objective: Objective) -> Self {
        Self::new(picture, objective).with_squeeze(false).with_activation(crate::Activation::Relu6)
    }

    /// The names that torchvision gives to the layers of the network with squeeze and excitation.
    pub fn torchvision_names(&self) -> LayerNames {
        let mut pairs = names("stem", "features.0.0", "features.0.1").to_vec();
        for (stage, count) in self.layers.into_iter().enumerate() {
            for block in 0..count {
                let ours = format!("stages.{stage}.{block}");
                let theirs = format!("features.{}.{block}.block", stage + 1);
                let mut place = 0;
                let mut next = || {
                    place += 1;
                    format!("{theirs}.{}", place - 1)
                };
                let pair = |layer: &str, at: String| {
                    names(&format!("{ours}.{layer}"), &format!("{at}.0"), &format!("{at}.1"))
                };
                if STAGES[stage][0] != 1 {
                    pairs.extend(pair("expand", next()));
                }
                pairs.extend(pair("depthwise", next()));
                if self.squeeze {
                    let at = next();
                    pairs.push((format!("{ours}.squeeze.reduce"), format!("{at}.fc1")));
                    pairs.push((format!("{ours}.squeeze.expand"), format!("{at}.fc2")));
                }
                pairs.extend(pair("project", next()));
            }
        }
        pairs.extend(names("last", "features.8.0", "features.8.1"));
        pairs.push(("head".into(), "classifier.1".into()));
        pairs
    }

    /// The names that ports of Google's own code to PyTorch give to the layers (`efficientnet_pytorch` and
    /// its kin).
    pub fn google_names(&self) -> LayerNames {
        let mut pairs = names("stem", "_conv_stem", "_bn0").to_vec();
        let mut number = 0;
        for (stage, count) in self.layers.into_iter().enumerate() {
            for block in 0..count {
                let (ours, theirs) = (format!("stages.{stage}.{block}"), format!("_blocks.{number}"));
                for [layer, convolution, norm] in [
                    ["expand", "_expand_conv", "_bn0"],
                    ["depthwise", "_depthwise_conv", "_bn1"],
                    ["project", "_project_conv", "_bn2"],
                ] {
                    pairs.extend(names(
                        &format!("{ours}.{layer}"),
                        &format!("{theirs}.{convolution}"),
                        &format!("{theirs}.{norm}"),
                    ));
                }
                for (layer, name) in [("reduce", "_se_reduce"), ("expand", "_se_expand")] {
                    pairs.push((format!("{ours}.squeeze.{layer}"), format!("{theirs}.{name}")));
                }
                number += 1;
            }
        }
        pairs.extend(names("last", "_conv_head", "_bn1"));
        pairs.push(("head".into(), "_fc".into()));
        pairs
    }

    /// The names that timm gives to the layers.
    pub fn timm_names(&self) -> LayerNames {
        let mut pairs = names("stem", "conv_stem", "bn1").to_vec();
        for (stage, count) in self.layers.into_iter().enumerate() {
            // a block that does not widen has two convolutions, the others three
            let layers: &[[&str; 3]] = match STAGES[stage][0] {
                1 => &[["depthwise", "conv_dw", "bn1"], ["project", "conv_pw", "bn2"]],
                _ => &[
                    ["expand", "conv_pw", "bn1"],
                    ["depthwise", "conv_dw", "bn2"],
                    ["project", "conv_pwl", "bn3"],
                ],
            };
            for block in 0..count {
                let (ours, theirs) = (format!("stages.{stage}.{block}"), format!("blocks.{stage}.{block}"));
                for [layer, convolution, norm] in layers {
                    pairs.extend(names(
                        &format!("{ours}.{layer}"),
                        &format!("{theirs}.{convolution}"),
                        &format!("{theirs}.{norm}"),
                    ));
                }
                for (layer, name) in [("reduce", "conv_reduce"), ("expand", "conv_expand")] {
                    pairs.push((format!("{ours}.squeeze.{layer}"), format!("{theirs}.se.{name}")));
                }
            }
        }
        pairs.extend(names("last", "conv_head", "bn2"));
        pairs.push(("head".into(), "classifier".into()));
        pairs
    }
}

impl Architecture for EfficientNetConfig {
    type Model = EfficientNet;

    const DATA_KEYS: &'static [&'static str] = &["picture", "objective"];
    const ANY_PICTURE_SIZE: bool = true;

    fn for_data(spec: &Spec) -> Result<Self, Misfit> {
        Ok(Self::new(spec.image()?, spec.objective()?))
    }

    /// Refuses sizes that no such network can have.
    ///
    /// # Errors
    /// When a size is zero, a probability is outside `[0, 1)`, or the objective is impossible.
    fn check(&self) -> Result<(), ConfigError> {
        check_picture(MODEL, self.picture)?;
        self.objective.check(MODEL)?;
        check::stages(MODEL, "layers", &self.layers)?;
        check::drop_path(MODEL, self.drop_path)?;
        check::dropout(MODEL, self.dropout)
    }

    /// The model with weights drawn from the device's generator, the head's uniform up to `1 / sqrt(outputs)`
    /// as in torchvision.
    fn init(&self, device: &Device) -> EfficientNet {
        let stage = |([expansion, kernel, stride, outputs], layers): ([usize; 4], usize)| Stage {
            expansion,
            kernel,
            stride,
            outputs,
            layers,
        };
        let outputs = self.objective.head();
        let most = 1.0 / (outputs as f64).sqrt();
        let uniform = Initializer::Uniform { min: -most, max: most };
        let config = LinearConfig::new(LAST, outputs).with_bias(false).with_initializer(uniform);
        let mut head = config.init(device);
        head.bias = Some(Initializer::Zeros.init([outputs], device));
        let plan = Plan {
            channels: self.picture[0],
            stem: 32,
            stages: STAGES.into_iter().zip(self.layers).map(stage).collect(),
            last: LAST,
            squeeze: self.squeeze,
            ways: if self.tensorflow { Ways::TensorFlow } else { Ways::PyTorch },
            activation: self.activation,
            drop_path: self.drop_path,
            dropout: self.dropout,
            head,
            objective: self.objective.clone(),
        };
        plan.init(device)
    }

    fn names_elsewhere(&self) -> Vec<(&'static str, LayerNames)> {
        vec![
            ("torchvision", self.torchvision_names()),
            ("timm", self.timm_names()),
            ("google", self.google_names()),
        ]
    }

    /// Those of the Lite variants see pixels from -1 to 1.
    fn published_pixels(&self, _: &str) -> PublishedPixels {
        if self.tensorflow { PublishedPixels::SYMMETRIC } else { PublishedPixels::IMAGENET }
    }

    fn headed(model: &EfficientNet) -> Option<&dyn Headed<Input = Images>> {
        Some(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tensor;

    #[test]
    fn takes_pictures_of_any_size_and_refuses_impossible_ones() {
        let device = Device::flex();
        for preset in [EfficientNetConfig::b0, EfficientNetConfig::lite0] {
            let config = preset([1, 1, 37], Objective::classes(3)).with_layers([1; 7]);
            config.check().unwrap();
            let pixels = Tensor::ones([2, 1, 1, 37], &device);
            assert_eq!(config.init(&device).forward(Images { pixels }).dims(), [2, 3]);
        }
        let config = || EfficientNetConfig::b0([3, 8, 8], Objective::classes(3));
        let field = |config: EfficientNetConfig| config.check().unwrap_err().field;
        assert_eq!(field(config().with_layers([0; 7])), "layers");
        assert_eq!(field(config().with_drop_path(1.0)), "drop_path");
        assert_eq!(field(config().with_dropout(1.0)), "dropout");
    }
}
