//! Architectures as Burn modules, one file each, sorted from simple to hard.
//!
//! An architecture is a config with [`Architecture`] (`XConfig::new(data sizes, objective)`, `check()`,
//! `init(&device)`) and a module with a `forward` and a [`Task`](bonfire_contract::Task). A config that
//! passes its `check()` makes a module without a panic; sizes that no model can have are refused there, with
//! the field's name. [`registry`] has all of them by name, and makes a config from a [`Spec`](spec::Spec) of
//! the data.
//!
//! | takes | predicts | architectures |
//! |---|---|---|
//! | [`Table`] | classes or values | [`LinearRegression`], [`LogisticRegression`], [`Mlp`] |
//! | [`Images`] | classes or values | [`Cnn`], [`LeNet`], [`SmallResNet`], [`ResNet`], [`ResNet9`] |
//! | [`Images`] | classes or values | [`MobileNetV2`], [`EfficientNet`], [`ConvNeXt`] |
//! | [`Images`] | classes or values | [`VisionTransformer`] |
//! | [`Tokens`] | classes or values | [`LstmClassifier`], [`GruClassifier`], [`TransformerClassifier`] |
//! | [`Tokens`] | the next token | [`LstmLanguageModel`], [`GruLanguageModel`], [`Gpt`] |
//! | [`Bags`] | classes or values | [`BagRegression`] |
//! | [`Table`] | its input | [`DenseAutoencoder`], [`VariationalAutoencoder`] |
//! | [`Images`] | its input | [`ConvAutoencoder`] |
//!
//! [`Bags`]: bonfire_contract::Bags
//! [`Table`]: bonfire_contract::Table
//! [`Images`]: bonfire_contract::Images
//! [`Tokens`]: bonfire_contract::Tokens
//!
//! Parameters are drawn from the device's generator when they are first read, as Burn does. A caller who
//! wants the same weights from the same seed calls `device.seed(..)`, `init` and `materialize()` in that
//! order.

mod activation;
mod architecture;
mod attention;
mod autoencoder;
mod check;
mod cnn;
mod drop_path;
mod headed;
mod keys;
mod language;
mod linear;
mod objective;
pub mod registry;
mod rnn;
mod sequence;
pub mod spec;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod published;

pub use activation::Activation;
pub use architecture::{Architecture, PublishedPixels};
pub use attention::*;
pub use autoencoder::*;
pub use cnn::*;
pub use headed::{Headed, Parts, Probe};
pub use keys::{LayerNames, TensorKey, tensor_keys};
pub use language::LanguageModel;
pub use linear::*;
pub use objective::{LossKind, Objective};
pub use rnn::*;
pub use sequence::Pooling;
