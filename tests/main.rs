//! The whole program on real files: a module for each subject, linked once.
//!
//! `cargo test --release --test program` runs those that the features of the build allow,
//! `cargo test --release --test program resume::` one of them. Several tests run at a time in one process:
//! none of them changes its environment, its folder or its limits, and a test that draws random numbers in
//! this process says so (`support::generator`).

mod support;

mod agreement;
mod answers;
mod commands;
mod costs;
mod data;
mod examples;
mod finetune;
mod hostile;
#[cfg(all(feature = "mpi", target_os = "linux"))]
mod hosts;
#[cfg(feature = "http")]
mod hub;
#[cfg(feature = "mozjpeg")]
mod jpeg;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod killed;
mod memory;
mod moved;
#[cfg(unix)]
mod mutations;
mod pretrained;
#[cfg(feature = "mpi")]
mod ranks;
mod registry;
#[cfg(all(feature = "s3", feature = "http"))]
mod remote;
mod resume;
#[cfg(all(feature = "s3", feature = "azure", feature = "http"))]
mod servers;
mod streaming;

use bonfire::kernels::memory::Recycling;

/// Counts what a forward pass leaves behind, which `costs` compares.
#[global_allocator]
static ALLOCATOR: Recycling<std::alloc::System> = Recycling::new(std::alloc::System);

/// A file without its line above would be compiled by nobody, and its tests would be missed by nobody.
#[test]
fn every_file_of_this_folder_is_a_module() {
    let modules = include_str!("main.rs");
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.strip_suffix(".rs").unwrap_or(&name);
        assert!(
            module == "main" || modules.contains(&format!("\nmod {module};\n")),
            "tests/main.rs: expected the line `mod {module};`, found none"
        );
    }
}
