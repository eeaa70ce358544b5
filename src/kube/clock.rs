//! Times as people read them.

use std::time::SystemTime;

use crate::util::Utc;

/// `12:03:05 UTC`, with the date in front unless it is `now`'s.
pub(super) fn utc(time: SystemTime, now: SystemTime) -> String {
    let (time, now) = (Utc::from(time), Utc::from(now));
    let date = time.date().to_string();
    match date == now.date().to_string() {
        true => format!("{} UTC", time.time()),
        false => format!("{date} {} UTC", time.time()),
    }
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
            assert_eq!(utc(at(seconds), at(seconds + 86_400)), text);
        }
    }
}
