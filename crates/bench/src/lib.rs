//! Measurements: the time of a training step, a prediction or a single op, beside PyTorch and beside the
//! machine's limits.
//!
//! ```text
//! cases (models, data) -> steps, infer ┐
//!                                      ├-> figures (JSON lines) -> compare -> Markdown, JSON
//! peers: PyTorch, ONNX Runtime, OpenVINO ┘
//! ops (registry) -> measure, ceilings -> table, roofline (SVG)
//! ```
//!
//! Models are measured through the public models and the public trainer, as a user has them. If several cases
//! are asked for, each runs in a process of its own, so that its peak memory is its own.

mod args;
pub mod cases;
pub mod ceilings;
pub mod compare;
pub mod figures;
pub mod infer;
pub mod measure;
mod names;
pub mod ops;
pub mod peers;
mod process;
pub mod roofline;
pub mod steps;

use anyhow::{Context, Result};
use args::{Arguments, Command};
use bonfire_kernels::{Isa, threads};
use clap::Parser;
use process::Side;
use std::process::ExitCode;

/// Runs the program.
pub fn main() -> ExitCode {
    run(Arguments::parse()).unwrap_or_else(|error| {
        let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
        eprintln!("error: {}", causes.join(": ").replace('\n', " "));
        ExitCode::FAILURE
    })
}

fn run(arguments: Arguments) -> Result<ExitCode> {
    Isa::from_environment()?;
    let threads = arguments.threads.map(usize::from);
    if let Some(threads) = threads {
        threads::set_count(threads).context("--threads")?;
    }
    match arguments.command {
        Command::Steps(chosen) => process::cases(Side::Train, &chosen, threads),
        Command::Ranks(chosen) => process::ranks(&chosen),
        Command::Infer(chosen) => process::cases(Side::Predict, &chosen, threads),
        // On a thread of the kernels' pool, as in `bonfire` itself.
        Command::Ops(chosen) => threads::inside(|| ops::report(&chosen.ops, chosen.json)),
        Command::Roofline(chosen) => threads::inside(|| roofline::report(&chosen.ops, &chosen.output)),
        Command::Compare(chosen) => compare::report(&chosen, threads),
    }
}
