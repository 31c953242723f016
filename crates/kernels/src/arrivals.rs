//! The gradients of a model's weights, one by one, as the backward pass completes them. So the gradients of
//! the last layers can be on their way to other machines while those of the first layers are still being
//! computed.
//!
//! Burn's backward pass visits the graph's ops by their distance from the leaves and returns all gradients at
//! its end. The ops of this crate know sooner: after the last op that uses a weight, the weight's gradient is
//! complete. [`Arrivals::count`] counts the ops that use each weight in a forward pass. [`Arrivals::watch`]
//! hands a gradient over once as many of these ops have run backwards. A contribution of Burn's own ops to a
//! weight is not part of it, and stays in the gradients that Burn returns.

use crate::flex;
use crate::uses::{self, Uses};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

/// The weights of a model, and the number of a forward pass's ops that use each.
#[derive(Debug, Default)]
pub struct Arrivals(Uses);

impl Arrivals {
    /// Runs a forward pass on this thread and counts the uses of the weights of `model`. Weights that are not
    /// tracked, or not on Burn's CPU backend in `f32`, are left to Burn.
    pub fn count<M: Module, R>(model: &M, run: impl FnOnce() -> R) -> (R, Arrivals) {
        let (outcome, uses) = Uses::count(|| {
            model.visit(&mut Enter { place: 0 });
            run()
        });
        (outcome, Arrivals(uses))
    }

    /// Runs `work`, the backward pass of the counted forward pass, on this thread.
    ///
    /// `hand_over` gets a weight's place among the model's float parameters in visiting order, and its
    /// gradient. It is called when the last counted use of the weight has run backwards, or after the pass if
    /// some uses never run. These gradients are missing from those that the backward pass itself returns.
    pub fn watch<R>(self, hand_over: &mut dyn FnMut(usize, TensorData), work: impl FnOnce() -> R) -> R {
        self.0.watch(&mut |place, gradient| hand_over(place, gradient.into_data()), work)
    }
}

/// Registers the weights of a model for counting.
struct Enter {
    place: usize,
}

impl ModuleVisitor for Enter {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let weight = param.val();
        if flex::runs_on(&weight) && weight.is_require_grad() {
            drop(Dispatch::entered(weight.into_dispatch(), self.place));
        }
        self.place += 1;
    }
}

/// An op that changes nothing: it reads its input's node on the graph.
#[backend_extension(Autodiff, Flex)]
pub trait ArrivalOps: Backend {
    /// Registers the tensor as the weight at `place`.
    fn entered(weight: FloatTensor<Self>, place: usize) -> FloatTensor<Self>;
}

impl ArrivalOps for Flex {
    fn entered(weight: FlexTensor, _place: usize) -> FlexTensor {
        weight
    }
}

impl<C: CheckpointStrategy> ArrivalOps for Autodiff<Flex, C> {
    fn entered(weight: FloatTensor<Self>, place: usize) -> FloatTensor<Self> {
        uses::enter(weight.id(), place);
        weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Activation;
    use crate::modules::{layer_norm, linear};
    use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, Distribution};

    /// A net with parameters, in visiting order: 0 and 1, 2 and 3, 4 and 5, 6 and 7, 8 and 9.
    #[derive(Module, Debug)]
    struct Net {
        first: Linear,
        norm: LayerNorm,
        twice: Linear,
        frozen: Linear,
        last: Linear,
    }

    impl Net {
        fn new(device: &Device) -> Self {
            let linear = || LinearConfig::new(6, 6).init(device);
            let norm = LayerNormConfig::new(6).init(device);
            let net =
                Net { first: linear(), norm, twice: linear(), frozen: linear().no_grad(), last: linear() };
            net.materialize()
        }

        /// An op of Burn's own also uses the first weight. The last weight is used twice, and the loss
        /// depends on one of the uses.
        fn loss(&self, x: Tensor<2>) -> Tensor<1> {
            let x = linear(&self.first, x, Activation::Tanh);
            let x = layer_norm(&self.norm, x, 1e-5);
            let x = linear(&self.twice, linear(&self.twice, x, Activation::Tanh), Activation::Tanh);
            let _for_nothing = linear(&self.last, x.clone(), Activation::Tanh);
            let x = linear(&self.last, linear(&self.frozen, x, Activation::Tanh), Activation::Tanh);
            x.matmul(self.first.weight.val().transpose()).square().mean()
        }
    }

    struct Read<'a>(&'a GradientsParams, Vec<Option<Vec<f32>>>);

    impl ModuleVisitor for Read<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let values = |tensor: Tensor<D>| tensor.into_data().try_into_vec().unwrap();
            self.1.push(self.0.get::<D>(param.id).map(values));
        }
    }

    fn read(gradients: &GradientsParams, net: &Net) -> Vec<Option<Vec<f32>>> {
        let mut read = Read(gradients, Vec::new());
        net.visit(&mut read);
        read.1
    }

    #[test]
    fn gradients_come_once_and_whole_but_for_what_burn_adds() {
        let device = Device::flex().autodiff();
        let net = Net::new(&device);
        let x = Tensor::<2>::random([16, 6], Distribution::Normal(0.0, 1.0), &device);
        let expected = read(&GradientsParams::from_grads(net.loss(x.clone()).backward(), &net), &net);

        let (loss, arrivals) = Arrivals::count(&net, || net.loss(x));
        let mut early: Vec<(usize, Vec<f32>)> = Vec::new();
        let mut hand_over =
            |place, gradient: TensorData| early.push((place, gradient.try_into_vec().unwrap()));
        let gradients = arrivals.watch(&mut hand_over, || loss.backward());
        let left = read(&GradientsParams::from_grads(gradients, &net), &net);

        let places: Vec<usize> = early.iter().map(|(place, _)| *place).collect();
        assert_eq!(places[..6], [4, 5, 2, 3, 0, 1], "the last layer's first");
        assert_eq!(places[6..].iter().sum::<usize>(), 8 + 9, "what waited for nothing, behind");
        for (place, expected) in expected.iter().enumerate() {
            let early = early.iter().find(|(at, _)| *at == place).map(|(_, values)| values.clone());
            let found = match (early, &left[place]) {
                (Some(early), Some(left)) => {
                    assert_eq!(place, 0, "only the first weight has a part from Burn");
                    Some(early.iter().zip(left).map(|(early, left)| early + left).collect())
                }
                (early, left) => early.or(left.clone()),
            };
            match (found, expected) {
                (Some(found), Some(expected)) => {
                    for (found, expected) in found.iter().zip(expected) {
                        assert!((found - expected).abs() < 1e-6, "{place}: {found} is not {expected}");
                    }
                }
                (found, expected) => assert_eq!(found, *expected, "{place}"),
            }
        }
        assert!(left[0].is_some() && left[1..].iter().all(Option::is_none));
    }

    #[test]
    fn elsewhere_nothing_is_watched() {
        let device = Device::flex().autodiff();
        let net = Net::new(&device);
        let x = Tensor::<2>::ones([4, 6], &device);
        let (loss, arrivals) = Arrivals::count(&net, || net.loss(x.clone()));
        let whole = GradientsParams::from_grads(loss.backward(), &net);
        assert!(read(&whole, &net)[8].is_some(), "counted, and not watched");
        // A pass that was not counted loses no gradient, even while another pass is watched.
        let other = net.loss(x);
        let mut none = |place: usize, _| panic!("{place}");
        let gradients = Arrivals::default().watch(&mut none, || other.backward());
        assert!(read(&GradientsParams::from_grads(gradients, &net), &net)[8].is_some());
        drop(arrivals);
    }
}
