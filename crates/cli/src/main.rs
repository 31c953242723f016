//! The `bonfire` program.

use bonfire_kernels::memory::Recycling;
use mimalloc::MiMalloc;
use std::process::ExitCode;

/// A training step asks for the memory of the one before, at the same sizes: large blocks are kept
/// for it, small ones are mimalloc's.
#[global_allocator]
static ALLOCATOR: Recycling<MiMalloc> = Recycling::new(MiMalloc);

fn main() -> ExitCode {
    bonfire_cli::main(std::time::Instant::now())
}
