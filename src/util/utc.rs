//! Wall-clock time as text, in UTC.

use std::fmt::{self, Display};
use std::time::{SystemTime, UNIX_EPOCH};

const SECONDS_A_DAY: u64 = 86_400;
/// Days in 400 years of the Gregorian calendar, after which it repeats.
const DAYS_A_CYCLE: u64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const DAYS_BEFORE_EPOCH: u64 = 719_468;

/// A second of the Gregorian calendar, in UTC and without leap seconds. They are
/// in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Utc {
    /// The year, 1970 or later.
    pub year: u64,
    /// The month, 1 to 12.
    pub month: u64,
    /// The day of the month, 1 to 31.
    pub day: u64,
    /// The hour, 0 to 23.
    pub hour: u64,
    /// The minute, 0 to 59.
    pub minute: u64,
    /// The second, 0 to 59.
    pub second: u64,
}

impl Utc {
    /// The second that is this many after the Unix epoch.
    ///
    /// The year is taken to begin in March: the leap day is then the last day of a
    /// year, and the lengths of the months before it follow one straight line,
    /// `(153 m + 2) / 5` days before month `m`.
    pub fn of_seconds(seconds: u64) -> Self {
        let days = seconds / SECONDS_A_DAY + DAYS_BEFORE_EPOCH;
        let cycle = days / DAYS_A_CYCLE;
        let day_of_cycle = days % DAYS_A_CYCLE;
        // What the leap days of the cycle have added until then is taken out
        // first: one in 4 years, none in 100, the last day of the 400.
        let leaps =
            day_of_cycle / 1_460 - day_of_cycle / 36_524 + day_of_cycle / (DAYS_A_CYCLE - 1);
        let year_of_cycle = (day_of_cycle - leaps) / 365;
        let day_of_year =
            day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = (month_from_march + 2) % 12 + 1;
        Self {
            year: 400 * cycle + year_of_cycle + u64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            hour: seconds / 3600 % 24,
            minute: seconds / 60 % 60,
            second: seconds % 60,
        }
    }

    /// The seconds from the Unix epoch to it; None if there is no such second. The months
    /// are counted as in [`Utc::of_seconds`].
    pub fn seconds(self) -> Option<u64> {
        let year = self.year - u64::from(self.month <= 2);
        let year_of_cycle = year % 400;
        let month_from_march = (self.month + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + self.day.checked_sub(1)?;
        let day_of_cycle =
            365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
        let days = (year / 400 * DAYS_A_CYCLE + day_of_cycle).checked_sub(DAYS_BEFORE_EPOCH)?;
        let seconds = days * SECONDS_A_DAY + 3600 * self.hour + 60 * self.minute + self.second;
        // The thirtieth of February would be another day.
        (Self::of_seconds(seconds) == self).then_some(seconds)
    }

    /// The date as `2026-11-21`.
    pub fn date(self) -> impl Display {
        fmt::from_fn(move |f| write!(f, "{}-{:02}-{:02}", self.year, self.month, self.day))
    }

    /// The time of day as `12:03:05`.
    pub fn time(self) -> impl Display {
        fmt::from_fn(move |f| write!(f, "{:02}:{:02}:{:02}", self.hour, self.minute, self.second))
    }
}

/// A clock set before 1970 shows as 1970-01-01.
impl From<SystemTime> for Utc {
    fn from(at: SystemTime) -> Self {
        Self::of_seconds(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
    }
}

/// The time as `2026-11-21T12:00:00.123Z`, with milliseconds
/// (<https://www.rfc-editor.org/rfc/rfc3339#section-5.6>). A clock set before 1970
/// shows as 1970-01-01.
pub fn rfc3339(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let utc = Utc::from(at);
    let millis = since.subsec_millis();
    format!("{}T{}.{millis:03}Z", utc.date(), utc.time())
}

/// The milliseconds since the Unix epoch of a time such as `2026-11-21T12:00:00Z` or
/// `2026-11-21T13:00:00.5+01:00` (<https://www.rfc-editor.org/rfc/rfc3339#section-5.6>);
/// what is smaller than a millisecond is cut off. None if it is none, a leap second, or
/// before 1970.
pub fn rfc3339_ms(text: &str) -> Option<u64> {
    let (date, rest) = text.split_at_checked("2026-11-21".len())?;
    let (time, rest) = rest
        .strip_prefix(['T', 't'])?
        .split_at_checked("12:00:00".len())?;
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let at = Utc {
        year: Some(year).filter(|year| *year >= 1970)?,
        month,
        day,
        hour,
        minute,
        second,
    };
    let seconds = at.seconds()?;
    let (millis, zone) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            let (digits, zone) = rest.split_at(end);
            if digits.is_empty() {
                return None;
            }
            let first = |at: usize| u64::from(digits.as_bytes().get(at).map_or(0, |d| d - b'0'));
            (100 * first(0) + 10 * first(1) + first(2), zone)
        }
    };
    if matches!(zone, "Z" | "z") {
        return Some(seconds * 1000 + millis);
    }
    let is_west = zone.starts_with('-');
    let [hours, minutes] = numbers(zone.strip_prefix(['+', '-'])?, ':')?;
    if zone.len() != "+01:00".len() || hours > 23 || minutes > 59 {
        return None;
    }
    let offset = 60 * (60 * hours + minutes);
    let seconds = match is_west {
        true => seconds + offset,
        false => seconds.checked_sub(offset)?,
    };
    Some(seconds * 1000 + millis)
}

/// The numbers of a text, each of two digits or of four, between these separators.
fn numbers<const N: usize>(text: &str, separator: char) -> Option<[u64; N]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; N];
    for number in &mut numbers {
        let part = parts.next()?;
        let is_number = matches!(part.len(), 2 | 4) && part.bytes().all(|b| b.is_ascii_digit());
        *number = part.parse().ok().filter(|_| is_number)?;
    }
    parts.next().is_none().then_some(numbers)
}

/// As [`rfc3339`], with microseconds: a `MicroTime` of Kubernetes, which has exactly six
/// decimals.
pub fn rfc3339_micros(at: SystemTime) -> String {
    let micros = at
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .subsec_micros();
    let utc = Utc::from(at);
    format!("{}T{}.{micros:06}Z", utc.date(), utc.time())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64, millis: u64) -> String {
        rfc3339(UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(millis))
    }

    #[test]
    fn known_instants() {
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400, 0), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(1_795_262_400, 123), "2026-11-21T12:00:00.123Z");
        assert_eq!(at(4_107_542_399, 999), "2100-02-28T23:59:59.999Z");
        assert_eq!(at(4_107_542_400, 0), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn microseconds_have_six_decimals() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (7, "1970-01-01T00:00:00.000007Z"),
            (1_500_000, "1970-01-01T00:00:01.500000Z"),
        ] {
            assert_eq!(
                rfc3339_micros(UNIX_EPOCH + Duration::from_micros(micros)),
                text
            );
        }
    }

    #[test]
    fn a_clock_before_1970_is_not_a_failure() {
        let early = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(rfc3339(early), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_time_is_read_as_it_is_written() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T00:00:00.000Z", 951_782_400_000),
            ("2026-11-21T12:00:00.123Z", 1_795_262_400_123),
            ("2026-11-21T12:00:00.123999999z", 1_795_262_400_123),
            ("2026-11-21t13:00:00.5+01:00", 1_795_262_400_500),
            ("2026-11-21T06:30:00.05-05:30", 1_795_262_400_050),
            ("2026-11-21T12:00:00-00:00", 1_795_262_400_000),
        ] {
            assert_eq!(rfc3339_ms(text), Some(ms), "{text}");
        }
        for text in [
            "",
            "2026-11-21",
            "2026-11-21 12:00:00Z",
            "2026-11-21T12:00Z",
            "2026-11-21T12:00:00",
            "2026-11-21T12:00:00.Z",
            "2026-11-21T12:00:00.5",
            "2026-11-21T12:00:00+0100",
            "2026-11-21T12:00:00+24:00",
            "2026-11-21T12:00:00+01:60",
            "2026-11-21T12:00:00+01:0000",
            "2026-11-21T12:00:00+01:00:00",
            "2026-11-21T24:00:00Z",
            "2026-11-21T12:60:00Z",
            "2026-11-21T12:00:60Z",
            "2026-02-29T12:00:00Z",
            "2026-00-01T12:00:00Z",
            "2026-13-01T12:00:00Z",
            "2026-01-00T12:00:00Z",
            "2026-01-32T12:00:00Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+00:01",
            "+026-11-21T12:00:00Z",
            "2026-11-21T12:00:00Z ",
            "2026-11-2١T12:00:00Z",
        ] {
            assert_eq!(rfc3339_ms(text), None, "{text}");
        }
        for ms in (0..4_200_000_000_000).step_by(7_654_321_987) {
            let text = rfc3339(UNIX_EPOCH + Duration::from_millis(ms));
            assert_eq!(rfc3339_ms(&text), Some(ms), "{text}");
        }
    }

    #[test]
    fn agrees_with_a_day_by_day_count_for_500_years() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..(500 * 366) {
            let utc = Utc::of_seconds(days * SECONDS_A_DAY);
            assert_eq!(
                (utc.year, utc.month, utc.day),
                (year, month, day),
                "day {days}"
            );
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 if leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }
}
