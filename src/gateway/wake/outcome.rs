//! The consequences of a piece of work of a keeper.

use tokio::time::Instant;

use super::agreement::LeasePhase;
use super::asked::{Change, Changed, Refusal, WokenBy};
use super::cluster::{Cluster, Fault};
use super::decide::{LOOK_FOR_PODS, LOOK_SOON, RENEWAL};
use super::idle::Why;
use super::keeper::{Claim, JobKind, Keeper, Outcome};
use super::lifecycle::Event;
use super::service_read::ServiceRead;
use super::view::Phase;
use super::work::{Raised, Stopped, again};
use crate::control::progress::Observation;
use crate::gateway::auth::record_of;
use crate::kube::ScaleAnswer;
use crate::telemetry::{GatewayEvent, GatewayRecord};

impl<C: Cluster> Keeper<C> {
    /// Takes in what came of a piece of work that began then.
    pub(super) fn done(&mut self, kind: &JobKind, begun: Instant, outcome: Outcome) {
        let now = Instant::now();
        match outcome {
            Outcome::Lease(Ok((is_done, lease))) => {
                self.reached();
                let is_outdated = !is_done && self.agreement.is_newer_than(&lease);
                self.agreed(kind, begun, is_done, now);
                self.lease_is(lease, now);
                self.settled(kind, is_done, now);
                if is_outdated {
                    // The watch will tell, once it is open again.
                    self.unreached(now);
                }
            }
            Outcome::Lease(Err(fault)) => self.not_agreed(kind, fault, now),
            Outcome::Raised(raised, seen) => {
                let is_outdated = seen
                    .as_ref()
                    .is_some_and(|lease| self.agreement.is_newer_than(lease));
                let is_overtaken = match seen {
                    Some(lease) if matches!(raised, Ok(Raised::Overtaken)) => {
                        self.lease_is(lease, now);
                        true
                    }
                    // Its own word is no news. Where it has been stopped since, this replica
                    // has stood still, and what it knows is of before.
                    Some(lease) => {
                        self.agreement.observe(lease, now);
                        self.agreement.phase() != LeasePhase::Run
                    }
                    None => false,
                };
                let raised = match raised {
                    Ok(Raised::On(_) | Raised::Done(_)) if is_overtaken => Ok(Raised::Overtaken),
                    raised => raised,
                };
                let is_outdated = is_outdated && matches!(raised, Ok(Raised::Overtaken));
                self.raised(kind, begun, raised, now);
                if is_outdated {
                    self.unreached(now);
                }
            }
            Outcome::Stopped(stopped) => self.stopped(stopped, now),
            Outcome::Service(Ok(service)) => {
                self.reached();
                if let Some(readiness) = &mut self.readiness {
                    readiness.resolve(&service);
                    let fault = readiness.fault().map(ToOwned::to_owned);
                    self.service_is(fault, now);
                }
            }
            Outcome::Service(Err(fault)) => match fault {
                Fault::Unavailable => self.unreached(now),
                Fault::Missing(why) | Fault::Refused(why) | Fault::Impossible(why) => {
                    self.reached();
                    // The port is guessed.
                    self.service_is(Some(why), now);
                }
            },
            Outcome::Scale(Ok(scale)) => {
                self.reached();
                self.counted(scale.replicas);
                // Somebody has stopped it before there was a pod.
                if scale.replicas == 0 {
                    self.on(Event::NotWoken, now);
                }
            }
            Outcome::Scale(Err(_)) => {}
            Outcome::Looked(Ok(seen)) => {
                self.reached();
                self.looked(&seen, now);
            }
            Outcome::Looked(Err(_)) => {}
        }
    }

    /// The Service was read, or cannot be; a fault is told once.
    pub(super) fn service_is(&mut self, fault: Option<String>, now: Instant) {
        if let Some(fault) = &fault
            && self.service.fault() != Some(fault)
        {
            log::warn!("{}: {fault}", self.target.name);
        }
        self.service = match fault {
            Some(fault) => ServiceRead::Faulty(now, fault),
            None => ServiceRead::Done(now),
        };
    }

    /// Takes in a workload without a Service.
    fn looked(&mut self, seen: &Observation, now: Instant) {
        self.desired = Some(seen.desired);
        let soon = now + LOOK_SOON;
        // What its controller has counted is of before the last change.
        if !seen.is_scale_only && seen.observed_generation < seen.generation {
            self.look_at = self.look_at.min(soon);
            return;
        }
        let count = |number: i32| usize::try_from(number).unwrap_or_default();
        let ready = match seen.is_scale_only {
            true => seen.replicas,
            false => seen.ready,
        };
        let (pods, ready) = match seen.desired > 0 {
            true => (count(seen.desired.max(seen.replicas)), count(ready)),
            false => (0, 0),
        };
        self.seen(pods, ready, now);
        if seen.desired == 0 {
            self.on(Event::NotWoken, now);
        }
        if self.lifecycle.phase() == Phase::Starting {
            self.look_at = self.look_at.min(soon);
        } else if ready < pods {
            // The others may follow.
            self.look_at = self.look_at.min(now + LOOK_FOR_PODS);
        }
    }

    /// It should have so many replicas.
    fn counted(&mut self, replicas: i32) {
        self.desired = Some(replicas);
        if let Some(readiness) = &mut self.readiness {
            readiness.counted(replicas);
        }
    }

    /// The API server has answered.
    fn reached(&mut self) {
        self.failures = 0;
        self.retry_at = None;
        self.agreement.reached();
    }

    /// It has not: tried again after a while.
    fn unreached(&mut self, now: Instant) {
        self.retry_at = Some(now + again(self.failures));
        self.failures = self.failures.saturating_add(1);
    }

    /// Notes what this replica has said in the Lease.
    fn agreed(&mut self, kind: &JobKind, begun: Instant, is_done: bool, now: Instant) {
        match (kind, is_done) {
            (JobKind::Renew, true) => {
                self.agreement.renewed(begun);
                self.shared.with(|hot| hot.renewal_wanted = false);
                self.renewal_wanted_since = None;
            }
            (JobKind::Claim(why), true) => {
                // An API server that took so long did so for the others, too, who went on
                // without it: they have a chance to say that they use it.
                let is_doubted = *why == Some(Why::Idle) && now >= begun + RENEWAL;
                self.claim = Some(Claim {
                    since: begun,
                    why: *why,
                    outcome: is_doubted.then(|| Stopped::Kept(String::new())),
                });
            }
            (JobKind::Claim(Some(_)), false) => {
                let name = self.target.name.as_str();
                self.means.metrics.idle_stop(name, "lost");
            }
            (JobKind::Settle, true) => {
                let claim = self.claim.take();
                let is_off = matches!(&claim, Some(claim)
                    if matches!(claim.outcome, Some(Stopped::Off(_) | Stopped::TooLate)));
                if !is_off {
                    self.agreement.renewed(begun);
                    self.on(Event::Kept, now);
                }
            }
            _ => {}
        }
    }

    /// Goes on after the Lease was told what came of a stop.
    fn settled(&mut self, kind: &JobKind, is_done: bool, now: Instant) {
        if *kind == JobKind::Settle && !is_done && self.agreement.phase() == LeasePhase::Run {
            self.claim = None;
            self.on(Event::Kept, now);
        }
    }

    fn not_agreed(&mut self, kind: &JobKind, fault: Fault, now: Instant) {
        if *kind == JobKind::Renew {
            // Who cannot ask goes on.
            self.agreement.cut_off();
        }
        match fault {
            Fault::Unavailable => self.unreached(now),
            Fault::Missing(_) => self.lease_is_missing(),
            Fault::Refused(why) | Fault::Impossible(why) => {
                if self.failures == 0 {
                    log::error!("{}: {why}", self.target.name);
                }
                self.unreached(now);
                if *kind == JobKind::Claim(None) {
                    self.answer(Err(Refusal::Impossible(why)));
                }
            }
        }
        if let JobKind::Claim(why) = kind {
            self.stop_failed(*why);
        }
    }

    /// It was woken, or changed, or not.
    fn raised(
        &mut self,
        kind: &JobKind,
        begun: Instant,
        raised: Result<Raised, Fault>,
        now: Instant,
    ) {
        match raised {
            // Another replica was faster: decided anew, by what the Lease says now.
            Ok(Raised::Overtaken) => self.reached(),
            Ok(Raised::On(scale)) => {
                self.reached();
                self.is_raised(kind, begun, &scale, false, now);
            }
            Ok(Raised::Done(scale)) => {
                self.reached();
                self.is_raised(kind, begun, &scale, true, now);
            }
            Ok(Raised::Refused(reason)) => {
                self.reached();
                self.not_raised(
                    kind,
                    Event::Refused(reason.clone()),
                    Refusal::Refused(reason),
                    now,
                );
            }
            Err(Fault::Unavailable) => {
                self.unreached(now);
                match kind {
                    JobKind::Wake(by) => {
                        let by = by.clone();
                        self.on(Event::NotWoken, now);
                        self.shared.with(|hot| hot.wake_wanted = Some(by));
                    }
                    _ => self.answer(Err(Refusal::Unavailable)),
                }
            }
            Err(Fault::Refused(reason)) => {
                self.not_raised(
                    kind,
                    Event::Failed(reason.clone()),
                    Refusal::Refused(reason),
                    now,
                );
            }
            Err(Fault::Missing(reason) | Fault::Impossible(reason)) => {
                self.not_raised(
                    kind,
                    Event::Failed(reason.clone()),
                    Refusal::Impossible(reason),
                    now,
                );
            }
        }
    }

    fn is_raised(
        &mut self,
        kind: &JobKind,
        begun: Instant,
        scale: &ScaleAnswer,
        is_done: bool,
        now: Instant,
    ) {
        self.counted(scale.replicas);
        self.is_scale_wanted = false;
        self.look_at = now;
        if self.agreement.lease().is_some() {
            self.agreement.renewed(begun);
        }
        if is_done && self.lifecycle.phase() != Phase::Ready {
            self.stops.woken();
        }
        self.shared.with(|hot| hot.wake_wanted = None);
        self.on(Event::Woken(begun), now);
        if let JobKind::Wake(by) = kind
            && is_done
        {
            self.record_wake(by, "allowed", "");
        }
        let is_start = matches!(&self.pending, Some((asked, _))
            if matches!(asked.change, Change::Start { .. }));
        if *kind == JobKind::Change {
            self.answer(Ok(match is_start && !is_done {
                true => Changed::AlreadyOn(scale.replicas),
                false => Changed::Done(scale.replicas),
            }));
        }
    }

    fn not_raised(&mut self, kind: &JobKind, event: Event, refusal: Refusal, now: Instant) {
        let JobKind::Wake(by) = kind else {
            return self.answer(Err(refusal));
        };
        self.shared.with(|hot| hot.wake_wanted = None);
        let reason = match &refusal {
            Refusal::Refused(reason) | Refusal::Impossible(reason) => reason,
            Refusal::Unavailable => "",
        };
        self.record_wake(by, "failed", reason);
        self.on(event, now);
    }

    fn record_wake(&self, by: &WokenBy, decision: &str, reason: &str) {
        self.record(GatewayRecord {
            decision,
            reason,
            request_id: &by.request.to_string(),
            ..record_of(&by.principal, GatewayEvent::Wake)
        });
    }

    /// It was stopped, or not.
    fn stopped(&mut self, stopped: Result<Stopped, Fault>, now: Instant) {
        let Some(claim) = self.claim.clone() else {
            return;
        };
        let name = self.target.name.clone();
        match stopped {
            Ok(Stopped::Off(is_own)) => {
                self.reached();
                self.counted(0);
                self.is_scale_wanted = false;
                if let Some(why) = claim.why {
                    self.means.metrics.idle_stop(name.as_str(), "stopped");
                    let mut record = GatewayRecord::new(GatewayEvent::IdleStop);
                    record.reason = match (why, is_own) {
                        (_, false) => "it was off",
                        (Why::Idle, true) => "idle",
                        (Why::Deadline, true) => "its time is over",
                    };
                    self.record(record);
                }
                self.answer_stop(&claim, Ok(Changed::Done(0)));
                self.finish(claim, Stopped::Off(is_own), now);
            }
            Ok(Stopped::Kept(why)) => {
                self.reached();
                self.stops.kept(&why, self.idle(), now);
                let note = self.stops.note().unwrap_or_default().to_owned();
                if claim.why.is_some() {
                    self.means.metrics.idle_stop(name.as_str(), "kept");
                    let mut record = GatewayRecord::new(GatewayEvent::Kept);
                    record.reason = &note;
                    self.record(record);
                }
                self.answer_stop(&claim, Err(Refusal::Refused(note)));
                self.finish(claim, Stopped::Kept(why), now);
            }
            Ok(Stopped::TooLate) => {
                self.claim = None;
                self.stop_failed(claim.why);
            }
            Err(Fault::Unavailable) => self.unreached(now),
            Err(Fault::Missing(why) | Fault::Refused(why) | Fault::Impossible(why)) => {
                log::warn!("{name}: {why}");
                self.stop_failed(claim.why);
                self.answer_stop(&claim, Err(Refusal::Impossible(why)));
                self.finish(claim, Stopped::Kept(String::new()), now);
            }
        }
    }

    /// The Lease is told what came of a claim, if there is one.
    fn finish(&mut self, mut claim: Claim, outcome: Stopped, now: Instant) {
        if self.agreement.lease().is_some() {
            claim.outcome = Some(outcome);
            self.claim = Some(claim);
            return;
        }
        self.claim = None;
        match outcome {
            Stopped::Off(_) => self.on(Event::Stopped, now),
            Stopped::Kept(_) | Stopped::TooLate => self.on(Event::Kept, now),
        }
    }

    /// A stop failed: one that nobody asked for is tried again, not at once.
    pub(super) fn stop_failed(&mut self, why: Option<Why>) {
        if why.is_some() {
            let name = self.target.name.as_str();
            self.means.metrics.idle_stop(name, "failed");
            self.stops.failed(Instant::now());
        }
    }

    /// Answers the change that is pending if this claim is because of it.
    fn answer_stop(&mut self, claim: &Claim, answer: Result<Changed, Refusal>) {
        if claim.why.is_none() {
            self.answer(answer);
        }
    }

    /// Answers the change that is pending.
    pub(super) fn answer(&mut self, answer: Result<Changed, Refusal>) {
        if let Some((asked, _)) = self.pending.take() {
            // Who asked may have gone.
            let _ = asked.reply.send(answer);
        }
    }
}
