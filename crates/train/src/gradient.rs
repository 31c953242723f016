//! The gradient of one step: accumulated over pieces, then clipped.

use crate::parameters::{Parameter, by_rank};
use crate::ranks::Ranks;
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// The gradient of the pieces so far.
#[derive(Default)]
pub(crate) struct Accumulated {
    /// One piece: its own mean gradient. More: the sum of each piece's, times its samples. So a
    /// step of one piece, the usual case, costs no pass over the gradient.
    pub(crate) gradient: GradientsParams,
    pub(crate) pieces: u64,
    pub(crate) samples: u64,
}

impl Accumulated {
    /// Adds the mean gradient of a piece of `samples`.
    pub(crate) fn add(&mut self, mut piece: GradientsParams, samples: u64, parameters: &[Parameter]) {
        let added = if self.pieces > 0 { parameters } else { &[] };
        for parameter in added {
            by_rank!(parameter.shape.len(), D => {
                let next = piece.remove::<D>(parameter.id);
                if let Some(total) = self.with(parameter, next, samples) {
                    self.gradient.register(parameter.id, total);
                }
            });
        }
        if self.pieces == 0 {
            self.gradient = piece;
        }
        self.pieces += 1;
        self.samples += samples;
    }

    /// One tensor as it is when that of a piece of `samples` is added. It is taken out.
    pub(crate) fn with<const D: usize>(
        &mut self,
        parameter: &Parameter,
        next: Option<Tensor<D>>,
        samples: u64,
    ) -> Option<Tensor<D>> {
        if self.pieces == 0 {
            return next;
        }
        let sum = self.gradient.remove::<D>(parameter.id).map(|sum| match self.pieces {
            1 => sum.mul_scalar(self.samples as f64),
            _ => sum,
        });
        let next = next.map(|next| next.mul_scalar(samples as f64));
        match (sum, next) {
            (Some(sum), Some(next)) => Some(sum + next),
            (sum, next) => sum.or(next),
        }
    }

    /// How often the gradient counts in a sum over ranks, before that is divided by all their samples, once a piece of
    /// `more` samples is added, where there is one more.
    pub(crate) fn weight(&self, more: Option<u64>) -> f64 {
        match self.pieces + u64::from(more.is_some()) {
            1 => (self.samples + more.unwrap_or(0)) as f64,
            _ => 1.0,
        }
    }

    /// The mean over all ranks' samples as if it came from one process: of one piece or, as a sum again, of several.
    pub(crate) fn of_all(
        mut mean: GradientsParams,
        pieces: u64,
        samples: u64,
        parameters: &[Parameter],
    ) -> Self {
        if pieces > 1 {
            each(&mut mean, parameters, Scale(samples as f64));
        }
        Accumulated { gradient: mean, pieces, samples }
    }

    /// The mean gradient over all samples added; starts anew.
    pub(crate) fn take_mean(&mut self, parameters: &[Parameter]) -> GradientsParams {
        let Accumulated { mut gradient, pieces, samples } = std::mem::take(self);
        if pieces > 1 {
            each(&mut gradient, parameters, Scale(1.0 / samples as f64));
        }
        gradient
    }
}

/// Limits the magnitude of each element.
pub(crate) fn clip_value(gradient: &mut GradientsParams, parameters: &[Parameter], largest: f64) {
    each(gradient, parameters, Clamp(largest));
}

/// Scales the whole gradient down to a norm of `largest` when it is longer, as PyTorch's
/// `clip_grad_norm_` does. Stays on the device where this process is alone.
pub(crate) fn clip_norm(
    gradient: &mut GradientsParams,
    parameters: &[Parameter],
    largest: f64,
    ranks: &Ranks,
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

/// The square of the gradient's norm, where it costs no wait for a device.
fn square_on_host(gradient: &GradientsParams, parameters: &[Parameter]) -> Option<f64> {
    let mut square = 0.0;
    for parameter in parameters {
        by_rank!(parameter.shape.len(), D => {
            if let Some(tensor) = gradient.get::<D>(parameter.id) {
                square += bonfire_kernels::sum_of_squares(&tensor)?;
            }
        });
    }
    Some(square)
}

/// Several ranks go by rank 0's norm: a device may add up in a sequence of its own, and a last bit would part their weights.
fn clip_norm_on_device(
    gradient: &mut GradientsParams,
    parameters: &[Parameter],
    largest: f64,
    ranks: &Ranks,
) {
    let mut squares: Vec<Tensor<1>> = Vec::new();
    for parameter in parameters {
        by_rank!(parameter.shape.len(), D => {
            if let Some(tensor) = gradient.get::<D>(parameter.id) {
                squares.push((tensor.clone() * tensor).sum());
            }
        });
    }
    if squares.is_empty() {
        return;
    }
    let mut norm = Tensor::cat(squares, 0).sum().sqrt(); // [1]
    if !ranks.alone() {
        let device = norm.device();
        norm = Tensor::from_data([ranks.number_of_first(norm.into_scalar())], &device);
    }
    let factor = norm.add_scalar(1e-6).recip().mul_scalar(largest).clamp_max(1.0);
    each(gradient, parameters, Multiply(factor));
}

/// What can be done to every tensor of a gradient.
trait Change {
    fn change<const D: usize>(&self, tensor: Tensor<D>) -> Tensor<D>;
}

struct Scale(f64);
struct Clamp(f64);
struct Multiply(Tensor<1>);

impl Change for Scale {
    fn change<const D: usize>(&self, tensor: Tensor<D>) -> Tensor<D> {
        bonfire_kernels::scaled(tensor, self.0)
    }
}

impl Change for Clamp {
    fn change<const D: usize>(&self, tensor: Tensor<D>) -> Tensor<D> {
        tensor.clamp(-self.0, self.0)
    }
}

impl Change for Multiply {
    fn change<const D: usize>(&self, tensor: Tensor<D>) -> Tensor<D> {
        tensor * self.0.clone().reshape([1; D])
    }
}

fn each(gradient: &mut GradientsParams, parameters: &[Parameter], change: impl Change) {
    for parameter in parameters {
        by_rank!(parameter.shape.len(), D => {
            if let Some(tensor) = gradient.remove::<D>(parameter.id) {
                gradient.register(parameter.id, change.change(tensor));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bonfire_cluster::{Alone, Threads, Wire};
    use burn::module::ParamId;
    use burn::tensor::Device;

    fn table() -> Vec<Parameter> {
        let parameter = |id: u64, shape: &[usize]| Parameter {
            path: id.to_string(),
            id: ParamId::from(id),
            shape: shape.to_vec(),
            trained: true,
        };
        vec![parameter(1, &[2]), parameter(2, &[1, 2]), parameter(3, &[3])]
    }

    fn single() -> Ranks {
        Ranks::new(std::sync::Arc::new(Alone), Wire::F32)
    }

    fn gradient(first: [f32; 2], second: [f32; 2]) -> GradientsParams {
        let device = Device::flex();
        let mut gradient = GradientsParams::new();
        gradient.register(ParamId::from(1), Tensor::<1>::from_data(first, &device));
        gradient.register(ParamId::from(2), Tensor::<2>::from_data([second], &device));
        gradient
    }

    fn values(gradient: &GradientsParams) -> Vec<f32> {
        let mut values =
            gradient.get::<1>(ParamId::from(1)).unwrap().into_data().as_slice::<f32>().unwrap().to_vec();
        values.extend(gradient.get::<2>(ParamId::from(2)).unwrap().into_data().as_slice::<f32>().unwrap());
        values
    }

    #[test]
    fn pieces_are_weighted_by_their_samples() {
        let mut accumulated = Accumulated::default();
        accumulated.add(gradient([1.0, 2.0], [0.0, 4.0]), 1, &table());
        accumulated.add(gradient([3.0, 0.0], [8.0, 4.0]), 2, &table());
        accumulated.add(gradient([0.0, 4.0], [0.0, 4.0]), 1, &table());
        assert_eq!(values(&accumulated.take_mean(&table())), [1.75, 1.5, 4.0, 4.0]);
        assert_eq!((accumulated.pieces, accumulated.samples), (0, 0));
        accumulated.add(gradient([0.1, 0.2], [0.3, 0.4]), 7, &table());
        assert_eq!(values(&accumulated.take_mean(&table())), [0.1, 0.2, 0.3, 0.4], "one piece is left alone");
    }

    #[test]
    fn a_long_gradient_is_scaled_and_a_short_one_left_alone() {
        let mut long = gradient([3.0, 0.0], [4.0, 12.0]); // norm 13
        clip_norm(&mut long, &table(), 6.5, &single());
        for (value, expected) in values(&long).into_iter().zip([1.5, 0.0, 2.0, 6.0]) {
            assert!((value - expected).abs() < 1e-5, "{value} against {expected}");
        }
        let mut short = gradient([0.3, 0.1], [0.0, -0.2]);
        clip_norm(&mut short, &table(), 6.5, &single());
        assert_eq!(values(&short), [0.3, 0.1, 0.0, -0.2]);
    }

    #[test]
    fn the_host_clips_as_a_device_does() {
        for largest in [6.5, 20.0] {
            let (mut host, mut device) =
                (gradient([3.0, 0.0], [4.0, 12.0]), gradient([3.0, 0.0], [4.0, 12.0]));
            clip_norm(&mut host, &table(), largest, &single());
            clip_norm_on_device(&mut device, &table(), largest, &single());
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
                clip_norm_on_device(&mut long, &table(), 6.5, &ranks);
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
