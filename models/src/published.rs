//! The models of ImageNet have the published numbers of parameters and of multiply-adds.

use crate::{
    Architecture, ConvNeXtConfig, EfficientNetConfig, MobileNetV2Config, Objective, ResNetConfig,
    VisionTransformerConfig,
};
use bonfire_contract::{Images, Task};
use bonfire_kernels::multiply_adds;
use burn::module::{ModuleMapper, Param};
use burn::tensor::{Device, Tensor};

/// Counts what is trained, and puts zeros where weights are still to be drawn.
struct Zeros(usize);

impl ModuleMapper for Zeros {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if param.is_initialized() {
            return param; // running statistics
        }
        let shape = param.lazy_shape();
        self.0 += shape.num_elements();
        Param::initialized(param.id, Tensor::zeros(shape, &param.lazy_device()))
    }
}

const PICTURE: [usize; 3] = [3, 224, 224];

fn counts<M: Task<Input = Images>>(init: impl Fn(&Device) -> M) -> (usize, String) {
    let device = Device::flex();
    let mut zeros = Zeros(0);
    let model = init(&device).map(&mut zeros);
    let (_, multiply_adds) =
        multiply_adds(|| model.predict(Images { pixels: Tensor::zeros([1, 3, 224, 224], &device) }));
    (zeros.0, format!("{:.2}", multiply_adds as f64 / 1e9))
}

#[test]
fn counts_are_the_published_ones() {
    let objective = || Objective::classes(1000);
    let resnet = |preset: fn([usize; 3], Objective) -> ResNetConfig| {
        counts(|device| preset(PICTURE, objective()).init(device))
    };
    let convnext = |preset: fn([usize; 3], Objective) -> ConvNeXtConfig| {
        counts(|device| preset(PICTURE, objective()).init(device))
    };
    let efficientnet = |preset: fn([usize; 3], Objective) -> EfficientNetConfig| {
        counts(|device| preset(PICTURE, objective()).init(device))
    };
    let vit = |preset: fn([usize; 3], Objective) -> VisionTransformerConfig| {
        counts(|device| preset(PICTURE, objective()).init(device))
    };
    let mobilenet = counts(|device| MobileNetV2Config::new(PICTURE, objective()).init(device));
    // torchvision's page of weights. What it lacks: parameters are timm's; multiply-adds of ViT-Ti and S are
    // those of Touvron et al. 2020 (1.3 and 4.6 G), of EfficientNet-Lite0 timm's (0.4 G), each with a digit
    // more
    for (name, found, parameters, giga) in [
        ("resnet18", resnet(ResNetConfig::resnet18), 11_689_512, "1.81"),
        ("resnet34", resnet(ResNetConfig::resnet34), 21_797_672, "3.66"),
        ("resnet50", resnet(ResNetConfig::resnet50), 25_557_032, "4.09"),
        ("resnet101", resnet(ResNetConfig::resnet101), 44_549_160, "7.80"),
        ("resnet152", resnet(ResNetConfig::resnet152), 60_192_808, "11.51"),
        ("mobilenet_v2", mobilenet, 3_504_872, "0.30"),
        ("efficientnet_b0", efficientnet(EfficientNetConfig::b0), 5_288_548, "0.39"),
        ("efficientnet_lite0", efficientnet(EfficientNetConfig::lite0), 4_652_008, "0.39"),
        ("convnext_tiny", convnext(ConvNeXtConfig::tiny), 28_589_128, "4.46"),
        ("convnext_small", convnext(ConvNeXtConfig::small), 50_223_688, "8.68"),
        ("vit_ti16", vit(VisionTransformerConfig::ti16), 5_717_416, "1.25"),
        ("vit_s16", vit(VisionTransformerConfig::s16), 22_050_664, "4.60"),
        ("vit_b16", vit(VisionTransformerConfig::b16), 86_567_656, "17.56"),
    ] {
        assert_eq!(found, (parameters, giga.to_string()), "{name}");
    }
}
