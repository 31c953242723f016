//! Times of layers beside the engine that reads planes. Run alone, with optimisation:
//! `cargo test --release -p bonfire-kernels conv::last::timings -- --ignored --nocapture`.

use super::*;
use crate::activation::Activation;
use crate::conv::engine;
use crate::conv::geometry::Geometry;
use crate::conv::weights::Weight;
use crate::conv::writer;
use crate::memory::TIMED;
use crate::simd::{Kernel, Simd, run};
use std::hint::black_box;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Independent fused multiply-adds in registers.
struct Peak(usize);

impl Kernel for Peak {
    type Output = f32;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let mut sums = [s.splat(black_box(0.5)); 12];
        let factor = s.splat(black_box(0.999));
        for _ in 0..self.0 {
            for sum in &mut sums {
                *sum = s.mul_add(*sum, factor, factor);
            }
        }
        sums.into_iter().map(|sum| s.sum(sum)).sum()
    }
}

/// The machine's multiply-adds in GFLOP/s, by all threads.
fn peak() -> f64 {
    let lanes = if crate::Isa::chosen() == crate::Isa::Avx512 { 16.0 } else { 8.0 };
    let count = 400_000;
    let once = || {
        let start = Instant::now();
        threads::parallel(threads::count(), |_| {
            black_box(run(Peak(count)));
        });
        start.elapsed().as_secs_f64()
    };
    let time = quickest((0..50).map(|_| once()).collect());
    let work = 2.0 * 12.0 * lanes * count as f64 * threads::count() as f64;
    work / time / 1e9
}

/// The quickest time: on a machine that others use too, a median tells of them.
fn quickest(times: Vec<f64>) -> f64 {
    times.into_iter().fold(f64::INFINITY, f64::min)
}

#[test]
#[ignore = "times are for people to read"]
fn layers_beside_the_engine() {
    TIMED.store(true, Ordering::Relaxed);
    threads::inside(|| {
        println!("peak {:.0} GFLOP/s", peak());
        for (size, inputs, outputs, kernel, stride) in [
            (224, 3, 64, 7, 2),
            (56, 64, 64, 3, 1),
            (28, 128, 128, 3, 1),
            (14, 256, 256, 3, 1),
            (7, 512, 512, 3, 1),
            (56, 64, 128, 3, 2),
            (28, 128, 256, 3, 2),
            (14, 256, 512, 3, 2),
            (56, 64, 256, 1, 1),
            (56, 256, 64, 1, 1),
            (28, 128, 512, 1, 1),
            (28, 512, 128, 1, 1),
            (14, 256, 1024, 1, 1),
            (14, 1024, 256, 1, 1),
            (7, 512, 2048, 1, 1),
            (7, 2048, 512, 1, 1),
            (56, 24, 144, 1, 1),
            (56, 144, 24, 1, 1),
            (14, 96, 576, 1, 1),
            (7, 960, 160, 1, 1),
        ] {
            for images in [1, 8] {
                layer(images, size, [inputs, outputs], kernel, stride);
            }
        }
        println!("peak {:.0} GFLOP/s", peak());
    });
    TIMED.store(false, Ordering::Relaxed);
}

fn layer(images: usize, size: usize, [inputs, outputs]: [usize; 2], kernel: usize, stride: usize) {
    let options = ConvOptions { stride: [stride; 2], padding: [kernel / 2; 2], ..ConvOptions::default() };
    let shape = [outputs, inputs, kernel, kernel];
    let geometry = Geometry::convolution([images, inputs, size, size], shape, options);
    let numbers = |count: usize| (0..count).map(|at| (at * 7919 % 10_007) as f32 / 10_007.0 - 0.5).collect();
    let (x, weight): (Vec<f32>, Vec<f32>) =
        (numbers(geometry.input_length()), numbers(geometry.weight_length()));
    let shift = vec![0.1; outputs];
    let mut to = vec![0.0; geometry.output_length()];
    let order = if inputs == 3 { Order::First } else { Order::Last };
    let ways = if kernel == 3 && stride == 1 {
        vec![Way::Direct, Way::Winograd2, Way::Winograd4]
    } else {
        vec![Way::Direct]
    };
    let layers: Vec<Layer> = ways.iter().map(|way| Layer::by(*way, &weight, shape, options, order)).collect();
    let work = 2.0 * (geometry.output_length() * inputs * kernel * kernel) as f64;
    let rounds = ((0.25 / (work / 60e9)) as usize).clamp(8, 200);
    let mut times = vec![Vec::new(); 1 + ways.len()];
    for _ in 0..rounds {
        let start = Instant::now();
        let finish =
            writer::Finish { bias: Some(&shift), activation: Activation::Relu, ..writer::Finish::default() };
        engine::forward(geometry, &x, Weight::passing(&weight), finish, &mut to);
        times[0].push(start.elapsed().as_secs_f64());
        for (layer, times) in layers.iter().zip(&mut times[1..]) {
            let start = Instant::now();
            let finish = Finish { shift: Some(&shift), activation: Activation::Relu, ..Finish::default() };
            layer.run(&x, images, [size; 2], finish, &mut to);
            times.push(start.elapsed().as_secs_f64());
        }
    }
    let times: Vec<f64> = times.into_iter().map(quickest).collect();
    print!("b{images} {inputs}->{outputs} {kernel}x{kernel} s{stride} at {size}: ");
    print!("engine {:.3} ms ({:.0})", times[0] * 1e3, work / times[0] / 1e9);
    for (way, time) in ways.iter().zip(&times[1..]) {
        print!(", {way:?} {:.3} ms ({:.0}, {:.2}x)", time * 1e3, work / time / 1e9, times[0] / time);
    }
    println!();
}
