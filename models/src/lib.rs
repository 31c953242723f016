//! Architectures as Burn modules, one file each, sorted from simple to hard.
//!
//! An architecture is a config (`XConfig::new(data sizes, objective)`, `check()`, `init(&device)`) and a
//! module with a `forward` and a [`Task`](bonfire_contract::Task). A config that passes its `check()` makes a
//! module without a panic; sizes that no model can have are refused there, with the field's name.
//!
//! | eats | predicts | architectures |
//! |---|---|---|
//! | [`Table`](bonfire_contract::Table) | classes or values | [`LinearRegression`], [`LogisticRegression`], [`Mlp`] |
//! | [`Images`](bonfire_contract::Images) | classes or values | [`Cnn`], [`LeNet`], [`SmallResNet`], [`ResNet`], [`ResNet9`], [`MobileNetV2`], [`EfficientNet`], [`ConvNeXt`], [`VisionTransformer`] |
//! | [`Tokens`](bonfire_contract::Tokens) | classes or values | [`LstmClassifier`], [`GruClassifier`], [`TransformerClassifier`] |
//! | [`Tokens`](bonfire_contract::Tokens) | the next token | [`LstmLanguageModel`], [`GruLanguageModel`], [`Gpt`] |
//! | [`Table`](bonfire_contract::Table) | its input | [`DenseAutoencoder`], [`VariationalAutoencoder`] |
//! | [`Images`](bonfire_contract::Images) | its input | [`ConvAutoencoder`] |
//!
//! Parameters are drawn from the device's generator when they are first read, as Burn does. A caller who wants
//! the same weights from the same seed calls `device.seed(..)`, `init` and `materialize()` in that order.

mod activation;
mod attention;
mod autoencoder;
mod check;
mod cnn;
mod drop_path;
mod keys;
mod language;
mod linear;
mod objective;
mod rnn;
mod sequence;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod published;

pub use activation::Activation;
pub use attention::{
    Gpt, GptConfig, PatchPooling, Positions, TextPooling, TransformerClassifier, TransformerClassifierConfig,
    VisionTransformer, VisionTransformerConfig,
};
pub use autoencoder::{
    ConvAutoencoder, ConvAutoencoderConfig, DenseAutoencoder, DenseAutoencoderConfig, Likelihood,
    OutputRange, VariationalAutoencoder, VariationalAutoencoderConfig,
};
pub use cnn::{
    Cnn, CnnConfig, ConvNeXt, ConvNeXtConfig, EfficientNet, EfficientNetConfig, InvertedNetwork, LeNet,
    LeNetConfig, MobileNetV2, MobileNetV2Config, ResNet, ResNet9, ResNet9Config, ResNetConfig, SmallResNet,
    SmallResNetConfig,
};
pub use keys::{LayerNames, TensorKey, tensor_keys};
pub use language::LanguageModel;
pub use linear::{
    LinearRegression, LinearRegressionConfig, LogisticRegression, LogisticRegressionConfig, Mlp, MlpConfig,
    Norm,
};
pub use objective::{LossKind, Objective};
pub use rnn::{
    GruClassifier, GruClassifierConfig, GruLanguageModel, GruLanguageModelConfig, LstmClassifier,
    LstmClassifierConfig, LstmLanguageModel, LstmLanguageModelConfig, Recurrent, RecurrentClassifier,
    RecurrentLanguageModel,
};
pub use sequence::Pooling;
