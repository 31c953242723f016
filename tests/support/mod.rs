//! What tests of several subjects share.

pub mod architectures;
pub mod generator;
#[cfg(feature = "mpi")]
pub mod job;
#[cfg(all(feature = "mpi", target_os = "linux"))]
pub mod link;
pub mod picture;
pub mod program;
#[cfg(all(feature = "s3", feature = "azure", feature = "http"))]
pub mod proxy;
#[cfg(all(feature = "s3", feature = "http"))]
pub mod server;
#[cfg(all(feature = "s3", feature = "azure", feature = "http"))]
pub mod servers;
