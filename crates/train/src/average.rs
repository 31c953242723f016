//! An exponential moving average of the weights (Polyak and Juditsky 1992), evaluated and saved in
//! their place.

use crate::parameters::Parameter;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use std::collections::HashSet;

/// The average, on the device. Running statistics are averages already and are copied.
pub(crate) struct Average {
    decay: f64,
    trained: HashSet<ParamId>,
    pub(crate) tensors: GradientsParams,
}

impl Average {
    /// An average that starts at its first update.
    pub(crate) fn new(decay: f64, parameters: &[Parameter]) -> Self {
        let trained = parameters.iter().filter(|p| p.trained).map(|p| p.id).collect();
        Average { decay, trained, tensors: GradientsParams::new() }
    }

    /// Takes in the weights after update `count` (0: the weights before any step). The decay grows
    /// as `min(decay, (1 + count) / (10 + count))`, so that the first, poor weights are soon gone.
    pub(crate) fn update<M: Module>(&mut self, model: &M, count: u64) {
        let decay = self.decay.min((1 + count) as f64 / (10 + count) as f64);
        let mut update = Update { decay, trained: &self.trained, tensors: &mut self.tensors };
        model.valid().visit(&mut update);
    }

    /// The model with the averaged weights, for evaluation.
    pub(crate) fn model<M: Module>(&self, model: &M) -> M {
        model.valid().map(&mut Assign { tensors: &self.tensors })
    }
}

struct Update<'a> {
    decay: f64,
    trained: &'a HashSet<ParamId>,
    tensors: &'a mut GradientsParams,
}

impl ModuleVisitor for Update<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let next = match self.tensors.remove::<D>(param.id) {
            Some(average) if self.trained.contains(&param.id) => {
                bonfire_kernels::blended(average, value, self.decay)
            }
            _ => value,
        };
        self.tensors.register(param.id, next);
    }
}

struct Assign<'a> {
    tensors: &'a GradientsParams,
}

impl ModuleMapper for Assign<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.tensors.get::<D>(param.id) {
            Some(tensor) => param.map(|_| tensor),
            None => param,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::{parameters, renumber};
    use burn::tensor::Device;

    #[derive(Module, Debug)]
    struct Scalar {
        weight: Param<Tensor<1>>,
    }

    fn scalar(value: f32) -> Scalar {
        let tensor = Tensor::<1>::from_data([value], &Device::flex().autodiff());
        renumber(Scalar { weight: Param::from_tensor(tensor) })
    }

    fn value(model: &Scalar) -> f32 {
        model.weight.val().into_data().as_slice::<f32>().unwrap()[0]
    }

    #[test]
    fn follows_the_formula_with_its_warm_up() {
        let mut average = Average::new(0.3, &parameters(&scalar(0.0)));
        let mut expected = 1.0f64;
        average.update(&scalar(1.0), 0);
        for count in 1..20 {
            let weight = (count * count) as f32;
            let decay = f64::min(0.3, (1 + count) as f64 / (10 + count) as f64);
            expected = decay * expected + (1.0 - decay) * f64::from(weight);
            average.update(&scalar(weight), count);
        }
        let found = f64::from(value(&average.model(&scalar(5.0))));
        assert!((found - expected).abs() < 1e-4 * expected, "{found} against {expected}");
    }
}
