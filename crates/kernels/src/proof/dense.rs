//! Rows for ops that map each number or each row by itself.

use super::{Case, Draw, Size};
use crate::{Activation, blended, dropout_with, embedding, group_norm, layer_norm, rms_norm, scaled};
use crate::{linear, linear_onto};
use burn::tensor::{Int, Tensor, TensorData};

const ACTIVATIONS: [(&str, Activation); 7] = [
    ("linear", Activation::Identity),
    ("linear_relu", Activation::Relu),
    ("linear_relu6", Activation::Relu6),
    ("linear_gelu", Activation::Gelu),
    ("linear_gelu_tanh", Activation::GeluTanh),
    ("linear_silu", Activation::Silu),
    ("linear_tanh", Activation::Tanh),
];

pub(super) fn cases(size: Size) -> Vec<Case> {
    let mut cases: Vec<_> = ACTIVATIONS.into_iter().map(|row| activated(size, row)).collect();
    cases.extend([
        no_bias(size),
        narrow(size),
        onto(size),
        table(size),
        dropped(size),
        layer(size),
        layer_without_bias(size),
        root_mean_square(size),
        scaled_by(size),
        blend(size),
    ]);
    cases.extend([("group_norm", false), ("instance_norm", true)].map(|row| groups(size, row)));
    cases
}

fn activated(size: Size, (name, activation): (&'static str, Activation)) -> Case {
    let mut draw = Draw::new(size);
    let [rows, inputs, outputs] = [draw.first(3, 130), draw.axis(4, 261), draw.axis(5, 67)];
    let inputs = [draw.fill([rows, inputs]), draw.fill([inputs, outputs]), draw.fill([outputs])];
    let case = Case::new(name, inputs, move |i| linear(i.get::<2>(0), i.get(1), Some(i.get(2)), activation));
    if activation == Activation::Identity { case.affine_in(&[0, 1, 2]) } else { case }
}

fn no_bias(size: Size) -> Case {
    let mut draw = Draw::new(size);
    let [texts, tokens] = [draw.first(2, 5), draw.axis(3, 7)];
    let [inputs, outputs] = [draw.axis(4, 33), draw.axis(5, 101)];
    let inputs = [draw.fill([texts, tokens, inputs]), draw.fill([inputs, outputs])];
    Case::new("linear_no_bias", inputs, |i| linear(i.get::<3>(0), i.get(1), None, Activation::Identity))
        .affine_in(&[0, 1])
}

fn narrow(size: Size) -> Case {
    let mut draw = Draw::new(size);
    let [rows, inputs, outputs] = [draw.first(3, 1201), draw.axis(4, 117), draw.axis(2, 3)];
    let inputs = [draw.fill([rows, inputs]), draw.fill([inputs, outputs]), draw.fill([outputs])];
    Case::new("linear_narrow", inputs, |i| {
        linear(i.get::<2>(0), i.get(1), Some(i.get(2)), Activation::Identity)
    })
    .affine_in(&[0, 1, 2])
}

fn onto(size: Size) -> Case {
    let mut draw = Draw::new(size);
    let [texts, tokens] = [draw.first(2, 7), draw.axis(3, 19)];
    let [inputs, outputs] = [draw.axis(2, 65), draw.axis(5, 35)];
    let inputs = [
        draw.fill([texts, tokens, outputs]),
        draw.fill([texts, tokens, inputs]),
        draw.fill([inputs, outputs]),
        draw.fill([outputs]),
    ];
    Case::new("linear_onto", inputs, |i| linear_onto(i.get::<3>(0), i.get(1), i.get(2), Some(i.get(3))))
        .affine_in(&[0, 1, 2, 3])
}

/// Indices of a table's rows, many of them more than once.
pub(super) fn indices<const D: usize>(shape: [usize; D], below: usize, like: &Tensor<2>) -> Tensor<D, Int> {
    let count: usize = shape.iter().product();
    let numbers: Vec<i64> = (0..count).map(|place| (place * 7 + place / 3) as i64 % below as i64).collect();
    Tensor::from_data(TensorData::new(numbers, shape), &like.device())
}

fn table(size: Size) -> Case {
    let mut draw = Draw::new(size);
    let [texts, tokens] = [draw.first(2, 9), draw.axis(3, 37)];
    let [rows, columns] = [draw.axis(4, 101), draw.axis(3, 267)];
    Case::new("embedding", [draw.fill([rows, columns])], move |i| {
        let table = i.get::<2>(0);
        let tokens = indices([texts, tokens], rows, &table);
        embedding(table, tokens)
    })
    .affine_in(&[0])
}

fn dropped(size: Size) -> Case {
    let mut draw = Draw::new(size);
    let [rows, columns] = [draw.first(4, 301), draw.axis(7, 127)];
    let x = draw.fill([rows, columns]);
    Case::new("dropout", [x], |i| dropout_with(i.get::<2>(0), 0.4, 5, 0)).affine_in(&[0])
}

fn layer(size: Size) -> Case {
    let mut draw = Draw::new(size);
    let [rows, width] = [draw.first(3, 257), draw.axis(5, 133)];
    let inputs = [draw.fill([rows, width]), draw.fill([width]), draw.fill([width])];
    Case::new("layer_norm", inputs, |i| layer_norm(i.get::<2>(0), i.get(1), Some(i.get(2)), 1e-3))
        .affine_in(&[1, 2])
}

fn layer_without_bias(size: Size) -> Case {
    let mut draw = Draw::new(size);
    let [texts, tokens, width] = [draw.first(2, 3), draw.axis(3, 5), draw.axis(4, 1029)];
    let inputs = [draw.fill([texts, tokens, width]), draw.fill([width])];
    Case::new("layer_norm_no_bias", inputs, |i| layer_norm(i.get::<3>(0), i.get(1), None, 1e-3))
        .affine_in(&[1])
}

fn root_mean_square(size: Size) -> Case {
    let mut draw = Draw::new(size);
    let [rows, width] = [draw.first(3, 257), draw.axis(5, 133)];
    let inputs = [draw.fill([rows, width]), draw.fill([width])];
    Case::new("rms_norm", inputs, |i| rms_norm(i.get::<2>(0), i.get(1), 1e-3)).affine_in(&[1])
}

fn groups(size: Size, (name, of_one): (&'static str, bool)) -> Case {
    let mut draw = Draw::new(size);
    let [images, groups, members] = [draw.first(2, 3), draw.axis(2, 5), draw.axis(2, 3)];
    let [height, width] = [draw.axis(3, 19), draw.axis(2, 31)];
    let channels = if of_one { groups } else { groups * members };
    let inputs = [draw.fill([images, channels, height, width]), draw.fill([channels]), draw.fill([channels])];
    Case::new(name, inputs, move |i| group_norm(i.get::<4>(0), groups, i.get(1), i.get(2), 1e-3))
        .affine_in(&[1, 2])
}

fn scaled_by(size: Size) -> Case {
    let mut draw = Draw::new(size);
    let x = [draw.first(3, 257), draw.axis(5, 133)];
    Case::new("scaled", [draw.fill(x)], |i| scaled(i.get::<2>(0), -0.75)).affine_in(&[0])
}

fn blend(size: Size) -> Case {
    let mut draw = Draw::new(size);
    let shape = [draw.first(3, 257), draw.axis(5, 133)];
    let inputs = [draw.fill(shape), draw.fill(shape)];
    Case::new("blended", inputs, |i| blended(i.get::<2>(0), i.get(1), 0.875)).affine_in(&[0, 1])
}
