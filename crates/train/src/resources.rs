//! The resources of the machine that the process has used.

use nix::sys::resource::{UsageWho, getrusage};

/// The most memory this process has held so far, in bytes.
///
/// Linux counts the pages of the process that started this one, too, where `getrusage` is asked: `/proc` does
/// not.
pub fn peak_memory_bytes() -> u64 {
    of_this_program().unwrap_or_else(|| {
        // The call cannot fail for the calling process; 0 says that the system does not tell.
        let peak = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.max_rss());
        // macOS counts bytes, every other Unix KiB.
        let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
        u64::try_from(peak).unwrap_or(0) * unit
    })
}

/// The peak since this program was started in its process, where the system keeps one.
fn of_this_program() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_counts_what_is_touched() {
        let block = vec![1u8; 64 << 20];
        let touched: u64 = block.iter().step_by(4096).map(|&byte| u64::from(byte)).sum();
        assert!(peak_memory_bytes() >= (64 << 20), "{touched} pages");
    }
}
