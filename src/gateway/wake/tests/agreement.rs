//! The Lease of a target: what it says, and what a replica may do then.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::super::agreement::{Agreement, Keep, LeasePhase, PHASE, TAKE_OVER};
use super::super::shared::Forward;
use super::handles::paused;
use crate::kube::{Lease, LeaseChange};
use crate::util::rfc3339;

const IDLE: Duration = Duration::from_secs(80);

fn wall() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn lease(version: u64, annotations: &[(&str, &str)]) -> Lease {
    let annotations = annotations
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()));
    Lease {
        name: "gateway-app".to_owned(),
        resource_version: version.to_string(),
        renew_time: "2026-11-29T20:00:00.000000Z".to_owned(),
        holder: String::new(),
        annotations: annotations.collect(),
    }
}

fn agreement(lease: Lease, now: Instant) -> Agreement {
    let mut agreement = Agreement::new("replica-1".to_owned(), now);
    agreement.watched(now);
    agreement.observe(lease, now);
    agreement
}

fn annotation<'a>(change: &'a LeaseChange, name: &str) -> Option<Option<&'a str>> {
    let found = change.annotations.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| value.as_deref())
}

#[test]
fn a_young_renewal_is_a_right_to_go_on() {
    paused(async {
        let now = Instant::now();
        let mut agreement = agreement(lease(1, &[]), now);
        // Nothing was said yet: it is asked first.
        assert_eq!(agreement.forward(Some(IDLE)), Forward::Until(now));
        assert_eq!(agreement.forward(None), Forward::Always);
        agreement.renewed(now);
        assert_eq!(
            agreement.forward(Some(IDLE)),
            Forward::Until(now + IDLE / 2)
        );
        // Who cannot ask goes on.
        agreement.cut_off();
        assert_eq!(agreement.forward(Some(IDLE)), Forward::Always);
        agreement.reached();
        agreement.lost();
        assert_eq!(agreement.forward(Some(IDLE)), Forward::Always);
        agreement.watched(now);
        assert_eq!(
            agreement.forward(Some(IDLE)),
            Forward::Until(now + IDLE / 2)
        );
        agreement.missing();
        assert_eq!(agreement.forward(Some(IDLE)), Forward::Always);
    });
}

#[test]
fn a_use_is_told_once_in_a_quarter_of_the_idle_time() {
    paused(async {
        let now = Instant::now();
        let mut agreement = agreement(lease(1, &[]), now);
        let used = Some(now + Duration::from_secs(1));
        assert_eq!(agreement.renewal_due(None, IDLE), None);
        assert_eq!(agreement.renewal_due(used, IDLE), used);
        agreement.renewed(now);
        assert_eq!(agreement.renewal_due(used, IDLE), Some(now + IDLE / 4));
        agreement.renewed(now + Duration::from_secs(2));
        assert_eq!(agreement.renewal_due(used, IDLE), None);
    });
}

#[test]
fn who_has_watched_for_the_idle_time_may_claim() {
    paused(async {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut agreement = Agreement::new("replica-1".to_owned(), now);
        assert_eq!(agreement.unused_at(IDLE), None);
        agreement.observe(lease(5, &[]), now);
        assert_eq!(agreement.unused_at(IDLE), None);
        agreement.watched(now + second);
        assert_eq!(agreement.unused_at(IDLE), Some(now + second + IDLE));
        // The same again, a newer version of the same, an older one, another one.
        for (version, renew, since) in [(5, "", 1), (6, "", 1), (4, "x", 1), (7, "x", 2)] {
            let mut lease = lease(version, &[]);
            lease.renew_time.push_str(renew);
            agreement.observe(lease, now + 2 * second);
            let expected = now + since * second + IDLE;
            assert_eq!(agreement.unused_at(IDLE), Some(expected), "{version}");
        }
        // What happens while nobody watches is not known.
        agreement.lost();
        assert_eq!(agreement.unused_at(IDLE), None);
        agreement.watched(now + 9 * second);
        assert_eq!(agreement.unused_at(IDLE), Some(now + 9 * second + IDLE));
        let claimed = lease(8, &[(PHASE, "stopping")]);
        agreement.observe(claimed, now + 10 * second);
        assert_eq!(agreement.unused_at(IDLE), None);
        let at = now + 10 * second + TAKE_OVER;
        assert_eq!(agreement.take_over_at(), Some(at));
    });
}

#[test]
fn each_change_is_of_the_version_that_is_known() {
    paused(async {
        let now = Instant::now();
        let agreement = agreement(
            lease(
                7,
                &[
                    ("phase", "stopped"),
                    ("started-by", "anonymous"),
                    ("keep-by", "anna"),
                    ("idle", "80"),
                ],
            ),
            now,
        );
        let renewal = agreement.renewal(Some(IDLE), wall());
        assert_eq!(renewal.resource_version, "7");
        assert_eq!(renewal.renew_time, Some(wall()));
        assert_eq!(renewal.holder, None);
        assert_eq!(renewal.annotations, [("phase", Some("run".to_owned()))]);
        let wake = agreement.wake("sa:apps/worker", Some(IDLE), wall());
        assert_eq!(wake.holder.as_deref(), Some("replica-1"));
        assert_eq!(
            annotation(&wake, "started-by"),
            Some(Some("sa:apps/worker"))
        );
        let at = rfc3339(wall());
        assert_eq!(annotation(&wake, "started-at"), Some(Some(at.as_str())));
        assert_eq!(annotation(&wake, "keep-by"), Some(None));
        assert_eq!(annotation(&wake, "keep-until"), None);
        let stopped = agreement.stopped(wall());
        assert_eq!(stopped.renew_time, None);
        assert_eq!(annotation(&stopped, "phase"), Some(Some("stopped")));
        assert_eq!(annotation(&stopped, "started-by"), Some(None));
        assert_eq!(annotation(&stopped, "keep-by"), Some(None));
        let claim = agreement.claim(wall());
        assert_eq!(annotation(&claim, "phase"), Some(Some("stopping")));
        for change in [&wake, &stopped, &claim] {
            assert_eq!(change.resource_version, "7");
        }
    });
}

#[test]
fn a_wish_to_stay_on_has_an_end_or_none() {
    paused(async {
        let now = Instant::now();
        let until = wall() + Duration::from_secs(60);
        let text = rfc3339(until);
        for (annotations, keep) in [
            (vec![], Keep::No),
            (vec![("keep-by", "anna")], Keep::Yes),
            (vec![("keep-until", text.as_str())], Keep::Until(until)),
            (
                vec![("keep-until", text.as_str()), ("keep-then", "idle")],
                Keep::AtLeast(until),
            ),
            (vec![("keep-until", "soon")], Keep::Yes),
        ] {
            let agreement = agreement(lease(1, &annotations), now);
            assert_eq!(agreement.keep(), keep);
            // A later end wins, and no wish for ever is shortened.
            let is_none = keep == Keep::No;
            for (seconds, sleeps, is_taken) in [
                (59, true, is_none),
                (61, true, keep != Keep::Yes),
                // It is on without an end, and there is nothing to be added to that.
                (61, false, !is_none && keep != Keep::Yes),
            ] {
                let mut change = agreement.renewal(None, wall());
                let other = wall() + Duration::from_secs(seconds);
                agreement.keep_until(&mut change, other, "sa:apps/worker", sleeps);
                let written = annotation(&change, "keep-until");
                let expected = rfc3339(other);
                assert_eq!(
                    written,
                    is_taken.then_some(Some(expected.as_str())),
                    "{keep:?}"
                );
                // It is no end for those who use it already.
                let then = (is_none && is_taken).then_some(Some("idle"));
                assert_eq!(annotation(&change, "keep-then"), then, "{keep:?}");
            }
            // Of before a wake nothing counts.
            let mut change = agreement.wake("x", None, wall());
            agreement.run_until(&mut change, wall(), "x");
            let at = rfc3339(wall());
            assert_eq!(annotation(&change, "keep-until"), Some(Some(at.as_str())));
            assert_ne!(annotation(&change, "keep-then"), Some(Some("idle")));
            // What came to nothing is taken back.
            let undo = agreement.undo(&change);
            for (name, _) in &change.annotations {
                let before = annotations.iter().find(|(known, _)| known == name);
                let before = before.map(|(_, value)| *value);
                assert_eq!(annotation(&undo, name), Some(before), "{name}");
            }
        }
    });
}

#[test]
fn a_phase_is_what_the_lease_says() {
    paused(async {
        let now = Instant::now();
        for (text, phase) in [
            ("run", LeasePhase::Run),
            ("stopping", LeasePhase::Stopping),
            ("stopped", LeasePhase::Stopped),
            ("other", LeasePhase::Run),
        ] {
            let mut agreement = agreement(lease(1, &[(PHASE, text)]), now);
            assert_eq!(agreement.phase(), phase);
            assert!(!agreement.is_own_claim());
            let mut own = lease(2, &[(PHASE, text)]);
            own.holder = "replica-1".to_owned();
            agreement.observe(own, now);
            assert_eq!(agreement.is_own_claim(), phase == LeasePhase::Stopping);
        }
    });
}
