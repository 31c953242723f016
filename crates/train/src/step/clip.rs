//! Clipping: limits to a gradient before its update.

use crate::learner::change::{Clamp, Multiply, Scale, each};
use crate::parameters::{Parameter, by_dimensions};
use crate::ranks::Ranks;
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// Limits the magnitude of each element.
pub(super) fn clip_value(gradient: &mut GradientsParams, parameters: &[Parameter], largest: f64) {
    each(gradient, parameters, Clamp(largest));
}

/// Scales the whole gradient down to a norm of `largest` when it is longer, as PyTorch's `clip_grad_norm_`
/// does. Nothing waits for a device, but where there are several ranks.
pub(super) fn clip_norm(
    gradient: &mut GradientsParams,
    parameters: &[Parameter],
    largest: f64,
    ranks: Option<&Ranks>,
) {
    match square_on_host(gradient, parameters) {
        Some(square) => {
            let factor = largest / (square.sqrt() + 1e-6);
            // A norm that is no number goes into the gradient, as it does on a device.
            if factor.is_nan() || factor < 1.0 {
                each(gradient, parameters, Scale(factor));
            }
        }
        None => clip_norm_on_device(gradient, parameters, largest, ranks),
    }
}

/// The square of the gradient's norm; none where reading it would wait for a device.
fn square_on_host(gradient: &GradientsParams, parameters: &[Parameter]) -> Option<f64> {
    let mut square = 0.0;
    for parameter in parameters {
        by_dimensions!(parameter.shape.len(), D => {
            if let Some(tensor) = gradient.get::<D>(parameter.id) {
                square += bonfire_kernels::sum_of_squares(&tensor)?;
            }
        });
    }
    Some(square)
}

/// All ranks take rank 0's norm: each device may add up in its own order, and a difference in the last bit
/// would give the ranks different weights.
fn clip_norm_on_device(
    gradient: &mut GradientsParams,
    parameters: &[Parameter],
    largest: f64,
    ranks: Option<&Ranks>,
) {
    let mut squares: Vec<Tensor<1>> = Vec::new();
    for parameter in parameters {
        by_dimensions!(parameter.shape.len(), D => {
            if let Some(tensor) = gradient.get::<D>(parameter.id) {
                squares.push((tensor.clone() * tensor).sum());
            }
        });
    }
    if squares.is_empty() {
        return;
    }
    let mut norm = Tensor::cat(squares, 0).sum().sqrt(); // [1]
    if let Some(ranks) = ranks {
        let device = norm.device();
        norm = Tensor::from_data([ranks.number_of_first(norm.into_scalar())], &device);
    }
    let factor = norm.add_scalar(1e-6).recip().mul_scalar(largest).clamp_max(1.0);
    each(gradient, parameters, Multiply(factor));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learner::accumulated::tests::{gradient, table, values};
    use bonfire_cluster::{Threads, Wire};

    #[test]
    fn a_long_gradient_is_scaled_and_a_short_one_left_alone() {
        let mut long = gradient([3.0, 0.0], [4.0, 12.0]); // norm 13
        clip_norm(&mut long, &table(), 6.5, None);
        for (value, expected) in values(&long).into_iter().zip([1.5, 0.0, 2.0, 6.0]) {
            assert!((value - expected).abs() < 1e-5, "{value} against {expected}");
        }
        let mut short = gradient([0.3, 0.1], [0.0, -0.2]);
        clip_norm(&mut short, &table(), 6.5, None);
        assert_eq!(values(&short), [0.3, 0.1, 0.0, -0.2]);
    }

    #[test]
    fn the_host_clips_as_a_device_does() {
        for largest in [6.5, 20.0] {
            let (mut host, mut device) =
                (gradient([3.0, 0.0], [4.0, 12.0]), gradient([3.0, 0.0], [4.0, 12.0]));
            clip_norm(&mut host, &table(), largest, None);
            clip_norm_on_device(&mut device, &table(), largest, None);
            for (host, device) in values(&host).into_iter().zip(values(&device)) {
                assert!((host - device).abs() < 1e-6, "{host} against {device}");
            }
        }
    }

    #[test]
    fn devices_of_several_ranks_clip_by_the_norm_of_the_first() {
        let threads = Threads::ranks(3).into_iter().enumerate().map(|(rank, communicator)| {
            std::thread::spawn(move || {
                let ranks = Ranks::new(communicator, Wire::F32);
                let mut long = gradient([3.0, 0.0], [4.0, 12.0 + rank as f32]); // norm 13 on rank 0
                clip_norm_on_device(&mut long, &table(), 6.5, Some(&ranks));
                values(&long)
            })
        });
        for (rank, clipped) in threads.collect::<Vec<_>>().into_iter().map(|t| t.join().unwrap()).enumerate()
        {
            for (value, expected) in clipped.into_iter().zip([1.5, 0.0, 2.0, 6.0 + 0.5 * rank as f32]) {
                assert!((value - expected).abs() < 1e-5, "rank {rank}: {value} against {expected}");
            }
        }
    }

    #[test]
    fn clipping_by_value_limits_each_element() {
        let mut clipped = gradient([3.0, -0.25], [-4.0, 0.5]);
        clip_value(&mut clipped, &table(), 0.5);
        assert_eq!(values(&clipped), [0.5, -0.25, -0.5, 0.5]);
    }
}
