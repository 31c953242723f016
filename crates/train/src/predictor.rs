//! A model that only predicts, beside what the kernels have made of its weights.

use bonfire_contract::{Output, Task};
use bonfire_kernels::Prepared;

/// A model for predictions. The first one packs the weights for the kernels, the following ones read them
/// packed: see [`Prepared`], which also bounds the bytes that this takes. On backends without our kernels
/// nothing is kept.
///
/// It is to be dropped before the model trains on: an optimizer copies each weight that is held here.
#[derive(Debug)]
pub struct Predictor<M> {
    model: M,
    prepared: Prepared,
}

impl<M> Predictor<M> {
    /// For a model made by `valid()`, or on a device without autodiff.
    pub fn new(model: M) -> Self {
        Predictor { model, prepared: Prepared::new() }
    }

    /// The model itself.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// Asks the model something else than [`predict`](Self::predict), with the weights prepared as well.
    pub fn ask<R>(&self, ask: impl FnOnce(&M) -> R) -> R {
        self.prepared.run(|| ask(&self.model))
    }
}

impl<M: Task> Predictor<M> {
    /// [`Task::predict`], with the same bits.
    pub fn predict(&self, input: M::Input) -> Output {
        self.ask(|model| model.predict(input))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bonfire_contract::{Images, Target};
    use bonfire_kernels::{Activation, modules};
    use burn::module::Module;
    use burn::nn::conv::{Conv2d, Conv2dConfig};
    use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
    use burn::optim::{GradientsParams, SgdConfig};
    use burn::tensor::{Device, Distribution, Tensor};

    /// A convolution with its norm, and a linear head.
    #[derive(Module, Debug)]
    struct Small {
        convolution: Conv2d,
        norm: BatchNorm,
        head: Linear,
    }

    impl Small {
        fn new(device: &Device) -> Self {
            device.seed(3);
            Small {
                convolution: Conv2dConfig::new([3, 14], [3, 3]).with_bias(false).init(device),
                norm: BatchNormConfig::new(14).init(device),
                head: LinearConfig::new(14 * 36, 10).init(device),
            }
        }

        fn values(&self, input: Images) -> Tensor<2> {
            let Small { convolution, norm, head } = self;
            let x = modules::conv_norm(convolution, norm, input.pixels, None, Activation::Relu);
            modules::linear(head, x.flatten(1, 3), Activation::Identity)
        }
    }

    impl Task for Small {
        type Input = Images;

        fn predict(&self, input: Images) -> Output {
            Output::Values(self.values(input))
        }

        fn loss(&self, input: Images, _target: Target) -> Tensor<1> {
            (self.values(input) - 1.0).square().mean()
        }
    }

    fn pictures(device: &Device) -> Images {
        device.seed(4);
        Images { pixels: Tensor::random([4, 3, 8, 8], Distribution::Normal(0.2, 1.0), device) }
    }

    fn bits(output: Output) -> Vec<u32> {
        let Output::Values(values) = output else { panic!("values") };
        values.into_data().iter::<f32>().map(f32::to_bits).collect()
    }

    #[test]
    fn predictions_have_the_models_bits_after_each_step_of_a_training() {
        let (device, plain) = (Device::flex().autodiff(), Device::flex());
        let mut model = Small::new(&device);
        let mut optimizer = SgdConfig::new().init();
        let mut kept: Vec<(Predictor<Small>, Vec<u32>)> = Vec::new();
        for _ in 0..4 {
            let predictor = Predictor::new(model.valid());
            let expected = bits(model.valid().predict(pictures(&plain)));
            for _ in 0..2 {
                assert_eq!(bits(predictor.predict(pictures(&plain))), expected);
            }
            assert!(predictor.prepared.bytes() > 0);
            // predictors of earlier weights keep those
            for (earlier, answers) in &kept {
                assert_eq!(&bits(earlier.predict(pictures(&plain))), answers);
                assert_ne!(*answers, expected, "the step changed the weights");
            }
            kept.push((predictor, expected));
            let gradients =
                GradientsParams::from_grads(model.loss(pictures(&device), Target::Absent).backward(), &model);
            model = optimizer.step(0.1, model, gradients);
        }
    }
}
