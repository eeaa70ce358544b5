//! Liveness and readiness: the judgement on the facts of a moment, without IO.
//!
//! Specification: <https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/>.

use std::time::Duration;

/// The loop wakes once a minute at least; a transaction may take a while on a
/// slow disk.
const LOOP_MAX_AGE: Duration = Duration::from_secs(150);

/// A question about the state of the bot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Liveness: the process does its work, whatever the servers do.
    Live,
    /// Readiness: a command that is given now can expect an answer.
    Ready,
}

impl Probe {
    /// The path of its page.
    pub fn path(self) -> &'static str {
        match self {
            Self::Live => "/livez",
            Self::Ready => "/readyz",
        }
    }
}

/// The facts of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// There is a session, and the loop that serves it.
    pub logged_in: bool,
    /// The time since the loop came round.
    pub since_loop: Duration,
    /// The time since the last sync that was taken in.
    pub since_sync: Option<Duration>,
    /// The time since the process started.
    pub since_start: Duration,
    /// The last transaction that changes something was not committed.
    pub store_refused: bool,
    /// The age of a sync from which it is too old.
    pub sync_max_age: Duration,
}

/// The answer to a probe, with its reasons.
#[derive(Debug, PartialEq, Eq)]
pub struct ProbeAnswer {
    /// The answer is yes.
    pub ok: bool,
    /// One line for each fact that was judged.
    pub text: String,
}

impl Snapshot {
    /// The time since the last sync, or since the start where there was none.
    pub fn sync_age(&self) -> Duration {
        self.since_sync.unwrap_or(self.since_start)
    }

    /// The answer to a probe.
    pub fn judge(&self, probe: Probe) -> ProbeAnswer {
        let findings = match probe {
            Probe::Live => vec![self.turns()],
            Probe::Ready => vec![self.session(), self.sync(), self.store()],
        };
        ProbeAnswer {
            ok: findings.iter().all(|(ok, _)| *ok),
            text: findings
                .into_iter()
                .map(|(_, line)| format!("{line}\n"))
                .collect(),
        }
    }

    /// Judges the loop. Nothing but this process can make it fail, since a restart would
    /// cure nothing else.
    fn turns(&self) -> (bool, String) {
        let age = self.since_loop.as_secs();
        if !self.logged_in {
            (true, "loop: ok (on its way to a session)".to_owned())
        } else if self.since_loop < LOOP_MAX_AGE {
            (true, format!("loop: ok ({age} s ago)"))
        } else {
            let limit = LOOP_MAX_AGE.as_secs();
            (false, format!("loop: {age} s ago, more than {limit} s"))
        }
    }

    fn session(&self) -> (bool, String) {
        let word = if self.logged_in { "ok" } else { "no" };
        (self.logged_in, format!("logged in: {word}"))
    }

    fn sync(&self) -> (bool, String) {
        let limit = self.sync_max_age;
        match self.since_sync {
            None => (false, "sync: none yet".to_owned()),
            Some(age) if age < limit => (true, format!("sync: ok ({} s ago)", age.as_secs())),
            Some(age) => (
                false,
                format!(
                    "sync: {} s ago, more than {} s",
                    age.as_secs(),
                    limit.as_secs()
                ),
            ),
        }
    }

    fn store(&self) -> (bool, String) {
        let word = match self.store_refused {
            true => "the last commit failed",
            false => "ok",
        };
        (!self.store_refused, format!("store: {word}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Snapshot = Snapshot {
        logged_in: true,
        since_loop: Duration::from_secs(30),
        since_sync: Some(Duration::from_secs(3)),
        since_start: Duration::from_secs(1000),
        store_refused: false,
        sync_max_age: Duration::from_secs(90),
    };

    fn judged(snapshot: Snapshot, probe: Probe) -> (bool, String) {
        let ProbeAnswer { ok, text } = snapshot.judge(probe);
        (ok, text)
    }

    #[test]
    fn all_is_well() {
        assert_eq!(
            judged(WELL, Probe::Ready),
            (
                true,
                "logged in: ok\nsync: ok (3 s ago)\nstore: ok\n".into()
            )
        );
        assert_eq!(
            judged(WELL, Probe::Live),
            (true, "loop: ok (30 s ago)\n".into())
        );
    }

    #[test]
    fn each_thing_that_makes_it_unready_is_named() {
        let before_login = Snapshot {
            logged_in: false,
            since_sync: None,
            ..WELL
        };
        let without_homeserver = Snapshot {
            since_sync: Some(Duration::from_secs(95)),
            ..WELL
        };
        let at_the_limit = Snapshot {
            since_sync: Some(Duration::from_secs(90)),
            ..WELL
        };
        let full_disk = Snapshot {
            store_refused: true,
            ..WELL
        };
        for (snapshot, text) in [
            (before_login, "logged in: no\nsync: none yet\nstore: ok\n"),
            (
                without_homeserver,
                "logged in: ok\nsync: 95 s ago, more than 90 s\nstore: ok\n",
            ),
            (
                at_the_limit,
                "logged in: ok\nsync: 90 s ago, more than 90 s\nstore: ok\n",
            ),
            (
                full_disk,
                "logged in: ok\nsync: ok (3 s ago)\nstore: the last commit failed\n",
            ),
        ] {
            assert_eq!(judged(snapshot, Probe::Ready), (false, text.into()));
            assert!(judged(snapshot, Probe::Live).0, "{text}");
        }
    }

    #[test]
    fn a_loop_that_stands_still_is_not_alive() {
        let frozen = Snapshot {
            since_loop: Duration::from_secs(150),
            ..WELL
        };
        assert_eq!(
            judged(frozen, Probe::Live),
            (false, "loop: 150 s ago, more than 150 s\n".into())
        );
        let logging_in = Snapshot {
            logged_in: false,
            ..frozen
        };
        assert!(judged(logging_in, Probe::Live).0);
    }

    #[test]
    fn before_the_first_sync_its_age_is_that_of_the_process() {
        let new = Snapshot {
            since_sync: None,
            ..WELL
        };
        assert_eq!(new.sync_age(), WELL.since_start);
        assert_eq!(WELL.sync_age(), Duration::from_secs(3));
    }
}
