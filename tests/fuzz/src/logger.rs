//! Every log record is formatted, as the program would print it: what is only
//! said when something is wrong must not be wrong itself.

use std::time::UNIX_EPOCH;

use log::{LevelFilter, Log, Metadata, Record};
use openclaw_k8s_toggle_operator::telemetry::{MAX_LINE_BYTES, line};

struct Checked;

impl Log for Checked {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = line(UNIX_EPOCH, record.level(), record.target(), *record.args());
        assert!(line.len() <= MAX_LINE_BYTES, "a log line is too long");
        assert!(!line.contains(char::is_control), "a log line is forged");
    }

    fn flush(&self) {}
}

/// Once in a process; later calls change nothing.
pub fn install() {
    if log::set_logger(&Checked).is_ok() {
        log::set_max_level(LevelFilter::Trace);
    }
}
