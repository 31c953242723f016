//! The sum that linear, logistic and softmax regression share. `B` rows, `N` numeric columns, `M` categorical
//! columns, `O` outputs.

use bonfire_contract::Table;
use bonfire_kernels::{Activation, linear};
use burn::module::{Module, Param};
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, assert_shape};

/// `numeric * weight + bias + category weights`, all of them starting at zero: the losses on top are convex,
/// so that no symmetry needs breaking, and a category that is never seen keeps a weight of exactly zero.
#[derive(Module, Debug)]
pub(super) struct Affine {
    /// `[N, O]`; none where no column is numeric.
    pub(super) weight: Option<Param<Tensor<2>>>,
    /// `[sum of the category sizes, O]`, the columns' categories one after the other: the weights that
    /// one-hot columns would have, without the zeros. None where no column is categorical.
    pub(super) category_weight: Option<Param<Tensor<2>>>,
    /// `[O]`
    pub(super) bias: Param<Tensor<1>>,
    /// The first row of each categorical column in `category_weight`.
    #[module(skip)]
    starts: Vec<usize>,
}

impl Affine {
    pub(super) fn new(num_numeric: usize, category_sizes: &[usize], outputs: usize, device: &Device) -> Self {
        let zeros =
            |rows: usize| (rows > 0).then(|| Param::from_tensor(Tensor::<2>::zeros([rows, outputs], device)));
        Affine {
            weight: zeros(num_numeric),
            category_weight: zeros(category_sizes.iter().sum()),
            bias: Param::from_tensor(Tensor::zeros([outputs], device)),
            starts: starts(category_sizes),
        }
    }

    /// # Shapes
    /// - input: numeric `[B, N]`, categories `[B, M]`
    /// - output: `[B, O]`
    pub(super) fn forward(&self, input: Table) -> Tensor<2> {
        let [batch, _] = input.numeric.dims();
        let columns = self.starts.len();
        assert_shape!(input.categories, [batch, columns]);
        let bias = self.bias.val();
        let mut output = match &self.weight {
            Some(weight) => linear(input.numeric, weight.val(), Some(bias), Activation::Identity), // [B, O]
            None => bias.unsqueeze::<2>().expand([batch as i64, -1]),                              // [B, O]
        };
        if let Some(weight) = &self.category_weight {
            let [_, outputs] = weight.dims();
            let chosen = weight.val().select(0, rows_of(input.categories, &self.starts)); // [B * M, O]
            let sums = chosen.reshape([batch, columns, outputs]).sum_dim(1); // [B, 1, O]
            output = output + sums.squeeze_dim(1);
        }
        output
    }

    /// The numbers that the weights are multiplied by: 1, the numeric columns, and a one-hot column for each
    /// category.
    ///
    /// # Shapes
    /// - input: numeric `[B, N]`, categories `[B, M]`
    /// - output: `[B, 1 + N + sum of the category sizes]`
    pub(super) fn regressors(&self, input: Table) -> Tensor<2> {
        let ([batch, _], device) = (input.numeric.dims(), input.numeric.device());
        let mut parts = vec![Tensor::ones([batch, 1], &device), input.numeric];
        if let Some(weight) = &self.category_weight {
            let ([width, _], columns) = (weight.dims(), self.starts.len());
            let rows = rows_of(input.categories, &self.starts).reshape([batch, columns]); // [B, M]
            let ones = Tensor::ones([batch, columns], &device);
            // Each column's category is another place of the row.
            parts.push(Tensor::zeros([batch, width], &device).scatter(1, rows, ones, IndexingUpdateOp::Add));
        }
        Tensor::cat(parts, 1)
    }

    /// The sum with other weights of its regressors, `[P, O]`.
    pub(super) fn with_weights(self, weights: Tensor<2>) -> Self {
        let mut next = 0;
        let mut rows = |count: usize| {
            next += count;
            weights.clone().narrow(0, next - count, count)
        };
        let bias = rows(1).squeeze_dim(0);
        let mut put = |param: Option<Param<Tensor<2>>>| {
            param.map(|param| {
                let value = rows(param.dims()[0]);
                param.map(|_| value)
            })
        };
        let (weight, category_weight) = (put(self.weight), put(self.category_weight));
        Affine { weight, category_weight, bias: self.bias.map(|_| bias), starts: self.starts }
    }
}

/// The first row of each column's categories, when all columns' are laid one after the other.
pub(super) fn starts(category_sizes: &[usize]) -> Vec<usize> {
    let end = |next: &mut usize, size: &usize| {
        let start = *next;
        *next += size;
        Some(start)
    };
    category_sizes.iter().scan(0, end).collect()
}

/// The rows of the joint table that `categories`, `[B, M]`, point at: `[B * M]`.
pub(super) fn rows_of(categories: Tensor<2, Int>, starts: &[usize]) -> Tensor<1, Int> {
    let [batch, columns] = categories.dims();
    let starts: Vec<i64> = starts.iter().map(|start| *start as i64).collect();
    let starts = Tensor::<1, Int>::from_data(starts.as_slice(), &categories.device()); // [M]
    let rows = categories + starts.unsqueeze(); // [B, M]
    rows.reshape([batch * columns])
}
