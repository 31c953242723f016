//! The `bonfire-bench` program.

use bonfire_kernels::memory::Recycling;
use mimalloc::MiMalloc;
use std::process::ExitCode;

/// The allocator of the `bonfire` program: it is part of what is measured.
#[global_allocator]
static ALLOCATOR: Recycling<MiMalloc> = Recycling::new(MiMalloc);

fn main() -> ExitCode {
    bonfire_bench::main()
}
