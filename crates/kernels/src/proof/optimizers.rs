//! Rows for optimizers: a parameter after each of three steps. Their twins are Burn's own optimizers.

use super::{Case, Draw, Size};
use crate::optimizer::{Adam, AdamW, Lamb, Moments, Sgd};
use burn::optim::{Optimizer, momentum::MomentumConfig};
use burn::tensor::Tensor;

const MOMENTS: Moments = Moments { beta_1: 0.9, beta_2: 0.99, epsilon: 1e-3 };

pub(super) fn cases(size: Size) -> Vec<Case> {
    let momentum = |dampening, nesterov| Some(MomentumConfig { momentum: 0.9, dampening, nesterov });
    vec![
        row(size, "sgd", Sgd::new(None, None)),
        row(size, "sgd_momentum", Sgd::new(momentum(0.1, false), Some(0.05))),
        row(size, "sgd_nesterov", Sgd::new(momentum(0.0, true), None)),
        row(size, "adam", Adam::new(MOMENTS, Some(0.1), false)),
        row(size, "adamw", AdamW::new(MOMENTS, 0.1, false)),
        row(size, "lamb", Lamb::new(MOMENTS, 0.1)),
    ]
}

fn row(size: Size, name: &'static str, optimizer: impl Optimizer + 'static) -> Case {
    let mut draw = Draw::new(size);
    let shape = [draw.first(5, 151), draw.axis(3, 233)];
    let inputs = [(); 4].map(|()| draw.fill(shape).untracked());
    Case::new(name, inputs, move |i| {
        // a step is on no graph
        let graph = i.get::<2>(0).device().is_autodiff();
        let input = |index| if graph { i.get::<2>(index).inner() } else { i.get(index) };
        let (mut parameter, mut state, mut after) = (input(0), None, Vec::new());
        for (index, rate) in [(1, 0.1), (2, 0.05), (3, 0.025)] {
            (parameter, state) = optimizer.step(rate, parameter, input(index), state);
            after.push(parameter.clone());
        }
        let after = Tensor::cat(after, 0);
        if graph { Tensor::from_inner(after) } else { after }
    })
}
