//! The faults of files that are read again while the gateway runs.

use log::error;

/// Tells the faults of what is read again, and what is kept instead; the same ones once.
pub(super) fn tell_once(told: &mut Vec<String>, faults: Vec<String>, kept: &str) {
    if faults == *told {
        return;
    }
    for fault in &faults {
        error!("{fault}");
    }
    error!("{kept}");
    *told = faults;
}
