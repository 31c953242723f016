//! The way a process joins a job.

use crate::{Alone, Communicator, JobError, launcher};
use std::sync::Arc;
use std::time::Duration;

/// A process as a rank of its job. Dropping it leaves the job, and waits for the other ranks.
pub struct Job {
    communicator: Arc<dyn Communicator>,
    /// Ends MPI when dropped, after the communicator's last use.
    #[cfg(feature = "mpi")]
    _universe: Option<::mpi::environment::Universe>,
}

impl Job {
    /// A job of this process alone.
    pub fn alone() -> Self {
        Job {
            communicator: Arc::new(Alone),
            #[cfg(feature = "mpi")]
            _universe: None,
        }
    }

    /// Joins the job that a launcher started this process for; without a launcher, the job is this process
    /// alone. A rank that waits longer than `patience` for the others ends the job.
    ///
    /// # Errors
    /// When there are other ranks and this build or the MPI library cannot talk to them.
    pub fn join(patience: Duration) -> Result<Self, JobError> {
        let variable = |name: &str| std::env::var(name).ok();
        #[cfg(feature = "mpi")]
        if launcher::started(variable) {
            let (universe, communicator) = crate::mpi::join(patience)?;
            if communicator.size() == 1 && launcher::several(variable) {
                return Err(JobError::Stranger);
            }
            return Ok(Job { communicator: Arc::new(communicator), _universe: Some(universe) });
        }
        #[cfg(feature = "mpi")]
        {
            let _ = patience;
            if launcher::several(variable) {
                return Err(JobError::Stranger);
            }
        }
        #[cfg(not(feature = "mpi"))]
        {
            let _ = patience;
            if launcher::several(variable) {
                return Err(JobError::NotCompiled);
            }
        }
        Ok(Self::alone())
    }

    /// The ranks of the job.
    pub fn communicator(&self) -> Arc<dyn Communicator> {
        self.communicator.clone()
    }
}
