//! The memory that data may take where they are held.
//!
//! What a file says of its size is a claim, and a packed one says little: what is held is counted while it
//! grows, by what the process has, and refused where that is more than the limit. Sizes that are known before
//! are asked for before.

use crate::{DataError, size};
use std::io::{self, Read};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The limit in bytes that was set; 0 where none was.
static LIMIT: AtomicU64 = AtomicU64::new(0);

/// The processes that share the memory of this machine.
static PROCESSES: AtomicU64 = AtomicU64::new(1);

/// Sets the limit in bytes, of this process. What is held already is not given back.
pub fn set_limit(bytes: u64) {
    LIMIT.store(bytes.max(1), Ordering::Relaxed);
}

/// Says how many processes share the memory of this machine, where no limit is set: each may take its part.
pub fn share(processes: usize) {
    PROCESSES.store(processes.max(1) as u64, Ordering::Relaxed);
}

/// The limit in bytes: four fifths of the memory that the machine has, or that the process's control group may
/// have, divided by the processes that share it, unless another was set.
pub fn limit() -> u64 {
    static OF_MACHINE: OnceLock<u64> = OnceLock::new();
    match LIMIT.load(Ordering::Relaxed) {
        0 => {
            let most = || of_machine().unwrap_or(u64::MAX).min(of_group().unwrap_or(u64::MAX));
            OF_MACHINE.get_or_init(most) / 5 * 4 / PROCESSES.load(Ordering::Relaxed)
        }
        limit => limit,
    }
}

/// Bytes that are never refused. The process may be above the limit by its model, an optimizer and activations,
/// and small files must still be read then.
const SMALL: u64 = 64 << 20;

/// The growth of the process while something is taken into memory piece by piece.
pub(crate) struct Growth {
    /// Resident bytes when it began.
    began: u64,
}

impl Growth {
    pub(crate) fn begin() -> Self {
        Growth { began: resident().unwrap_or(0) }
    }

    /// Checks that the process is within the limit, while what is at `uri` is taken into memory; `way` says how
    /// less would be held.
    ///
    /// # Errors
    /// With the limit and what the process has.
    pub(crate) fn check(&self, uri: &str, way: &str) -> Result<(), DataError> {
        let (limit, has) = (limit(), resident().unwrap_or(0));
        if has <= limit || has.saturating_sub(self.began) < SMALL {
            return Ok(());
        }
        Err(refused(uri, format!("{} taken, and more to come", size(has)), way))
    }

    /// Appends all that `reader` has to `bytes`; the process is within the limit all the while.
    ///
    /// # Errors
    /// When it cannot be read; the second is that of [`check`](Growth::check).
    pub(crate) fn fill(
        &self,
        uri: &str,
        mut reader: impl Read,
        bytes: &mut Vec<u8>,
        way: &str,
    ) -> io::Result<Result<(), DataError>> {
        // Bytes between two looks at the memory.
        const STEP: u64 = 8 << 20;
        while reader.by_ref().take(STEP).read_to_end(bytes)? > 0 {
            if let Err(error) = self.check(uri, way) {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }
}

/// Checks that the process would be within the limit with so many bytes more, before they are held.
///
/// # Errors
/// With the limit and what the process has and would have.
pub(crate) fn check_more(uri: &str, more: u64, way: &str) -> Result<(), DataError> {
    let (limit, has) = (limit(), resident().unwrap_or(0));
    if more < SMALL || has.saturating_add(more) <= limit {
        return Ok(());
    }
    Err(refused(uri, format!("{} taken and {} more to take", size(has), size(more)), way))
}

/// Checks that the limit holds so many bytes, which are taken again and again: what the process has may be theirs.
///
/// # Errors
/// With the limit and what would be taken.
pub(crate) fn check_again(uri: &str, bytes: u64, way: &str) -> Result<(), DataError> {
    if bytes <= limit() { Ok(()) } else { Err(refused(uri, size(bytes), way)) }
}

fn refused(uri: &str, found: String, way: &str) -> DataError {
    DataError::Memory { uri: uri.to_string(), limit: size(limit()), found, way: way.to_string() }
}

/// The resident bytes of this process, where the system tells them.
fn resident() -> Option<u64> {
    // The second of its numbers, in pages: the first is the addresses'.
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * page())
}

#[cfg(unix)]
fn page() -> u64 {
    use nix::unistd::{SysconfVar, sysconf};
    let bytes = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(4096)
}

#[cfg(not(unix))]
fn page() -> u64 {
    4096
}

/// The bytes of the machine's memory.
fn of_machine() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// The bytes that the process's control group may take, where it has a limit: of version 2, and of version 1.
fn of_group() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let files = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, kinds, path) = (parts.next()?, parts.next()?, parts.next()?);
        match kinds {
            "" => Some((format!("/sys/fs/cgroup{path}"), "memory.max")),
            kinds if kinds.split(',').any(|kind| kind == "memory") => {
                Some((format!("/sys/fs/cgroup/memory{path}"), "memory.limit_in_bytes"))
            }
            _ => None,
        }
    });
    // A limit of a group above holds, too.
    files
        .flat_map(|(folder, file)| {
            let mut limits = Vec::new();
            let mut folder = Some(std::path::Path::new(&folder));
            while let Some(at) = folder.filter(|at| at.starts_with("/sys/fs/cgroup")) {
                let text = std::fs::read_to_string(at.join(file)).ok();
                limits.extend(text.and_then(|text| text.trim().parse::<u64>().ok()));
                folder = at.parent();
            }
            limits
        })
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_and_the_process_are_measured() {
        if cfg!(target_os = "linux") {
            let (machine, has) = (of_machine().unwrap(), resident().unwrap());
            assert!(has > 1 << 20 && has < machine, "{has} of {machine}");
            assert!(limit() <= machine / 5 * 4);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_both_numbers() {
        Growth::begin().check("x.csv", "data.stream = true").unwrap();
        check_again("a batch", limit(), "less").unwrap();
        let error = check_again("a batch", u64::MAX, "smaller samples").unwrap_err().to_string();
        assert!(
            error.starts_with("a batch: expected to hold it in ") && error.contains(", found "),
            "{error}"
        );
        let error =
            check_more("x.csv", u64::MAX, "data.stream = true reads it in parts").unwrap_err().to_string();
        assert!(
            error.starts_with("x.csv: expected to hold it in ") && error.contains(" taken and "),
            "{error}"
        );
        assert!(error.ends_with("; data.stream = true reads it in parts"), "{error}");
    }
}
