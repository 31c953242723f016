//! A grid of vectors at another size, by cubic interpolation.

use burn::tensor::{DType, Device, Tensor, TensorData};

/// Keys' parameter of the cubic kernel (Keys 1981), PyTorch's choice.
const A: f64 = -0.75;

/// The grid at another size: what PyTorch's `interpolate(mode="bicubic", align_corners=False)` gives. Two
/// products with matrices of weights, so that gradients pass on every backend.
///
/// # Shapes
/// - grid: `[H, W, D]`
/// - output: `[H', W', D]` with the given `size`
pub(super) fn bicubic(grid: Tensor<3>, size: [usize; 2]) -> Tensor<3> {
    let [height, width, depth] = grid.dims();
    let device = grid.device();
    let kind = (&device, grid.dtype());
    let rows = weights(height, size[0], kind).matmul(grid.reshape([height, width * depth])); // [H', W D]
    let columns = rows.reshape([size[0], width, depth]).swap_dims(0, 1).reshape([width, size[0] * depth]);
    let resized = weights(width, size[1], kind).matmul(columns); // [W', H' D]
    resized.reshape([size[1], size[0], depth]).swap_dims(0, 1)
}

/// The share of each of `from` places in each of `to`, `[to, from]`. A place beyond an end is the place at
/// that end.
fn weights(from: usize, to: usize, kind: (&Device, DType)) -> Tensor<2> {
    let mut weights = vec![0.0; to * from];
    for (place, row) in weights.chunks_exact_mut(from).enumerate() {
        let at = (place as f64 + 0.5) * from as f64 / to as f64 - 0.5;
        for tap in -1..=2 {
            let near = at.floor() + f64::from(tap);
            row[near.clamp(0.0, from as f64 - 1.0) as usize] += cubic(at - near);
        }
    }
    Tensor::from_data(TensorData::new(weights, [to, from]).convert::<f32>(), kind)
}

/// The cubic kernel at a distance.
fn cubic(distance: f64) -> f64 {
    let x = distance.abs();
    if x <= 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((x - 5.0) * x + 8.0) * x * A - 4.0 * A
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    #[test]
    fn the_same_size_changes_nothing() {
        let grid =
            Tensor::<1>::from_data([3.0, -1.0, 4.0, 1.5, -5.0, 9.0], &Device::flex()).reshape([3, 2, 1]);
        let same = bicubic(grid.clone(), [3, 2]);
        same.into_data().assert_approx_eq::<f32>(&grid.into_data(), Tolerance::absolute(1e-6));
    }

    #[test]
    fn a_flat_grid_stays_flat() {
        let flat = Tensor::<3>::ones([2, 3, 2], &Device::flex());
        let larger = bicubic(flat, [7, 4]);
        assert_eq!(larger.dims(), [7, 4, 2]);
        let ones = Tensor::<3>::ones([7, 4, 2], &Device::flex());
        larger.into_data().assert_approx_eq::<f32>(&ones.into_data(), Tolerance::absolute(1e-6));
    }

    #[test]
    fn gives_what_pytorch_gives() {
        // interpolate(arange(6.).square().reshape(1, 1, 2, 3), size=(3, 2), mode="bicubic",
        // align_corners=False)
        let grid =
            Tensor::<1>::from_data([0.0, 1.0, 4.0, 9.0, 16.0, 25.0], &Device::flex()).reshape([2, 3, 1]);
        let expected: [f32; 6] = [-0.759847, 1.632243, 5.195312, 13.28125, 11.15047, 24.93026];
        let expected = Tensor::<1>::from_data(expected, &Device::flex()).reshape([3, 2, 1]);
        let found = bicubic(grid, [3, 2]);
        found.into_data().assert_approx_eq::<f32>(&expected.into_data(), Tolerance::absolute(1e-5));
    }
}
