//! The gradient of one step, accumulated over its pieces.

use super::change::{Scale, each};
use crate::parameters::{Parameter, by_dimensions};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// The gradient of the pieces so far.
#[derive(Default)]
pub(crate) struct Accumulated {
    /// The mean gradient of one piece; or the sum of the mean gradients of several pieces, each times the
    /// piece's samples. So a step of one piece, the usual case, costs no pass over the gradient.
    pub(crate) gradient: GradientsParams,
    pub(crate) pieces: u64,
    pub(crate) samples: u64,
}

impl Accumulated {
    /// Adds the mean gradient of a piece of `samples`.
    pub(crate) fn add(&mut self, mut piece: GradientsParams, samples: u64, parameters: &[Parameter]) {
        let added = if self.pieces > 0 { parameters } else { &[] };
        for parameter in added {
            by_dimensions!(parameter.shape.len(), D => {
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

    /// The tensor of one parameter with the mean gradient `next` of a piece of `samples` added. It is taken
    /// out.
    pub(crate) fn with<const D: usize>(
        &mut self,
        parameter: &Parameter,
        next: Option<Tensor<D>>,
        samples: u64,
    ) -> Option<Tensor<D>> {
        if self.pieces == 0 {
            return next;
        }
        let sum = self.gradient.remove::<D>(parameter.id);
        let sum = sum.map(|sum| if self.pieces == 1 { sum.mul_scalar(self.samples as f64) } else { sum });
        let next = next.map(|next| next.mul_scalar(samples as f64));
        match (sum, next) {
            (Some(sum), Some(next)) => Some(sum + next),
            (sum, next) => sum.or(next),
        }
    }

    /// The factor of this gradient in the sum over ranks, which is then divided by the samples of all ranks.
    /// `more` are the samples of a piece that is still to be added.
    pub(crate) fn weight(&self, more: Option<u64>) -> f64 {
        // Of one piece the gradient is a mean, of several a sum already.
        let one = self.pieces + u64::from(more.is_some()) == 1;
        if one { (self.samples + more.unwrap_or(0)) as f64 } else { 1.0 }
    }

    /// The mean gradient of all ranks as one process would have accumulated it: a mean of one piece, a sum of
    /// several.
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use burn::module::ParamId;
    use burn::tensor::Device;

    pub(crate) fn table() -> Vec<Parameter> {
        let parameter = |id: u64, shape: &[usize]| Parameter {
            path: id.to_string(),
            id: ParamId::from(id),
            shape: shape.to_vec(),
            trained: true,
        };
        vec![parameter(1, &[2]), parameter(2, &[1, 2]), parameter(3, &[3])]
    }

    pub(crate) fn gradient(first: [f32; 2], second: [f32; 2]) -> GradientsParams {
        let device = Device::flex();
        let mut gradient = GradientsParams::new();
        gradient.register(ParamId::from(1), Tensor::<1>::from_data(first, &device));
        gradient.register(ParamId::from(2), Tensor::<2>::from_data([second], &device));
        gradient
    }

    pub(crate) fn values(gradient: &GradientsParams) -> Vec<f32> {
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
}
