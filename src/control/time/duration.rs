//! Lengths of time, as people write them.

use std::time::Duration;

use super::TimeFault;

/// The shortest length that is taken.
pub const MIN_DURATION: Duration = Duration::from_secs(60);

/// The longest length that is taken.
pub const MAX_DURATION: Duration = Duration::from_secs(366 * 86_400);

/// The longest text that is looked at, in bytes.
const MAX_TEXT: usize = 64;

/// The most digits of a number, before and after its point.
const MAX_DIGITS: usize = 6;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// The units, with their lengths in milliseconds. `m` is minutes.
const UNITS: [(&[&str], u64); 5] = [
    (&["w", "week", "weeks"], 7 * 24 * HOUR_MS),
    (&["d", "day", "days"], 24 * HOUR_MS),
    (&["h", "hr", "hrs", "hour", "hours"], HOUR_MS),
    (&["m", "min", "mins", "minute", "minutes"], MINUTE_MS),
    (&["s", "sec", "secs", "second", "seconds"], 1_000),
];

/// Reads a length of elapsed time: `2h30m`, `2h30`, `90 min`, `1.5h`, `1d`, `2 hours and
/// 30 minutes`. Units become smaller from left to right; only the last number may have a
/// fraction; after hours a number alone is minutes.
///
/// # Errors
/// The fault in it, or that it is not between a minute and 366 days.
pub fn parse_duration(text: &str) -> Result<Duration, TimeFault> {
    let fault = || TimeFault::no_duration(text);
    if text.len() > MAX_TEXT {
        return Err(fault());
    }
    let lower = text.to_ascii_lowercase();
    let mut rest = lower.trim();
    let mut sum = 0_u64;
    let mut before = u64::MAX;
    let mut is_last = false;
    while !rest.is_empty() {
        let (number, after) = Number::read(rest).ok_or_else(fault)?;
        let letters = after.trim_start();
        let end = letters.find(|c: char| !c.is_ascii_alphabetic());
        let (word, behind) = letters.split_at(end.unwrap_or(letters.len()));
        let unit = match unit(word) {
            Some(unit) => unit,
            None if word.is_empty() && before == HOUR_MS => MINUTE_MS,
            None if word.is_empty() && before == u64::MAX && behind.is_empty() => {
                return Err(TimeFault::NoUnit(number.text.to_owned()));
            }
            None => return Err(fault()),
        };
        if is_last || unit >= before {
            return Err(fault());
        }
        is_last = number.has_fraction;
        before = unit;
        sum = sum.saturating_add(number.times(unit));
        rest = behind.trim_start();
        if let Some(next) = rest.strip_prefix("and ").or(rest.strip_prefix(',')) {
            rest = next.trim_start();
            if rest.is_empty() {
                return Err(fault());
            }
        }
    }
    if before == u64::MAX {
        return Err(fault());
    }
    within(Duration::from_millis(sum))
}

/// Takes a length that is neither too short nor too long.
fn within(length: Duration) -> Result<Duration, TimeFault> {
    if length < MIN_DURATION {
        return Err(TimeFault::TooShort);
    }
    if length > MAX_DURATION {
        return Err(TimeFault::TooLong);
    }
    Ok(length)
}

/// The length of a unit, in milliseconds.
fn unit(word: &str) -> Option<u64> {
    let mut units = UNITS.iter();
    units.find_map(|(words, ms)| words.contains(&word).then_some(*ms))
}

/// A number that is not negative.
struct Number<'a> {
    /// As it is written.
    text: &'a str,
    has_fraction: bool,
    /// In millionths.
    millionths: u64,
}

impl<'a> Number<'a> {
    /// Reads one from the front of a text; a comma between digits is a point.
    fn read(text: &'a str) -> Option<(Self, &'a str)> {
        let is_other = |c: char| !c.is_ascii_digit();
        let whole_end = text.find(is_other).unwrap_or(text.len());
        let (whole, after) = text.split_at(whole_end);
        let fraction = after.strip_prefix(['.', ',']).map(|after| {
            let end = after.find(is_other).unwrap_or(after.len());
            after.get(..end).unwrap_or_default()
        });
        let fraction = fraction.filter(|digits| !digits.is_empty());
        let end = whole_end + fraction.map_or(0, |digits| digits.len() + 1);
        let (written, rest) = text.split_at_checked(end)?;
        let is_sane = |digits: &str| (1..=MAX_DIGITS).contains(&digits.len());
        if !is_sane(whole) || !fraction.is_none_or(is_sane) {
            return None;
        }
        let whole: u64 = whole.parse().ok()?;
        let fraction_text = format!("{:0<MAX_DIGITS$}", fraction.unwrap_or_default());
        let millionths = whole * 1_000_000 + fraction_text.parse::<u64>().ok()?;
        let number = Self {
            text: written,
            has_fraction: fraction.is_some(),
            millionths,
        };
        Some((number, rest))
    }

    /// This many times a number of milliseconds. Within 64 bits: 10^12 millionths of a
    /// week are 6 · 10^20, so it saturates, far above what is taken.
    fn times(&self, ms: u64) -> u64 {
        self.millionths.saturating_mul(ms) / 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_as_people_write_them() {
        for (text, minutes) in [
            ("2h30m", 150),
            ("2h30", 150),
            ("2h 30", 150),
            ("2h 30m", 150),
            ("90m", 90),
            ("90 min", 90),
            ("90min", 90),
            ("90 minutes", 90),
            ("1.5h", 90),
            ("1,5h", 90),
            ("1.25 hours", 75),
            ("1h", 60),
            ("1 hr", 60),
            ("2 hours", 120),
            ("2 hours and 30 minutes", 150),
            ("2 hours, 30 minutes", 150),
            ("2 hours 30", 150),
            ("1d", 1_440),
            ("1 day", 1_440),
            ("1d12h", 2_160),
            ("1d 1.5h", 1_530),
            ("0.5d", 720),
            ("2w", 20_160),
            ("1 week 1 day", 11_520),
            ("120s", 2),
            ("1m", 1),
            ("60 s", 1),
            ("2H30M", 150),
            ("  2h ", 120),
            ("0h5m", 5),
            ("366d", 366 * 1_440),
        ] {
            let length = parse_duration(text);
            assert_eq!(length, Ok(Duration::from_secs(minutes * 60)), "{text}");
        }
    }

    #[test]
    fn what_is_no_length_is_refused() {
        for text in [
            "",
            " ",
            "h",
            "soon",
            "-5m",
            "+5m",
            "2h-30m",
            "30m2h",
            "2h2h",
            "2hm",
            "2x",
            "1mo",
            "2h30m15",
            "1d12",
            "1.5h30m",
            "1..5h",
            "1.h",
            ".5h",
            "1.5.2h",
            "2h30 m x",
            "2:30",
            "18:00",
            "2h and",
            "2h,",
            "and 2h",
            "1e3m",
            "٣h",
            "2h\u{200b}",
            "1234567m",
            "1.2345678h",
            "2h30 45",
            "2 30",
            "9999999999999999999999h",
            "one hour",
            "2h + 3m",
        ] {
            let fault = parse_duration(text).unwrap_err();
            assert!(
                matches!(fault, TimeFault::NoDuration(_)),
                "{text:?}: {fault:?}"
            );
        }
        assert!(parse_duration(&"1m ".repeat(1_000)).is_err());
    }

    #[test]
    fn a_number_without_a_unit_is_asked_back() {
        let fault = parse_duration("90").unwrap_err();
        assert_eq!(
            fault.to_string(),
            "“90” may be minutes or hours: write 90m or 90h"
        );
    }

    #[test]
    fn a_length_is_between_a_minute_and_a_year() {
        for text in ["0m", "0h", "30s", "59s", "0.9m"] {
            assert_eq!(parse_duration(text), Err(TimeFault::TooShort), "{text}");
        }
        for text in ["367d", "366d 1m", "53w", "999999h", "999999w"] {
            assert_eq!(parse_duration(text), Err(TimeFault::TooLong), "{text}");
        }
    }

    #[test]
    fn a_sentence_repeats_little_and_nothing_that_is_a_link() {
        let fault = parse_duration("https://a.example/x @bob:a.example").unwrap_err();
        let sentence = fault.to_string();
        assert!(
            !sentence.contains("a.example") && !sentence.contains('@'),
            "{sentence}"
        );
        let long = parse_duration(&"ä".repeat(4_000)).unwrap_err();
        assert!(long.to_string().chars().count() < 120);
    }
}
