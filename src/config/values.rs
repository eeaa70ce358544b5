//! Values of a kind: times, switches, log levels, ids, paths.

use std::path::{Path, PathBuf};
use std::time::Duration;

use log::LevelFilter;

use super::fault::{Flaw, quoted};
use crate::control::Traces;
use crate::control::time::{Zone, parse_duration};
use crate::telemetry::LogFilter;
use crate::util::is_deceptive;

/// The longest device or provider id taken, in bytes: that of any Matrix id.
const MAX_ID: usize = 255;

/// The longest prefix of commands, in characters.
const MAX_PREFIX: usize = 32;

/// Below this a command of a person with a slow network or a clock slightly
/// off would never run, and no bot would be ready.
const SHORTEST: Duration = Duration::from_secs(5);
/// Above this nobody remembers what they asked for.
const LONGEST: Duration = Duration::from_secs(3600);

/// The age of a command or a sync: whole seconds, minutes or hours, as `120`, `120s`,
/// `2m` or `1h`.
pub(super) fn age(text: &str) -> Result<Duration, Flaw> {
    const CURE: &str = "write seconds, minutes or hours, such as 90, 90s, 2m or 1h, from 5s to 1h";
    let read = time(text);
    let read = read.ok_or_else(|| Flaw::new(format!("is not a time: {}", quoted(text)), CURE))?;
    if (SHORTEST..=LONGEST).contains(&read) {
        Ok(read)
    } else {
        Err(Flaw::new(
            format!("is out of range: {}", quoted(text)),
            CURE,
        ))
    }
}

/// Whole seconds, minutes or hours.
pub(crate) fn time(text: &str) -> Option<Duration> {
    let lower = text.to_ascii_lowercase();
    let (number, unit) = [('s', 1), ('m', 60), ('h', 3600)]
        .into_iter()
        .find_map(|(name, unit)| Some((lower.strip_suffix(name)?, unit)))
        .unwrap_or((&lower, 1));
    // Rust would take a sign as well.
    let digits = number.bytes().all(|b| b.is_ascii_digit());
    let number = number.parse::<u64>().ok().filter(|_| digits)?;
    Some(Duration::from_secs(number.saturating_mul(unit)))
}

/// The time that a target runs, as commands write it: `90m`, `8h`, `1h30m`, `2d`.
pub(super) fn span(text: &str) -> Result<Duration, Flaw> {
    parse_duration(text).map_err(|_| {
        Flaw::new(
            format!("is no length of time from 1m to 366d: {}", quoted(text)),
            "write minutes, hours or days, such as 90m, 8h, 1h30m or 2d",
        )
    })
}

/// A time zone.
pub(super) fn zone(text: &str) -> Result<Zone, Flaw> {
    Zone::parse(text).map_err(|fault| {
        let problem = format!("is not a time zone: {}", quoted(text));
        Flaw::new(problem, fault.cure())
    })
}

/// The beginning of a command: at most [`MAX_PREFIX`] visible characters.
pub(super) fn prefix(text: &str) -> Result<String, Flaw> {
    let is_plain = |c: char| !c.is_whitespace() && !is_deceptive(c);
    if text.chars().count() <= MAX_PREFIX && text.chars().all(is_plain) {
        return Ok(text.to_owned());
    }
    Err(Flaw::new(
        format!("is no prefix: {}", quoted(text)),
        "write one word of at most 32 characters, such as !toggle",
    ))
}

/// True if something is on. The Python program takes every word that it does not know
/// for `false`, which hides slips.
pub(super) fn switch(text: &str) -> Result<bool, Flaw> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(Flaw::new(
            format!("is neither on nor off: {}", quoted(text)),
            "write true, 1, yes or on; or false, 0, no or off",
        )),
    }
}

/// The Events that tell of changes.
pub(super) fn traces(text: &str) -> Result<Traces, Flaw> {
    if text.eq_ignore_ascii_case("users") {
        return Ok(Traces::WithUser);
    }
    let is_on = switch(text).map_err(|_| {
        Flaw::new(
            format!("says of no Events: {}", quoted(text)),
            "write true, false, or users for Events that say who asked",
        )
    })?;
    Ok(match is_on {
        true => Traces::Nameless,
        false => Traces::None,
    })
}

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

/// Directives in `env_logger`'s syntax.
pub(super) fn directives(text: &str) -> Result<LogFilter, Flaw> {
    LogFilter::directives(text).map_err(|bad| {
        Flaw::new(
            format!("holds {}, which is not a log directive", quoted(&bad.0)),
            "write a level or module=level pairs, such as info,hyper=debug",
        )
    })
}

pub(super) fn path(text: &str) -> Result<PathBuf, Flaw> {
    Ok(PathBuf::from(text))
}

pub(super) fn shown_path(path: impl AsRef<Path>) -> String {
    path.as_ref().display().to_string()
}

/// An id that another program made up: visible, and not too long.
pub(super) fn id(text: &str) -> Result<String, Flaw> {
    if text.len() <= MAX_ID && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(Flaw::new(
        format!("is no id: {}", quoted(text)),
        "write it as the homeserver shows it, without spaces",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (text, seconds) in [
            ("120", 120),
            ("120s", 120),
            ("2m", 120),
            ("1h", 3600),
            ("2M", 120),
            ("5", 5),
            ("60m", 3600),
        ] {
            assert_eq!(age(text), Ok(Duration::from_secs(seconds)));
        }
    }

    #[test]
    fn what_is_no_age_or_out_of_range() {
        for (text, problem) in [
            ("m", "is not a time"),
            ("2 m", "is not a time"),
            ("-5", "is not a time"),
            ("+5", "is not a time"),
            ("1.5m", "is not a time"),
            ("1d", "is not a time"),
            ("99999999999999999999", "is not a time"),
            ("4", "is out of range"),
            ("0", "is out of range"),
            ("61m", "is out of range"),
            ("18446744073709551615h", "is out of range"),
        ] {
            let fault = age(text).unwrap_err().of("V");
            assert!(fault.problem.starts_with(problem), "{fault}");
        }
    }

    #[test]
    fn switches() {
        for text in ["true", "True", "1", "YES", "on"] {
            assert_eq!(switch(text), Ok(true));
        }
        for text in ["false", "FALSE", "0", "no", "Off"] {
            assert_eq!(switch(text), Ok(false));
        }
        for text in ["ture", "2", "enabled"] {
            assert!(switch(text).is_err());
        }
    }

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
    fn directives_are_checked() {
        assert!(directives("debug").is_ok());
        let fault = directives("info,x=loud").unwrap_err().of("V");
        assert_eq!(
            fault.problem,
            "holds \"x=loud\", which is not a log directive"
        );
    }
}
