//! The words for weekdays and hours, in lower case.

use jiff::civil::{Date, DateTime, Time, Weekday};

/// A time of day, to 24:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hour {
    /// A time on the day itself.
    At(Time),
    /// The end of the day: 24:00.
    End,
}

impl Hour {
    /// Reads `18:00`, `18:00:30`, `18.00`, `18`, `6pm`, `6:30pm`, `noon`, or `midnight`, which is
    /// the end of a day.
    pub(super) fn read(word: &str) -> Option<Self> {
        match word {
            "noon" => return Time::new(12, 0, 0, 0).ok().map(Self::At),
            "midnight" => return Some(Self::End),
            _ => {}
        }
        let (clock, half) = match (word.strip_suffix("am"), word.strip_suffix("pm")) {
            (Some(clock), _) => (clock, Some(0)),
            (_, Some(clock)) => (clock, Some(12)),
            _ => (word, None),
        };
        let mut parts = clock.split([':', '.']);
        let hour = number(parts.next()?, 1..=2)?;
        let minute = parts.next().map_or(Some(0), |part| number(part, 2..=2))?;
        let second = parts.next().map_or(Some(0), |part| number(part, 2..=2))?;
        if parts.next().is_some() {
            return None;
        }
        let hour = match half {
            None => hour,
            Some(half) => (1..=12).contains(&hour).then_some(hour % 12 + half)?,
        };
        match (hour, minute, second) {
            (24, 0, 0) => Some(Self::End),
            _ => Time::new(hour, minute, second, 0).ok().map(Self::At),
        }
    }

    /// The time on a day; `None` after the year 9999.
    pub(super) fn on(self, day: Date) -> Option<DateTime> {
        match self {
            Self::At(time) => Some(day.to_datetime(time)),
            Self::End => Some(day.tomorrow().ok()?.to_datetime(Time::midnight())),
        }
    }
}

/// A weekday in full or in three letters, or in a longer usual form.
pub(super) fn weekday(word: &str) -> Option<Weekday> {
    Some(match word {
        "mon" | "monday" => Weekday::Monday,
        "tue" | "tues" | "tuesday" => Weekday::Tuesday,
        "wed" | "weds" | "wednesday" => Weekday::Wednesday,
        "thu" | "thur" | "thurs" | "thursday" => Weekday::Thursday,
        "fri" | "friday" => Weekday::Friday,
        "sat" | "saturday" => Weekday::Saturday,
        "sun" | "sunday" => Weekday::Sunday,
        _ => return None,
    })
}

/// A number of that many digits.
pub(super) fn number<N: std::str::FromStr>(
    digits: &str,
    lengths: std::ops::RangeInclusive<usize>,
) -> Option<N> {
    let is_number = lengths.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_read_in_twelve_and_in_twenty_four() {
        for (word, hour, minute) in [
            ("18:00", 18, 0),
            ("18", 18, 0),
            ("8", 8, 0),
            ("08", 8, 0),
            ("0", 0, 0),
            ("00:00", 0, 0),
            ("23:59", 23, 59),
            ("18.30", 18, 30),
            ("6pm", 18, 0),
            ("6:30pm", 18, 30),
            ("12am", 0, 0),
            ("12:30am", 0, 30),
            ("12pm", 12, 0),
            ("noon", 12, 0),
        ] {
            let time = Time::new(hour, minute, 0, 0).unwrap();
            assert_eq!(Hour::read(word), Some(Hour::At(time)), "{word}");
        }
        for word in ["24:00", "24", "midnight"] {
            assert_eq!(Hour::read(word), Some(Hour::End), "{word}");
        }
    }

    #[test]
    fn what_is_no_hour_is_not_read() {
        for word in [
            "",
            ":",
            "25",
            "24:01",
            "18:60",
            "18:0",
            "18:000",
            "1800",
            "-1",
            "+1",
            "0am",
            "13pm",
            "pm",
            "18h",
            "6p",
            "18:00:00:00",
            "18:",
            ":30",
            "١٨",
            "1.5",
            "six",
            "18:00pm",
        ] {
            assert_eq!(Hour::read(word), None, "{word:?}");
        }
    }
}
