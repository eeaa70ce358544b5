//! The filter of log records: a level, or `RUST_LOG`'s directives.

use std::fmt;

use log::LevelFilter;
use thiserror::Error;

/// Libraries whose records tell an operator little below `warn`. A prefix
/// counts, so `hyper` covers `hyper_util` and `hyper_rustls`.
const CHATTY: [&str; 2] = ["hyper", "rustls"];

/// A log filter that is known to be well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(pub(super) String);

impl LogFilter {
    /// One level for the program; chatty libraries stay at `warn`.
    pub fn level(level: LevelFilter) -> Self {
        let mut spec = level.as_str().to_ascii_lowercase();
        if level > LevelFilter::Warn {
            for library in CHATTY {
                spec.push_str(&format!(",{library}=warn"));
            }
        }
        Self(spec)
    }

    /// Directives in the syntax of `env_logger`, taken as they are: `debug`,
    /// `info,module=debug`, each list optionally followed by `/text` to keep
    /// only the records that contain the text.
    ///
    /// The logger itself skips a directive that it cannot read; here that is
    /// an error, because a filter that silently does less is found out when
    /// the log is needed.
    ///
    /// # Errors
    /// The first directive that is not one.
    pub fn directives(spec: &str) -> Result<Self, LogFilterError> {
        let (list, text) = spec.split_once('/').unwrap_or((spec, ""));
        if text.contains('/') {
            return Err(LogFilterError(spec.to_owned()));
        }
        for directive in list.split(',').map(str::trim) {
            let (module, level) = directive.split_once('=').unwrap_or((directive, ""));
            let level = level.trim();
            let is_level = level.is_empty() || level.parse::<LevelFilter>().is_ok();
            if !is_module_path(module) || !is_level {
                return Err(LogFilterError(directive.to_owned()));
            }
        }
        Ok(Self(spec.to_owned()))
    }
}

/// The filter in the syntax of `env_logger`.
impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Empty counts, since a trailing comma is harmless.
fn is_module_path(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-'))
}

/// The part of a log filter that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a log directive")]
pub struct LogFilterError(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_keep_chatty_libraries_quiet_but_never_raise_them() {
        let spec = |level| LogFilter::level(level).to_string();
        assert_eq!(spec(LevelFilter::Off), "off");
        assert_eq!(spec(LevelFilter::Error), "error");
        assert_eq!(spec(LevelFilter::Warn), "warn");
        assert_eq!(spec(LevelFilter::Info), "info,hyper=warn,rustls=warn");
        assert_eq!(spec(LevelFilter::Trace), "trace,hyper=warn,rustls=warn");
    }

    #[test]
    fn directives_are_taken_as_given() {
        for spec in [
            "info",
            "DEBUG",
            "info,matrix=debug",
            "a::b=trace, c-d=off,",
            "module",
            "module=",
            "info/some text",
        ] {
            assert_eq!(LogFilter::directives(spec).unwrap().to_string(), spec);
        }
    }

    #[test]
    fn what_the_logger_would_skip_is_an_error() {
        for (spec, part) in [
            ("info,matrix=loud", "matrix=loud"),
            ("a=b=c", "a=b=c"),
            ("info;debug", "info;debug"),
            ("info debug", "info debug"),
            ("info/a/b", "info/a/b"),
        ] {
            let expected = LogFilterError(part.to_owned());
            assert_eq!(LogFilter::directives(spec), Err(expected), "{spec}");
        }
    }
}
