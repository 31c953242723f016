//! `bonfire train` as one rank of a job: how it begins and ends beside the others.

use anyhow::{Context, Result, anyhow};
use bonfire_cluster::{Communicator, Job};
use bonfire_kernels::threads;
use bonfire_run::RunError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Joins the job that this process is a rank of, or is alone; the threads that compute are its share of the
/// machine's, unless their number is given.
pub fn join(patience: Duration, given: Option<u16>) -> Result<Job> {
    let job = Job::join(patience)?;
    let communicator = job.communicator();
    let (rank, ranks) = communicator.on_this_host();
    bonfire_device::set_rank_on_this_host(rank);
    bonfire_datasets::memory::share(ranks);
    if given.is_none() && communicator.size() > 1 {
        threads::set_count(share(&*communicator)).context("threads of a rank")?;
    }
    computing_threads()?;
    Ok(job)
}

/// Makes the threads that compute, where they were not made yet.
///
/// # Errors
/// When the system gives fewer.
pub fn computing_threads() -> Result<()> {
    threads::prepare().map_err(|error| {
        anyhow!(
            "threads that compute: expected one a processor, or as many as --threads says, found fewer: {error}"
        )
    })
}

/// Threads of this rank: those of its cores, divided among the ranks of its machine that may run on the same.
/// A launcher that binds each rank to cores of its own has divided the machine already.
fn share(communicator: &dyn Communicator) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let cores = status.lines().find(|line| line.starts_with("Cpus_allowed:")).unwrap_or_default();
    let all = communicator.gather(cores.as_bytes());
    let host = communicator.host(communicator.rank());
    let here = (0..communicator.size()).filter(|&rank| communicator.host(rank) == host);
    let sharing = here.filter(|&rank| all[rank] == cores.as_bytes()).count();
    let mine = std::thread::available_parallelism().map_or(1, usize::from);
    (mine / sharing.max(1)).max(1)
}

/// Runs a rank's work to its end. What goes wrong on one rank alone is told by that rank, by its name, and
/// ends the job at once, as the others would wait for it; an error that all know is told by rank 0.
pub fn run(job: Job, work: impl FnOnce(&Arc<dyn Communicator>) -> Result<ExitCode>) -> Result<ExitCode> {
    let communicator = job.communicator();
    if communicator.size() == 1 {
        return work(&communicator);
    }
    let (rank, name) = (communicator.rank(), communicator.host(communicator.rank()).to_string());
    let outcome = catch_unwind(AssertUnwindSafe(|| work(&communicator)));
    match outcome {
        Ok(Ok(code)) => {
            // Leaving the job waits without a limit.
            communicator.barrier();
            Ok(code)
        }
        Ok(Err(error)) if error.downcast_ref().is_some_and(RunError::is_known_to_all) => {
            if rank == 0 {
                eprintln!("{}", crate::line(&error));
            }
            communicator.barrier();
            Ok(ExitCode::FAILURE)
        }
        Ok(Err(error)) => {
            // Where all ranks meet the same error, one of them says so.
            std::thread::sleep(Duration::from_millis(300) * u32::from(rank > 0));
            eprintln!("{}", crate::line(&error.context(format!("rank {rank} on {name}"))));
            communicator.abort()
        }
        Err(_panic) => {
            eprintln!("error: rank {rank} on {name}: a fault of the program, told above");
            communicator.abort()
        }
    }
}
