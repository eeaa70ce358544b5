//! The agreement of several replicas about one target, by a Lease: who may send requests
//! to it, and who may stop it. Pure; no clock of another replica is ever compared with. The
//! end of a start is told by the clock of the API server.
//!
//! | a replica | may |
//! |---|---|
//! | whose own last renewal is younger than half the idle time | send requests without asking |
//! | whose renewal is older | renew first, with the version that it knows |
//! | that has seen the Lease unchanged for the idle time, and holds nothing in use | claim to stop, with the version that it knows |
//! | that sees the claim of another | wait, and wake what was stopped |
//!
//! A claim and a renewal of the same version cannot both succeed, so nobody sends a request
//! to what another is about to stop.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::shared::Forward;
use crate::kube::{Lease, LeaseChange};
use crate::util::{cut, rfc3339, rfc3339_ms};

/// The time after which the claim of a replica that does not go on is taken over.
pub(super) const TAKE_OVER: Duration = Duration::from_secs(60);

/// The time after its claim in which a replica may still stop the target. The claim is
/// taken over later than that, so two never stop at the same time.
pub(super) const CLAIM: Duration = Duration::from_secs(30);

/// The annotations of a Lease.
pub(super) const PHASE: &str = "phase";
const STARTED_BY: &str = "started-by";
const STARTED_AT: &str = "started-at";
const IDLE: &str = "idle";
const KEEP_UNTIL: &str = "keep-until";
const KEEP_BY: &str = "keep-by";
const KEEP_THEN: &str = "keep-then";
const HELD: &str = "held";
const HANDED_BACK: &str = "handed-back";

/// The longest text in an annotation that is shown or written, in bytes.
const MAX_TEXT: usize = 200;

/// The phase that a Lease says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeasePhase {
    /// It may be used.
    Run,
    /// A replica stops it.
    Stopping,
    /// It was stopped.
    Stopped,
}

impl LeasePhase {
    /// The phase that this Lease says; one that says none is of a target that may be used.
    pub(super) fn of(lease: &Lease) -> Self {
        match lease.annotations.get(PHASE).map(String::as_str) {
            Some("stopping") => Self::Stopping,
            Some("stopped") => Self::Stopped,
            _ => Self::Run,
        }
    }
}

/// The wish that a target stays on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// None: it is stopped when it is idle.
    No,
    /// Until this time by the API server's clock; then it is stopped.
    Until(SystemTime),
    /// Until this time at least; then it is stopped when it is idle.
    AtLeast(SystemTime),
    /// Until a person says otherwise.
    Yes,
}

/// The knowledge of the Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    /// It was not read yet.
    Not,
    /// There is none.
    Missing,
    /// It is so.
    There(Box<Lease>),
}

/// The Lease of a target as this replica knows it.
#[derive(Debug)]
pub(super) struct Agreement {
    replica: String,
    known: Known,
    /// The time since which it was watched without a change.
    since: Instant,
    /// It is not watched.
    is_lost: bool,
    /// The beginning of the last write of this replica that says that it is in use.
    renewed: Option<Instant>,
    /// Renewing failed, and was not possible since.
    is_cut_off: bool,
    /// The next one is taken in whatever its version.
    is_any_version: bool,
}

impl Agreement {
    /// Nothing is known yet.
    pub(super) const fn new(replica: String, now: Instant) -> Self {
        Self {
            replica,
            known: Known::Not,
            since: now,
            is_lost: true,
            renewed: None,
            is_cut_off: false,
            is_any_version: false,
        }
    }

    /// The next Lease is of a new list, and is taken in however old its version.
    pub(super) const fn is_listed(&mut self) {
        self.is_any_version = true;
    }

    /// Returns true if what is known is of a later version than this.
    pub(super) fn is_newer_than(&self, lease: &Lease) -> bool {
        let known = self.lease();
        known.is_some_and(|known| is_older(&lease.resource_version, &known.resource_version))
    }

    /// Takes in the Lease as the API server shows it. Returns true if another phase than
    /// before is in force.
    pub(super) fn observe(&mut self, lease: Lease, now: Instant) -> bool {
        let before = self.phase();
        let is_any_version = std::mem::take(&mut self.is_any_version);
        if let Known::There(known) = &self.known {
            if !is_any_version && is_older(&lease.resource_version, &known.resource_version) {
                return false;
            }
            let is_same = Lease {
                resource_version: known.resource_version.clone(),
                ..lease.clone()
            } == **known;
            if !is_same {
                self.since = now;
            }
        } else {
            self.since = now;
        }
        self.known = Known::There(Box::new(lease));
        self.phase() != before
    }

    /// All Leases were listed: what comes from now on is watched. What happened before was
    /// not, so the idle time begins.
    pub(super) fn watched(&mut self, now: Instant) {
        if self.is_lost {
            self.since = now;
        }
        self.is_lost = false;
    }

    /// There is no such Lease.
    pub(super) fn missing(&mut self) {
        self.known = Known::Missing;
        self.renewed = None;
    }

    /// It is not watched any longer.
    pub(super) const fn lost(&mut self) {
        self.is_lost = true;
    }

    /// This replica's write, which it began at this time and which says that the target is
    /// in use, was done.
    pub(super) const fn renewed(&mut self, begun: Instant) {
        self.renewed = Some(begun);
        self.is_cut_off = false;
    }

    /// Renewing failed, or takes too long: who cannot ask anybody goes on.
    pub(super) const fn cut_off(&mut self) {
        self.is_cut_off = true;
    }

    /// The API server answers.
    pub(super) const fn reached(&mut self) {
        self.is_cut_off = false;
    }

    /// Returns true while it is not watched.
    pub(super) const fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// The beginning of the last write of this replica that says that it is in use.
    pub(super) const fn renewed_at(&self) -> Option<Instant> {
        self.renewed
    }

    /// The phase that is in force.
    pub(super) fn phase(&self) -> LeasePhase {
        self.lease().map_or(LeasePhase::Run, LeasePhase::of)
    }

    /// The Lease, if it is known.
    pub(super) fn lease(&self) -> Option<&Lease> {
        match &self.known {
            Known::There(lease) => Some(lease),
            Known::Not | Known::Missing => None,
        }
    }

    /// Returns true if there is none.
    pub(super) fn is_missing(&self) -> bool {
        self.known == Known::Missing
    }

    /// Returns true if this replica has claimed to stop it.
    pub(super) fn is_own_claim(&self) -> bool {
        let holder = self.lease().map(|lease| lease.holder.as_str());
        self.phase() == LeasePhase::Stopping && holder == Some(self.replica.as_str())
    }

    /// Who started it, and when; empty where nobody says so.
    pub(super) fn started(&self) -> (&str, &str) {
        (self.annotation(STARTED_BY), self.annotation(STARTED_AT))
    }

    /// The wish that it stays on.
    pub(super) fn keep(&self) -> Keep {
        match self.annotation(KEEP_UNTIL) {
            "" if self.annotation(KEEP_BY).is_empty() => Keep::No,
            "" => Keep::Yes,
            // Who cannot tell the time leaves it on.
            until => rfc3339_ms(until).map_or(Keep::Yes, |ms| {
                let until = UNIX_EPOCH + Duration::from_millis(ms);
                match self.annotation(KEEP_THEN) {
                    "" => Keep::Until(until),
                    _ => Keep::AtLeast(until),
                }
            }),
        }
    }

    /// Returns true if a person gave it back, so that it may be stopped once whoever set
    /// its number of replicas.
    pub(super) fn is_handed_back(&self) -> bool {
        !self.annotation(HANDED_BACK).is_empty()
    }

    /// Returns true if a person has switched it off for visitors, too.
    pub(super) fn is_held(&self) -> bool {
        self.phase() == LeasePhase::Stopped && !self.annotation(HELD).is_empty()
    }

    fn annotation(&self, name: &str) -> &str {
        let lease = self.lease();
        let text = lease.and_then(|lease| lease.annotations.get(name));
        text.map_or("", |text| cut(text, MAX_TEXT))
    }

    /// The right to send requests to it while it is not being stopped; `idle` is None if it
    /// is never stopped for being idle.
    pub(super) fn forward(&self, idle: Option<Duration>) -> Forward {
        match (idle, &self.known) {
            (Some(idle), Known::There(_)) if !self.is_lost && !self.is_cut_off => {
                Forward::Until(self.renewed.map_or(self.since, |begun| begun + idle / 2))
            }
            _ => Forward::Always,
        }
    }

    /// The time at which the others have to be told of a use; None if they know of it.
    pub(super) fn renewal_due(&self, used: Option<Instant>, idle: Duration) -> Option<Instant> {
        self.lease()?;
        let used = used?;
        match self.renewed {
            Some(renewed) if used <= renewed => None,
            Some(renewed) => Some(renewed + idle / 4),
            None => Some(used),
        }
    }

    /// The time from which on this replica may claim that nobody uses it.
    pub(super) fn unused_at(&self, idle: Duration) -> Option<Instant> {
        (!self.is_lost && self.phase() == LeasePhase::Run && self.lease().is_some())
            .then(|| self.since + idle)
    }

    /// The time at which a claim that nothing came of is taken over.
    pub(super) fn take_over_at(&self) -> Option<Instant> {
        (!self.is_lost && self.phase() == LeasePhase::Stopping).then(|| self.since + TAKE_OVER)
    }

    /// The change that says that it is in use.
    pub(super) fn renewal(&self, idle: Option<Duration>, wall: SystemTime) -> LeaseChange {
        let mut change = self.change(wall);
        if self.annotation(PHASE) != "run" {
            change.annotations.push((PHASE, Some("run".to_owned())));
        }
        let idle = idle.map(|idle| idle.as_secs().to_string());
        if self.annotation(IDLE) != idle.as_deref().unwrap_or_default() {
            change.annotations.push((IDLE, idle));
        }
        change
    }

    /// The change that says that this replica wakes it for somebody.
    pub(super) fn wake(&self, by: &str, idle: Option<Duration>, wall: SystemTime) -> LeaseChange {
        let mut change = self.renewal(idle, wall);
        change.holder = Some(self.replica.clone());
        let by = cut(by, MAX_TEXT).to_owned();
        change
            .annotations
            .extend([(STARTED_BY, Some(by)), (STARTED_AT, Some(rfc3339(wall)))]);
        self.forget_wishes(&mut change);
        change
    }

    /// The change that says that this replica is about to stop it.
    pub(super) fn claim(&self, wall: SystemTime) -> LeaseChange {
        let mut change = self.change(wall);
        // It is the last use that stays, unless the claim of another is taken over, who has
        // to see that it is.
        if self.phase() == LeasePhase::Run {
            change.renew_time = None;
        }
        change.holder = Some(self.replica.clone());
        change
            .annotations
            .push((PHASE, Some("stopping".to_owned())));
        change
    }

    /// The change that says that it was stopped.
    pub(super) fn stopped(&self, wall: SystemTime) -> LeaseChange {
        let mut change = self.change(wall);
        change.renew_time = None;
        change.annotations.push((PHASE, Some("stopped".to_owned())));
        self.forget_wishes(&mut change);
        for name in [STARTED_BY, STARTED_AT] {
            if !self.annotation(name).is_empty() {
                change.annotations.push((name, None));
            }
        }
        change
    }

    /// The change that says that it was not stopped, and that is not tried again for one
    /// idle time. Its deadline is over if that was the reason.
    pub(super) fn kept(&self, is_deadline: bool, wall: SystemTime) -> LeaseChange {
        let mut change = self.change(wall);
        change.annotations.push((PHASE, Some("run".to_owned())));
        if is_deadline {
            self.forget_wishes(&mut change);
        } else if self.is_handed_back() {
            change.annotations.push((HANDED_BACK, None));
        }
        change
    }

    /// Adds to the change of a wake that it is stopped at this time, not before.
    pub(super) fn run_until(&self, change: &mut LeaseChange, until: SystemTime, by: &str) {
        // What the change takes away is not in the way.
        let is_other = |(name, _): &(&str, _)| *name != KEEP_UNTIL && *name != KEEP_BY;
        change.annotations.retain(is_other);
        keep(change, until, by);
    }

    /// Adds to the change of a target that is on that it stays on until this time, unless a
    /// later one is known already. Others may use it who have said nothing of an end: so it
    /// is not stopped then unless it is idle, and if it `sleeps` never, it stays as it is.
    pub(super) fn keep_until(
        &self,
        change: &mut LeaseChange,
        until: SystemTime,
        by: &str,
        sleeps: bool,
    ) {
        match self.keep() {
            Keep::Until(known) | Keep::AtLeast(known) if until > known => keep(change, until, by),
            Keep::No if sleeps => {
                keep(change, until, by);
                let then = Some("idle".to_owned());
                change.annotations.push((KEEP_THEN, then));
            }
            _ => {}
        }
    }

    /// The change after one that came to nothing: what it said is as it was before.
    pub(super) fn undo(&self, change: &LeaseChange) -> LeaseChange {
        let before = |name: &'static str| {
            let value = self.lease()?.annotations.get(name);
            value.cloned()
        };
        let annotations = change.annotations.iter();
        LeaseChange {
            renew_time: None,
            annotations: annotations.map(|(name, _)| (*name, before(name))).collect(),
            ..change.clone()
        }
    }

    fn change(&self, wall: SystemTime) -> LeaseChange {
        LeaseChange {
            resource_version: self
                .lease()
                .map_or_else(String::new, |lease| lease.resource_version.clone()),
            renew_time: Some(wall),
            holder: None,
            annotations: Vec::new(),
        }
    }

    /// Adds that what was wished before counts no longer.
    fn forget_wishes(&self, change: &mut LeaseChange) {
        for name in [KEEP_UNTIL, KEEP_BY, KEEP_THEN, HANDED_BACK] {
            if !self.annotation(name).is_empty() {
                change.annotations.push((name, None));
            }
        }
    }
}

/// Adds to a change how long it is kept on, and for whom.
fn keep(change: &mut LeaseChange, until: SystemTime, by: &str) {
    let by = cut(by, MAX_TEXT).to_owned();
    change
        .annotations
        .extend([(KEEP_UNTIL, Some(rfc3339(until))), (KEEP_BY, Some(by))]);
}

/// Returns true if a version is known to be older than another: events of a watch may come
/// after the answer to a write.
fn is_older(version: &str, than: &str) -> bool {
    match (version.parse::<u64>(), than.parse::<u64>()) {
        (Ok(version), Ok(than)) => version < than,
        _ => false,
    }
}
