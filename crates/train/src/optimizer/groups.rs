//! Groups of parameters: which of them get weight decay, and which learn at a rate of their own.

use crate::parameters::Parameter;
use burn::module::{ParamGroup, ParamId};
use burn::optim::{LearningRate, ModuleOptimizer, Optimizer};
use burn::tensor::{Device, Tensor};

/// Parameters, each with a factor on its learning rate, that one kind of optimizer is built for.
pub(crate) struct Groups<'a> {
    parameters: Vec<(&'a Parameter, f64)>,
    decay: f64,
    /// Parameters of one dimension (biases, scales of norms) get weight decay too.
    decay_all: bool,
}

impl<'a> Groups<'a> {
    /// `decay` is the optimizer's weight decay; `rates` has the factor of each parameter.
    pub(super) fn new(parameters: &'a [Parameter], rates: &[f64], decay: f64, decay_all: bool) -> Self {
        let parameters = parameters.iter().zip(rates.iter().copied()).collect();
        Groups { parameters, decay, decay_all }
    }

    /// The parameters for which `chosen` holds, and the others.
    pub(super) fn split(&self, chosen: impl Fn(&Parameter) -> bool) -> (Self, Self) {
        let (chosen, others): (Vec<_>, Vec<_>) =
            self.parameters.iter().partition(|(parameter, _)| chosen(parameter));
        let of = |parameters| Groups { parameters, decay: self.decay, decay_all: self.decay_all };
        (of(chosen), of(others))
    }

    /// An optimizer that `make` makes by its weight decay: with decay for all parameters, then without decay
    /// for those of one dimension, and at rates of their own for those that have one.
    pub(super) fn build<O: Optimizer>(&self, make: impl Fn(f64) -> O) -> ModuleOptimizer {
        let Groups { parameters, decay, decay_all } = self;
        let mut optimizer = ModuleOptimizer::from(make(*decay));
        let (decayed, plain): (Vec<_>, Vec<_>) = parameters
            .iter()
            .partition(|(parameter, _)| *decay == 0.0 || *decay_all || parameter.shape.len() >= 2);
        for (members, own) in [(decayed, *decay), (plain, 0.0)] {
            for (factor, ids) in by_rate(&members) {
                optimizer = if factor != 1.0 {
                    optimizer.with_group(ids, Scaled { inner: make(own), factor }, None)
                } else if own == *decay {
                    optimizer
                } else {
                    optimizer.with_group(ids, make(own), None)
                };
            }
        }
        optimizer
    }

    /// `optimizer` with `inner` for these parameters, each at its rate.
    pub(super) fn add_to<O: Optimizer>(&self, optimizer: ModuleOptimizer, inner: &O) -> ModuleOptimizer {
        by_rate(&self.parameters).into_iter().fold(optimizer, |optimizer, (factor, ids)| {
            optimizer.with_group(ids, Scaled { inner: inner.clone(), factor }, None)
        })
    }
}

/// The different factors, and the parameters of each.
fn by_rate(parameters: &[(&Parameter, f64)]) -> Vec<(f64, ParamGroup)> {
    let mut groups: Vec<(f64, Vec<ParamId>)> = Vec::new();
    for (parameter, factor) in parameters {
        match groups.iter_mut().find(|(known, _)| known == factor) {
            Some((_, ids)) => ids.push(parameter.id),
            None => groups.push((*factor, vec![parameter.id])),
        }
    }
    groups.into_iter().map(|(factor, ids)| (factor, ParamGroup::from_ids(ids))).collect()
}

/// An optimizer at a multiple of the learning rate.
#[derive(Clone)]
struct Scaled<O> {
    inner: O,
    factor: f64,
}

impl<O: Optimizer> Optimizer for Scaled<O> {
    type State<const D: usize> = O::State<D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        self.inner.step(lr * self.factor, tensor, grad, state)
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        O::to_device(state, device)
    }
}
