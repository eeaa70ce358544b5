//! What a keeper takes in: what the watches tell, what answers a connect, and what follows
//! from that for the target.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::agreement::LeasePhase;
use super::cluster::{Cluster, Found};
use super::decide::{LOOK_AFTER_OTHERS, LOOK_FOR_PODS};
use super::keeper::{Keeper, MAX_TURN, Watched};
use super::lifecycle::{Effect, Event};
use super::readiness::Readiness;
use super::view::Phase;
use crate::control::progress::{Cause, Details};
use crate::kube::{CollectionChange, Lease};
use crate::telemetry::{GatewayEvent, GatewayRecord};
use crate::util::{boxed, paced};

/// From one try to connect to a pod to the next.
const PROBE: Duration = Duration::from_millis(50);

/// The same for pods that have not answered for long, or beside others that did.
const SLOW_PROBE: Duration = Duration::from_millis(500);

/// The same for the Service of a target that is off.
const OFF_PROBE: Duration = Duration::from_secs(5);

/// The time after which tries to connect become seldom.
const LONG: Duration = Duration::from_secs(60);

/// Tries to connect at the same time.
const MAX_PROBES: usize = 10;

/// The idle time is warned of where it is less than this many times as long as a wake.
const WAKES: u32 = 3;

impl<C: Cluster> Keeper<C> {
    /// Takes in what the watches tell.
    pub(super) fn observe(&mut self, told: Watched) {
        let now = Instant::now();
        match told {
            Watched::Slices(change) => {
                if let Some(readiness) = &mut self.readiness {
                    readiness.observe(change);
                    // Otherwise the Service itself is read.
                    if !readiness.needs_service() {
                        let fault = readiness.fault().map(ToOwned::to_owned);
                        self.service_is(fault, now);
                    }
                }
            }
            Watched::Lease(CollectionChange::All(leases)) => {
                self.agreement.watched(now);
                // Of a cluster that was restored all versions are older.
                self.agreement.is_listed();
                match leases.into_iter().next() {
                    Some(lease) => self.lease_is(lease, now),
                    None => self.lease_is_missing(),
                }
            }
            Watched::Lease(CollectionChange::Set(lease)) => self.lease_is(lease, now),
            Watched::Lease(CollectionChange::Gone(_)) => self.lease_is_missing(),
            Watched::Lease(CollectionChange::Lost(_)) => self.agreement.lost(),
        }
    }

    /// There is no Lease.
    pub(super) fn lease_is_missing(&mut self) {
        if !self.agreement.is_missing() {
            let name = &self.target.name;
            log::error!(
                "{name} is never stopped for being idle: {}",
                self.work.no_lease()
            );
        }
        self.agreement.missing();
        self.claim = None;
        if self.lifecycle.phase() == Phase::Stopping {
            self.on(Event::Kept, Instant::now());
        }
    }

    /// The Lease is so, as the watch or the answer to a write shows it.
    pub(super) fn lease_is(&mut self, lease: Lease, now: Instant) {
        let is_first = self.agreement.lease().is_none();
        let before = self.agreement.phase();
        let (_, at) = self.agreement.started();
        let started = at.to_owned();
        self.agreement.observe(lease, now);
        let phase = self.agreement.phase();
        let is_woken = !is_first && self.agreement.started().1 != started;
        match phase {
            LeasePhase::Stopping => self.on(Event::Stopping, now),
            LeasePhase::Stopped if !is_first && before != phase => {
                self.stops.stopped(now);
                self.on(Event::Stopped, now);
            }
            LeasePhase::Stopped => {}
            LeasePhase::Run => {
                // What happened in between was not seen.
                if before == LeasePhase::Stopping {
                    let event = match is_woken {
                        true => Event::Stopped,
                        false => Event::Kept,
                    };
                    self.on(event, now);
                }
                if is_woken && !self.agreement.started().1.is_empty() {
                    self.stops.woken();
                    self.on(Event::WokenByOther, now);
                    // What is not watched is looked at, once the other one has done it.
                    self.look_at = now + LOOK_AFTER_OTHERS;
                }
            }
        }
        if !self.agreement.is_own_claim() {
            self.claim = None;
        }
    }

    /// Takes in the pods that there are now.
    pub(super) fn see(&mut self, now: Instant) {
        let Some(readiness) = &mut self.readiness else {
            return;
        };
        let suspects = self.shared.with(|hot| std::mem::take(&mut hot.suspects));
        for suspect in suspects {
            readiness.refused(suspect.address);
        }
        let (pods, ready) = (readiness.pods(), readiness.endpoints().len());
        self.seen(pods, ready, now);
    }

    /// Takes in that there are so many pods.
    pub(super) fn seen(&mut self, pods: usize, ready: usize, now: Instant) {
        let (before, (were, _)) = (self.lifecycle.phase(), self.lifecycle.seen());
        self.on(Event::Seen { pods, ready }, now);
        let phase = self.lifecycle.phase();
        let is_gone = were > 0 && pods == 0;
        if pods != were {
            // Others may have set the number.
            self.is_scale_wanted = true;
        }
        if phase == before && !is_gone {
            return;
        }
        self.is_scale_wanted = true;
        if is_gone {
            // Soon enough, and not before its Scale was read.
            self.look_at = now + LOOK_FOR_PODS;
        }
        let is_up = before == Phase::Off && phase != Phase::Off;
        if is_up && self.agreement.phase() == LeasePhase::Stopped && self.stops.put_back(now) {
            log::warn!(
                "{} is left on: somebody else puts it back on",
                self.target.name
            );
        }
    }

    /// Takes in an event, and does what follows from it here.
    pub(super) fn on(&mut self, event: Event, now: Instant) {
        let before = self.lifecycle.phase();
        let effect = self.lifecycle.on(event, now);
        match effect {
            Effect::None | Effect::Changed => {}
            Effect::Ready(after) => self.is_ready(after),
            Effect::Closing => self.shared.close(),
            Effect::Stopped => {
                if let Some(readiness) = &mut self.readiness {
                    readiness.stopped(now);
                }
            }
        }
        let phase = self.lifecycle.phase();
        if before != Phase::Off && phase == Phase::Off {
            self.shared.close();
            self.shared.with(|hot| hot.activity.forget_presence());
        }
        if phase != before {
            self.next_probe = now;
        }
    }

    fn is_ready(&mut self, after: Option<Duration>) {
        let name = self.target.name.as_str();
        let mut record = GatewayRecord::new(GatewayEvent::Ready);
        record.duration_ms =
            after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        self.record(record);
        let Some(after) = after else { return };
        self.means.metrics.woken(name, after);
        if let Some(idle) = self.idle().filter(|idle| *idle < after * WAKES)
            && self.last_wake.is_none()
        {
            log::warn!("{name} takes {after:?} to wake and is stopped after {idle:?} without use");
        }
        self.last_wake = Some(after);
    }

    /// Writes a line of the audit log about the target.
    pub(super) fn record(&self, record: GatewayRecord<'_>) {
        let record = GatewayRecord {
            target: self.target.name.as_str(),
            ..record
        };
        let at_ms = self.means.clock.own.now_ms();
        self.means.audit.record(at_ms, &record);
    }

    /// Tries the pods that have not answered yet. Returns the time of the next try.
    pub(super) fn probe(&mut self, now: Instant) -> Instant {
        let never = now + MAX_TURN;
        let Some(readiness) = &self.readiness else {
            return never;
        };
        let phase = self.lifecycle.phase();
        let untried = readiness.to_probe(phase == Phase::Starting, now);
        if untried.is_empty() {
            // Addresses of before a stop may be tried soon.
            return match phase {
                Phase::Starting => now + SLOW_PROBE,
                _ => never,
            };
        }
        if now < self.next_probe {
            return self.next_probe;
        }
        // One after the other has its turn, however many there are.
        let is_next = |address: &&SocketAddr| self.last_probed.is_none_or(|last| **address > last);
        let (ahead, behind): (Vec<_>, Vec<_>) = untried.iter().partition(is_next);
        for address in ahead.into_iter().chain(behind).copied() {
            if self.probes.len() >= MAX_PROBES {
                break;
            }
            if !self.probing.insert(address) {
                continue;
            }
            self.last_probed = Some(address);
            let cluster = self.work.cluster.clone();
            self.probes.spawn(boxed(
                async move { (address, cluster.connect(address).await) },
            ));
        }
        let is_young = now < self.lifecycle.since() + LONG;
        self.next_probe = now
            + paced(match phase {
                // A Service without pods, which others may have started.
                Phase::Off => OFF_PROBE,
                Phase::Ready => SLOW_PROBE,
                _ if is_young => PROBE,
                _ => SLOW_PROBE,
            });
        self.next_probe
    }

    pub(super) fn probed(&mut self, address: SocketAddr, is_open: bool) {
        self.probing.remove(&address);
        if let Some(readiness) = &mut self.readiness
            && is_open
        {
            readiness.accepted(address);
        }
    }

    /// Looks for the reason why it is not ready yet. Returns the time of the next look.
    pub(super) fn look_for_reason(&mut self, now: Instant) -> Option<Instant> {
        if self.lifecycle.phase() != Phase::Starting {
            self.reason.end();
            return None;
        }
        let of = (&self.work.beside, &self.work.workload);
        let since = self.lifecycle.since();
        self.reason.look(since, now, of, &self.means.looks)
    }

    /// The reason why it is not ready yet: what keeps it from being reached, or what was found.
    pub(super) fn why_starting(&self) -> Option<String> {
        if self.lifecycle.phase() != Phase::Starting {
            return None;
        }
        let fault = self.readiness.as_ref().and_then(Readiness::fault);
        fault
            .map(ToOwned::to_owned)
            .or_else(|| self.reason.told(self.lifecycle.since()))
    }

    /// Takes in the outcome of such a look.
    pub(super) fn found(&mut self, found: Found) {
        if self.reason.take(found, Instant::now())
            && let Some(finding) = self.reason.finding()
        {
            // Some need long to be ready, and nothing is wrong with them.
            let level = match finding.cause {
                Cause::NotReady => log::Level::Info,
                _ => log::Level::Warn,
            };
            let (name, detail) = (&self.target.name, finding.sentence(Details::Full));
            log::log!(level, "{name} is not ready yet: {detail}");
        }
    }
}
