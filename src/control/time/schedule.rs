//! Schedules: when a target is to be up, by the clocks of a zone.
//!
//! A schedule acts at its edges alone: what a person does in between holds until the next
//! one. A rule that cannot be read is a fault, and never means "down".

use jiff::{ToSpan, civil::Date};

use super::{
    Zone,
    schedule_rule::{Rule, ScheduleFault, Time},
    words::Hour,
};
use crate::util::sorted_by;

/// The most rules of a schedule.
const MAX_RULES: usize = 32;

/// The days before and after a moment whose edges are looked at. Rules repeat within 7, and
/// a window ends on the day after the one it begins on at the latest.
const DAYS_BEFORE: i64 = 8;
const DAYS_AFTER: i64 = 10;

/// The time within which the next edge comes if there is one, in milliseconds; what is
/// computed ends later.
const NEXT_MS: u64 = 8 * 86_400_000;

/// The times when a target is to be up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    rules: Vec<Rule>,
}

/// The wish of a schedule at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edge {
    /// A window is over, or it is time for a stop.
    Stop,
    /// A window begins, or it is time for a start.
    Start,
}

/// From a moment to another, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Window {
    from: u64,
    to: u64,
}

impl Schedule {
    /// Reads rules such as `Mon-Fri 08:00-18:00`, `weekdays 8-12,13-18`, `Sun-Thu 22:00-06:00`
    /// (over midnight; the days are those on which it begins), `Sat,Sun 10am-noon`, `8-18`
    /// (daily), and those of one edge, `start Mon-Fri 08:00` and `stop daily 20:00`.
    ///
    /// # Errors
    /// The part that cannot be read; that there is no rule, or more than 32.
    pub fn parse<T: AsRef<str>>(rules: &[T]) -> Result<Self, ScheduleFault> {
        match rules.len() {
            0 => return Err(ScheduleFault::NoRule),
            1..=MAX_RULES => {}
            _ => return Err(ScheduleFault::TooManyRules(MAX_RULES)),
        }
        let rules = rules.iter().map(|rule| Rule::parse(rule.as_ref()));
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
        })
    }

    /// The first edge after a moment, both in milliseconds since the Unix epoch. There is none
    /// if the windows leave nothing out.
    ///
    /// Windows that overlap or touch are one, and what is to be stopped within one is not.
    pub fn next_edge(&self, after_ms: u64, zone: &Zone) -> Option<(u64, Edge)> {
        let last = after_ms.saturating_add(NEXT_MS);
        let edges = self.edges(after_ms, zone);
        let mut after = edges.into_iter().filter(|(at, _)| *at > after_ms);
        after.next().filter(|(at, _)| *at <= last)
    }

    /// True if the schedule wants the target up at a moment (milliseconds since the Unix
    /// epoch): within a window, or after a start that no stop has followed within a week.
    /// A start that was missed is made up for only then; false asks for nothing.
    pub fn is_up_at(&self, at_ms: u64, zone: &Zone) -> bool {
        let edges = self.edges(at_ms, zone);
        let past = edges.into_iter().take_while(|(at, _)| *at <= at_ms);
        past.last().is_some_and(|(_, edge)| edge == Edge::Start)
    }

    /// The edges around a moment, in order, no two at the same time.
    fn edges(&self, around_ms: u64, zone: &Zone) -> Vec<(u64, Edge)> {
        let today = zone.local(around_ms).date();
        let days = (-DAYS_BEFORE..=DAYS_AFTER)
            .filter_map(|distance| today.checked_add(distance.days()).ok());
        let (mut windows, mut starts, mut stops) = (Vec::new(), Vec::new(), Vec::new());
        for day in days {
            for time in self.rules.iter().flat_map(|rule| rule.times_on(day)) {
                match *time {
                    Time::Window { from, to } => windows.extend(window(day, from, to, zone)),
                    Time::Start(hour) => starts.extend(first(day, hour, zone)),
                    Time::Stop(hour) => stops.extend(last(day, hour, zone)),
                }
            }
        }
        let windows = joined(windows);
        let is_wanted = |at: &u64| {
            let mut windows = windows.iter();
            starts.contains(at) || windows.any(|window| (window.from..window.to).contains(at))
        };
        stops.retain(|at| !is_wanted(at));
        starts.extend(windows.iter().map(|window| window.from));
        stops.extend(windows.iter().map(|window| window.to));
        // A start may be due when a window ends.
        stops.retain(|at| !starts.contains(at));
        let starts = starts.into_iter().map(|at| (at, Edge::Start));
        let stops = stops.into_iter().map(|at| (at, Edge::Stop));
        let mut edges = sorted_by(starts.chain(stops).collect(), Ord::cmp);
        edges.dedup();
        edges
    }
}

/// The window that begins on a day; on the day on which the clocks are put forward over all
/// of it there is none.
fn window(day: Date, from: Hour, to: Hour, zone: &Zone) -> Option<Window> {
    let from_ms = first(day, from, zone)?;
    // Over midnight.
    let end = if to.on(day)? <= from.on(day)? {
        day.tomorrow().ok()?
    } else {
        day
    };
    let to_ms = last(end, to, zone)?;
    (from_ms < to_ms).then_some(Window {
        from: from_ms,
        to: to_ms,
    })
}

/// The first moment at which it is that hour on a day: a start comes rather too early.
fn first(day: Date, hour: Hour, zone: &Zone) -> Option<u64> {
    Some(zone.moments(hour.on(day)?)?.first)
}

/// The last moment at which it is that hour on a day: a stop comes rather too late.
fn last(day: Date, hour: Hour, zone: &Zone) -> Option<u64> {
    Some(zone.moments(hour.on(day)?)?.last)
}

/// Windows in order, those that overlap or touch as one.
fn joined(windows: Vec<Window>) -> Vec<Window> {
    let mut joined: Vec<Window> = Vec::new();
    for window in sorted_by(windows, Ord::cmp) {
        match joined.last_mut() {
            Some(before) if window.from <= before.to => before.to = before.to.max(window.to),
            _ => joined.push(window),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn ms(rfc3339: &str) -> u64 {
        let at: Timestamp = rfc3339.parse().unwrap();
        u64::try_from(at.as_millisecond()).unwrap()
    }

    /// The edges after a moment, as `Stop 2026-11-30T18:00:00Z`.
    fn edges(zone: &str, rules: &[&str], after: &str, count: usize) -> Vec<String> {
        let zone = Zone::parse(zone).unwrap();
        let schedule = Schedule::parse(rules).unwrap();
        let mut after = ms(after);
        let mut found = Vec::new();
        while found.len() < count
            && let Some((at, edge)) = schedule.next_edge(after, &zone)
        {
            let shown = Timestamp::from_millisecond(i64::try_from(at).unwrap()).unwrap();
            found.push(format!("{edge:?} {shown}"));
            let is_up = schedule.is_up_at(at, &zone);
            assert_eq!(is_up, edge == Edge::Start, "{rules:?} at {shown}");
            after = at;
        }
        found
    }

    fn is_up(zone: &str, rules: &[&str], at: &str) -> bool {
        let zone = Zone::parse(zone).unwrap();
        Schedule::parse(rules).unwrap().is_up_at(ms(at), &zone)
    }

    #[test]
    fn working_hours_begin_and_end_by_the_clocks_of_the_zone() {
        // Thursday 2026-11-26; Friday, and the weekend is left out.
        assert_eq!(
            edges(
                "Europe/Berlin",
                &["weekdays 8-18"],
                "2026-11-26T12:00:00Z",
                5
            ),
            [
                "Stop 2026-11-26T17:00:00Z",
                "Start 2026-11-27T07:00:00Z",
                "Stop 2026-11-27T17:00:00Z",
                "Start 2026-11-30T07:00:00Z",
                "Stop 2026-11-30T17:00:00Z",
            ]
        );
        // Monday begins in Auckland when it is Sunday noon in Greenwich.
        assert_eq!(
            edges(
                "Pacific/Auckland",
                &["Mon 00:00-24:00"],
                "2026-11-26T12:00:00Z",
                2
            ),
            ["Start 2026-11-29T11:00:00Z", "Stop 2026-11-30T11:00:00Z"]
        );
        let rules = ["Mon-Fri 08:00-18:00"];
        assert!(is_up("Europe/Berlin", &rules, "2026-11-26T07:00:00Z"));
        assert!(is_up("Europe/Berlin", &rules, "2026-11-26T16:59:59Z"));
        assert!(!is_up("Europe/Berlin", &rules, "2026-11-26T17:00:00Z"));
        assert!(!is_up("Europe/Berlin", &rules, "2026-11-28T12:00:00Z"));
    }

    #[test]
    fn a_window_goes_over_midnight_and_days_over_the_end_of_a_week() {
        assert_eq!(
            edges("UTC", &["Sat-Sun 22:00-06:00"], "2026-11-26T12:00:00Z", 5),
            [
                "Start 2026-11-28T22:00:00Z",
                "Stop 2026-11-29T06:00:00Z",
                "Start 2026-11-29T22:00:00Z",
                "Stop 2026-11-30T06:00:00Z",
                "Start 2026-12-05T22:00:00Z",
            ]
        );
        assert_eq!(
            edges("UTC", &["Sat-Mon 8-9"], "2026-11-26T12:00:00Z", 7),
            [
                "Start 2026-11-28T08:00:00Z",
                "Stop 2026-11-28T09:00:00Z",
                "Start 2026-11-29T08:00:00Z",
                "Stop 2026-11-29T09:00:00Z",
                "Start 2026-11-30T08:00:00Z",
                "Stop 2026-11-30T09:00:00Z",
                "Start 2026-12-05T08:00:00Z",
            ]
        );
        assert!(is_up("UTC", &["Sun-Fri 22-6"], "2026-11-28T05:00:00Z"));
        assert!(!is_up("UTC", &["Sun-Fri 22-6"], "2026-11-28T23:00:00Z"));
    }

    #[test]
    fn up_wins_where_windows_overlap_or_touch() {
        let rules = [
            "daily 8-12",
            "daily 10-14",
            "daily 14-16",
            "stop daily 11:00",
        ];
        assert_eq!(
            edges("UTC", &rules, "2026-11-26T00:00:00Z", 3),
            [
                "Start 2026-11-26T08:00:00Z",
                "Stop 2026-11-26T16:00:00Z",
                "Start 2026-11-27T08:00:00Z",
            ]
        );
        let rules = ["stop daily 8:00", "start daily 8:00", "daily 9-10"];
        assert_eq!(
            edges("UTC", &rules, "2026-11-26T00:00:00Z", 3),
            [
                "Start 2026-11-26T08:00:00Z",
                "Start 2026-11-26T09:00:00Z",
                "Stop 2026-11-26T10:00:00Z",
            ]
        );
        assert_eq!(
            edges(
                "UTC",
                &["8-10", "start daily 10:00"],
                "2026-11-26T08:00:00Z",
                2
            ),
            ["Start 2026-11-26T10:00:00Z", "Start 2026-11-27T08:00:00Z"]
        );
    }

    #[test]
    fn what_leaves_nothing_out_has_no_edge() {
        for rules in [
            &["daily 00:00-24:00"][..],
            &["Mon-Sun 0-24"],
            &["0-12", "12-24"],
            &["8-20", "20-8"],
        ] {
            assert!(edges("UTC", rules, "2026-11-26T12:00:00Z", 1).is_empty());
            assert!(edges("Europe/Berlin", rules, "2026-03-28T12:00:00Z", 1).is_empty());
            assert!(is_up("UTC", rules, "2026-11-26T12:00:00Z"));
        }
    }

    #[test]
    fn a_rule_may_only_start_or_only_stop() {
        let stop = ["stop daily 20:00"];
        assert_eq!(
            edges("UTC", &stop, "2026-11-26T20:00:00Z", 2),
            ["Stop 2026-11-27T20:00:00Z", "Stop 2026-11-28T20:00:00Z"]
        );
        assert!(!is_up("UTC", &stop, "2026-11-26T12:00:00Z"));
        let start = ["start Mon-Fri 08:00"];
        assert_eq!(
            edges("UTC", &start, "2026-11-27T07:59:59Z", 2),
            ["Start 2026-11-27T08:00:00Z", "Start 2026-11-30T08:00:00Z"]
        );
        assert!(is_up("UTC", &start, "2026-11-28T12:00:00Z"));
        let both = ["start Mon-Fri 08:00", "stop daily 20:00"];
        assert!(is_up("UTC", &both, "2026-11-27T12:00:00Z"));
        assert!(!is_up("UTC", &both, "2026-11-28T12:00:00Z"));
        assert_eq!(
            edges("UTC", &["start Thu 12:00"], "2026-11-26T12:00:00Z", 1),
            ["Start 2026-12-03T12:00:00Z"]
        );
    }

    #[test]
    fn the_days_on_which_clocks_change_have_their_edges_once() {
        // 02:00 CET becomes 03:00 CEST.
        assert_eq!(
            edges(
                "Europe/Berlin",
                &["daily 1:00-2:30"],
                "2026-03-28T12:00:00Z",
                3
            ),
            [
                "Start 2026-03-29T00:00:00Z",
                "Stop 2026-03-29T01:30:00Z",
                "Start 2026-03-29T23:00:00Z",
            ]
        );
        // A start at 02:30, which is 03:30 then, is behind its stop at 03:00.
        assert_eq!(
            edges(
                "Europe/Berlin",
                &["daily 2:30-3:00"],
                "2026-03-28T12:00:00Z",
                1
            ),
            ["Start 2026-03-30T00:30:00Z"]
        );
        // 03:00 CEST becomes 02:00 CET: from the first 02:15 to the second 02:30.
        assert_eq!(
            edges(
                "Europe/Berlin",
                &["daily 2:15-2:30"],
                "2026-10-24T12:00:00Z",
                3
            ),
            [
                "Start 2026-10-25T00:15:00Z",
                "Stop 2026-10-25T01:30:00Z",
                "Start 2026-10-26T01:15:00Z",
            ]
        );
        // 02:00 +11 becomes 01:30 +10:30.
        assert_eq!(
            edges(
                "Australia/Lord_Howe",
                &["8-18", "stop Sun 1:45"],
                "2026-04-04T12:00:00Z",
                2
            ),
            ["Stop 2026-04-04T15:15:00Z", "Start 2026-04-04T21:30:00Z"]
        );
    }

    #[test]
    fn no_time_of_the_clock_is_too_much() {
        let schedule = Schedule::parse(&["Mon-Fri 8-18", "stop daily 20:00"]).unwrap();
        for at in [0, u64::MAX / 2, u64::MAX] {
            let _ = schedule.next_edge(at, &Zone::utc());
            let _ = schedule.is_up_at(at, &Zone::utc());
        }
    }
}
