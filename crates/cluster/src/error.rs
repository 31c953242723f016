//! Errors of joining a job.

/// A reason why a process cannot take part in a job.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// A launcher started several processes, and this build has no MPI.
    #[error(
        "expected one process, as this build has no MPI, found a launcher's environment with several: build \
         with `cargo build --release --features mpi`"
    )]
    NotCompiled,
    /// The launcher and the MPI library do not know each other.
    #[error(
        "expected the ranks that the launcher started, found this process alone: start it by the launcher of \
         the MPI that it was built with (mpirun, or `srun --mpi=pmix`)"
    )]
    Stranger,
    /// The MPI library allows calls from one thread only.
    #[error(
        "expected an MPI library that takes calls from several threads, one at a time, found the threading level {0}"
    )]
    Threading(String),
}
