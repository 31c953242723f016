//! Rows for sequences: attention and recurrent layers.

use super::{Case, Draw, Size};
use crate::attention::tests::dropping;
use crate::recurrent::tests::cut;
use crate::testing::Sample;
use crate::{AttentionOptions, GruWeights, Squash, attention, cross_attention, gru, lstm, rnn};
use burn::tensor::Tensor;

pub(super) fn cases(size: Size) -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, causal, masked) in [
        ("attention", false, false),
        ("attention_causal", true, false),
        ("attention_masked", false, true),
        ("attention_causal_masked", true, true),
    ] {
        cases.push(packed(size, name, causal, masked));
    }
    for (name, causal, masked) in [
        ("cross_attention", false, false),
        ("cross_attention_causal", true, false),
        ("cross_attention_masked", false, true),
    ] {
        cases.push(apart(size, name, causal, masked));
    }
    cases.push(dropped(size));
    for (name, backwards) in [("lstm", false), ("lstm_backwards", true)] {
        cases.push(long_short_term(size, name, backwards));
    }
    for (name, backwards) in [("gru", false), ("gru_backwards", true)] {
        cases.push(gated(size, name, backwards));
    }
    for (name, squash, backwards) in [
        ("rnn_tanh", Squash::Tanh, false),
        ("rnn_tanh_backwards", Squash::Tanh, true),
        ("rnn_relu", Squash::Relu, false),
    ] {
        cases.push(plain(size, name, squash, backwards));
    }
    cases
}

/// A case of attention. Beyond scores of 10,000, the twin sees keys that a mask hides, because it hides them
/// by that much.
fn of_softmax(case: Case, masked: bool) -> Case {
    Case { cancels: true, largest_factor: if masked { 1e2 } else { f32::MAX }, ..case }
}

fn packed(size: Size, name: &'static str, causal: bool, masked: bool) -> Case {
    let mut draw = Draw::new(size);
    let [batch, tokens] = [draw.first(2, 3), draw.axis(4, 67)];
    let [heads, width] = [draw.axis(2, 3), draw.axis(3, 21)];
    let inputs = [draw.fill([batch, tokens, 3 * heads * width]).map(|x| 3.0 * x), draw.mask(batch, tokens)];
    let options = AttentionOptions { causal, dropout: 0.0 };
    of_softmax(
        Case::new(name, inputs, move |i| attention(i.get(0), heads, options, masked.then(|| i.get(1)))),
        masked,
    )
}

/// Queries, keys, values and a mask, and the number of heads.
fn separate(size: Size) -> ([Sample; 4], usize) {
    let mut draw = Draw::new(size);
    let [batch, queries, more] = [draw.first(2, 3), draw.axis(3, 29), draw.axis(2, 43)];
    let [heads, width] = [draw.axis(2, 3), draw.axis(3, 21)];
    let (keys, wide) = (queries + more, heads * width);
    let inputs = [
        draw.fill([batch, queries, wide]).map(|x| 3.0 * x),
        draw.fill([batch, keys, wide]).map(|x| 3.0 * x),
        draw.fill([batch, keys, wide]),
        draw.mask(batch, keys),
    ];
    (inputs, heads)
}

fn apart(size: Size, name: &'static str, causal: bool, masked: bool) -> Case {
    let (inputs, heads) = separate(size);
    let options = AttentionOptions { causal, dropout: 0.0 };
    let case = Case::new(name, inputs, move |i| {
        cross_attention(i.get(0), i.get(1), i.get(2), heads, options, masked.then(|| i.get(3)))
    });
    of_softmax(case.affine_in(&[2]), masked)
}

fn dropped(size: Size) -> Case {
    let (inputs, heads) = separate(size);
    let case = Case::new("cross_attention_dropping", inputs, move |i| {
        dropping([i.get(0), i.get(1), i.get(2)], heads, false)
    });
    of_softmax(case.affine_in(&[2]), false)
}

/// The numbers of steps, rows of the batch, inputs and units.
fn axes(draw: &mut Draw) -> [usize; 4] {
    [draw.first(3, 7), draw.axis(2, 35), draw.axis(2, 19), draw.axis(3, 37)]
}

/// A mask `[steps, batch]`: 1 for text, 0 for padding. Texts end one step after the other.
fn mask(draw: &Draw, steps: usize, batch: usize) -> Sample {
    let mut mask = draw.mask(batch, steps);
    let by_text = mask.values.clone();
    for (place, value) in mask.values.iter_mut().enumerate() {
        *value = by_text[place % batch * steps + place / batch];
    }
    mask.shape = vec![steps, batch];
    mask
}

fn long_short_term(size: Size, name: &'static str, backwards: bool) -> Case {
    let mut draw = Draw::new(size);
    let [steps, batch, inputs, units] = axes(&mut draw);
    let inputs = [
        draw.fill([steps, batch, inputs]),
        draw.fill([inputs + units, 4 * units]),
        draw.fill([4 * units]),
        mask(&draw, steps, batch),
    ];
    Case::new(name, inputs, move |i| lstm(i.get(0), cut(i.get(1)), i.get(2), Some(i.get(3)), backwards))
}

fn gated(size: Size, name: &'static str, backwards: bool) -> Case {
    let mut draw = Draw::new(size);
    let [steps, batch, inputs, units] = axes(&mut draw);
    let inputs = [
        draw.fill([steps, batch, inputs]),
        draw.fill([inputs, 3 * units]),
        draw.fill([units, 3 * units]),
        draw.fill([3 * units]),
        draw.fill([units]),
        mask(&draw, steps, batch),
    ];
    Case::new(name, inputs, move |i| {
        let gates = cut(Tensor::cat(vec![i.get(1), i.get(2)], 0)); // of [I + D, 3 D]
        let weights = GruWeights { gates, bias: i.get(3), candidate_bias: i.get(4) };
        gru(i.get(0), weights, Some(i.get(5)), backwards)
    })
}

fn plain(size: Size, name: &'static str, squash: Squash, backwards: bool) -> Case {
    let mut draw = Draw::new(size);
    let [steps, batch, inputs, units] = axes(&mut draw);
    let inputs = [
        draw.fill([steps, batch, inputs]),
        draw.fill([inputs + units, units]),
        draw.fill([units]),
        mask(&draw, steps, batch),
    ];
    let case = Case::new(name, inputs, move |i| {
        rnn(i.get(0), cut(i.get(1)), i.get(2), squash, Some(i.get(3)), backwards)
    });
    // States have no bound. For larger factors, products with weights overflow unless they are fused with
    // their sum, as the twin's are on any instruction set.
    Case { largest_factor: if squash == Squash::Relu { 1e15 } else { f32::MAX }, ..case }
}
