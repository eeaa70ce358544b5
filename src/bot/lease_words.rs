//! The gateway's Lease of a target, in words. Whoever may write the Lease decides what is in
//! it: all of it is bounded, and none of it is believed for anything but these words.

use std::time::Duration;

use ruma::UserId;

use crate::{
    control::{
        Policy,
        time::{describe, describe_duration},
    },
    kube::Lease,
    util::{rfc3339_ms, words},
};

/// The longest name of somebody, in characters.
const MAX_WHO: usize = 80;

/// The longest time without use that is told, in seconds.
const MAX_IDLE: u64 = 366 * 86_400;

/// The difference that clocks of several machines may have, in milliseconds.
const SKEW: u64 = 5_000;

/// The one who is told, and when.
pub(super) struct Reader<'a> {
    /// The rules of the chat: whose names are shown as they are, and in which zone times are.
    pub(super) policy: &'a Policy,
    /// The time, in milliseconds since the Unix epoch.
    pub(super) now: u64,
    /// True if they may be told who did something.
    pub(super) with_names: bool,
}

/// The phase of a target, as its Lease has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeasePhase {
    /// It is to be on.
    Run,
    /// It is off.
    Stopped,
    /// It is on its way down, or nothing is known.
    Between,
}

/// The phase that a Lease tells.
pub(super) fn phase(lease: &Lease) -> LeasePhase {
    match annotation(lease, "phase") {
        "run" => LeasePhase::Run,
        "stopped" => LeasePhase::Stopped,
        _ => LeasePhase::Between,
    }
}

/// The line of a status about what the gateway does with a target, which is on or off; None
/// where there is nothing to tell.
pub(super) fn line(lease: &Lease, is_on: bool, reader: &Reader<'_>) -> Option<String> {
    match is_on {
        true => on(lease, reader),
        false => {
            let is_held = annotation(lease, "held") == "true" && was_stopped_by_chat(lease);
            is_held.then(|| {
                let by = reader.by(annotation(lease, "stopped-by"));
                format!("Held off{by}: no visitor wakes it.")
            })
        }
    }
}

fn on(lease: &Lease, reader: &Reader<'_>) -> Option<String> {
    let keeper = annotation(lease, "keep-by");
    let until = rfc3339_ms(annotation(lease, "keep-until"));
    match (keeper, until) {
        ("", None) => {}
        (keeper, Some(until)) => {
            let by = reader.by(keeper);
            return Some(format!("Kept on{by} until {}.", reader.at(until)));
        }
        (keeper, None) => {
            let by = reader.by(keeper);
            return Some(format!("Kept on{by}: it does not sleep."));
        }
    }
    if phase(lease) == LeasePhase::Stopped {
        return None;
    }
    let started = rfc3339_ms(annotation(lease, "started-at")).map(|at| {
        let by = reader.by(annotation(lease, "started-by"));
        format!("Started{by} {}.", reader.at(at))
    });
    let sleeps = sleeps_at(lease).map(|at| match at > reader.now {
        true => format!("It sleeps at about {} unless it is used.", reader.at(at)),
        false => "It sleeps soon unless it is used.".to_owned(),
    });
    let told: Vec<String> = started.into_iter().chain(sleeps).collect();
    (!told.is_empty()).then(|| told.join(" "))
}

/// The line that tells others than the chat's that a target was woken; None where the chat
/// did it.
pub(super) fn woke(target: &str, lease: &Lease) -> Option<String> {
    let starter = annotation(lease, "started-by");
    if starter.starts_with("chat:") {
        return None;
    }
    Some(match starter {
        "" => format!("{target} woke up"),
        starter => format!("{target} woke up ({})", who(starter, None)),
    })
}

/// The line that tells others than the chat's that a target sleeps; None where the chat
/// stopped it. `now` is in milliseconds since the Unix epoch.
pub(super) fn slept(target: &str, lease: &Lease, now: u64) -> Option<String> {
    if was_stopped_by_chat(lease) {
        return None;
    }
    let idle =
        idle(lease).filter(|_| sleeps_at(lease).is_some_and(|at| at <= now.saturating_add(SKEW)));
    Some(match idle {
        None => format!("{target} went to sleep"),
        Some(idle) => format!(
            "{target} went to sleep after {} without use",
            describe_duration(idle)
        ),
    })
}

/// Returns true if the chat has stopped it, and nobody has started or used it since.
fn was_stopped_by_chat(lease: &Lease) -> bool {
    let started = rfc3339_ms(annotation(lease, "started-at"));
    let used = started.max(rfc3339_ms(&lease.renew_time));
    let stopped = rfc3339_ms(annotation(lease, "stopped-at"));
    let is_last = |stopped: u64| used.is_none_or(|used| used <= stopped.saturating_add(SKEW));
    annotation(lease, "stopped-by").starts_with("chat:") && stopped.is_some_and(is_last)
}

/// The time at which it sleeps if nobody uses it, in milliseconds since the Unix epoch.
fn sleeps_at(lease: &Lease) -> Option<u64> {
    let used = rfc3339_ms(&lease.renew_time)?;
    let idle = u64::try_from(idle(lease)?.as_millis()).ok()?;
    used.checked_add(idle)
}

fn idle(lease: &Lease) -> Option<Duration> {
    let seconds: u64 = annotation(lease, "idle").parse().ok()?;
    let is_sound = (1..=MAX_IDLE).contains(&seconds);
    is_sound.then(|| Duration::from_secs(seconds))
}

fn annotation<'a>(lease: &'a Lease, name: &str) -> &'a str {
    lease.annotations.get(name).map_or("", String::as_str)
}

impl Reader<'_> {
    fn at(&self, ms: u64) -> String {
        describe(ms, self.now, &self.policy.zone)
    }

    /// The end of "started" and the like; empty where it is not known, or not to be told.
    fn by(&self, starter: &str) -> String {
        match self.with_names && !starter.is_empty() {
            true => format!(" by {}", who(starter, Some(self.policy))),
            false => String::new(),
        }
    }
}

/// Somebody, as a Lease names them. The id of a user whom the policy hears is shown as it
/// is.
fn who(text: &str, policy: Option<&Policy>) -> String {
    let is_known = |user: &str| {
        let user = <&UserId>::try_from(user);
        user.is_ok_and(|user| policy.is_some_and(|policy| policy.hears(user)))
    };
    match text.split_once(':') {
        Some(("sa", name)) => format!("sa {}", words(name, MAX_WHO)),
        Some(("chat", "schedule")) => "its schedule".to_owned(),
        Some(("chat", user)) if is_known(user) => user.to_owned(),
        Some(("person" | "chat", name)) => words(name, MAX_WHO),
        _ if text == "anonymous" => "a visitor".to_owned(),
        _ => words(text, MAX_WHO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Targets, time::Zone};

    /// 2026-11-29 14:30 UTC, a Sunday.
    const NOW: u64 = 1_795_962_600_000;

    fn lease(renewed: &str, annotations: &[(&str, &str)]) -> Lease {
        let annotations = annotations.iter();
        Lease {
            name: "gateway-worker".to_owned(),
            renew_time: renewed.to_owned(),
            annotations: annotations
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Lease::default()
        }
    }

    fn policy() -> Policy {
        Policy {
            users: [ruma::user_id!("@anna:example.org").to_owned()].into(),
            viewers: [].into(),
            rooms: None,
            require_encryption: false,
            max_age: Duration::from_secs(120),
            targets: Targets::Named(Vec::new()),
            zone: Zone::utc(),
            max_for: None,
            has_gateway: true,
        }
    }

    fn told(lease: &Lease, is_on: bool, with_names: bool) -> String {
        let policy = policy();
        let reader = Reader {
            policy: &policy,
            now: NOW,
            with_names,
        };
        line(lease, is_on, &reader).unwrap_or_default()
    }

    #[test]
    fn what_the_gateway_does_is_told_in_a_line() {
        let woken = [
            ("phase", "run"),
            ("started-by", "sa:openclaw/openclaw-worker"),
            ("started-at", "2026-11-29T14:02:00.000Z"),
            ("idle", "1800"),
        ];
        let renewed = "2026-11-29T14:02:00.000000Z";
        for (lease, is_on, text) in [
            (
                lease(renewed, &woken),
                true,
                "Started by sa openclaw/openclaw-worker Sun 14:02 UTC (28 min ago). It sleeps at \
                 about Sun 14:32 UTC (in 2 min) unless it is used.",
            ),
            (
                lease("2026-11-29T13:00:00.000000Z", &woken),
                true,
                "Started by sa openclaw/openclaw-worker Sun 14:02 UTC (28 min ago). It sleeps \
                 soon unless it is used.",
            ),
            (
                lease("", &woken[..3]),
                true,
                "Started by sa openclaw/openclaw-worker Sun 14:02 UTC (28 min ago).",
            ),
            (lease(renewed, &woken), false, ""),
            (
                lease(
                    renewed,
                    &[("phase", "run"), ("keep-by", "chat:@anna:example.org")],
                ),
                true,
                "Kept on by @anna:example.org: it does not sleep.",
            ),
            (
                lease(
                    renewed,
                    &[
                        ("keep-by", "person:Anna"),
                        ("keep-until", "2026-11-29T18:00:00Z"),
                    ],
                ),
                true,
                "Kept on by Anna until Sun 18:00 UTC (in 3 h 30 min).",
            ),
            (
                lease(renewed, &[("keep-by", "chat:schedule")]),
                true,
                "Kept on by its schedule: it does not sleep.",
            ),
            (
                lease(
                    renewed,
                    &[
                        ("phase", "stopped"),
                        ("held", "true"),
                        ("stopped-by", "chat:@anna:example.org"),
                        ("stopped-at", "2026-11-29T14:10:00Z"),
                        ("started-at", "2026-11-29T14:02:00Z"),
                    ],
                ),
                false,
                "Held off by @anna:example.org: no visitor wakes it.",
            ),
            (
                // It was started since.
                lease(
                    renewed,
                    &[
                        ("phase", "stopped"),
                        ("held", "true"),
                        ("stopped-by", "chat:@anna:example.org"),
                        ("stopped-at", "2026-11-29T14:10:00Z"),
                        ("started-at", "2026-11-29T14:20:00Z"),
                    ],
                ),
                false,
                "",
            ),
            (
                // It was used since.
                lease(
                    "2026-11-29T14:20:00.000000Z",
                    &[
                        ("phase", "stopped"),
                        ("held", "true"),
                        ("stopped-by", "chat:@anna:example.org"),
                        ("stopped-at", "2026-11-29T14:10:00Z"),
                    ],
                ),
                false,
                "",
            ),
            (lease("", &[]), true, ""),
            (lease("", &[]), false, ""),
            (lease("never", &[("idle", "-1")]), true, ""),
            (
                lease(renewed, &[("idle", "99999999999999999999")]),
                true,
                "",
            ),
        ] {
            assert_eq!(told(&lease, is_on, true), text, "{lease:?}");
        }
        let kept = lease(renewed, &[("keep-by", "chat:@anna:example.org")]);
        assert_eq!(told(&kept, true, false), "Kept on: it does not sleep.");
        assert_eq!(
            told(&lease(renewed, &woken[..3]), true, false),
            "Started Sun 14:02 UTC (28 min ago)."
        );
    }

    #[test]
    fn what_others_wrote_is_neither_a_link_nor_a_mention_nor_long() {
        let long = "x".repeat(5_000);
        for (text, shown) in [
            ("chat:@mallory:evil.example", "[at]mallory[:]evil[.]example"),
            ("person:https://evil.example", "https[:]//evil[.]example"),
            ("a\nb\u{202e}c @room", "a b c [at]room"),
            ("anonymous", "a visitor"),
            ("chat:@anna:example.org\n", "[at]anna[:]example[.]org"),
        ] {
            assert_eq!(who(text, Some(&policy())), shown, "{text:?}");
        }
        for text in [long.clone(), format!("sa:{long}"), format!("chat:@{long}")] {
            assert!(who(&text, Some(&policy())).chars().count() <= MAX_WHO + 4);
        }
        let lease = lease("", &[("started-by", "person:@room")]);
        assert_eq!(woke("worker", &lease).unwrap(), "worker woke up ([at]room)");
    }

    #[test]
    fn what_the_chat_did_is_not_announced() {
        let by_chat = [("started-by", "chat:@anna:example.org")];
        assert_eq!(woke("worker", &lease("", &by_chat)), None);
        assert_eq!(woke("worker", &lease("", &[])).unwrap(), "worker woke up");
        let stopped = [
            ("started-at", "2026-11-29T14:00:00Z"),
            ("stopped-by", "chat:@anna:example.org"),
            ("stopped-at", "2026-11-29T14:10:00Z"),
        ];
        assert_eq!(slept("worker", &lease("", &stopped), NOW), None);
        let woken_since = [
            ("started-at", "2026-11-29T14:20:00Z"),
            ("stopped-by", "chat:@anna:example.org"),
            ("stopped-at", "2026-11-29T14:10:00Z"),
            ("idle", "600"),
        ];
        let renewed = "2026-11-29T14:20:00.000000Z";
        assert_eq!(
            slept("worker", &lease(renewed, &woken_since), NOW).unwrap(),
            "worker went to sleep after 10 min without use"
        );
        // It was used since, so it was stopped for another reason.
        let renewed = "2026-11-29T14:29:00.000000Z";
        assert_eq!(
            slept("worker", &lease(renewed, &woken_since), NOW).unwrap(),
            "worker went to sleep"
        );
    }
}
