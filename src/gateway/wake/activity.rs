//! The use of a target through this replica: what counts as use, and for how long.

use std::time::Duration;

use tokio::time::Instant;

use crate::util::SortedMap;

/// The part of the idle time after which an open request counts as use by itself. Requests
/// that end in an error before have never counted.
const OPEN_PART: u32 = 8;

/// The use that a request is of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// None, as that of a robot.
    None,
    /// That of a page which asks for something by itself: use for `presence` after somebody
    /// was there.
    Page,
    /// That of somebody, or of a program.
    Client,
}

/// The use of one target through this replica.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// The last time that a client did something that counts.
    client: Option<Instant>,
    /// The last time that the app did.
    app: Option<Instant>,
    /// The last time that somebody was there at all; the first request that was not
    /// somebody's where nobody was.
    present: Option<Instant>,
    /// The beginnings of what is open, in their order.
    open: SortedMap<u64, Instant>,
    next: u64,
}

impl Activity {
    /// Counts a use.
    pub(super) fn touch(&mut self, is_client: bool, now: Instant) {
        match is_client {
            true => {
                self.client = Some(now);
                self.present = Some(now);
            }
            false => self.app = Some(now),
        }
    }

    /// Returns whether such a request counts now.
    pub(super) fn counts(&self, as_use: Use, presence: Duration, now: Instant) -> bool {
        match as_use {
            Use::None => false,
            Use::Page => self.present.is_none_or(|present| now <= present + presence),
            Use::Client => true,
        }
    }

    /// A request or socket begins: returns its id.
    pub(super) fn begin(&mut self, as_use: Use, presence: Duration, now: Instant) -> u64 {
        self.next += 1;
        if self.counts(as_use, presence, now) {
            self.open.insert(self.next, now);
            // Whether somebody is there shows when it was answered well.
            self.present.get_or_insert(now);
        }
        self.next
    }

    /// The target is off: who was there before says nothing of its next life.
    pub(super) fn forget_presence(&mut self) {
        self.present = None;
    }

    /// It ends.
    pub(super) fn end(&mut self, id: u64) {
        self.open.remove(&id);
    }

    /// The last use. What the app does by itself counts for `presence` after a client was
    /// there.
    pub(super) fn last_use(&self, presence: Duration) -> Option<Instant> {
        let app = self
            .app
            .zip(self.present)
            .map(|(app, present)| app.min(present + presence));
        self.client.max(app)
    }

    /// The time until which it counts as in use: the idle time after the last use, and as
    /// long after the beginning of a request that is open.
    pub(super) fn used_until(&self, idle: Duration, presence: Duration) -> Option<Instant> {
        let newest = self.open.last().copied();
        self.last_use(presence).max(newest).map(|at| at + idle)
    }

    /// The last use that the other replicas have to know of.
    pub(super) fn to_tell(
        &self,
        idle: Duration,
        presence: Duration,
        now: Instant,
    ) -> Option<Instant> {
        let is_long = |begun: &Instant| {
            let age = now.saturating_duration_since(*begun);
            age >= idle / OPEN_PART && age < idle
        };
        // What is open is use now, until it was open for the idle time.
        let open = self.open.values().any(is_long).then_some(now);
        self.last_use(presence).max(open)
    }

    /// The time of the next look at what is open; None if there is nothing that may count.
    pub(super) fn look_again(&self, idle: Duration, now: Instant) -> Option<Instant> {
        let newest = self.open.last()?;
        (now < *newest + idle).then(|| now + idle / OPEN_PART)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::fake::run;

    const IDLE: Duration = Duration::from_secs(80);
    const PRESENCE: Duration = Duration::from_secs(1000);

    fn after(base: Instant, seconds: u64) -> Instant {
        base + Duration::from_secs(seconds)
    }

    #[test]
    fn what_the_app_does_alone_counts_as_long_as_a_client_may_be_there() {
        run(async {
            let base = Instant::now();
            let mut activity = Activity::default();
            assert_eq!(activity.last_use(PRESENCE), None);
            activity.touch(false, base);
            assert_eq!(activity.last_use(PRESENCE), None);
            let id = activity.begin(Use::Client, PRESENCE, base);
            for at in [100, 900, 1000, 1100, 5000] {
                activity.touch(false, after(base, at));
                let counted = Some(after(base, at.min(1000)));
                assert_eq!(activity.last_use(PRESENCE), counted, "{at}");
            }
            activity.touch(true, after(base, 5000));
            activity.touch(false, after(base, 5100));
            assert_eq!(activity.last_use(PRESENCE), Some(after(base, 5100)));
            activity.end(id);
        });
    }

    #[test]
    fn what_a_page_asks_for_by_itself_counts_for_as_long_after_somebody_was_there() {
        run(async {
            let base = Instant::now();
            let mut activity = Activity::default();
            // Requests that are answered at once, and such as take their time.
            let poll = |activity: &mut Activity, second: u64| {
                let id = activity.begin(Use::Page, PRESENCE, after(base, second));
                activity.touch(false, after(base, second));
                let until = activity.used_until(IDLE, PRESENCE);
                activity.end(id);
                until
            };
            // Nobody was there before: the first one is as good as somebody.
            for (second, until) in [
                (0, 80),
                (500, 580),
                (1000, 1080),
                (1001, 1080),
                (9000, 1080),
            ] {
                let counted = poll(&mut activity, second);
                assert_eq!(counted, Some(after(base, until)), "{second}");
            }
            // Somebody comes back.
            let id = activity.begin(Use::Client, PRESENCE, after(base, 10_000));
            activity.touch(true, after(base, 10_000));
            activity.end(id);
            for (second, until) in [(10_900, 10_980), (11_500, 11_080)] {
                let counted = poll(&mut activity, second);
                assert_eq!(counted, Some(after(base, until)), "{second}");
            }
            // The next life of the target.
            activity.forget_presence();
            assert_eq!(poll(&mut activity, 20_000), Some(after(base, 20_080)));
        });
    }

    #[test]
    fn what_is_open_counts_for_the_idle_time_unless_it_moves() {
        run(async {
            let base = Instant::now();
            let mut activity = Activity::default();
            let id = activity.begin(Use::Client, PRESENCE, base);
            let until = |activity: &Activity| activity.used_until(IDLE, PRESENCE);
            assert_eq!(until(&activity), Some(base + IDLE));
            activity.touch(false, after(base, 70));
            assert_eq!(until(&activity), Some(after(base, 150)));
            activity.end(id);
            assert_eq!(until(&activity), Some(after(base, 150)));
        });
    }

    #[test]
    fn requests_that_end_in_an_error_leave_nothing() {
        run(async {
            let base = Instant::now();
            let mut activity = Activity::default();
            for second in 0..1000 {
                let now = after(base, second);
                let id = activity.begin(Use::Client, PRESENCE, now);
                let in_flight = activity.to_tell(IDLE, PRESENCE, after(base, second + 1));
                assert_eq!(in_flight, None);
                activity.end(id);
            }
            assert_eq!(activity.used_until(IDLE, PRESENCE), None);
        });
    }

    #[test]
    fn the_others_are_told_of_a_request_that_takes_long() {
        run(async {
            let base = Instant::now();
            let mut activity = Activity::default();
            activity.begin(Use::Client, PRESENCE, base);
            for (second, is_told) in [(0, false), (9, false), (10, true), (79, true), (80, false)] {
                let now = after(base, second);
                let told = activity.to_tell(IDLE, PRESENCE, now);
                assert_eq!(told, is_told.then_some(now), "{second}");
            }
            let (early, late) = (after(base, 79), after(base, 80));
            assert_eq!(activity.look_again(IDLE, early), Some(early + IDLE / 8));
            assert_eq!(activity.look_again(IDLE, late), None);
        });
    }
}
