//! The log filter.

use super::reader::Reader;
use super::table::{LOGURU_LEVEL, RUST_LOG};
use super::values;
use crate::telemetry::LogFilter;

/// The filter of `RUST_LOG`, or else the one that `LOGURU_LEVEL` stands for.
pub(super) fn filter(r: &mut Reader<'_>) -> Option<LogFilter> {
    let level = r.read(&LOGURU_LEVEL, values::loguru, LogFilter::to_string);
    let directives = r.optional(&RUST_LOG, values::directives, LogFilter::to_string);
    let filter = directives.and_then(|directives| directives.or(level));
    if let Some(filter) = &filter {
        r.row("log filter", filter.to_string());
    }
    filter
}
