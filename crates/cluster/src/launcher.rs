//! The environment variables by which a process knows that the launcher of an MPI job started it.

/// Variables that hold a process's rank: Open MPI; PMIx (Open MPI 5, Slurm, Flux); PMI (MPICH, Intel MPI,
/// Slurm); Cray.
const RANKS: [&str; 4] = ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "PALS_RANKID"];

/// Variables that hold the number of ranks; Slurm's is set in the tasks of `srun` alone.
const SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];

/// True where a launcher started this process.
#[cfg(any(test, feature = "mpi"))]
pub(crate) fn started(variable: impl Fn(&str) -> Option<String>) -> bool {
    RANKS.iter().any(|name| variable(name).is_some())
}

/// True where the environment says that a launcher started more processes than this one.
pub(crate) fn several(variable: impl Fn(&str) -> Option<String>) -> bool {
    let above = |names: &[&str], least: u64| {
        names.iter().filter_map(|name| variable(name)?.parse::<u64>().ok()).any(|number| number > least)
    };
    above(&SIZES, 1) || above(&RANKS, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launchers_are_known_by_their_variables() {
        let environment = |set: &'static [(&'static str, &'static str)]| {
            move |name: &str| {
                set.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.to_string())
            }
        };
        let none = environment(&[]);
        assert!(!started(none) && !several(none));
        let single = environment(&[("OMPI_COMM_WORLD_RANK", "0"), ("OMPI_COMM_WORLD_SIZE", "1")]);
        assert!(started(single) && !several(single));
        let first = environment(&[("PMI_RANK", "0"), ("PMI_SIZE", "4")]);
        assert!(started(first) && several(first));
        let plain = environment(&[("SLURM_STEP_NUM_TASKS", "8")]);
        assert!(!started(plain) && several(plain));
        let later = environment(&[("PMIX_RANK", "3")]);
        assert!(started(later) && several(later));
    }
}
