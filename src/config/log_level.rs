//! How much is logged.

use log::LevelFilter;

use crate::telemetry::LogFilter;

use super::fault::{Flaw, quoted};

/// A level by its loguru name, in any case. Two of them have no level of their
/// own here: `SUCCESS` is `info`, `CRITICAL` is `error`.
pub(super) fn loguru(text: &str) -> Result<LogFilter, Flaw> {
    let level = match text.to_ascii_uppercase().as_str() {
        "TRACE" => LevelFilter::Trace,
        "DEBUG" => LevelFilter::Debug,
        "INFO" | "SUCCESS" => LevelFilter::Info,
        "WARNING" => LevelFilter::Warn,
        "ERROR" | "CRITICAL" => LevelFilter::Error,
        _ => {
            return Err(Flaw::new(
                format!("is not a log level: {}", quoted(text)),
                "write TRACE, DEBUG, INFO, SUCCESS, WARNING, ERROR or CRITICAL",
            ));
        }
    };
    Ok(LogFilter::level(level))
}

/// Directives in `env_logger`'s syntax; none for an empty text.
pub(super) fn directives(text: &str) -> Result<Option<LogFilter>, Flaw> {
    if text.is_empty() {
        return Ok(None);
    }
    LogFilter::directives(text).map(Some).map_err(|bad| {
        Flaw::new(
            format!("holds {}, which is not a log directive", quoted(&bad.0)),
            "write a level or module=level pairs, such as info,hyper=debug",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loguru_names() {
        for (text, level) in [
            ("trace", LevelFilter::Trace),
            ("DEBUG", LevelFilter::Debug),
            ("Info", LevelFilter::Info),
            ("SUCCESS", LevelFilter::Info),
            ("WARNING", LevelFilter::Warn),
            ("ERROR", LevelFilter::Error),
            ("critical", LevelFilter::Error),
        ] {
            assert_eq!(loguru(text), Ok(LogFilter::level(level)));
        }
        assert!(loguru("LOUD").is_err());
    }

    #[test]
    fn directives_or_none() {
        assert_eq!(directives(""), Ok(None));
        assert!(directives("debug").unwrap().is_some());
        let fault = directives("info,x=loud").unwrap_err().of("V");
        assert_eq!(
            fault.problem,
            "holds \"x=loud\", which is not a log directive"
        );
    }
}
