//! Fits a line to noisy points: reaches y = 2.0 x + 1.0 to within 0.02.
//!
//! cargo run --release --example 01_line

use bonfire::burn::optim::{GradientsParams, SgdConfig};
use bonfire::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = device::open("cpu")?.autodiff();
    device.seed(1);

    // 200 points of y = 2 x + 1, with noise of standard deviation 0.1.
    let x = Tensor::<2>::random([200, 1], Distribution::Uniform(-1.0, 1.0), &device); // [B, N]
    let noise = Tensor::<2>::random([200, 1], Distribution::Normal(0.0, 0.1), &device);
    let y = x.clone() * 2.0 + 1.0 + noise; // [B, O]
    let input = Table { numeric: x, categories: Tensor::zeros([200, 0], &device) };

    // One step by hand. In the next example `Trainer` does this, and saves, resumes and reports.
    let mut model = LinearRegressionConfig::new(1, Objective::values(1)).init(&device);
    let mut optimizer = SgdConfig::new().init();
    for step in 0..200 {
        let loss = model.loss(input.clone(), Target::Values(y.clone()));
        if step % 40 == 0 {
            println!("step {step:3}  squared error {:.4}", loss.clone().into_scalar::<f32>());
        }
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(0.1, model, gradients);
    }

    let at = |x: f32| -> f32 {
        let numeric = Tensor::from_data([[x]], &device);
        let Output::Values(y) = model.predict(Table { numeric, categories: Tensor::zeros([1, 0], &device) })
        else {
            unreachable!("a regression answers with values")
        };
        y.into_scalar()
    };
    println!("y = {:.3} x + {:.3}", at(1.0) - at(0.0), at(0.0));
    Ok(())
}
