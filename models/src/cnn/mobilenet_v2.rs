//! MobileNetV2: inverted residuals with ReLU6.
//!
//! Sandler, Howard, Zhu, Zhmoginov and Chen, "MobileNetV2: inverted residuals and linear bottlenecks", 2018,
//! table 2. The difference: blocks may be dropped in training (Huang et al. 2016).

use super::check_picture;
use super::conv_norm::{Ways, names};
use super::inverted::{InvertedNetwork, Plan, Stage, rounded};
use crate::architecture::Architecture;
use crate::check;
use crate::headed::Headed;
use crate::keys::LayerNames;
use crate::objective::Objective;
use crate::spec::{Misfit, Spec};
use bonfire_contract::{ConfigError, Images};
use burn::config::Config;
use burn::nn::{Initializer, LinearConfig};
use burn::tensor::Device;

const MODEL: &str = "mobilenet_v2";

/// Expansion, stride and channels of the paper's stages.
const STAGES: [[usize; 3]; 7] =
    [[1, 1, 16], [6, 2, 24], [6, 2, 32], [6, 2, 64], [6, 1, 96], [6, 2, 160], [6, 1, 320]];

/// A MobileNetV2.
pub type MobileNetV2 = InvertedNetwork;

/// Sizes of a [`MobileNetV2`].
#[derive(Config, Debug, PartialEq)]
pub struct MobileNetV2Config {
    /// `[channels, height, width]` of a picture.
    pub picture: [usize; 3],
    /// The classes or values that are predicted, and the loss on them.
    pub objective: Objective,
    /// Blocks of each stage.
    #[config(default = "[1, 2, 3, 4, 3, 3, 1]")]
    pub layers: [usize; 7],
    /// A factor on the channels of all layers, rounded to multiples of 8; the last has 1280 at least.
    #[config(default = 1.0)]
    pub width_multiplier: f64,
    /// The probability that the last block is left out of a sample in training, in `[0, 1)`; it rises from 0.
    #[config(default = 0.0)]
    pub drop_path: f64,
    /// The share of the features before the head that is dropped in training, in `[0, 1)`.
    #[config(default = 0.2)]
    pub dropout: f64,
}

impl MobileNetV2Config {
    /// The names that torchvision gives to the layers.
    pub fn torchvision_names(&self) -> LayerNames {
        let mut pairs = names("stem", "features.0.0", "features.0.1").to_vec();
        let mut number = 1;
        for (stage, count) in self.layers.into_iter().enumerate() {
            for block in 0..count {
                let (ours, theirs) = (format!("stages.{stage}.{block}"), format!("features.{number}.conv"));
                let pair = |layer: &str, convolution: String, norm: String| {
                    names(&format!("{ours}.{layer}"), &convolution, &norm)
                };
                let wide = usize::from(STAGES[stage][0] != 1);
                if wide == 1 {
                    pairs.extend(pair("expand", format!("{theirs}.0.0"), format!("{theirs}.0.1")));
                }
                pairs.extend(pair("depthwise", format!("{theirs}.{wide}.0"), format!("{theirs}.{wide}.1")));
                let [point, norm] = [wide + 1, wide + 2];
                pairs.extend(pair("project", format!("{theirs}.{point}"), format!("{theirs}.{norm}")));
                number += 1;
            }
        }
        pairs.extend(names("last", &format!("features.{number}.0"), &format!("features.{number}.1")));
        pairs.push(("head".into(), "classifier.1".into()));
        pairs
    }
}

impl Architecture for MobileNetV2Config {
    type Model = MobileNetV2;

    const DATA_KEYS: &'static [&'static str] = &["picture", "objective"];
    const ANY_PICTURE_SIZE: bool = true;

    fn for_data(spec: &Spec) -> Result<Self, Misfit> {
        Ok(Self::new(spec.image()?, spec.objective()?))
    }

    /// Refuses sizes that no such network can have.
    ///
    /// # Errors
    /// When a size is zero, the multiplier is outside `(0, 100]`, a probability is outside `[0, 1)`, or the
    /// objective is impossible.
    fn check(&self) -> Result<(), ConfigError> {
        check_picture(MODEL, self.picture)?;
        self.objective.check(MODEL)?;
        check::stages(MODEL, "layers", &self.layers)?;
        let factor = self.width_multiplier;
        let usable = factor > 0.0 && factor <= 100.0;
        ConfigError::check(usable, MODEL, "width_multiplier", "above 0 and at most 100", factor)?;
        check::drop_path(MODEL, self.drop_path)?;
        check::dropout(MODEL, self.dropout)
    }

    /// The model with weights drawn from the device's generator, the head's of deviation 0.01 as in
    /// torchvision.
    fn init(&self, device: &Device) -> MobileNetV2 {
        let width = |channels: usize| rounded(channels, self.width_multiplier);
        let stage = |([expansion, stride, outputs], layers): ([usize; 3], usize)| Stage {
            expansion,
            kernel: 3,
            stride,
            outputs: width(outputs),
            layers,
        };
        let last = rounded(1280, self.width_multiplier.max(1.0));
        let normal = Initializer::Normal { mean: 0.0, std: 0.01 };
        let outputs = self.objective.head();
        let config = LinearConfig::new(last, outputs).with_bias(false).with_initializer(normal);
        let mut head = config.init(device);
        head.bias = Some(Initializer::Zeros.init([outputs], device));
        let plan = Plan {
            channels: self.picture[0],
            stem: width(32),
            stages: STAGES.into_iter().zip(self.layers).map(stage).collect(),
            last,
            squeeze: false,
            ways: Ways::PyTorch,
            activation: crate::Activation::Relu6,
            drop_path: self.drop_path,
            dropout: self.dropout,
            head,
            objective: self.objective.clone(),
        };
        plan.init(device)
    }

    fn names_elsewhere(&self) -> Vec<(&'static str, LayerNames)> {
        vec![("torchvision", self.torchvision_names())]
    }

    fn headed(model: &MobileNetV2) -> Option<&dyn Headed<Input = Images>> {
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
        let config = || MobileNetV2Config::new([1, 1, 37], Objective::classes(3)).with_layers([1; 7]);
        config().check().unwrap();
        let narrow = config().with_width_multiplier(0.35);
        let pixels = Tensor::ones([2, 1, 1, 37], &device);
        assert_eq!(narrow.init(&device).forward(Images { pixels }).dims(), [2, 3]);
        let field = |config: MobileNetV2Config| config.check().unwrap_err().field;
        assert_eq!(field(config().with_layers([1, 1, 1, 1, 1, 1, 0])), "layers");
        assert_eq!(field(config().with_width_multiplier(0.0)), "width_multiplier");
        assert_eq!(field(config().with_width_multiplier(f64::NAN)), "width_multiplier");
        assert_eq!(field(config().with_drop_path(-1.0)), "drop_path");
    }
}
