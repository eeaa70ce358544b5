//! The faults of files that are read again while the gateway runs.

use log::error;

use crate::config::Faults;

/// Tells the faults of what is read again, and what is kept instead; the same ones once.
pub(super) fn tell_once(told: &mut Vec<String>, faults: &Faults, kept: &str) {
    let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    if faults == *told {
        return;
    }
    for fault in &faults {
        error!("{fault}");
    }
    error!("{kept}");
    *told = faults;
}
