//! Vision transformer: a picture as a text of square patches.
//!
//! Axes: `B` pictures, `C` channels, `H` x `W` pixels, `P` pixels a side of a patch, `T` tokens, `D` width,
//! `O` outputs (classes or values). Dosovitskiy et al., "An image is worth 16x16 words", 2020: Base; Tiny and
//! Small of Touvron et al., "Training data-efficient image transformers", 2020. What differs: the head is one
//! linear layer, as both have it after their training; weights start normal of deviation 0.02, as in timm;
//! blocks may be dropped in training (Huang et al. 2016); patches may be averaged in place of a class token
//! (Zhai et al. 2022, appendix), and then the last norm stands behind the mean, as in timm.

use super::block::{
    AttentionMask, TransformerBlock, TransformerBlocksConfig, WEIGHT_STD, normal_linear, through_blocks,
};
use super::resample::bicubic;
use crate::architecture::{Architecture, PublishedPixels};
use crate::check;
use crate::headed::Headed;
use crate::keys::LayerNames;
use crate::objective::Objective;
use crate::spec::{Misfit, Spec};
use bonfire_contract::{ConfigError, Images, Output, Target, Task};
use bonfire_kernels::Activation;
use bonfire_kernels::modules::{conv2d, dropout, layer_norm, linear};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Dropout, DropoutConfig, Initializer, LayerNorm, Linear};
use burn::tensor::{Device, Tensor, TensorData, assert_shape};
use serde::{Deserialize, Serialize};

const MODEL: &str = "vit";

/// The path of the positions in the module.
const POSITIONS: &str = "positions";

/// Patches on a side of a picture whose positions are interpolated.
const MOST_PATCHES: usize = 256;

/// The number that layer norms add to the variance, as in the paper's code and in timm.
const EPSILON: f64 = 1e-6;

/// The pooling of a picture's patch vectors into one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PatchPooling {
    /// The vector of one more token, learned, that stands before the patches.
    #[default]
    ClassToken,
    /// The mean over the patches.
    Mean,
}

/// Sizes of a [`VisionTransformer`].
#[derive(Config, Debug, PartialEq)]
pub struct VisionTransformerConfig {
    /// `[channels, height, width]` of a picture; patches divide height and width.
    pub picture: [usize; 3],
    /// The classes or values that are predicted, and the loss on them.
    pub objective: Objective,
    /// Pixels a side of a patch, `P`.
    #[config(default = 16)]
    pub patch: usize,
    /// Blocks.
    #[config(default = 12)]
    pub layers: usize,
    /// Heads a block; they divide the width.
    #[config(default = 3)]
    pub heads: usize,
    /// Numbers that stand for a patch, `D`.
    #[config(default = 192)]
    pub width: usize,
    /// The pooling of a picture's patch vectors into one vector.
    #[config(default = "PatchPooling::ClassToken")]
    pub pooling: PatchPooling,
    /// The probability that a part of the last block is left out of a sample in training, in `[0, 1)`; it
    /// rises from 0.
    #[config(default = 0.0)]
    pub drop_path: f64,
    /// The share of embeddings, attention weights and block outputs that is dropped in training, in `[0, 1)`.
    #[config(default = 0.0)]
    pub dropout: f64,
}

impl VisionTransformerConfig {
    /// ViT-Ti/16.
    pub fn ti16(picture: [usize; 3], objective: Objective) -> Self {
        Self::new(picture, objective)
    }

    /// ViT-S/16.
    pub fn s16(picture: [usize; 3], objective: Objective) -> Self {
        Self::new(picture, objective).with_heads(6).with_width(384)
    }

    /// ViT-B/16.
    pub fn b16(picture: [usize; 3], objective: Objective) -> Self {
        Self::new(picture, objective).with_heads(12).with_width(768)
    }

    fn blocks(&self) -> TransformerBlocksConfig {
        let VisionTransformerConfig { width, heads, layers, dropout, drop_path, .. } = *self;
        TransformerBlocksConfig {
            dropout,
            drop_path,
            epsilon: EPSILON,
            activation: Activation::Gelu,
            scaled_residuals: false,
            ..TransformerBlocksConfig::new(width, heads, layers)
        }
    }

    /// Rows and columns of patches.
    fn grid(&self) -> [usize; 2] {
        let [_, height, width] = self.picture;
        [height / self.patch, width / self.patch]
    }

    /// The side of the square of patches that positions of `shape` are for; none where they are for no square,
    /// have another width, or are of more patches than any picture is cut into.
    fn side_of_positions(&self, shape: &[usize]) -> Option<usize> {
        let before = usize::from(self.pooling == PatchPooling::ClassToken);
        let &[1, tokens, width] = shape else { return None };
        let patches = tokens.checked_sub(before)?;
        let side = patches.isqrt();
        let fits = side > 0 && side * side == patches && side <= MOST_PATCHES && width == self.width;
        fits.then_some(side)
    }

    /// The names that torchvision gives to the layers of the model with a class token.
    pub fn torchvision_names(&self) -> LayerNames {
        let ends = [
            ("class_token", "class_token"),
            ("positions", "encoder.pos_embedding"),
            ("embedding", "conv_proj"),
            ("norm", "encoder.ln"),
            ("head", "heads.head"),
        ];
        let block = [
            ("attention_norm", "ln_1"),
            ("attention.qkv.weight", "self_attention.in_proj_weight"),
            ("attention.qkv.bias", "self_attention.in_proj_bias"),
            ("attention.output", "self_attention.out_proj"),
            ("mlp_norm", "ln_2"),
            ("expand", "mlp.0"),
            ("contract", "mlp.3"),
        ];
        self.names(&ends, "encoder.layers.encoder_layer_", &block)
    }

    /// The names that timm gives to the layers.
    pub fn timm_names(&self) -> LayerNames {
        let norm = if self.pooling == PatchPooling::Mean { "fc_norm" } else { "norm" };
        let ends = [
            ("class_token", "cls_token"),
            ("positions", "pos_embed"),
            ("embedding", "patch_embed.proj"),
            ("norm", norm),
            ("head", "head"),
        ];
        let block = [
            ("attention_norm", "norm1"),
            ("attention.qkv", "attn.qkv"),
            ("attention.output", "attn.proj"),
            ("mlp_norm", "norm2"),
            ("expand", "mlp.fc1"),
            ("contract", "mlp.fc2"),
        ];
        self.names(&ends, "blocks.", &block)
    }

    fn names(&self, ends: &[(&str, &str)], prefix: &str, block: &[(&str, &str)]) -> LayerNames {
        let ends = ends.iter().map(|(ours, theirs)| (ours.to_string(), theirs.to_string()));
        let blocks = (0..self.layers).flat_map(|index| {
            let pair = move |(ours, theirs): &(&str, &str)| {
                (format!("blocks.{index}.{ours}"), format!("{prefix}{index}.{theirs}"))
            };
            block.iter().map(pair)
        });
        ends.chain(blocks).collect()
    }
}

impl Architecture for VisionTransformerConfig {
    type Model = VisionTransformer;

    const DATA_KEYS: &'static [&'static str] = &["picture", "objective"];

    fn for_data(spec: &Spec) -> Result<Self, Misfit> {
        Ok(Self::new(spec.image()?, spec.objective()?))
    }

    /// Refuses sizes that no such model can have.
    ///
    /// # Errors
    /// When a size is zero, patches do not divide the picture, the heads do not divide the width, a
    /// probability is outside `[0, 1)`, or the objective is impossible.
    fn check(&self) -> Result<(), ConfigError> {
        let [channels, height, width] = self.picture;
        check::size(MODEL, "patch", self.patch)?;
        let divides = [channels, height, width].iter().all(|size| *size > 0)
            && [height, width].iter().all(|size| size.is_multiple_of(self.patch));
        let expected =
            format!("positive [channels, height, width], the last two multiples of the patch {}", self.patch);
        ConfigError::check(divides, MODEL, "picture", expected, format!("{:?}", self.picture))?;
        self.objective.check(MODEL)?;
        self.blocks().check(MODEL)
    }

    /// The model with weights drawn from the device's generator.
    fn init(&self, device: &Device) -> VisionTransformer {
        let VisionTransformerConfig { patch, width, .. } = *self;
        let blocks = self.blocks();
        let fan_in = (self.picture[0] * patch * patch) as f64;
        let lecun = Initializer::Normal { mean: 0.0, std: fan_in.sqrt().recip() };
        let embedding = Conv2dConfig::new([self.picture[0], width], [patch, patch])
            .with_stride([patch, patch])
            .with_bias(false)
            .with_initializer(lecun);
        let classed = self.pooling == PatchPooling::ClassToken;
        let token = Initializer::Normal { mean: 0.0, std: 1e-6 };
        let tokens = usize::from(classed) + self.grid().iter().product::<usize>();
        VisionTransformer {
            class_token: classed.then(|| token.init([1, 1, width], device)),
            positions: Initializer::Normal { mean: 0.0, std: WEIGHT_STD }.init([1, tokens, width], device),
            embedding: Conv2d {
                bias: Some(Initializer::Zeros.init([width], device)),
                ..embedding.init(device)
            },
            dropout: DropoutConfig::new(self.dropout).init(),
            blocks: blocks.init(device),
            norm: blocks.norm(device),
            head: normal_linear([width, self.objective.head()], true, WEIGHT_STD, device),
            channels: self.picture[0],
            grid: self.grid(),
            objective: self.objective.clone(),
        }
    }

    fn names_elsewhere(&self) -> Vec<(&'static str, LayerNames)> {
        vec![("torchvision", self.torchvision_names()), ("timm", self.timm_names())]
    }

    /// Positions of a square of patches, `[1, T, D]`.
    fn can_fit(&self, path: &str, shape: &[usize]) -> bool {
        path == POSITIONS && self.side_of_positions(shape).is_some()
    }

    /// Positions interpolated to the patches of these pictures.
    fn fit(&self, path: &str, found: &TensorData, device: &Device) -> Option<TensorData> {
        let side = self.side_of_positions(found.shape().as_slice()).filter(|_| path == POSITIONS)?;
        let found = Tensor::from_data(found.clone().convert::<f32>(), device);
        Some(interpolated(found, [side, side], self.grid()).into_data())
    }

    /// timm's weights see pixels from -1 to 1.
    fn published_pixels(&self, library: &str) -> PublishedPixels {
        if library == "timm" { PublishedPixels::SYMMETRIC } else { PublishedPixels::IMAGENET }
    }

    fn headed(model: &VisionTransformer) -> Option<&dyn Headed<Input = Images>> {
        Some(model)
    }
}

/// An embedding of patches with learned positions, blocks in which every patch sees all, one vector a
/// picture, and a head.
#[derive(Module, Debug)]
pub struct VisionTransformer {
    /// `[1, 1, D]`
    class_token: Option<Param<Tensor<3>>>,
    /// `[1, T, D]`, the class token's first and then the patches' row after row
    positions: Param<Tensor<3>>,
    /// `[D, C, P, P]`, and a bias
    embedding: Conv2d,
    dropout: Dropout,
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
    /// `[D, O]`, and a bias `[O]`
    head: Linear,
    channels: usize,
    /// Rows and columns of patches that there are positions for.
    grid: [usize; 2],
    #[module(skip)]
    objective: Objective,
}

impl VisionTransformer {
    /// The numbers at the head. A picture of another size than the config's has the positions interpolated to
    /// it.
    ///
    /// # Shapes
    /// - input: `[B, C, H, W]`; patches divide `H` and `W`
    /// - output: `[B, O]`, or `[B, 1]` for binary cross-entropy
    ///
    /// # Panics
    /// When patches do not divide the picture.
    pub fn forward(&self, input: Images) -> Tensor<2> {
        self.answer(self.features(input))
    }

    /// The same model for pictures of another size: its positions, interpolated, are what trains from here
    /// on.
    ///
    /// # Panics
    /// When a side is zero or patches do not divide it.
    pub fn resized(self, [height, width]: [usize; 2]) -> Self {
        let [patch, _] = self.embedding.stride;
        let fits = [height, width].iter().all(|size| *size > 0 && size.is_multiple_of(patch));
        assert!(fits, "height and width in multiples of {patch} were expected, found {height} x {width}");
        let grid = [height / patch, width / patch];
        let tracked = self.positions.is_require_grad();
        let positions = self.positions(grid).detach().set_require_grad(tracked);
        VisionTransformer { positions: Param::initialized(self.positions.id, positions), grid, ..self }
    }

    /// Positions of a grid of patches, `[1, T, D]`.
    fn positions(&self, grid: [usize; 2]) -> Tensor<3> {
        if grid == self.grid {
            self.positions.val()
        } else {
            interpolated(self.positions.val(), self.grid, grid)
        }
    }
}

/// Positions `[1, T, D]` of one grid of patches at another grid; a class token's stay before them.
fn interpolated(positions: Tensor<3>, [rows, columns]: [usize; 2], grid: [usize; 2]) -> Tensor<3> {
    let [_, tokens, width] = positions.dims();
    let before = tokens - rows * columns;
    let patches = positions.clone().narrow(1, before, rows * columns).reshape([rows, columns, width]);
    let patches = bicubic(patches, grid).reshape([1, grid[0] * grid[1], width]);
    match before {
        0 => patches,
        _ => Tensor::cat(vec![positions.narrow(1, 0, before), patches], 1),
    }
}

impl Headed for VisionTransformer {
    type Input = Images;

    fn features(&self, input: Images) -> Tensor<2> {
        let channels = self.channels;
        assert_shape!(input.pixels, [_, channels, _, _]);
        let [batch, _, height, width] = input.pixels.dims();
        let [patch, _] = self.embedding.stride;
        assert!(
            [height, width].iter().all(|size| *size > 0 && size.is_multiple_of(patch)),
            "height and width in multiples of {patch} were expected, found {height} x {width}"
        );
        let x = conv2d(&self.embedding, input.pixels, Activation::Identity); // [B, D, H / P, W / P]
        let mut x = x.flatten::<3>(2, 3).swap_dims(1, 2); // [B, H W / P^2, D]
        if let Some(token) = &self.class_token {
            let token = token.val().expand([batch as i64, -1, -1]); // [B, 1, D]
            x = Tensor::cat(vec![token, x], 1); // [B, T, D]
        }
        let x = dropout(&self.dropout, x + self.positions([height / patch, width / patch]));
        let x = through_blocks(&self.blocks, x, &AttentionMask::None); // [B, T, D]
        let pooled = match self.class_token {
            Some(_) => x.narrow(1, 0, 1).squeeze_dim(1), // [B, D]
            None => x.mean_dim(1).squeeze_dim(1),        // [B, D]
        };
        layer_norm(&self.norm, pooled, EPSILON)
    }

    fn answer(&self, features: Tensor<2>) -> Tensor<2> {
        linear(&self.head, features, Activation::Identity) // [B, O]
    }

    fn objective(&self) -> &Objective {
        &self.objective
    }
}

impl Task for VisionTransformer {
    type Input = Images;

    fn predict(&self, input: Images) -> Output {
        self.objective.output(self.forward(input))
    }

    /// Nats for classes, the objective's error for values.
    fn loss(&self, input: Images, target: Target) -> Tensor<1> {
        self.objective.loss(self.forward(input), target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Distribution, Tolerance};

    fn small() -> VisionTransformerConfig {
        VisionTransformerConfig::new([2, 12, 8], Objective::classes(3))
            .with_patch(4)
            .with_layers(2)
            .with_heads(2)
            .with_width(8)
    }

    #[test]
    fn without_positions_the_mean_does_not_care_for_the_order_of_patches() {
        let device = Device::flex();
        device.seed(3);
        let mut model = small().with_pooling(PatchPooling::Mean).init(&device);
        model.positions = Param::from_tensor(Tensor::zeros([1, 6, 8], &device));
        let pixels = Tensor::<4>::random([1, 2, 12, 8], Distribution::Default, &device);
        // the three rows of patches, the last first
        let rows = |index: usize| pixels.clone().narrow(2, 4 * index, 4);
        let turned = Tensor::cat(vec![rows(2), rows(0), rows(1)], 2);
        let straight = model.forward(Images { pixels });
        let turned = model.forward(Images { pixels: turned });
        turned.into_data().assert_approx_eq::<f32>(&straight.into_data(), Tolerance::absolute(1e-5));
    }

    #[test]
    fn another_size_interpolates_positions_now_or_for_good() {
        let device = Device::flex().autodiff();
        device.seed(4);
        for pooling in [PatchPooling::ClassToken, PatchPooling::Mean] {
            let model = small().with_pooling(pooling).init(&device);
            let pixels = Tensor::<4>::random([2, 2, 8, 20], Distribution::Default, &device);
            let output = model.forward(Images { pixels: pixels.clone() });
            assert_eq!(output.dims(), [2, 3]);
            let gradients = output.clone().sum().backward();
            assert!(model.positions.val().grad(&gradients).is_some());
            let resized = model.resized([8, 20]);
            assert_eq!(resized.positions.dims()[1], 10 + usize::from(pooling == PatchPooling::ClassToken));
            let again = resized.forward(Images { pixels });
            again.into_data().assert_approx_eq::<f32>(&output.into_data(), Tolerance::absolute(1e-5));
        }
    }

    #[test]
    fn positions_of_a_square_fit_pictures_of_any_size() {
        let device = Device::flex();
        for pooling in [PatchPooling::ClassToken, PatchPooling::Mean] {
            let square = VisionTransformerConfig { picture: [2, 8, 8], ..small().with_pooling(pooling) };
            let positions = square.init(&device).positions.val();
            let before = positions.dims()[1] - 4;
            let larger = small().with_pooling(pooling);
            let fitted = larger.fit(POSITIONS, &positions.clone().into_data(), &device).unwrap();
            assert_eq!(fitted.shape().as_slice(), [1, before + 6, 8]);
            let expected = interpolated(positions.clone(), [2, 2], [3, 2]).into_data();
            fitted.assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-6));
            let narrow = |tokens| positions.clone().narrow(1, 0, tokens).into_data();
            assert!(larger.fit(POSITIONS, &narrow(before + 3), &device).is_none());
            assert!(!larger.can_fit(POSITIONS, &[1, before + (1 << 40), 8]));
            assert!(larger.fit("class_token", &positions.clone().into_data(), &device).is_none());
            let wider = larger.with_width(16).with_heads(2);
            assert!(wider.fit(POSITIONS, &narrow(before + 4), &device).is_none());
        }
    }

    #[test]
    fn refuses_impossible_sizes() {
        let field = |config: VisionTransformerConfig| config.check().unwrap_err().field;
        small().check().unwrap();
        assert_eq!(field(small().with_patch(0)), "patch");
        assert_eq!(field(small().with_patch(5)), "picture");
        assert_eq!(field(VisionTransformerConfig::ti16([3, 16, 0], Objective::classes(2))), "picture");
        assert_eq!(field(small().with_heads(3)), "heads");
        assert_eq!(field(small().with_layers(0)), "layers");
        assert_eq!(field(small().with_drop_path(1.0)), "drop_path");
        assert_eq!(field(small().with_dropout(1.0)), "dropout");
    }
}
