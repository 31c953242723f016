//! Fast training ops for the CPU.
//!
//! Each op is one file: a public function on `Tensor<D>`, its plain twin made of Burn's own ops, and its fast
//! path, plugged into Burn as a backend extension. The fast path runs on the flex backend in `f32`, the twin
//! everywhere else. A test in each file compares the two, gradients included. A row in the table of `proof`
//! also compares an op with differences, adjoint identities, PyTorch, and its twin at the ends of the range
//! of numbers.

pub mod checkpoint;
pub mod memory;
pub mod modules;
pub mod optimizer;
pub mod threads;

mod activation;
mod arrivals;
mod attention;
mod batch_norm;
mod conv;
mod count;
mod cross_entropy;
mod depthwise;
mod draws;
mod dropout;
mod elementwise;
mod embedding;
mod error_of_values;
mod flex;
mod gate;
mod gemm;
mod group_norm;
mod indices;
mod layer_norm;
mod linear;
mod narrow;
mod pixels;
mod pool;
mod precision;
mod prepared;
#[cfg(test)]
mod proof;
mod recurrent;
mod reduce;
mod simd;
mod splitmix;
#[cfg(test)]
mod testing;
mod uses;
mod windows;

pub use activation::Activation;
pub use arrivals::Arrivals;
pub use attention::{AttentionOptions, attention, cross_attention};
pub use batch_norm::{SumOverRanks, batch_norm, batch_norm_eval, batch_norm_train};
pub use conv::{ConvOptions, ConvTransposeOptions, conv_transpose2d, conv2d};
pub use count::multiply_adds;
pub use cross_entropy::{cross_entropy, cross_entropy_soft};
pub use depthwise::depthwise_conv2d;
pub use draws::Draws;
pub use dropout::{dropout, dropout_along, dropout_with};
pub use elementwise::{blended, scaled, serve, sum_of_squares};
pub use embedding::embedding;
pub use error_of_values::{ErrorOfValue, mean_error};
pub use gate::gated;
pub use group_norm::group_norm;
pub use layer_norm::{layer_norm, rms_norm};
pub use linear::{linear, linear_onto};
pub use pool::{avg_pool2d, global_avg_pool, max_pool2d};
pub use precision::{like, widened};
pub use prepared::{MOST_BYTES, Prepared};
pub use recurrent::{Gates, GruWeights, Squash, gru, lstm, rnn};
pub use simd::{Isa, UnknownIsa};
