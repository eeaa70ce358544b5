//! The log: one line a record, on standard error.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::time::SystemTime;

use env_logger::{Builder, Target, WriteStyle};
use log::{Level, SetLoggerError};

use super::LogFilter;
use crate::util::{Printable, rfc3339};

/// Longest log line in bytes, without its newline; the rest is cut. A server
/// chooses the length of its error texts, and a log is paid for by the byte.
pub const MAX_LINE_BYTES: usize = 4096;

/// Sends the records that pass the filter to standard error, one [`line`]
/// each.
///
/// # Errors
/// If the process has a logger already.
pub fn init(filter: &LogFilter) -> Result<(), SetLoggerError> {
    Builder::new()
        .parse_filters(&filter.0)
        .target(Target::Stderr)
        .write_style(WriteStyle::Never)
        .format(|out, record| {
            let now = SystemTime::now();
            let line = line(now, record.level(), record.target(), *record.args());
            writeln!(out, "{line}")
        })
        .try_init()
}

/// A record as `2026-11-21T12:00:00.123Z INFO  module: message`, without a
/// newline, in at most [`MAX_LINE_BYTES`].
///
/// Characters that could forge a line or steer a terminal are escaped,
/// wherever they come from. The name of this crate is left out of its modules'
/// paths; a filter needs it in full
/// (`openclaw_k8s_toggle_operator::matrix=debug`).
pub fn line(at: SystemTime, level: Level, target: &str, message: fmt::Arguments<'_>) -> String {
    let module = target
        .strip_prefix(env!("CARGO_CRATE_NAME"))
        .and_then(|rest| rest.strip_prefix("::"))
        .unwrap_or(target);
    let mut out = Printable::new(MAX_LINE_BYTES);
    // An error says that the limit was met, which the line shows by itself.
    let _ = write!(out, "{} {level:<5} {module}: {message}", rfc3339(at));
    out.finish()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn shown(level: Level, target: &str, message: &str) -> String {
        let at = UNIX_EPOCH + Duration::from_millis(1_795_262_400_123);
        line(at, level, target, format_args!("{message}"))
    }

    #[test]
    fn a_record_has_time_level_module_and_message() {
        assert_eq!(
            shown(Level::Info, "openclaw_k8s_toggle_operator::bot", "ready"),
            "2026-11-21T12:00:00.123Z INFO  bot: ready"
        );
        assert_eq!(
            shown(Level::Error, "hyper::client", "gone"),
            "2026-11-21T12:00:00.123Z ERROR hyper::client: gone"
        );
    }

    #[test]
    fn only_whole_modules_of_this_crate_are_shortened() {
        for target in [
            "openclaw_k8s_toggle_operator",
            "openclaw_k8s_toggle_operators::x",
        ] {
            assert!(shown(Level::Info, target, "m").ends_with(&format!("{target}: m")));
        }
    }

    #[test]
    fn remote_text_cannot_forge_a_line() {
        let forged = shown(
            Level::Warn,
            "x",
            "oops\n2026-11-21T12:00:00.123Z INFO  x: fine\u{1b}[1A",
        );
        assert_eq!(
            forged,
            r"2026-11-21T12:00:00.123Z WARN  x: oops\n2026-11-21T12:00:00.123Z INFO  x: fine\u{1b}[1A"
        );
    }

    #[test]
    fn long_lines_are_cut_on_a_character() {
        let long = shown(Level::Info, "x", &"é".repeat(MAX_LINE_BYTES));
        assert!(long.len() <= MAX_LINE_BYTES && long.len() > MAX_LINE_BYTES - 3);
        assert!(long.ends_with("é…"));
    }
}
