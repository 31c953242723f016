//! The normal equations of least squares, summed in one pass, and their solution (Legendre 1805, Gauss 1809).
//!
//! ```text
//! X'X w = X'y      X: [N, P] regressors of N samples      y: [N, O] values
//! ```
//!
//! The sums of pieces add up, and so do the sums of ranks: any number of samples is fitted in the memory of
//! `P * (P + O)` numbers. They are kept in f64, as the condition of X'X is the square of X's.

use crate::TrainError;
use burn::tensor::{DType, Device, Tensor, TensorData};

/// The most regressors: their sums take half a gigabyte.
const MOST: usize = 8192;

/// A column is a combination of earlier ones where its pivot is this fraction of the column's square or less:
/// products of f32 tell no finer.
const DEPENDENT: f64 = 1e-6;

/// The sums so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct NormalEquations {
    inputs: usize,
    outputs: usize,
    /// X'X `[P, P]`, X'y `[P, O]`, then y'y `[O]`.
    sums: Vec<f64>,
}

impl NormalEquations {
    /// Takes in a piece.
    ///
    /// # Shapes
    /// - regressors: `[B, P]`
    /// - values: `[B, O]`
    ///
    /// # Errors
    /// When there are too many regressors.
    pub(crate) fn add(&mut self, regressors: Tensor<2>, values: Tensor<2>) -> Result<(), TrainError> {
        let ([_, inputs], [_, outputs]) = (regressors.dims(), values.dims());
        if self.sums.is_empty() {
            let expected = format!("\"gradient\" for more than {MOST} weights of a value");
            crate::check::check("train.solver", &expected, "\"least_squares\"", inputs <= MOST)?;
            let sums = vec![0.0; inputs * (inputs + outputs) + outputs];
            *self = NormalEquations { inputs, outputs, sums };
        }
        let transposed = regressors.clone().transpose();
        let parts = [
            numbers(transposed.clone().matmul(regressors)),
            numbers(transposed.matmul(values.clone())),
            numbers((values.clone() * values).sum_dim(0)),
        ];
        self.sums.iter_mut().zip(parts.iter().flatten()).for_each(|(sum, number)| *sum += number);
        Ok(())
    }

    /// The sums, to which the sums of other ranks are added; as many zeros on a rank without samples.
    pub(crate) fn sums(&mut self, [inputs, outputs]: [usize; 2]) -> &mut [f64] {
        if self.sums.is_empty() {
            *self =
                NormalEquations { inputs, outputs, sums: vec![0.0; inputs * (inputs + outputs) + outputs] };
        }
        &mut self.sums
    }

    /// `P` and `O`; zeros before the first piece.
    pub(crate) fn sizes(&self) -> [usize; 2] {
        [self.inputs, self.outputs]
    }

    /// The weights `[P, O]` of the least mean squared error plus `ridge` times the squared weights; the first
    /// weight, of the constant, has no penalty. Also the mean squared error of `samples` that the weights
    /// leave. A column that is a combination of earlier ones gets no weight.
    pub(crate) fn solve(&self, ridge: f64, samples: u64, device: &Device) -> (Tensor<2>, f64) {
        let (p, o) = (self.inputs, self.outputs);
        let (gram, rest) = self.sums.split_at(p * p);
        let (products, squares) = rest.split_at(p * o);
        let mut matrix = gram.to_vec();
        for at in 1..p {
            matrix[at * p + at] += ridge * samples as f64;
        }
        let held = cholesky(&mut matrix, p);
        let mut weights = products.to_vec();
        substitute(&matrix, &held, &mut weights, o);
        // |y - X w|^2, by the sums.
        let mut error: f64 = squares.iter().sum();
        for (row, (ours, product)) in weights.chunks(o).zip(products.chunks(o)).enumerate() {
            for (at, (weight, product)) in ours.iter().zip(product).enumerate() {
                let column = weights.iter().skip(at).step_by(o);
                let through: f64 = gram[row * p..][..p].iter().zip(column).map(|(a, b)| a * b).sum();
                error += weight * (through - 2.0 * product);
            }
        }
        // Rounding may leave less than nothing; what is no number stays none.
        let error = if error < 0.0 { 0.0 } else { error } / (samples.max(1) as f64 * o as f64);
        let weights: Vec<f32> = weights.into_iter().map(|weight| weight as f32).collect();
        (Tensor::from_data(TensorData::new(weights, [p, o]), device), error)
    }
}

/// Replaces the lower triangle of a symmetric matrix by its Cholesky factor; false for a column that is a
/// combination of earlier ones.
fn cholesky(matrix: &mut [f64], p: usize) -> Vec<bool> {
    let mut held = vec![true; p];
    for j in 0..p {
        let (row, below) = matrix[j * p..].split_at_mut(p);
        let before = row[j];
        let pivot = before - row[..j].iter().map(|number| number * number).sum::<f64>();
        held[j] = pivot > DEPENDENT * before || pivot.is_nan();
        row[j] = if held[j] { pivot.sqrt() } else { 0.0 };
        for other in below.chunks_exact_mut(p) {
            let product: f64 = other[..j].iter().zip(&row[..j]).map(|(a, b)| a * b).sum();
            other[j] = if held[j] { (other[j] - product) / row[j] } else { 0.0 };
        }
    }
    held
}

/// Solves for `outputs` right-hand sides at once, by the Cholesky factor.
fn substitute(factor: &[f64], held: &[bool], sides: &mut [f64], outputs: usize) {
    let p = held.len();
    for output in 0..outputs {
        for i in 0..p {
            let known: f64 = (0..i).map(|j| factor[i * p + j] * sides[j * outputs + output]).sum();
            let side = &mut sides[i * outputs + output];
            *side = if held[i] { (*side - known) / factor[i * p + i] } else { 0.0 };
        }
        for i in (0..p).rev() {
            let known: f64 = (i + 1..p).map(|j| factor[j * p + i] * sides[j * outputs + output]).sum();
            let side = &mut sides[i * outputs + output];
            *side = if held[i] { (*side - known) / factor[i * p + i] } else { 0.0 };
        }
    }
}

fn numbers(tensor: Tensor<2>) -> Vec<f64> {
    tensor.into_data_dtype(DType::F64).as_slice::<f64>().expect("the type asked for").to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(rows: &[Vec<f32>]) -> Tensor<2> {
        let shape = [rows.len(), rows[0].len()];
        Tensor::from_data(TensorData::new(rows.concat(), shape), &Device::flex())
    }

    /// Rows of a constant and three columns, the third the sum of the first two.
    fn rows(count: usize) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
        let row = |at: usize| {
            let (a, b) = ((at as f32 * 0.9).sin(), (at as f32 * 2.3).sin());
            (vec![1.0, a, b, a + b], vec![2.0 * a - 3.0 * b + 0.5, a])
        };
        (0..count).map(row).unzip()
    }

    #[test]
    fn pieces_and_ranks_add_up_to_the_plane() {
        let (xs, ys) = rows(40);
        let mut first = NormalEquations::default();
        first.add(tensor(&xs[..7]), tensor(&ys[..7])).unwrap();
        first.add(tensor(&xs[7..30]), tensor(&ys[7..30])).unwrap();
        let mut other = NormalEquations::default();
        other.add(tensor(&xs[30..]), tensor(&ys[30..])).unwrap();
        let sizes = first.sizes();
        let more = other.sums(sizes).to_vec();
        first.sums(sizes).iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        assert!(NormalEquations::default().sums(sizes).iter().all(|sum| *sum == 0.0));

        let (weights, error) = first.solve(0.0, 40, &Device::flex());
        let found = weights.into_data().try_to_vec::<f32>().unwrap();
        // The last column is made up by the others, and weighs nothing.
        let expected = [0.5, 0.0, 2.0, 1.0, -3.0, 0.0, 0.0, 0.0];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{found} against {expected}");
        }
        assert!(error < 1e-6, "{error}");
    }

    #[test]
    fn the_ridge_pulls_all_but_the_constant() {
        // One column of mean 0 and mean square 1: the weight shrinks by 1 / (1 + ridge).
        let xs = vec![vec![1.0, 1.0], vec![1.0, -1.0]];
        let ys = vec![vec![7.0], vec![3.0]];
        let mut sums = NormalEquations::default();
        sums.add(tensor(&xs), tensor(&ys)).unwrap();
        let (weights, error) = sums.solve(1.0, 2, &Device::flex());
        let found = weights.into_data().try_to_vec::<f32>().unwrap();
        assert!((found[0] - 5.0).abs() < 1e-6 && (found[1] - 1.0).abs() < 1e-6, "{found:?}");
        assert!((error - 1.0).abs() < 1e-9, "what is left of 7 and 3 is 1 each: {error}");
    }
}
