//! How old a command or a sync may be.

use std::time::Duration;

use super::fault::{Flaw, quoted};

/// Below this a command of a person with a slow network or a clock slightly
/// off would never run, and no bot would be ready.
const SHORTEST: Duration = Duration::from_secs(5);
/// Above this nobody remembers what they asked for.
const LONGEST: Duration = Duration::from_secs(3600);

/// Whole seconds, minutes or hours: `120`, `120s`, `2m`, `1h`.
pub(super) fn age(text: &str) -> Result<Duration, Flaw> {
    const CURE: &str = "write seconds, minutes or hours, such as 90, 90s, 2m or 1h, from 5s to 1h";
    let lower = text.to_ascii_lowercase();
    let (number, unit) = match lower.strip_suffix(['s', 'm', 'h']) {
        Some(number) if lower.ends_with('m') => (number, 60),
        Some(number) if lower.ends_with('h') => (number, 3600),
        Some(number) => (number, 1),
        None => (lower.as_str(), 1),
    };
    // Rust would take a sign as well.
    let digits = number.bytes().all(|b| b.is_ascii_digit());
    let Some(number) = number.parse::<u64>().ok().filter(|_| digits) else {
        return Err(Flaw::new(format!("is not a time: {}", quoted(text)), CURE));
    };
    let read = Duration::from_secs(number.saturating_mul(unit));
    if (SHORTEST..=LONGEST).contains(&read) {
        Ok(read)
    } else {
        Err(Flaw::new(
            format!("is out of range: {}", quoted(text)),
            CURE,
        ))
    }
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
}
