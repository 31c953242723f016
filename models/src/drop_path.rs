//! Stochastic depth: in training, a residual branch is left out of some samples.
//!
//! Huang, Sun, Liu, Sedra and Weinberger, "Deep networks with stochastic depth", 2016. What differs, as in
//! timm: a sample decides for itself and not the whole batch, and what stays grows by `1 / (1 - probability)`
//! in training, so that evaluation scales nothing; the first block is never left out.

use bonfire_kernels::modules::{dropout, drops};
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig};
use burn::tensor::Tensor;

/// Drops whole samples of a branch.
#[derive(Module, Debug)]
pub(crate) struct DropPath {
    dropout: Dropout,
}

impl DropPath {
    /// The drop path of block `index` of `blocks`. Its probability rises linearly from 0 at the first to
    /// `most` at the last.
    pub(crate) fn rising(most: f64, index: usize, blocks: usize) -> Self {
        let probability = most * index as f64 / blocks.saturating_sub(1).max(1) as f64;
        DropPath { dropout: DropoutConfig::new(probability).init() }
    }

    /// True where samples of `x` may be dropped: in training, with a probability above 0.
    pub(crate) fn drops<const D: usize>(&self, x: &Tensor<D>) -> bool {
        drops(&self.dropout, x)
    }

    /// The branch with some samples, drawn at random, at zero, and the others scaled.
    ///
    /// # Shapes
    /// - branch, output: `[B, ...]`
    pub(crate) fn forward<const D: usize>(&self, branch: Tensor<D>) -> Tensor<D> {
        let mut shape = [1; D];
        shape[0] = branch.dims()[0];
        let ones = Tensor::ones(shape, (&branch.device(), branch.dtype()));
        let kept = dropout(&self.dropout, ones); // [B, 1, ...]
        branch * kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution};

    #[test]
    fn samples_are_dropped_whole_and_the_others_grow() {
        let device = Device::flex().autodiff();
        device.seed(3);
        let path = DropPath::rising(0.5, 4, 5);
        let input = Tensor::<3>::random([400, 3, 5], Distribution::Uniform(1.0, 2.0), &device);
        assert!(path.drops(&input));
        let ratio: Vec<f32> = (path.forward(input.clone()) / input).into_data().iter().collect();
        let mut dropped = 0;
        for sample in ratio.chunks(15) {
            let first = sample[0];
            assert!(
                (first == 0.0 || (first - 2.0).abs() < 1e-5)
                    && sample.iter().all(|r| (r - first).abs() < 1e-5)
            );
            dropped += usize::from(first == 0.0);
        }
        assert!((160..240).contains(&dropped), "{dropped} of 400");
    }

    #[test]
    fn evaluation_and_the_first_block_drop_nothing() {
        let x = |device: &Device| Tensor::<2>::ones([4, 3], device);
        let (training, evaluation) = (Device::flex().autodiff(), Device::flex());
        assert!(!DropPath::rising(0.5, 4, 5).drops(&x(&evaluation)));
        assert!(!DropPath::rising(0.5, 0, 5).drops(&x(&training)));
        assert!(!DropPath::rising(0.5, 0, 1).drops(&x(&training)));
        assert!(!DropPath::rising(0.5, 4, 5).freeze().drops(&x(&training)));
        x(&evaluation)
            .into_data()
            .assert_eq(&DropPath::rising(0.5, 4, 5).forward(x(&evaluation)).into_data(), true);
    }

    #[test]
    fn probabilities_rise_linearly() {
        let probabilities = [0, 1, 2, 3].map(|index| DropPath::rising(0.3, index, 4).dropout.prob);
        for (found, expected) in probabilities.into_iter().zip([0.0, 0.1, 0.2, 0.3]) {
            assert!((found - expected).abs() < 1e-12);
        }
    }
}
