//! The phases of a target: each way between them, and what does not lead anywhere.

use std::time::Duration;

use tokio::time::Instant;

use super::super::Phase;
use super::super::lifecycle::{Effect, Event, FAILED, Lifecycle, OTHERS_WAKE, REFUSED, State};
use super::handles::paused;

const TIMEOUT: Duration = Duration::from_secs(300);

fn seen(pods: usize, ready: usize) -> Event {
    Event::Seen { pods, ready }
}

/// A step: an event so many seconds after the beginning, its effect, and the phase then.
type Step = (u64, Event, Effect, Phase);

fn walk(steps: &[Step]) -> Lifecycle {
    let base = Instant::now();
    let mut lifecycle = Lifecycle::new(TIMEOUT, base);
    for (at, (second, event, effect, phase)) in steps.iter().enumerate() {
        let now = base + Duration::from_secs(*second);
        let got = lifecycle.on(event.clone(), now);
        assert_eq!(
            (got, lifecycle.phase()),
            (*effect, *phase),
            "step {at} of {steps:?}"
        );
    }
    lifecycle
}

#[test]
fn every_way_of_a_target() {
    paused(async {
        let base = Instant::now();
        let text = || "no room".to_owned();
        let ready = |ms: u64| Effect::Ready(Some(Duration::from_millis(ms)));
        use Effect::{Changed, Closing, None as Nothing, Ready, Stopped};
        use Phase::{Failed, Off, Ready as Up, Starting, Stopping};
        let ways: &[&[Step]] = &[
            // Woken here.
            &[
                (0, Event::Woken(base), Changed, Starting),
                (1, seen(0, 0), Nothing, Starting),
                (2, seen(1, 0), Nothing, Starting),
                (3, seen(1, 1), ready(3000), Up),
                (4, Event::Woken(base), Nothing, Up),
                (5, Event::Stopping, Closing, Stopping),
                (5, seen(1, 1), Nothing, Stopping),
                (5, Event::Stopping, Nothing, Stopping),
                (6, Event::Stopped, Stopped, Off),
                (7, Event::Stopped, Nothing, Off),
                (7, seen(0, 0), Nothing, Off),
            ],
            // Found on.
            &[
                (0, seen(2, 0), Changed, Starting),
                (1, seen(2, 1), Ready(None), Up),
            ],
            &[
                (0, seen(2, 2), Ready(None), Up),
                (1, seen(0, 0), Changed, Starting),
                (2, Event::NotWoken, Changed, Off),
            ],
            // Its only pod is replaced.
            &[
                (0, seen(1, 1), Ready(None), Up),
                (1, seen(0, 0), Changed, Starting),
                (40, Event::Time, Nothing, Starting),
                (41, seen(1, 0), Nothing, Starting),
                (42, seen(0, 0), Nothing, Starting),
                (43, seen(1, 1), Ready(None), Up),
            ],
            // It fails for a while, and comes back.
            &[
                (0, seen(1, 1), Ready(None), Up),
                (1, seen(1, 0), Changed, Starting),
                (2, seen(1, 1), Ready(None), Up),
            ],
            // Somebody stops it while it starts.
            &[
                (0, Event::Woken(base), Changed, Starting),
                (1, seen(1, 0), Nothing, Starting),
                (2, seen(0, 0), Nothing, Starting),
                (3, Event::NotWoken, Changed, Off),
            ],
            // Another replica wakes it, or does not.
            &[
                (0, Event::WokenByOther, Changed, Starting),
                (9, Event::Time, Nothing, Starting),
                (10, Event::Time, Changed, Off),
            ],
            &[
                (0, Event::WokenByOther, Changed, Starting),
                (9, seen(1, 0), Nothing, Starting),
                (20, Event::Time, Nothing, Starting),
                (21, seen(1, 1), Ready(None), Up),
            ],
            &[
                (0, Event::WokenByOther, Changed, Starting),
                (1, Event::NotWoken, Changed, Off),
            ],
            &[
                (0, Event::Woken(base), Changed, Starting),
                (1, Event::NotWoken, Changed, Off),
                (2, Event::NotWoken, Nothing, Off),
            ],
            &[
                (0, Event::Woken(base), Changed, Starting),
                (1, seen(1, 0), Nothing, Starting),
                (2, Event::NotWoken, Nothing, Starting),
            ],
            // It does not come up.
            &[
                (0, Event::Woken(base), Changed, Starting),
                (299, Event::Time, Nothing, Starting),
                (300, Event::Time, Changed, Failed),
                (301, seen(0, 0), Nothing, Failed),
                (302, seen(1, 1), Ready(None), Up),
            ],
            &[
                (0, Event::Failed(text()), Changed, Failed),
                (31, Event::Woken(base), Changed, Starting),
            ],
            &[
                (0, Event::Refused(text()), Changed, Failed),
                (1, seen(0, 0), Nothing, Failed),
                (2, seen(1, 0), Changed, Starting),
            ],
            // A stop that was not made.
            &[
                (0, seen(1, 1), Ready(None), Up),
                (1, Event::Stopping, Closing, Stopping),
                (2, Event::Kept, Ready(None), Up),
                (3, Event::Kept, Nothing, Up),
            ],
            &[
                (0, seen(1, 1), Ready(None), Up),
                (1, Event::Stopping, Closing, Stopping),
                (2, seen(0, 0), Nothing, Stopping),
                (3, Event::Kept, Changed, Off),
            ],
        ];
        for way in ways {
            walk(way);
        }
    });
}

#[test]
fn a_failure_is_remembered_for_a_while() {
    paused(async {
        let base = Instant::now();
        for (event, time) in [
            (Event::Failed("no room".to_owned()), FAILED),
            (Event::Refused("switched off".to_owned()), REFUSED),
        ] {
            let mut lifecycle = Lifecycle::new(TIMEOUT, base);
            assert!(lifecycle.may_wake(base));
            lifecycle.on(event, base);
            assert!(!lifecycle.may_wake(base + time - Duration::from_millis(1)));
            assert!(lifecycle.may_wake(base + time));
        }
        let mut lifecycle = Lifecycle::new(Duration::from_secs(20), base);
        lifecycle.on(Event::Woken(base), base);
        assert_eq!(lifecycle.due(), Some(base + Duration::from_secs(20)));
        assert!(!lifecycle.may_wake(base));
        lifecycle.on(Event::Time, base + Duration::from_secs(20));
        let State::Failed { reason, .. } = lifecycle.state() else {
            panic!();
        };
        assert_eq!(reason, "not ready after 20 s");
        let mut lifecycle = Lifecycle::new(TIMEOUT, base);
        lifecycle.on(Event::WokenByOther, base);
        assert_eq!(lifecycle.due(), Some(base + OTHERS_WAKE));
    });
}
