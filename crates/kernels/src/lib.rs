//! Fast training ops for the CPU.
//!
//! Each op is one file: a public function on `Tensor<D>`, its plain twin made of Burn's own ops, and its fast path,
//! plugged into Burn as a backend extension. On the flex backend in `f32` the fast path runs; everywhere else the
//! twin does. A test in each file holds the two together, gradients included.

pub mod memory;
pub mod threads;

mod activation;
mod flex;
mod gemm;
mod linear;
mod reduce;
mod simd;
#[cfg(test)]
mod testing;

pub use activation::Activation;
pub use linear::{linear, linear_onto};
pub use simd::Isa;
