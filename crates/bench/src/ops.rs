//! The ops that are measured, and their table.

use crate::ceilings::Ceilings;
use crate::figures::rounded;
use crate::measure::{Fill, Inputs, Measured, Op, Pass, floats, indices};
use crate::names;
use anyhow::Result;
use bonfire_kernels::{
    Activation, AttentionOptions, ConvOptions, ConvTransposeOptions, Gates, GruWeights, Squash, attention,
    batch_norm_train, conv_transpose2d, conv2d, cross_entropy, depthwise_conv2d, dropout_with, embedding,
    global_avg_pool, group_norm, gru, layer_norm, linear, lstm, max_pool2d, rms_norm, rnn,
};
use burn::tensor::Tensor;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Every op. A new op is one line: a name, the inputs, the additions and multiplications forward, and the op.
/// Backward is twice that unless the line says otherwise.
pub fn all() -> Vec<Op> {
    vec![
        Op::new("matmul", [floats([1024, 1024]), floats([1024, 1024])], 2.0 * 1024f64.powi(3), |x| {
            x.floats::<2>(0).matmul(x.floats(1))
        }),
        Op::new(
            "linear_gelu",
            [floats([2048, 256]), floats([256, 1024]), floats([1024])],
            2.0 * 2048.0 * 256.0 * 1024.0,
            |x| linear(x.floats::<2>(0), x.floats(1), Some(x.floats(2)), Activation::Gelu),
        ),
        convolution("conv3x3_56", [8, 64, 56], 64, 3, 1),
        convolution("conv3x3_14", [8, 256, 14], 256, 3, 1),
        convolution("conv3x3_7", [8, 512, 7], 512, 3, 1),
        convolution("conv3x3_stride2", [8, 64, 56], 128, 3, 2),
        convolution("conv1x1", [8, 256, 56], 64, 1, 1),
        convolution("conv1x1_14", [8, 256, 14], 1024, 1, 1),
        convolution("conv7x7_stem", [8, 3, 224], 64, 7, 2),
        Op::new(
            "conv_transpose2x2",
            [floats([64, 64, 7, 7]), floats([64, 32, 2, 2])],
            2.0 * (64 * 64 * 49 * 32 * 4) as f64,
            |x| {
                let options = ConvTransposeOptions { stride: [2; 2], ..ConvTransposeOptions::default() };
                conv_transpose2d(x.floats(0), x.floats(1), None, options, Activation::Identity)
            },
        ),
        depthwise("depthwise3x3", [8, 144, 56], 3),
        depthwise("depthwise7x7", [4, 96, 56], 7),
        Op::new(
            "batch_norm_relu",
            [floats([8, 64, 56, 56]), floats([64]), floats([64])],
            6.0 * (8 * 64 * 56 * 56) as f64,
            |x| batch_norm_train(x.floats::<4>(0), x.floats(1), x.floats(2), None, 1e-5, Activation::Relu).0,
        ),
        Op::new(
            "group_norm",
            [floats([8, 64, 56, 56]), floats([64]), floats([64])],
            6.0 * (8 * 64 * 56 * 56) as f64,
            |x| group_norm(x.floats::<4>(0), 32, x.floats(1), x.floats(2), 1e-5),
        ),
        Op::new(
            "layer_norm",
            [floats([2048, 256]), floats([256]), floats([256])],
            7.0 * (2048 * 256) as f64,
            |x| layer_norm(x.floats::<2>(0), x.floats(1), Some(x.floats(2)), 1e-5),
        ),
        Op::new("rms_norm", [floats([2048, 256]), floats([256])], 4.0 * (2048 * 256) as f64, |x| {
            rms_norm(x.floats::<2>(0), x.floats(1), 1e-5)
        }),
        Op::new(
            "attention",
            [floats([16, 128, 3 * 256])],
            // two products forward; five backward, one of which makes the scores again
            4.0 * (16 * 128 * 128 * 256) as f64,
            |x| attention(x.floats(0), 8, AttentionOptions { causal: false, dropout: 0.0 }, None),
        )
        .backward_flops(10.0 * (16 * 128 * 128 * 256) as f64),
        Op::new("lstm", recurrent::<10>(4), 2.0 * (64 * 64 * 256 * 512) as f64, |x| {
            lstm(x.floats(0), gates::<4>(x, 2), x.floats(1), None, false)
        }),
        Op::new("gru", recurrent::<9>(3), 2.0 * (64 * 64 * 256 * 384) as f64, |x| {
            let weights =
                GruWeights { gates: gates::<3>(x, 3), bias: x.floats(1), candidate_bias: x.floats(2) };
            gru(x.floats(0), weights, None, false)
        }),
        Op::new("rnn", recurrent::<4>(1), 2.0 * (64 * 64 * 256 * 128) as f64, |x| {
            rnn(x.floats(0), gates::<1>(x, 2), x.floats(1), Squash::Tanh, None, false)
        }),
        Op::new("max_pool", [floats([8, 64, 112, 112])], 9.0 * (8 * 64 * 56 * 56) as f64, |x| {
            max_pool2d(x.floats(0), [3; 2], [2; 2], [1; 2], [1; 2])
        }),
        Op::new("global_avg_pool", [floats([8, 512, 7, 7])], (8 * 512 * 49) as f64, |x| {
            global_avg_pool(x.floats(0))
        }),
        Op::new(
            "cross_entropy",
            [floats([2048, 1000]), indices([2048], 1000)],
            4.0 * (2048 * 1000) as f64,
            |x| cross_entropy(x.floats(0), x.indices(1), None, 0.0),
        ),
        Op::new(
            "embedding",
            [floats([20_000, 128]), indices([64, 64], 20_000)],
            (64 * 64 * 128) as f64,
            |x| embedding(x.floats(0), x.indices(1)),
        )
        .bytes((2 * 64 * 64 * 128 * 4) as f64, (20_000 * 128 * 4 + 64 * 64 * 128 * 4) as f64),
        Op::new("dropout", [floats([8192, 1024])], (8192 * 1024) as f64, |x| {
            dropout_with(x.floats::<2>(0), 0.1, 7, 0)
        }),
    ]
}

/// The inputs of a recurrent layer: 64 steps of 64 rows of 128 numbers, the bias of `gates` gates of 128
/// units, the candidate's own bias if `N` has room for it, and the weights of each gate.
fn recurrent<const N: usize>(gates: usize) -> [Fill; N] {
    std::array::from_fn(|index| match index {
        0 => floats([64, 64, 128]),
        1 => floats([gates * 128]),
        _ if index < N - 2 * gates => floats([128]),
        _ => floats([128, 128]),
    })
}

/// The weights of each gate: the inputs from `first` on.
fn gates<const G: usize>(x: &Inputs, first: usize) -> Gates<G> {
    Gates {
        input: std::array::from_fn(|gate| x.floats(first + gate)),
        hidden: std::array::from_fn(|gate| x.floats(first + G + gate)),
    }
}

/// A convolution of `[images, channels, pixels a side]` whose output has the input's size divided by the
/// stride.
fn convolution(
    name: &'static str,
    [images, channels, side]: [usize; 3],
    outputs: usize,
    kernel: usize,
    stride: usize,
) -> Op {
    let inputs = [floats([images, channels, side, side]), floats([outputs, channels, kernel, kernel])];
    let pixels = images * side.div_ceil(stride).pow(2);
    Op::new(
        name,
        inputs,
        2.0 * (pixels * outputs * channels * kernel * kernel) as f64,
        move |x| -> Tensor<4> {
            let padding = [kernel / 2; 2];
            let options = ConvOptions { stride: [stride; 2], padding, ..ConvOptions::default() };
            conv2d(x.floats(0), x.floats(1), None, options, Activation::Identity)
        },
    )
}

/// A depthwise convolution of `[images, channels, pixels a side]` whose output has the input's size.
fn depthwise(name: &'static str, [images, channels, side]: [usize; 3], kernel: usize) -> Op {
    let inputs = [floats([images, channels, side, side]), floats([channels, 1, kernel, kernel])];
    Op::new(name, inputs, 2.0 * (images * channels * side * side * kernel * kernel) as f64, move |x| {
        let padding = [kernel / 2; 2];
        depthwise_conv2d(x.floats(0), x.floats(1), None, [1; 2], padding, [1; 2], Activation::Identity)
    })
}

/// Measures the ceilings and then the chosen ops one by one. Each op's figures go to `then` at once.
pub(crate) fn measure(asked: &[String], mut then: impl FnMut(&Ceilings, Measured)) -> Result<Ceilings> {
    let known = all();
    let chosen = names::chosen("op", &known, |op| op.name, asked)?;
    let device = bonfire_device::open("cpu")?;
    device.seed(0);
    let ceilings = Ceilings::measure(&device);
    for op in chosen {
        then(&ceilings, op.measure(&device));
    }
    Ok(ceilings)
}

/// `bonfire-bench ops`.
pub(crate) fn report(asked: &[String], json: bool) -> Result<ExitCode> {
    let mut first = true;
    measure(asked, |ceilings, measured| {
        if std::mem::take(&mut first) {
            print_ceilings(ceilings, json);
        }
        for (pass, figures) in [("forward", Some(measured.forward)), ("backward", measured.backward)] {
            let Some(figures) = figures else { continue };
            if json {
                println!("{}", line(&measured, pass, &figures));
            } else {
                println!("{}", row(&measured, pass, &figures, ceilings));
            }
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn print_ceilings(ceilings: &Ceilings, json: bool) {
    let Ceilings { gflops, gigabytes } = *ceilings;
    if json {
        println!("{}", json!({ "ceiling_gflops": rounded(gflops), "ceiling_gigabytes": rounded(gigabytes) }));
        return;
    }
    println!(
        "ceilings: {gflops:.0} GFLOP/s (matrix product of 1024), {gigabytes:.1} GB/s (copy of 512 MiB); {} threads",
        bonfire_kernels::threads::count()
    );
    println!(
        "{:<20}{:<28}{:<9}{:>9}{:>9}{:>6}{:>8}{:>6}",
        "op", "inputs", "pass", "ms", "GFLOP/s", "%", "GB/s", "%"
    );
}

fn row(measured: &Measured, pass: &str, figures: &Pass, ceilings: &Ceilings) -> String {
    let share = |rate: f64, ceiling: f64| 100.0 * rate / ceiling;
    format!(
        "{:<20}{:<28}{pass:<9}{:>9.3}{:>9.1}{:>6.0}{:>8.1}{:>6.0}",
        measured.name,
        measured.shapes,
        figures.milliseconds,
        figures.gflops(),
        share(figures.gflops(), ceilings.gflops),
        figures.gigabytes(),
        share(figures.gigabytes(), ceilings.gigabytes)
    )
}

fn line(measured: &Measured, pass: &str, figures: &Pass) -> Value {
    json!({
        "op": measured.name,
        "inputs": measured.shapes,
        "pass": pass,
        "median_ms": rounded(figures.milliseconds),
        "gflops": rounded(figures.gflops()),
        "gigabytes": rounded(figures.gigabytes()),
        "intensity": rounded(figures.intensity()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn names_are_unique_and_arithmetic_is_counted() {
        let ops = all();
        for (index, op) in ops.iter().enumerate() {
            assert!(ops[..index].iter().all(|other| other.name != op.name), "{}", op.name);
            assert!(!op.shapes().is_empty());
        }
    }

    #[test]
    fn every_op_runs_and_has_a_line_of_exactly_its_keys() {
        for op in all() {
            let measured = op.measure(&Device::flex());
            assert!(measured.forward.flops > 0.0, "{}: the roofline's logarithms", op.name);
            let line = line(&measured, "forward", &measured.forward);
            let keys = ["op", "inputs", "pass", "median_ms", "gflops", "gigabytes", "intensity"];
            assert_eq!(line.as_object().unwrap().len(), keys.len());
            assert!(keys.iter().all(|key| line.get(key).is_some()), "{line}");
        }
    }
}
