//! The mean of a model's answers on several views of each sample.
//!
//! Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", 2012, section 4.1:
//! ten crops of each picture, and the mean of the ten probabilities.

use crate::TrainError;
use bonfire_contract::Output;
use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;

/// One answer a sample from the answers on its `views` views, which follow each other: the logarithms of the
/// mean probabilities, which are logits of them.
///
/// # Shapes
/// Logits `[B * views, K]` to `[B, K]`. One view is handed back as it is.
///
/// # Errors
/// When there are several views and no classes.
pub fn average_views(output: Output, views: usize) -> Result<Output, TrainError> {
    match (output, views) {
        (output, 1) => Ok(output),
        (Output::Logits(logits), _) => {
            let [rows, classes] = logits.dims();
            let samples = rows / views;
            let log = log_softmax(logits, 1).reshape([samples, views, classes]); // [B, views, K]
            // What is added and taken away again keeps the least likely classes from vanishing.
            let highest = log.clone().max_dim(1); // [B, 1, K]
            let mean: Tensor<3> = (log - highest.clone()).exp().mean_dim(1).log() + highest; // [B, 1, K]
            Ok(Output::Logits(mean.reshape([samples, classes]))) // [B, K]
        }
        _ => Err(TrainError::mismatch("probabilities of classes, to average over views", "another output")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::activation::softmax;
    use burn::tensor::{Device, Distribution};

    #[test]
    fn probabilities_are_averaged() {
        let device = Device::flex();
        let logits = Tensor::<2>::random([3 * 5, 4], Distribution::Normal(0.0, 3.0), &device);
        let expected = softmax(logits.clone(), 1).reshape([3, 5, 4]).mean_dim(1).reshape([3, 4]);
        let Ok(Output::Logits(found)) = average_views(Output::Logits(logits), 5) else { panic!("no logits") };
        assert_eq!(found.dims(), [3, 4]);
        let apart = (softmax(found, 1) - expected).abs().max().into_scalar::<f32>();
        assert!(apart < 1e-6, "{apart}");
    }

    #[test]
    fn an_unlikely_class_keeps_its_loss_and_other_outputs_are_refused() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_data([[0.0f32, 200.0], [0.0, 202.0]], &device);
        let Ok(Output::Logits(found)) = average_views(Output::Logits(logits), 2) else { panic!("no logits") };
        let found = found.into_data().try_to_vec::<f32>().unwrap();
        // ln((e^-200 + e^-202) / 2)
        assert!((found[0] + 200.0 - ((1.0f32 + (-2.0f32).exp()) / 2.0).ln()).abs() < 1e-3, "{found:?}");
        let values = Output::Values(Tensor::zeros([2, 1], &device));
        assert!(average_views(values, 2).is_err());
    }
}
