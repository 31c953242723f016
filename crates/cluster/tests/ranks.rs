//! The contract of communicators, kept by two, three and four processes of an MPI job: the program starts
//! itself again under `mpirun`.

mod suite;

use bonfire_cluster::Job;
use std::process::Command;
use std::time::Duration;

fn main() {
    if std::env::var_os("OMPI_COMM_WORLD_RANK").is_some() {
        let job = Job::join(Duration::from_secs(60)).expect("a job of MPI");
        suite::holds(&*job.communicator());
        return;
    }
    let program = std::env::current_exe().expect("the path of this test");
    for ranks in [1, 2, 3, 4] {
        let ended = Command::new("mpirun")
            .args(["--allow-run-as-root", "--oversubscribe", "-n", &ranks.to_string()])
            .arg(&program)
            .status()
            .expect("mpirun, which the feature `mpi` needs (Debian: openmpi-bin)");
        assert!(ended.success(), "{ranks} ranks: {ended}");
        println!("the contract holds for {ranks} ranks");
    }
}
