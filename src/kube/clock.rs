//! Times as people read them.

use std::time::SystemTime;

use crate::util::civil;

const DAY: u64 = 86_400;

/// `12:03:05 UTC`, with the date in front unless it is `now`'s.
pub(super) fn utc(time: SystemTime, now: SystemTime) -> String {
    let time = seconds(time);
    let (hour, minute, second) = (time / 3600 % 24, time / 60 % 60, time % 60);
    let clock = format!("{hour:02}:{minute:02}:{second:02} UTC");
    if time / DAY == seconds(now) / DAY {
        return clock;
    }
    let (year, month, day) = civil(time / DAY);
    format!("{year}-{month:02}-{day:02} {clock}")
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_time_of_today_is_a_clock_time() {
        assert_eq!(utc(at(784_111_777), at(784_111_800)), "08:49:37 UTC");
    }

    #[test]
    fn a_time_of_another_day_has_its_date() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (784_111_777, "1994-11-06 08:49:37 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_709_251_199, "2024-02-29 23:59:59 UTC"),
            (1_709_251_200, "2024-03-01 00:00:00 UTC"),
            (1_735_689_599, "2024-12-31 23:59:59 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(utc(at(seconds), at(seconds + DAY)), text);
        }
    }
}
