//! The next stop of a target.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::super::agreement::Keep;
use super::super::idle::{Due, Facts, Stops, Why};
use super::handles::paused;
use crate::config::gateway::IdleStop;

const IDLE: Duration = Duration::from_secs(100);

fn wall(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

fn facts(base: Instant, second: u64) -> Facts {
    Facts {
        now: base + Duration::from_secs(second),
        wall: wall(second),
        own: wall(second),
        idle_stop: IdleStop::Own,
        idle: Some(IDLE),
        unused_at: Some(base + IDLE),
        used_until: None,
        young_until: None,
        keep: Keep::No,
    }
}

#[test]
fn the_last_of_all_reasons_to_stay_counts() {
    paused(async {
        let base = Instant::now();
        let at = |second: u64| base + Duration::from_secs(second);
        let plain = facts(base, 50);
        for (facts, due) in [
            (plain, Due::At(at(100))),
            (facts(base, 100), Due::Now(Why::Idle)),
            (
                Facts {
                    used_until: Some(at(120)),
                    ..plain
                },
                Due::At(at(120)),
            ),
            (
                Facts {
                    used_until: Some(at(20)),
                    ..plain
                },
                Due::At(at(100)),
            ),
            (
                Facts {
                    young_until: Some(at(300)),
                    ..plain
                },
                Due::At(at(300)),
            ),
            (
                Facts {
                    unused_at: None,
                    ..plain
                },
                Due::Never,
            ),
            (
                Facts {
                    idle: None,
                    ..plain
                },
                Due::Never,
            ),
            (
                Facts {
                    idle_stop: IdleStop::Never,
                    ..plain
                },
                Due::Never,
            ),
            (
                Facts {
                    keep: Keep::Yes,
                    ..plain
                },
                Due::Never,
            ),
            (
                Facts {
                    keep: Keep::Until(wall(55)),
                    ..plain
                },
                Due::At(at(55)),
            ),
            // Looked at again before: the clock may be set.
            (
                Facts {
                    keep: Keep::Until(wall(500)),
                    ..plain
                },
                Due::At(at(60)),
            ),
            (
                Facts {
                    keep: Keep::Until(wall(50)),
                    ..plain
                },
                Due::Now(Why::Deadline),
            ),
            // A deadline ends it whoever uses it, and whatever the rule about idling.
            (
                Facts {
                    keep: Keep::Until(wall(10)),
                    used_until: Some(at(999)),
                    idle_stop: IdleStop::Never,
                    ..plain
                },
                Due::Now(Why::Deadline),
            ),
        ] {
            let mut stops = Stops::new(base, wall(0));
            assert_eq!(stops.due(&facts), due, "{facts:?}");
        }
    });
}

#[test]
fn a_jump_of_the_wall_clock_holds_a_deadline() {
    paused(async {
        let base = Instant::now();
        let keep = Keep::Until(wall(3000));
        for (jump, is_held) in [(3600, true), (29, false)] {
            let mut stops = Stops::new(base, wall(0));
            stops.due(&Facts {
                keep,
                ..facts(base, 10)
            });
            let later = Facts {
                wall: wall(11 + jump),
                own: wall(11 + jump),
                keep: Keep::Until(wall(12)),
                ..facts(base, 11)
            };
            let due = stops.due(&later);
            assert_eq!(due != Due::Now(Why::Deadline), is_held, "{jump}");
            assert_eq!(stops.take_jump(), is_held);
            assert!(!stops.take_jump());
            let much_later = Facts {
                wall: wall(111 + jump),
                own: wall(111 + jump),
                keep: Keep::Until(wall(12)),
                ..facts(base, 111)
            };
            assert_eq!(stops.due(&much_later), Due::Now(Why::Deadline));
        }
    });
}

#[test]
fn a_clock_that_is_put_right_has_not_jumped() {
    paused(async {
        let base = Instant::now();
        let mut stops = Stops::new(base, wall(9000));
        let right = Facts {
            own: wall(9010),
            keep: Keep::Until(wall(12)),
            ..facts(base, 10)
        };
        assert_eq!(stops.due(&right), Due::At(base + Duration::from_secs(12)));
        assert!(!stops.take_jump());
    });
}

#[test]
fn what_belongs_to_others_is_named_and_left_alone_for_one_idle_time() {
    paused(async {
        let base = Instant::now();
        let mut stops = Stops::new(base, wall(0));
        let now = facts(base, 100);
        let by = "its number of replicas was set by kubectl, keda";
        stops.kept(by, Some(IDLE), now.now);
        let note = "left on: its number of replicas was set by kubectl, keda";
        assert_eq!(stops.note(), Some(note));
        assert_eq!(stops.due(&now), Due::At(now.now + IDLE));
        assert!(!stops.is_note_over(now.now));
        assert!(stops.is_note_over(now.now + IDLE));
        assert_eq!(stops.note(), None);
        assert_eq!(stops.due(&facts(base, 200)), Due::Now(Why::Idle));
    });
}

#[test]
fn two_reversals_in_ten_minutes_are_a_reason_to_leave_it_on() {
    paused(async {
        let base = Instant::now();
        let at = |second: u64| base + Duration::from_secs(second);
        let mut stops = Stops::new(base, wall(0));
        for (stopped, back, is_often) in [
            (0, 700, false),
            (1000, 1100, false),
            // The one before is too long ago.
            (1800, 1900, false),
            (2000, 2100, true),
        ] {
            stops.stopped(at(stopped));
            assert_eq!(stops.put_back(at(back)), is_often, "{back}");
            assert!(!stops.put_back(at(back)));
        }
        assert!(stops.note().is_some());
        let held = Facts {
            unused_at: Some(base),
            ..facts(base, 2100)
        };
        assert_eq!(stops.due(&held), Due::At(at(2100 + 3600)));
        // What a gateway wakes is nobody's reversal.
        stops.stopped(at(6000));
        stops.woken();
        assert!(!stops.put_back(at(6001)));
    });
}
