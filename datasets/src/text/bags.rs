//! Texts as bags of weighted n-grams, for models that read no order.

use super::encode::{TextTarget, collated};
use super::ngrams::Weigher;
use super::set::TextSet;
use crate::{DataError, Dataset, Draw, Pipeline};
use bonfire_contract::{Bags, Target};
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::Arc;

/// Counted texts: the features of each and their weights.
#[derive(Debug)]
pub struct BagSet {
    texts: Arc<TextSet>,
    weigher: Weigher,
}

/// The features of one text.
#[derive(Clone, Debug, PartialEq)]
pub struct BagSample {
    features: Vec<u32>,
    weights: Vec<f32>,
    target: TextTarget,
}

impl BagSet {
    /// The same texts in the same order, as `weigher` weighs the n-grams of each.
    pub fn of(texts: Pipeline<TextSet>, weigher: Weigher) -> Pipeline<BagSet> {
        texts.over(|texts| BagSet { texts, weigher })
    }
}

impl Dataset for BagSet {
    type Sample = BagSample;
    type Input = Bags;

    fn len(&self) -> u64 {
        self.texts.len()
    }

    fn ahead(&self) -> u64 {
        self.texts.ahead()
    }

    fn hold(&self, lanes: u64) {
        self.texts.hold(lanes);
    }

    fn prepare(&self, index: u64) {
        self.texts.prepare(index);
    }

    fn sample(&self, index: u64, draw: Draw) -> Result<BagSample, DataError> {
        let sample = self.texts.sample(index, draw)?;
        let (features, weights) = self.weigher.weigh(sample.tokens);
        Ok(BagSample { features, weights, target: sample.target })
    }

    fn skipped(&self) -> u64 {
        self.texts.skipped()
    }

    /// Features and weights `[B, T]`, of at least one place, padded at the end to the most of the batch by the
    /// feature 0 with the weight 0; and targets as those of [`TextSet`].
    fn collate(&self, samples: Vec<BagSample>, device: &Device) -> (Bags, Target) {
        let most = samples.iter().map(|sample| sample.features.len()).max().unwrap_or(0).max(1);
        let shape = [samples.len(), most];
        let mut features = Vec::with_capacity(samples.len() * most);
        let mut weights = Vec::with_capacity(samples.len() * most);
        for (number, sample) in (1..).zip(&samples) {
            features.extend(sample.features.iter().map(|&feature| feature as i32));
            features.resize(number * most, 0);
            weights.extend(&sample.weights);
            weights.resize(number * most, 0.0);
        }
        let target = collated(samples.iter().map(|sample| sample.target), device);
        let features = Tensor::from_data(TensorData::new(features, shape), device);
        let weights = Tensor::from_data(TensorData::new(weights, shape), device);
        (Bags { features, weights }, target)
    }
}

#[cfg(test)]
mod tests;
