//! Convolutional models of pictures.
//!
//! `small_resnet` is the residual network of CIFAR's kind (depth `6 n + 2`, recipe name `resnet`), `resnet`
//! that of ImageNet's (recipe names `resnet18` to `resnet152`).

mod conv_norm;
mod convnext;
mod efficientnet;
mod inverted;
mod lenet;
mod mobilenet_v2;
mod plain;
mod resnet;
mod resnet9;
mod small_resnet;

pub use convnext::{ConvNeXt, ConvNeXtConfig};
pub use efficientnet::{EfficientNet, EfficientNetConfig};
pub use inverted::InvertedNetwork;
pub use lenet::{LeNet, LeNetConfig};
pub use mobilenet_v2::{MobileNetV2, MobileNetV2Config};
pub use plain::{Cnn, CnnConfig};
pub use resnet::{ResNet, ResNetConfig};
pub use resnet9::{ResNet9, ResNet9Config};
pub use small_resnet::{SmallResNet, SmallResNetConfig};

use bonfire_contract::ConfigError;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Initializer, PaddingConfig2d};
use burn::tensor::Device;

/// Refuses pictures without a pixel.
fn check_picture(model: &'static str, picture: [usize; 3]) -> Result<(), ConfigError> {
    let filled = picture.iter().all(|size| *size > 0);
    let found = format!("{picture:?}");
    ConfigError::check(filled, model, "picture", "positive [channels, height, width]", found)
}

/// A 3x3 convolution that keeps the size at stride 1, without a bias: a batch norm follows and has one.
/// Weights are drawn from He's normal distribution for ReLU, of variance `2 / fan_in`.
fn convolution_3x3(channels: [usize; 2], stride: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new(channels, [3, 3])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .with_bias(false)
        .with_initializer(HE_NORMAL)
        .init(device)
}

/// He et al., "Delving deep into rectifiers", 2015, equation 10.
const HE_NORMAL: Initializer =
    Initializer::KaimingNormal { gain: std::f64::consts::SQRT_2, fan_out_only: false };
