//! Facts about this process from the kernel.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use super::exposition::Exposition;

/// Writes the metrics of the process, which started at this time.
pub(super) fn write(started_at: SystemTime, out: &mut Exposition) {
    if let Some(bytes) = resident_bytes() {
        out.gauge("process_resident_memory_bytes", "Memory that is in RAM.")
            .value(bytes);
    }
    let started = started_at.duration_since(UNIX_EPOCH);
    out.gauge(
        "process_start_time_seconds",
        "When the process started, in seconds since the Unix epoch.",
    )
    .value(started.unwrap_or_default().as_secs_f64());
}

/// Memory that is in RAM now, in bytes; None where there is no /proc.
fn resident_bytes() -> Option<u64> {
    resident(&fs::read_to_string("/proc/self/status").ok()?)
}

/// Reads `VmRSS` of `/proc/self/status`, which counts in units of 1024 bytes.
fn resident(status: &str) -> Option<u64> {
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory() {
        assert_eq!(
            resident("Name:\tbot\nVmRSS:\t    5204 kB\nThreads:\t1\n"),
            Some(5204 * 1024)
        );
        assert_eq!(resident("Name:\tbot\n"), None);
        assert!(resident_bytes().is_some_and(|bytes| bytes > 100_000));
    }
}
