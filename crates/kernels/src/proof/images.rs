//! Rows for images: convolutions, pooling and batch norm.

use super::{Case, Draw, Size};
use crate::{Activation, ConvOptions, ConvTransposeOptions, conv_transpose2d, conv2d, depthwise_conv2d};
use crate::{avg_pool2d, batch_norm_eval, batch_norm_train, global_avg_pool, max_pool2d};
use burn::tensor::Tensor;

/// A convolution's kernel and options. It makes two rows: one without an activation and one with it.
struct Convolution {
    names: [&'static str; 2],
    kernel: [usize; 2],
    options: ConvOptions,
    activation: Activation,
}

const fn options(
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
) -> ConvOptions {
    ConvOptions { stride, padding, dilation, groups }
}

const CONVOLUTIONS: [Convolution; 5] = [
    Convolution {
        names: ["conv2d", "conv2d_relu"],
        kernel: [3, 3],
        options: options([1, 1], [1, 1], [1, 1], 1),
        activation: Activation::Relu,
    },
    Convolution {
        names: ["conv2d_strided", "conv2d_strided_gelu"],
        kernel: [3, 2],
        options: options([2, 3], [1, 0], [1, 1], 1),
        activation: Activation::Gelu,
    },
    Convolution {
        names: ["conv2d_dilated", "conv2d_dilated_gelu_tanh"],
        kernel: [2, 3],
        options: options([1, 1], [0, 2], [2, 2], 1),
        activation: Activation::GeluTanh,
    },
    Convolution {
        names: ["conv2d_grouped", "conv2d_grouped_silu"],
        kernel: [3, 3],
        options: options([2, 1], [1, 1], [1, 1], 2),
        activation: Activation::Silu,
    },
    Convolution {
        names: ["conv2d_pointwise", "conv2d_pointwise_tanh"],
        kernel: [1, 1],
        options: options([1, 1], [0, 0], [1, 1], 1),
        activation: Activation::Tanh,
    },
];

/// Transposed convolutions, with the pixels added at the output's end.
const TRANSPOSED: [(Convolution, [usize; 2]); 4] = [
    (
        Convolution {
            names: ["conv_transpose2d", "conv_transpose2d_relu"],
            kernel: [2, 2],
            options: options([2, 2], [0, 0], [1, 1], 1),
            activation: Activation::Relu,
        },
        [0, 0],
    ),
    (
        Convolution {
            names: ["conv_transpose2d_padded", "conv_transpose2d_padded_gelu"],
            kernel: [3, 3],
            options: options([2, 1], [1, 1], [1, 1], 1),
            activation: Activation::Gelu,
        },
        [1, 0],
    ),
    (
        Convolution {
            names: ["conv_transpose2d_dilated", "conv_transpose2d_dilated_tanh"],
            kernel: [2, 3],
            options: options([1, 2], [0, 1], [2, 2], 1),
            activation: Activation::Tanh,
        },
        [0, 0],
    ),
    (
        Convolution {
            names: ["conv_transpose2d_grouped", "conv_transpose2d_grouped_silu"],
            kernel: [3, 2],
            options: options([3, 2], [1, 0], [1, 1], 2),
            activation: Activation::Silu,
        },
        [2, 1],
    ),
];

const DEPTHWISE: [Convolution; 4] = [
    Convolution {
        names: ["depthwise_conv2d", "depthwise_conv2d_relu"],
        kernel: [3, 3],
        options: options([1, 1], [1, 1], [1, 1], 1),
        activation: Activation::Relu,
    },
    Convolution {
        names: ["depthwise_conv2d_wide", "depthwise_conv2d_wide_gelu"],
        kernel: [5, 5],
        options: options([1, 1], [2, 2], [1, 1], 1),
        activation: Activation::Gelu,
    },
    Convolution {
        names: ["depthwise_conv2d_strided", "depthwise_conv2d_strided_silu"],
        kernel: [3, 3],
        options: options([2, 2], [1, 1], [1, 1], 1),
        activation: Activation::Silu,
    },
    Convolution {
        names: ["depthwise_conv2d_dilated", "depthwise_conv2d_dilated_gelu_tanh"],
        kernel: [3, 2],
        options: options([1, 1], [2, 0], [2, 1], 1),
        activation: Activation::GeluTanh,
    },
];

pub(super) fn cases(size: Size) -> Vec<Case> {
    let mut cases = Vec::new();
    for row in &CONVOLUTIONS {
        cases.extend([false, true].map(|activated| convolution(size, row, activated)));
    }
    for (row, out) in &TRANSPOSED {
        cases.extend([false, true].map(|activated| transposed(size, row, *out, activated)));
    }
    for row in &DEPTHWISE {
        cases.extend([false, true].map(|activated| depthwise(size, row, activated)));
    }
    cases.extend(
        [
            ("max_pool2d", [2, 2], [2, 2], [0, 0], [1, 1]),
            ("max_pool2d_overlapping", [3, 2], [2, 1], [1, 0], [1, 2]),
        ]
        .map(|row| largest(size, row)),
    );
    cases.extend([("avg_pool2d", true), ("avg_pool2d_of_pixels", false)].map(|row| average(size, row)));
    cases.push(whole(size));
    cases.extend(
        [
            ("batch_norm_train", false, Activation::Identity),
            ("batch_norm_train_silu", false, Activation::Silu),
            ("batch_norm_train_residual_relu", true, Activation::Relu),
        ]
        .map(|row| measured(size, row)),
    );
    cases.extend(
        [
            ("batch_norm_eval", false, Activation::Identity),
            ("batch_norm_eval_gelu", false, Activation::Gelu),
            ("batch_norm_eval_residual_relu", true, Activation::Relu),
        ]
        .map(|row| given(size, row)),
    );
    cases.push(moments(size));
    cases
}

/// A shape of images that the kernel fits into.
fn images(draw: &mut Draw, channels: usize, row: &Convolution) -> [usize; 4] {
    let ConvOptions { padding, dilation, .. } = row.options;
    let least = |axis: usize| (dilation[axis] * (row.kernel[axis] - 1) + 1).saturating_sub(2 * padding[axis]);
    let images = draw.first(2, 3);
    [images, channels, draw.axis(4, 19).max(least(0)), draw.axis(5, 37).max(least(1))]
}

fn convolution(size: Size, row: &Convolution, activated: bool) -> Case {
    let mut draw = Draw::new(size);
    let (kernel, options, activation) = told(row, activated);
    let [inputs, outputs] = [draw.axis(2, 9), draw.axis(2, 35)];
    let x = images(&mut draw, inputs * options.groups, row);
    let inputs = [
        draw.fill(x),
        draw.fill([outputs * options.groups, inputs, kernel[0], kernel[1]]),
        draw.fill([outputs * options.groups]),
    ];
    let case = Case::new(row.names[usize::from(activated)], inputs, move |i| {
        conv2d(i.get(0), i.get(1), Some(i.get(2)), options, activation)
    });
    if activated { case } else { case.affine_in(&[0, 1, 2]) }
}

fn told(row: &Convolution, activated: bool) -> ([usize; 2], ConvOptions, Activation) {
    (row.kernel, row.options, if activated { row.activation } else { Activation::Identity })
}

fn transposed(size: Size, row: &Convolution, padding_out: [usize; 2], activated: bool) -> Case {
    let mut draw = Draw::new(size);
    let (kernel, ConvOptions { stride, padding, dilation, groups }, activation) = told(row, activated);
    let options = ConvTransposeOptions { stride, padding, padding_out, dilation, groups };
    let [inputs, outputs] = [draw.axis(2, 35), draw.axis(2, 9)];
    let [images, height, width] = [draw.first(2, 3), draw.axis(3, 11), draw.axis(2, 13)];
    let inputs = [
        draw.fill([images, inputs * groups, height, width]),
        draw.fill([inputs * groups, outputs, kernel[0], kernel[1]]),
        draw.fill([outputs * groups]),
    ];
    let case = Case::new(row.names[usize::from(activated)], inputs, move |i| {
        conv_transpose2d(i.get(0), i.get(1), Some(i.get(2)), options, activation)
    });
    if activated { case } else { case.affine_in(&[0, 1, 2]) }
}

fn depthwise(size: Size, row: &Convolution, activated: bool) -> Case {
    let mut draw = Draw::new(size);
    let (kernel, ConvOptions { stride, padding, dilation, .. }, activation) = told(row, activated);
    let channels = draw.axis(3, 7);
    let x = images(&mut draw, channels, row);
    let inputs = [draw.fill(x), draw.fill([channels, 1, kernel[0], kernel[1]]), draw.fill([channels])];
    let case = Case::new(row.names[usize::from(activated)], inputs, move |i| {
        depthwise_conv2d(i.get(0), i.get(1), Some(i.get(2)), stride, padding, dilation, activation)
    });
    if activated { case } else { case.affine_in(&[0, 1, 2]) }
}

/// A pool's name, kernel, stride, padding and dilation.
type Pool = (&'static str, [usize; 2], [usize; 2], [usize; 2], [usize; 2]);

fn largest(size: Size, (name, kernel, stride, padding, dilation): Pool) -> Case {
    let mut draw = Draw::new(size);
    let [images, channels] = [draw.first(2, 3), draw.axis(2, 5)];
    let x = [images, channels, draw.axis(5, 23).max(kernel[0]), draw.axis(4, 37).max(3)];
    Case::new(name, [draw.fill(x)], move |i| max_pool2d(i.get(0), kernel, stride, padding, dilation))
}

fn average(size: Size, (name, count_include_pad): (&'static str, bool)) -> Case {
    let mut draw = Draw::new(size);
    let [images, channels] = [draw.first(2, 3), draw.axis(2, 5)];
    let x = [images, channels, draw.axis(5, 23).max(2), draw.axis(4, 37).max(2)];
    Case::new(name, [draw.fill(x)], move |i| avg_pool2d(i.get(0), [3, 2], [2, 1], [1, 1], count_include_pad))
        .affine_in(&[0])
}

fn whole(size: Size) -> Case {
    let mut draw = Draw::new(size);
    let x = [draw.first(2, 5), draw.axis(3, 7), draw.axis(3, 13), draw.axis(4, 11)];
    Case::new("global_avg_pool", [draw.fill(x)], |i| global_avg_pool(i.get(0))).affine_in(&[0])
}

/// A batch norm's name, its residual (true if it adds one), and its activation.
type Norm = (&'static str, bool, Activation);

fn measured(size: Size, (name, onto, activation): Norm) -> Case {
    let mut draw = Draw::new(size);
    let [images, channels] = [draw.first(3, 5), draw.axis(2, 7)];
    let x = [images, channels, draw.axis(2, 17), draw.axis(3, 31)];
    let inputs = [draw.fill(x), draw.fill([channels]), draw.fill([channels]), draw.fill(x)];
    let case = Case::new(name, inputs, move |i| {
        batch_norm_train(i.get::<4>(0), i.get(1), i.get(2), onto.then(|| i.get(3)), 1e-3, activation).0
    });
    if activation == Activation::Identity { case.affine_in(&[1, 2]) } else { case }
}

fn given(size: Size, (name, onto, activation): Norm) -> Case {
    let mut draw = Draw::new(size);
    let [images, channels] = [draw.first(3, 5), draw.axis(2, 7)];
    let x = [images, channels, draw.axis(2, 17), draw.axis(3, 31)];
    let inputs = [
        draw.fill(x),
        draw.fill([channels]),
        draw.fill([channels]),
        draw.fill(x),
        draw.fill([channels]).untracked(),
        draw.fill([channels]).map(|x| x + 1.5).untracked(),
    ];
    let case = Case::new(name, inputs, move |i| {
        let residual = onto.then(|| i.get(3));
        batch_norm_eval(i.get::<4>(0), i.get(1), i.get(2), i.get(4), i.get(5), residual, 1e-3, activation)
    });
    if activation == Activation::Identity { case.affine_in(&[0, 1, 2]) } else { case }
}

/// The mean and the variance that a batch norm measures.
fn moments(size: Size) -> Case {
    let mut draw = Draw::new(size);
    let [images, channels] = [draw.first(3, 5), draw.axis(2, 7)];
    let x = [images, channels, draw.axis(2, 17), draw.axis(3, 31)];
    let inputs =
        [draw.fill(x).untracked(), draw.fill([channels]).untracked(), draw.fill([channels]).untracked()];
    Case::new("batch_norm_moments", inputs, |i| {
        let (_, mean, variance) =
            batch_norm_train(i.get::<4>(0), i.get(1), i.get(2), None, 1e-3, Activation::Identity);
        Tensor::cat(vec![mean, variance], 0)
    })
}
