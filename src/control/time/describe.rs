//! Moments and lengths of time, as people read them.

use std::time::Duration;

use jiff::civil::Weekday;

use super::Zone;

/// From this distance on a weekday does not say which day is meant, in milliseconds.
const DATED_MS: u64 = 6 * 24 * 60 * 60_000;

/// A moment for a person, both as the clocks of a zone show it and from `now_ms`:
/// `Sun 18:00 CET (in 3 h 12 min)`, with the date if it is more than 6 days away:
/// `Sun 2026-03-29 18:00 CEST (in 9 d)`. One that is over is some time `ago`.
/// Both are milliseconds since the Unix epoch.
pub fn describe(at_ms: u64, now_ms: u64, zone: &Zone) -> String {
    let local = zone.local(at_ms);
    let day = weekday(local.weekday());
    let date = match at_ms.abs_diff(now_ms) > DATED_MS {
        true => format!(" {}", local.date()),
        false => String::new(),
    };
    let apart = describe_duration(Duration::from_millis(at_ms.abs_diff(now_ms)));
    let from_now = match at_ms <= now_ms {
        true => format!("{apart} ago"),
        false => format!("in {apart}"),
    };
    let (hour, minute) = (local.hour(), local.minute());
    let called = zone.abbreviation(at_ms);
    format!("{day}{date} {hour:02}:{minute:02} {called} ({from_now})")
}

/// A moment with its date: `2026-11-29 18:00 CET`.
pub fn date_and_time(at_ms: u64, zone: &Zone) -> String {
    let local = zone.local(at_ms);
    format!(
        "{} {:02}:{:02} {}",
        local.date(),
        local.hour(),
        local.minute(),
        zone.abbreviation(at_ms)
    )
}

/// A length for a person, to the nearest minute: `3 h 12 min`, `1 d 4 h`; under half a
/// minute, `less than a minute`.
pub fn describe_duration(length: Duration) -> String {
    let minutes = length.as_secs().saturating_add(30) / 60;
    let parts = [
        (minutes / 1_440, "d"),
        (minutes / 60 % 24, "h"),
        (minutes % 60, "min"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let words: Vec<String> = parts
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    match words.is_empty() {
        true => "less than a minute".to_owned(),
        false => words.join(" "),
    }
}

/// A weekday in three letters.
fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Mon",
        Weekday::Tuesday => "Tue",
        Weekday::Wednesday => "Wed",
        Weekday::Thursday => "Thu",
        Weekday::Friday => "Fri",
        Weekday::Saturday => "Sat",
        Weekday::Sunday => "Sun",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;
    const DAY: u64 = 1_440 * MINUTE;
    /// 2026-11-29 17:00 UTC, a Sunday.
    const SUNDAY: u64 = 1_795_971_600_000;

    #[test]
    fn a_moment_is_told_by_the_clock_and_from_now() {
        let berlin = Zone::parse("Europe/Berlin").unwrap();
        let auckland = Zone::parse("Pacific/Auckland").unwrap();
        let before = |ms| SUNDAY - ms;
        for (now, zone, text) in [
            (
                before(192 * MINUTE),
                &berlin,
                "Sun 18:00 CET (in 3 h 12 min)",
            ),
            (
                before(192 * MINUTE),
                &auckland,
                "Mon 06:00 NZDT (in 3 h 12 min)",
            ),
            (
                before(5),
                &Zone::utc(),
                "Sun 17:00 UTC (in less than a minute)",
            ),
            (
                SUNDAY,
                &Zone::utc(),
                "Sun 17:00 UTC (less than a minute ago)",
            ),
            (before(120 * MINUTE - 20), &berlin, "Sun 18:00 CET (in 2 h)"),
            (before(6 * DAY), &berlin, "Sun 18:00 CET (in 6 d)"),
            (
                before(6 * DAY + 1),
                &berlin,
                "Sun 2026-11-29 18:00 CET (in 6 d)",
            ),
            (
                before(60 * DAY),
                &berlin,
                "Sun 2026-11-29 18:00 CET (in 60 d)",
            ),
            (
                SUNDAY + 90 * MINUTE,
                &berlin,
                "Sun 18:00 CET (1 h 30 min ago)",
            ),
            (
                SUNDAY + 8 * DAY,
                &berlin,
                "Sun 2026-11-29 18:00 CET (8 d ago)",
            ),
        ] {
            assert_eq!(describe(SUNDAY, now, zone), text);
        }
    }

    #[test]
    fn no_moment_is_too_large_to_be_told() {
        assert!(describe(u64::MAX, 0, &Zone::utc()).contains("9999-12-3"));
    }

    #[test]
    fn lengths_are_told_in_days_hours_and_minutes() {
        for (seconds, text) in [
            (0, "less than a minute"),
            (29, "less than a minute"),
            (30, "1 min"),
            (90, "2 min"),
            (60 * 60 - 1, "1 h"),
            (150 * 60, "2 h 30 min"),
            (24 * 3_600, "1 d"),
            (24 * 3_600 + 300, "1 d 5 min"),
            (366 * 86_400, "366 d"),
        ] {
            assert_eq!(describe_duration(Duration::from_secs(seconds)), text);
        }
        assert!(describe_duration(Duration::MAX).contains(" d "));
    }
}
