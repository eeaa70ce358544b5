//! The next piece of work of a keeper, by what it knows: nothing is remembered that has to be
//! gone on from.

use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::agreement::{CLAIM, Keep, LeasePhase};
use super::asked::{Change, Refusal, WokenBy};
use super::cluster::Cluster;
use super::idle::{Due, Facts, JUMP, Why};
use super::keeper::{Claim, JobKind, Keeper, Outcome};
use super::lifecycle::{Event, State};
use super::view::Phase;
use super::work::{Force, Raise, Stopped};
use crate::config::gateway::IdleStop;
use crate::kube::LeaseChange;
use crate::util::{paced, rfc3339_ms};

/// The longest time that a request waits for the Lease to be renewed: an API server that is
/// slower is taken for one that does not answer.
pub(super) const RENEWAL: Duration = Duration::from_secs(2);

/// The longest time that a change waits for another replica's stop.
const PENDING: Duration = Duration::from_secs(90);

/// Failures in a row to wake it after which that is given up unless somebody waits.
const MAX_FAILURES: u32 = 10;

/// The time after the start in which the Lease is waited for.
const FIRST_LEASE: Duration = Duration::from_secs(2);

/// From one look to the next at a workload without a Service: one on its way, and others.
pub(super) const LOOK_SOON: Duration = Duration::from_secs(1);
pub(super) const LOOK_RARELY: Duration = Duration::from_secs(30);

/// From another replica's word that it wakes a target to a look at that.
pub(super) const LOOK_AFTER_OTHERS: Duration = Duration::from_secs(2);

/// From one look to the next at a target of which pods are missing, or are not watched.
pub(super) const LOOK_FOR_PODS: Duration = Duration::from_secs(10);

pub(super) type Future = Pin<Box<dyn std::future::Future<Output = Outcome> + Send>>;

/// A piece of work to begin, or the time of the next look.
type Decision = Result<(JobKind, Future), Instant>;

impl<C: Cluster> Keeper<C> {
    /// The next piece of work.
    pub(super) fn decide(&mut self, now: Instant) -> Decision {
        self.tidy(now);
        let mut later = now + LOOK_RARELY;
        if let Some(at) = self.retry_at.filter(|at| now < *at) {
            return Err(at);
        }
        if let Some(claim) = self.claim.clone() {
            return Ok(self.go_on(&claim));
        }
        if self.agreement.phase() == LeasePhase::Stopping {
            match self.agreement.take_over_at() {
                Some(at) if at > now => return Err(at.min(later)),
                Some(_) if !self.shared.is_draining() => {
                    return Ok(self.claim_stop(Some(Why::Idle)));
                }
                // The claim of a replica that is about to end would have to be taken over, too.
                _ => return Err(later),
            }
        }
        if let Some((asked, _)) = &self.pending {
            let (change, by) = (asked.change.clone(), asked.by.clone());
            if let Some(begun) = self.change(&change, &by, now) {
                return Ok(begun);
            }
        }
        if let Some(by) = self.wake_wanted(now) {
            return Ok(self.wake(by));
        }
        if self.is_lease_awaited(now) {
            later = later.min(self.begun + FIRST_LEASE);
        }
        match self.renewal_at(now) {
            Some(at) if at <= now => return Ok(self.renew()),
            Some(at) => later = later.min(at),
            None => {}
        }
        match self.stop_due(now) {
            Due::Now(why) => return Ok(self.claim_stop(Some(why))),
            Due::At(at) => later = later.min(at),
            Due::Never => {}
        }
        self.look(now)
            .ok_or_else(|| later.min(self.look_later(now)))
    }

    /// Takes away what is over.
    fn tidy(&mut self, now: Instant) {
        let phase = self.lifecycle.phase();
        let may_wake = self.lifecycle.may_wake(now) || phase == Phase::Stopping;
        let is_hopeless = self.failures >= MAX_FAILURES;
        let (is_renewal_wanted, is_given_up) = self.shared.with(|hot| {
            let is_hopeless = is_hopeless && !hot.is_anybody_held();
            let is_over = !may_wake || is_hopeless;
            let gone = hot.wake_wanted.take_if(|_| is_over);
            (hot.renewal_wanted, is_hopeless && gone.is_some())
        });
        if is_given_up {
            // The next one who wants it is a new reason to try.
            self.failures = 0;
        }
        self.renewal_wanted_since = match (is_renewal_wanted, self.renewal_wanted_since) {
            (true, None) => Some(now),
            (true, since) => since,
            (false, _) => None,
        };
        let is_old = |claim: &Claim| claim.outcome.is_none() && now >= claim.since + CLAIM;
        if self.claim.as_ref().is_some_and(is_old) {
            let why = self.claim.take().and_then(|claim| claim.why);
            self.stop_failed(why);
        }
        if self
            .pending
            .as_ref()
            .is_some_and(|(_, since)| now >= *since + PENDING)
        {
            self.answer(Err(Refusal::Unavailable));
        }
        self.stops.is_note_over(now);
    }

    /// The time of the next turn beside what [`Keeper::decide`] knows of: a renewal that
    /// takes too long ends the wait for it.
    pub(super) fn waits(&mut self, now: Instant) -> Instant {
        let begun = self.job.as_ref().filter(|job| job.kind == JobKind::Renew);
        let since = self.renewal_wanted_since.or(begun.map(|job| job.begun));
        match since.map(|since| since + RENEWAL) {
            Some(at) if at <= now => {
                self.agreement.cut_off();
                now + LOOK_RARELY
            }
            Some(at) => at,
            None => now + LOOK_RARELY,
        }
    }

    /// Goes on with the own claim to stop it.
    fn go_on(&mut self, claim: &Claim) -> (JobKind, Future) {
        let wall = self.means.clock.now();
        match &claim.outcome {
            Some(Stopped::Kept(_)) => {
                let is_deadline = claim.why == Some(Why::Deadline);
                let change = self.agreement.kept(is_deadline, wall);
                self.agree(JobKind::Settle, change)
            }
            Some(_) => {
                let change = self.agreement.stopped(wall);
                self.agree(JobKind::Settle, change)
            }
            None if claim.why == Some(Why::Idle) && self.is_used_again() => {
                let change = self.agreement.kept(false, wall);
                self.agree(JobKind::Settle, change)
            }
            // The answer to the claim has shown that it is earlier.
            None if claim.why == Some(Why::Deadline) && self.is_early(wall) => {
                let change = self.agreement.kept(false, wall);
                self.agree(JobKind::Settle, change)
            }
            None => {
                let is_free =
                    self.target.idle_stop == IdleStop::Any || self.agreement.is_handed_back();
                let force = match claim.why {
                    Some(_) if !is_free => Force::Managers(self.target.overrides.clone()),
                    Some(_) => Force::Anybody,
                    None => Force::Always,
                };
                let (work, since) = (self.work.clone(), claim.since);
                let future = async move { Outcome::Stopped(work.stop(Some(since), &force).await) };
                (JobKind::Stop, Box::pin(future))
            }
        }
    }

    /// Returns true if somebody has come in the moment of the claim.
    fn is_used_again(&self) -> bool {
        let now = Instant::now();
        let Some(idle) = self.idle() else {
            return false;
        };
        let presence = paced(self.target.presence);
        self.shared.with(|hot| {
            let used_until = hot.activity.used_until(idle, presence);
            hot.wake_wanted.is_some()
                || hot.renewal_wanted
                || hot.is_anybody_held()
                || used_until.is_some_and(|until| now < until)
        })
    }

    /// Returns true if the time that it was started for is not over by far.
    fn is_early(&self, wall: SystemTime) -> bool {
        let Keep::Until(until) = self.agreement.keep() else {
            return false;
        };
        until.duration_since(wall).is_ok_and(|left| left >= JUMP)
    }

    fn claim_stop(&self, why: Option<Why>) -> (JobKind, Future) {
        let change = self.agreement.claim(self.means.clock.now());
        self.agree(JobKind::Claim(why), change)
    }

    fn renew(&self) -> (JobKind, Future) {
        let change = self.agreement.renewal(self.idle(), self.means.clock.now());
        self.agree(JobKind::Renew, change)
    }

    fn agree(&self, kind: JobKind, change: LeaseChange) -> (JobKind, Future) {
        let work = self.work.clone();
        let future = async move { Outcome::Lease(work.agree(&change).await) };
        (kind, Box::pin(future))
    }

    /// The one for whom it is to be woken now.
    fn wake_wanted(&self, now: Instant) -> Option<WokenBy> {
        if self.is_lease_awaited(now) || !self.lifecycle.may_wake(now) {
            return None;
        }
        self.shared.with(|hot| hot.wake_wanted.clone())
    }

    /// Returns true for as long as it may be a moment until its Lease is known.
    fn is_lease_awaited(&self, now: Instant) -> bool {
        self.agreement.lease().is_none()
            && !self.agreement.is_missing()
            && now < self.begun + FIRST_LEASE
    }

    fn wake(&self, by: WokenBy) -> (JobKind, Future) {
        let raise = self.raise(self.target.replicas, Some(1), &by.principal.by(), None);
        self.begin_raise(JobKind::Wake(by), raise)
    }

    fn begin_raise(&self, kind: JobKind, raise: Raise) -> (JobKind, Future) {
        let work = self.work.clone();
        let future = async move {
            let mut seen = None;
            let raised = work.raise(&raise, &mut seen).await;
            Outcome::Raised(raised, seen)
        };
        (kind, Box::pin(future))
    }

    /// The way to a number of replicas.
    fn raise(
        &self,
        replicas: i32,
        enough: Option<i32>,
        by: &str,
        run_for: Option<Duration>,
    ) -> Raise {
        let (idle, wall) = (self.idle(), self.means.clock.now());
        let until = run_for.and_then(|run_for| wall.checked_add(run_for));
        let (mut wake, mut renewal) = (
            self.agreement.wake(by, idle, wall),
            self.agreement.renewal(idle, wall),
        );
        if let Some(until) = until {
            let sleeps = idle.is_some();
            self.agreement.run_until(&mut wake, until, by);
            self.agreement.keep_until(&mut renewal, until, by, sleeps);
        }
        let lease = self.agreement.lease();
        Raise {
            replicas,
            enough,
            overrides: self.target.overrides.clone(),
            is_held: self.agreement.is_held(),
            undo: lease.map(|_| self.agreement.undo(&wake)),
            wake: lease.map(|_| wake),
            renewal: lease.map(|_| renewal),
        }
    }

    /// The work for a change that is asked for; None if it is answered already.
    fn change(&mut self, change: &Change, by: &str, now: Instant) -> Option<(JobKind, Future)> {
        let raise = match *change {
            Change::Stop | Change::Scale(..=0) => {
                if self.agreement.lease().is_some() {
                    return Some(self.claim_stop(None));
                }
                let claim = Claim {
                    since: now,
                    why: None,
                    outcome: None,
                };
                self.claim = Some(claim.clone());
                self.on(Event::Stopping, now);
                return Some(self.go_on(&claim));
            }
            Change::Scale(replicas) => self.raise(replicas.min(self.target.max), None, by, None),
            Change::Start {
                run_for: Some(_), ..
            } if self.agreement.lease().is_none() => {
                let reason = match self.agreement.is_missing() {
                    true => Refusal::Impossible(self.work.no_lease()),
                    false => Refusal::Unavailable,
                };
                self.answer(Err(reason));
                return None;
            }
            Change::Start { replicas, run_for } => {
                let replicas = replicas.unwrap_or(self.target.replicas);
                let replicas = replicas.clamp(1, self.target.max.max(1));
                self.raise(replicas, Some(replicas), by, run_for)
            }
        };
        Some(self.begin_raise(JobKind::Change, raise))
    }

    /// The time at which the Lease is to be renewed, or at which open requests are looked at
    /// again.
    fn renewal_at(&self, now: Instant) -> Option<Instant> {
        self.agreement.lease()?;
        let is_on = matches!(self.lifecycle.phase(), Phase::Starting | Phase::Ready);
        // It was put back on by others, who do not say so.
        if is_on && self.agreement.phase() == LeasePhase::Stopped {
            return Some(now);
        }
        let idle = self.idle()?;
        let presence = paced(self.target.presence);
        let (used, is_wanted, look_again) = self.shared.with(|hot| {
            (
                hot.activity.to_tell(idle, presence, now),
                hot.renewal_wanted,
                hot.activity.look_again(idle, now),
            )
        });
        if is_wanted && is_on {
            return Some(now);
        }
        // What this replica wakes is in use until it is ready.
        let used = used.max(self.waking_until().map(|_| now));
        let due = self.agreement.renewal_due(used, idle).filter(|_| is_on);
        [due, look_again].into_iter().flatten().min()
    }

    /// From then on the keeper has to be told of a use; None while it knows of one that the
    /// others have to be told of.
    pub(super) fn tell_use_from(&self) -> Option<Instant> {
        let idle = self.idle()?;
        self.agreement.lease()?;
        let presence = paced(self.target.presence);
        let used = self.shared.with(|hot| hot.activity.last_use(presence));
        if self.agreement.renewal_due(used, idle).is_some() {
            return None;
        }
        Some(
            self.agreement
                .renewed_at()
                .map_or(self.begun, |at| at + idle / 4),
        )
    }

    /// The next stop.
    fn stop_due(&mut self, now: Instant) -> Due {
        let is_on = match &self.readiness {
            // Pods that nothing selects, or that find no node, are in no slice.
            Some(readiness) => readiness.pods() > 0 || self.desired.is_some_and(|count| count > 0),
            None => self.lifecycle.phase() != Phase::Off,
        };
        let may_claim = self.agreement.phase() == LeasePhase::Run && !self.agreement.is_lost();
        // What this replica began, it might not end.
        if !is_on || !may_claim || self.shared.is_draining() {
            return Due::Never;
        }
        let facts = self.facts(now);
        let due = self.stops.due(&facts);
        // The answer tells the right time.
        self.is_scale_wanted |= self.stops.take_jump();
        due
    }

    /// The end of the patience with a wake of this replica that is under way.
    fn waking_until(&self) -> Option<Instant> {
        match self.lifecycle.state() {
            State::Starting {
                woken: Some(_),
                deadline,
                ..
            } => Some(*deadline),
            _ => None,
        }
    }

    /// The end of the time in which it becomes ready, by the Lease, whoever started it: none
    /// may use it before.
    fn starting_until(&self, now: Instant, wall: SystemTime) -> Option<Instant> {
        let started = rfc3339_ms(self.agreement.started().1)?;
        let until = UNIX_EPOCH + Duration::from_millis(started) + paced(self.target.ready_timeout);
        let left = until.duration_since(wall).ok()?;
        let is_starting = self.lifecycle.phase() == Phase::Starting;
        is_starting.then(|| now + left.min(paced(self.target.ready_timeout)))
    }

    fn facts(&self, now: Instant) -> Facts {
        let (idle, presence) = (self.idle(), paced(self.target.presence));
        let is_ready = self.lifecycle.phase() == Phase::Ready;
        let (used_until, is_anybody_held) = self.shared.with(|hot| {
            let used_until = idle.and_then(|idle| hot.activity.used_until(idle, presence));
            (used_until, hot.is_anybody_held())
        });
        let wall = self.means.clock.now();
        let wanted_until = is_anybody_held.then(|| now + LOOK_SOON);
        let wanted_until = wanted_until.max(self.starting_until(now, wall));
        Facts {
            now,
            wall,
            own: self.means.clock.own.now(),
            idle_stop: self.target.idle_stop,
            idle,
            unused_at: idle.and_then(|idle| self.agreement.unused_at(idle)),
            used_until: used_until.max(self.waking_until()).max(wanted_until),
            young_until: is_ready.then(|| self.lifecycle.since() + paced(self.target.min_up)),
            keep: self.agreement.keep(),
        }
    }

    /// The next stop as it is shown: for being idle, and the end of the time that it was
    /// started for.
    pub(super) fn shown_stop(&self) -> (Option<Instant>, Option<u64>) {
        let is_on = matches!(self.lifecycle.phase(), Phase::Starting | Phase::Ready);
        let keep_until_ms = match self.agreement.keep() {
            Keep::Until(until) | Keep::AtLeast(until) if is_on => until
                .duration_since(UNIX_EPOCH)
                .ok()
                .and_then(|since| u64::try_from(since.as_millis()).ok()),
            _ => None,
        };
        let is_kept = self.agreement.keep() != Keep::No || self.stops.note().is_some();
        let idle = self.idle().filter(|_| is_on && !is_kept);
        let unused = idle.and_then(|idle| self.agreement.unused_at(idle));
        let young = self.lifecycle.since() + paced(self.target.min_up);
        let is_ready = self.lifecycle.phase() == Phase::Ready;
        let idle_from = unused.map(|at| if is_ready { at.max(young) } else { at });
        (idle_from, keep_until_ms)
    }
}
