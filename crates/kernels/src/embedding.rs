//! Embeddings: rows of a table, looked up by token.
//!
//! Axes: `V` rows, `D` columns, `B` texts, `T` tokens.

use crate::flex::{self, Floats, Keep, Saved};
use crate::indices::Indices;
use crate::memory::for_overwriting;
use crate::simd::{Kernel, Simd, run};
use crate::threads::{self, Shared};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Int, Tensor};

/// The table's row for each token, as by `burn::nn::Embedding`.
///
/// # Shapes
/// - table: `[V, D]`
/// - tokens: `[B, T]`
/// - output: `[B, T, D]`
///
/// # Panics
/// When a token is not below `V`.
pub fn embedding(table: Tensor<2>, tokens: Tensor<2, Int>) -> Tensor<3> {
    if !flex::runs_on(&table) {
        return plain(table, tokens);
    }
    Tensor::from_dispatch(Dispatch::embedding_of(table.into_dispatch(), tokens.into_dispatch()))
}

/// The twin, made of Burn's own ops.
pub(crate) fn plain(table: Tensor<2>, tokens: Tensor<2, Int>) -> Tensor<3> {
    burn::tensor::module::embedding(table, tokens)
}

/// The op as an extension of Burn's CPU backend.
#[backend_extension(Autodiff, Flex)]
pub trait EmbeddingOps: Backend {
    /// See [`embedding`].
    fn embedding_of(table: FloatTensor<Self>, tokens: IntTensor<Self>) -> FloatTensor<Self>;
}

impl EmbeddingOps for Flex {
    fn embedding_of(table: FlexTensor, tokens: FlexTensor) -> FlexTensor {
        forward(table, tokens, Keep::Nothing).0
    }
}

impl<C: CheckpointStrategy> EmbeddingOps for Autodiff<Flex, C> {
    fn embedding_of(table: FloatTensor<Self>, tokens: IntTensor<Self>) -> FloatTensor<Self> {
        flex::track::<C, _, 1>([table], |[table], keep| forward(table, tokens, keep))
    }
}

#[derive(Clone, Debug)]
struct Embedding {
    tokens: Indices,
    table: [usize; 2],
}

fn forward(table: FlexTensor, tokens: FlexTensor, keep: Keep) -> (FlexTensor, Option<Embedding>) {
    let mut shape = flex::dims(&tokens);
    let table = Floats::new(table);
    let [rows, columns] = [table.dims()[0], table.dims()[1]];
    let tokens = Indices::new(&tokens, rows, "token");
    shape.push(columns);
    let mut output = for_overwriting(tokens.len() * columns);
    let (table, shared): (&[f32], _) = (&table, Shared::new(&mut output));
    threads::ranges(tokens.len(), (1 << 14) / columns.max(1) + 1, |range| {
        // SAFETY: the ranges do not overlap.
        let to = unsafe { shared.part(range.start * columns..range.end * columns) };
        for (to, token) in to.chunks_exact_mut(columns.max(1)).zip(&tokens[range]) {
            to.copy_from_slice(&table[token * columns..(token + 1) * columns]);
        }
    });
    let saved = (keep == Keep::ForBackward).then_some(Embedding { tokens, table: [rows, columns] });
    (flex::tensor(output, &shape), saved)
}

impl Saved<1> for Embedding {
    fn backward(self, gradient: FlexTensor, wanted: [bool; 1]) -> [Option<FlexTensor>; 1] {
        if !wanted[0] {
            return [None];
        }
        let gradient = Floats::new(gradient);
        let [rows, columns] = self.table;
        let mut to = for_overwriting(rows * columns);
        let shared = Shared::new(&mut to);
        threads::ranges(rows * columns, 1 << 16, |range| {
            // SAFETY: the ranges do not overlap.
            unsafe { shared.part(range) }.fill(0.0);
        });
        // A thread sums columns of its own, in whole cache lines. So each sum is in the order of the tokens
        // on any number of threads.
        let parts = threads::parts(columns, 16).min(threads::parts(gradient.len(), 1 << 14));
        threads::parallel(parts, |part| {
            let columns_here = threads::range(columns, parts, part, 16);
            let sums =
                Sums { tokens: &self.tokens, gradient: &gradient, to: shared, columns, here: columns_here };
            run(sums);
        });
        [Some(flex::tensor(to, &[rows, columns]))]
    }
}

/// Adds some columns of each token's gradient to the token's row.
struct Sums<'a> {
    tokens: &'a [usize],
    gradient: &'a [f32],
    to: Shared<'a, f32>,
    columns: usize,
    here: std::ops::Range<usize>,
}

impl Kernel for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (index, token) in self.tokens.iter().enumerate() {
            let (from, to) = (index * self.columns, token * self.columns);
            let from = &self.gradient[from + self.here.start..from + self.here.end];
            // SAFETY: no other thread has these columns.
            let to = unsafe { self.to.part(to + self.here.start..to + self.here.end) };
            for (to, from) in to.chunks_mut(S::LANES).zip(from.chunks(S::LANES)) {
                let sum = s.add(s.load_first(to), s.load_first(from));
                s.store_first(to, sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Inputs, check, random};
    use burn::tensor::{Device, TensorData};
    use proptest::prelude::*;

    fn tokens(texts: usize, length: usize, rows: usize, device: &Device) -> Tensor<2, Int> {
        let numbers: Vec<i64> = (0..texts * length).map(|i| (i * i + i / 2) as i64 % rows as i64).collect();
        Tensor::from_data(TensorData::new(numbers, [texts, length]), device)
    }

    fn agree(rows: usize, columns: usize, texts: usize, length: usize) {
        let of = |op: fn(Tensor<2>, Tensor<2, Int>) -> Tensor<3>| {
            move |i: &Inputs| {
                let table = i.get::<2>(0);
                let tokens = tokens(texts, length, rows, &table.device());
                op(table, tokens)
            }
        };
        let name = format!("{rows} x {columns}, {texts} x {length} tokens");
        check(&name, &[random(&[rows, columns], 1)], of(embedding), of(plain));
    }

    #[test]
    fn agrees_with_its_twin() {
        for (rows, columns, texts, length) in
            [(1, 1, 1, 1), (7, 5, 2, 3), (50, 16, 3, 40), (20, 100, 1, 9), (300, 260, 8, 50), (3, 4, 0, 5)]
        {
            agree(rows, columns, texts, length);
        }
    }

    #[test]
    fn transposed_tables_and_tokens() {
        let of = |op: fn(Tensor<2>, Tensor<2, Int>) -> Tensor<3>| {
            move |i: &Inputs| {
                let table = i.get::<2>(0).transpose();
                let tokens = tokens(4, 6, 9, &table.device()).transpose();
                op(table, tokens)
            }
        };
        check("transposed", &[random(&[12, 9], 1)], of(embedding), of(plain));
    }

    #[test]
    #[should_panic(expected = "token 9 at 1: expected below 9")]
    fn a_token_beyond_the_last_is_refused() {
        let device = Device::flex();
        embedding(Tensor::zeros([9, 2], &device), Tensor::from_data([[0, 9]], &device));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn agrees_at_any_size(rows in 1usize..40, columns in 1usize..70, texts in 1usize..4, length in 1usize..30) {
            agree(rows, columns, texts, length);
        }
    }
}
