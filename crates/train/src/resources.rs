//! The resources of the machine that the process has used.

use nix::sys::resource::{UsageWho, getrusage};

/// The most memory this process has held so far, in bytes.
pub fn peak_memory_bytes() -> u64 {
    // The call cannot fail for the calling process; 0 says that the system does not tell.
    let peak = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.max_rss());
    // macOS counts bytes, every other Unix KiB.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    u64::try_from(peak).unwrap_or(0) * unit
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
