//! The twin of a recurrent layer: a sequence step by step, by Burn's own ops.

use crate::precision::like;
use burn::tensor::Tensor;

/// Applies `step` to each input in turn. Returns the first tensor of each state in the order of time,
/// `[T, B, D]`.
///
/// `step` maps an input and the state before it to the next state. A state has `N` tensors, which start as
/// zeros. If the sequence is read backwards, they are multiplied by the mask after each step.
pub(super) fn walk<const N: usize>(
    x: Tensor<3>,
    units: usize,
    mask: Option<Tensor<2>>,
    backwards: bool,
    step: impl Fn(Tensor<2>, [Tensor<2>; N]) -> [Tensor<2>; N],
) -> Tensor<3> {
    let [steps, batch, _] = x.dims();
    if steps == 0 {
        return Tensor::zeros([0, batch, units], (&x.device(), x.dtype()));
    }
    let mask = mask.filter(|_| backwards);
    let mask = mask.map(|mask| unbind(like(mask.detach(), &x).unsqueeze_dim(2))); // T of [B, 1]
    let zeros = Tensor::<2>::zeros([batch, units], (&x.device(), x.dtype()));
    let mut state = [(); N].map(|()| zeros.clone());
    let mut states = Vec::with_capacity(steps);
    let mut inputs: Vec<_> = unbind(x).into_iter().enumerate().collect(); // T of [B, I]
    if backwards {
        inputs.reverse();
    }
    for (time, input) in inputs {
        state = step(input, state); // [B, D]
        if let Some(mask) = &mask {
            state = state.map(|part| part * mask[time].clone());
        }
        states.push(state[0].clone());
    }
    if backwards {
        states.reverse();
    }
    Tensor::stack(states, 0) // [T, B, D]
}

/// The slices along the first axis, `[T, B, D]` to `T` of `[B, D]`.
///
/// Halves are cut again and again. The gradient of a slice is as large as the tensor it was cut from. So
/// cutting `T` slices from the whole would move `T` times its memory in the backward pass; this moves it
/// about `2 log2(T)` times.
fn unbind(sequence: Tensor<3>) -> Vec<Tensor<2>> {
    let [steps, _, _] = sequence.dims();
    if steps == 1 {
        return vec![sequence.squeeze_dim(0)];
    }
    let half = steps / 2;
    let mut slices = unbind(sequence.clone().narrow(0, 0, half));
    slices.extend(unbind(sequence.narrow(0, half, steps - half)));
    slices
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn unbinding_keeps_the_order() {
        let device = Device::flex();
        for steps in [1, 2, 3, 7, 8] {
            let rows: Vec<f32> = (0..steps * 2).map(|value| value as f32).collect();
            let sequence = Tensor::<1>::from_data(rows.as_slice(), &device).reshape([steps, 1, 2]);
            let slices = unbind(sequence.clone());
            assert_eq!(slices.len(), steps);
            Tensor::stack::<3>(slices, 0).into_data().assert_eq(&sequence.into_data(), true);
        }
    }

    #[test]
    fn a_backward_walk_sums_what_follows_and_skips_padding() {
        let device = Device::flex();
        let x = Tensor::<3>::from_data([[[1.0], [1.0]], [[2.0], [9.0]], [[4.0], [9.0]]], &device);
        let mask = Tensor::<2>::from_data([[1.0, 1.0], [1.0, 0.0], [1.0, 0.0]], &device);
        let sum = |input: Tensor<2>, [state]: [Tensor<2>; 1]| [state + input];
        let of = |backwards| -> Vec<f32> {
            walk(x.clone(), 1, Some(mask.clone()), backwards, sum).into_data().iter().collect()
        };
        assert_eq!(of(false), [1.0, 1.0, 3.0, 10.0, 7.0, 19.0]);
        assert_eq!(of(true), [7.0, 1.0, 6.0, 0.0, 4.0, 0.0]);
    }
}
