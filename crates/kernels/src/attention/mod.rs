//! Attention that never holds all weights. It makes them a tile of queries at a time, and again for the
//! backward pass (FlashAttention, Dao et al. 2022). A tile's scores with some 1,500 keys are held in the
//! cache at a time. If there are more keys, the sums over earlier keys are rescaled.
//!
//! Axes: `B` batch, `Tq` queries, `Tk` keys, `T` both, `A` heads, `D` width. The heads divide the width, side
//! by side.

mod backward;
mod dropout;
mod forward;
mod tile;
mod visible;

use crate::Draws;
use crate::count;
use crate::flex::{self, Floats, Keep, Saved};
use crate::memory::for_overwriting;
use crate::precision::{like, widened};
use crate::threads::Shared;
use backward::Target;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Distribution, Tensor};
use dropout::Dropout;
use forward::{Problem, Rows};
use tile::View;
use visible::{HIDDEN, Visible};

/// Options of attention. The defaults are plain attention.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AttentionOptions {
    /// True if a query sees no later key. If there are more keys than queries, the queries belong to the last
    /// keys.
    pub causal: bool,
    /// The share of weights that are dropped, in `[0, 1)`. The other weights grow to make up for it. It is
    /// for training: the caller sets it to 0 otherwise. The mask follows from a seed that is drawn from the
    /// device's generator or given by [`Draws`].
    pub dropout: f64,
}

/// `softmax(Q K^T / sqrt(D / A)) V` for each head. Queries, keys and values lie side by side in one tensor.
///
/// If no key of a batch item carries text, all of them count as if they did. The same holds for a query whose
/// causal keys are all hidden. Numbers must be finite: a key that is not also spoils queries that do not see
/// it.
///
/// # Shapes
/// - qkv: `[B, T, 3 D]`, queries, keys and values
/// - mask: `[B, T]`, 1 for keys with text and 0 for others
/// - output: `[B, T, D]`
///
/// # Panics
/// When the shapes do not fit each other, `heads` does not divide `D`, or the dropout is not in `[0, 1)`.
pub fn attention(
    qkv: Tensor<3>,
    heads: usize,
    options: AttentionOptions,
    mask: Option<Tensor<2>>,
) -> Tensor<3> {
    let [batch, tokens, width] = qkv.dims();
    assert!(width.is_multiple_of(3), "a third of a width of {width} was expected for queries");
    check([batch, tokens, tokens, width / 3], heads, options, &mask);
    count::add(&[2, batch, tokens, tokens, width / 3]);
    if !flex::runs_on(&qkv) || width / 3 / heads > tile::WIDEST {
        let part = |index: usize| qkv.clone().narrow(2, index * width / 3, width / 3);
        return plain([part(0), part(1), part(2)], heads, options, mask, None);
    }
    let settings = Settings::new(&qkv, heads, options);
    let mask = flex::or_empty(mask, &qkv);
    Tensor::from_dispatch(Dispatch::packed_attention(qkv.into_dispatch(), mask, settings))
}

/// [`attention`] of separate tensors. Queries may come from elsewhere than keys and values.
///
/// # Shapes
/// - query: `[B, Tq, D]`
/// - key, value: `[B, Tk, D]`
/// - mask: `[B, Tk]`, 1 for keys with text and 0 for others
/// - output: `[B, Tq, D]`
///
/// # Panics
/// When the shapes do not fit each other, `heads` does not divide `D`, the dropout is not in `[0, 1)`, there
/// is no key, or causal attention has more queries than keys.
pub fn cross_attention(
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    heads: usize,
    options: AttentionOptions,
    mask: Option<Tensor<2>>,
) -> Tensor<3> {
    let ([batch, queries, width], [_, keys, _]) = (query.dims(), key.dims());
    assert_eq!(key.dims(), [batch, keys, width], "keys for queries of {:?}", query.dims());
    assert_eq!(value.dims(), key.dims(), "values for keys of {:?}", key.dims());
    check([batch, queries, keys, width], heads, options, &mask);
    count::add(&[2, batch, queries, keys, width]);
    if !flex::runs_on(&query) || width / heads > tile::WIDEST {
        return plain([query, key, value], heads, options, mask, None);
    }
    let settings = Settings::new(&query, heads, options);
    let mask = flex::or_empty(mask, &query);
    Tensor::from_dispatch(Dispatch::separate_attention(
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
        mask,
        settings,
    ))
}

fn check(
    [batch, queries, keys, width]: [usize; 4],
    heads: usize,
    options: AttentionOptions,
    mask: &Option<Tensor<2>>,
) {
    assert!(heads > 0 && width.is_multiple_of(heads), "heads that divide a width of {width}, found {heads}");
    assert!((0.0..1.0).contains(&options.dropout), "a dropout in [0, 1), found {}", options.dropout);
    assert!(keys > 0 || queries == 0 || batch == 0, "a key to look at");
    assert!(!options.causal || queries <= keys, "at most {keys} causal queries, found {queries}");
    if let Some(mask) = mask {
        assert_eq!(mask.dims(), [batch, keys], "the mask of {keys} keys");
    }
}

/// The twin, made of Burn's own ops. `kept` are dropout's factors, `[B, A, Tq, Tk]`; without them they are
/// drawn.
fn plain(
    parts: [Tensor<3>; 3],
    heads: usize,
    options: AttentionOptions,
    mask: Option<Tensor<2>>,
    kept: Option<Tensor<4>>,
) -> Tensor<3> {
    let [batch, queries, width] = parts[0].dims();
    let keys = parts[1].dims()[1];
    let head_width = width / heads;
    let [query, key, value] = parts.map(|part| {
        let tokens = part.dims()[1];
        part.reshape([batch, tokens, heads, head_width]).swap_dims(1, 2) // [B, A, T, D / A]
    });
    let query = query * (1.0 / (head_width as f64).sqrt());
    let device = query.device();
    let mut scores = widened(query.matmul(key.swap_dims(2, 3))); // [B, A, Tq, Tk]
    if let Some(mask) = mask {
        let mask = like(mask, &scores);
        scores = scores + ((mask - 1.0) * -HIDDEN).unsqueeze_dims::<4>(&[1, 2]);
    }
    if options.causal {
        let later = Tensor::<2, Bool>::tril_mask([queries, keys], (keys - queries) as i64, &device);
        scores =
            scores.mask_fill(later.unsqueeze::<4>().expand([batch, heads, queries, keys]), f64::NEG_INFINITY);
    }
    let mut weights = softmax(scores, 3);
    if options.dropout > 0.0 {
        let kept = kept.unwrap_or_else(|| {
            let stays = 1.0 - options.dropout;
            weights.random_like(Distribution::Bernoulli(stays)) * (1.0 / stays)
        });
        weights = weights * kept;
    }
    like(weights, &value).matmul(value).swap_dims(1, 2).reshape([batch, queries, width])
}

/// The op's arguments that are not tensors.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    heads: usize,
    causal: bool,
    dropout: Option<Dropout>,
}

impl Settings {
    fn new(like: &Tensor<3>, heads: usize, options: AttentionOptions) -> Self {
        let dropout = (options.dropout > 0.0).then(|| {
            let drawn = || {
                let uniform = Distribution::Uniform(0.0, 1.0);
                let drawn = Tensor::<1>::random([2], uniform, &like.device().inner()).into_data();
                drawn
                    .iter::<f32>()
                    .fold(0, |seed, number| (seed << 24) ^ (f64::from(number) * 2f64.powi(24)) as u64)
            };
            Dropout::new(options.dropout, Draws::next_seed().unwrap_or_else(drawn))
        });
        Settings { heads, causal: options.causal, dropout }
    }
}

/// The ops as extensions of Burn's CPU backend.
#[backend_extension(Autodiff, Flex)]
pub trait AttentionOps: Backend {
    /// See [`attention`]; an empty mask stands for none.
    fn packed_attention(
        qkv: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self>;

    /// See [`cross_attention`]; an empty mask stands for none.
    fn separate_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self>;
}

impl AttentionOps for Flex {
    fn packed_attention(qkv: FlexTensor, mask: FlexTensor, settings: Settings) -> FlexTensor {
        Attention::<1>::forward([qkv], mask, settings).0
    }

    fn separate_attention(
        query: FlexTensor,
        key: FlexTensor,
        value: FlexTensor,
        mask: FlexTensor,
        settings: Settings,
    ) -> FlexTensor {
        Attention::<3>::forward([query, key, value], mask, settings).0
    }
}

impl<C: CheckpointStrategy> AttentionOps for Autodiff<Flex, C> {
    fn packed_attention(
        qkv: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        flex::track::<C, _, 2>([qkv, mask], |[qkv, mask], keep| {
            let (output, saved) = Attention::<1>::forward([qkv], mask, settings);
            (output, (keep == Keep::ForBackward).then_some(saved))
        })
    }

    fn separate_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        flex::track::<C, _, 4>([query, key, value, mask], |[query, key, value, mask], keep| {
            let (output, saved) = Attention::<3>::forward([query, key, value], mask, settings);
            (output, (keep == Keep::ForBackward).then_some(saved))
        })
    }
}

/// The state that the backward pass needs. `N` is 1 if queries, keys and values are one tensor, and 3 if they
/// are separate.
#[derive(Clone, Debug)]
struct Attention<const N: usize> {
    inputs: [FlexTensor; N],
    output: FlexTensor,
    rows: Rows,
    visible: Visible,
    settings: Settings,
}

/// The tensor without a copy if the numbers of its rows lie side by side, else copied.
fn readable(tensor: FlexTensor) -> FlexTensor {
    let layout = tensor.layout();
    if layout.has_positive_strides() && layout.strides()[2] == 1 { tensor } else { tensor.to_contiguous() }
}

impl<const N: usize> Attention<N> {
    fn forward(inputs: [FlexTensor; N], mask: FlexTensor, settings: Settings) -> (FlexTensor, Self) {
        let inputs = inputs.map(readable);
        let mask = flex::unless_empty(mask);
        let (queries, keys) = (inputs[0].layout().shape()[1], inputs[N - 1].layout().shape()[1]);
        let causal = settings.causal.then(|| keys - queries);
        let visible = Visible::new(causal, mask.as_deref(), keys);
        let problem = problem(&inputs, &visible, settings);
        let shape = [problem.batch, problem.queries, problem.heads * problem.width];
        let (output, rows) = forward::forward(problem);
        let output = flex::tensor(output, &shape);
        (output.clone(), Attention { inputs, output, rows, visible, settings })
    }

    fn gradients(self, gradient: FlexTensor, wanted: [bool; N]) -> [Option<FlexTensor>; N] {
        let gradient = Floats::new(gradient);
        let problem = problem(&self.inputs, &self.visible, self.settings);
        let dims = self.inputs.each_ref().map(flex::dims);
        let mut buffers: [_; N] = std::array::from_fn(|index| {
            for_overwriting(if wanted[index] { dims[index].iter().product() } else { 0 })
        });
        let mut targets = [None; 3];
        for (index, buffer) in buffers.iter_mut().enumerate().filter(|(index, _)| wanted[*index]) {
            let (tokens, row) = (dims[index][1], dims[index][2]);
            let to = Shared::new(buffer);
            let target = |start| Some(Target { to, start, batch: tokens * row, row });
            if N == 1 {
                targets = [target(0), target(row / 3), target(2 * (row / 3))];
            } else {
                targets[index] = target(0);
            }
        }
        let output = self.output.as_slice().expect("contiguous f32");
        if !gradient.is_empty() {
            backward::backward(problem, &self.rows, output, &gradient, targets);
        } else {
            buffers.iter_mut().for_each(|buffer| buffer.fill(0.0));
        }
        let mut buffers = buffers.into_iter();
        std::array::from_fn(|index| {
            let buffer = buffers.next().expect("one an input");
            wanted[index].then(|| flex::tensor(buffer, &dims[index]))
        })
    }
}

fn problem<'a, const N: usize>(
    inputs: &'a [FlexTensor; N],
    visible: &'a Visible,
    settings: Settings,
) -> Problem<'a> {
    let width = inputs[0].layout().shape()[2] / if N == 1 { 3 } else { 1 };
    let view = |part: usize| {
        let tensor = &inputs[part.min(N - 1)];
        let layout = tensor.layout();
        let stride =
            |axis: usize| usize::try_from(layout.strides()[axis]).expect("strides that are not negative");
        let (shape, batch, row) = (layout.shape(), stride(0), stride(1));
        let start = layout.start_offset() + if N == 1 { part * width } else { 0 };
        let data = tensor.storage::<f32>();
        let end = match shape.num_elements() {
            0 => 0,
            _ => start + (shape[0] - 1) * batch + (shape[1] - 1) * row + width,
        };
        assert!(end <= data.len(), "a view of {end} places in {} numbers", data.len());
        View { data: &data[start.min(end)..end], batch, row }
    };
    Problem {
        batch: inputs[0].layout().shape()[0],
        heads: settings.heads,
        queries: inputs[0].layout().shape()[1],
        keys: inputs[N - 1].layout().shape()[1],
        width: width / settings.heads,
        query: view(0),
        key: view(1),
        value: view(2),
        visible,
        dropout: settings.dropout,
    }
}

impl Saved<2> for Attention<1> {
    fn backward(self, gradient: FlexTensor, [wanted, _]: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let [of_qkv] = self.gradients(gradient, [wanted]);
        [of_qkv, None]
    }
}

impl Saved<4> for Attention<3> {
    fn backward(self, gradient: FlexTensor, [query, key, value, _]: [bool; 4]) -> [Option<FlexTensor>; 4] {
        let [query, key, value] = self.gradients(gradient, [query, key, value]);
        [query, key, value, None]
    }
}

#[cfg(test)]
pub(crate) mod tests;
