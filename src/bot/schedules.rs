//! Targets with a schedule. It acts on its edges alone: what people do in between stays until
//! the next one. An edge that came while the bot was away is made up for: a stop always, a
//! start if its window is not over.

use log::{info, warn};
use ruma::{owned_event_id, owned_room_id};
use tokio::time::Duration;

use super::{
    chat::Door,
    execute::{Change, Cluster, Done, Write},
    gateway::{Wish, Wisher},
    jobs::{Ended, Jobs},
    session::Session,
    timed::{RETRY, Scheduled},
};
use crate::{
    control::{Target, time::Edge},
    matrix::e2ee::Error,
    store::HistoryEntry,
    telemetry::{AuditEvent, AuditRecord},
    util::boxed,
};

/// The age from which an edge is not made up for, in milliseconds.
const OLDEST_MS: u64 = 7 * 24 * 3_600_000;

/// The wish of a schedule.
enum Due {
    /// Nothing before this time, in milliseconds since the Unix epoch.
    Later(u64),
    /// Nothing: the start that was missed is over, or it is the first look.
    Noted,
    /// This, since that time.
    Now(u64, Edge),
}

impl Jobs {
    fn act(&mut self, target: &Target, at_ms: u64, edge: Edge, now: u64) {
        self.timers.acting(target.name.as_str());
        let (cluster, target) = (self.cluster.clone(), target.clone());
        self.tasks.spawn(boxed(async move {
            let result = cluster.on_schedule(&target, edge, now).await;
            Ended::Scheduled(Box::new(Scheduled {
                target: target.name.as_str().to_owned(),
                at_ms,
                edge,
                result,
            }))
        }));
    }
}

impl Cluster {
    async fn on_schedule(&self, target: &Target, edge: Edge, now: u64) -> Result<Done, String> {
        let done = match edge {
            Edge::Start => self.start(target, None, None).await,
            Edge::Stop => self.lower(target, 0, Write::Patch).await,
        };
        let done = done.map_err(|fault| {
            warn!("schedule of {}: {}", target.name, fault.detail());
            fault.sentence(&target.workload)
        })?;
        let wish = match (edge, &done) {
            (Edge::Start, Done::Changed(_)) => Some(Wish::Keep(None)),
            (Edge::Start, Done::AlreadyOn(seen)) => Some(Wish::Keep(Some(seen.desired))),
            (Edge::Stop, Done::Changed(change)) => Some(Wish::Stop(change.from > 0)),
            _ => None,
        };
        if let Some(wish) = wish {
            let wisher = Wisher::schedule(now);
            self.settle(&target.name, &target.workload, wish, &wisher)
                .await;
        }
        Ok(done)
    }
}

impl Session<'_> {
    /// Looks at the schedules at a time that is believed, in milliseconds since the Unix
    /// epoch. Returns the time until the next edge.
    pub(super) fn check_schedules(&mut self, targets: &[Target], now: u64) -> Option<Duration> {
        let mut next = None;
        for target in targets {
            let name = target.name.as_str();
            if target.schedule.is_none()
                || self.jobs.timers.is_acting(name)
                || self.jobs.is_running_on(name)
            {
                continue;
            }
            let handled = self.read(|turn| Ok(turn.tx.schedules().handled(name)?));
            let wait = match handled.map(|handled| due(target, handled, now)) {
                None => RETRY,
                Some(Due::Later(at)) => Duration::from_millis(at.saturating_sub(now)).min(RETRY),
                Some(Due::Noted) => {
                    self.attempt(|door| Ok(door.turn.tx.schedules().put(name, now)?));
                    RETRY
                }
                Some(Due::Now(at, edge)) => {
                    self.jobs.act(target, at, edge, now);
                    RETRY
                }
            };
            next = Some(next.map_or(wait, |least: Duration| least.min(wait)));
        }
        next
    }

    /// Takes in that an edge was acted on.
    pub(super) fn scheduled(&mut self, scheduled: &Scheduled) {
        self.jobs
            .timers
            .acted(&scheduled.target, scheduled.result.is_ok());
        if scheduled.result.is_ok() && !self.attempt(|door| note(door, scheduled)) {
            // It is acted on once more, which changes nothing in the cluster.
            self.jobs.timers.touch();
        }
    }
}

/// The wish of the schedule of a target, up to when it was acted on.
fn due(target: &Target, handled: Option<u64>, now: u64) -> Due {
    let (Some((schedule, zone)), Some(handled)) = (&target.schedule, handled) else {
        return Due::Noted;
    };
    let mut last = None;
    let mut from = handled.max(now.saturating_sub(OLDEST_MS));
    while let Some((at, edge)) = schedule.next_edge(from, zone) {
        if at > now {
            if last.is_none() {
                return Due::Later(at);
            }
            break;
        }
        last = Some((at, edge));
        from = at;
    }
    match last {
        None => Due::Noted,
        Some((_, Edge::Start)) if !schedule.is_up_at(now, zone) => Due::Noted,
        Some((at, edge)) => Due::Now(at, edge),
    }
}

/// Writes down what an edge did.
fn note(door: Door<'_>, scheduled: &Scheduled) -> Result<(), Error> {
    let Scheduled {
        target,
        at_ms,
        edge,
        result,
    } = scheduled;
    let tx = door.turn.tx;
    tx.schedules().put(target, *at_ms)?;
    let verb = match edge {
        Edge::Start => "start",
        Edge::Stop => "stop",
    };
    let (change, outcome): (Option<&Change>, &str) = match result {
        Ok(Done::Changed(change)) => (Some(change), ""),
        Ok(Done::LosesData) => (None, "refused: would lose data"),
        _ => (None, "was so already"),
    };
    info!("{target}: {verb} by its schedule {outcome}");
    if *edge == Edge::Stop {
        tx.timers().remove(target)?;
    }
    if let Some(Change { from, to, uid, .. }) = change {
        tx.previous_replicas()
            .note_change(target, uid, *from, *to)?;
    }
    let audit = AuditRecord {
        actor: "its schedule",
        command: verb,
        target,
        outcome: if change.is_some() { "changed" } else { outcome },
        from: change.map(|change| change.from),
        to: change.map(|change| change.to),
        ..AuditRecord::new(AuditEvent::Timer)
    };
    door.chat.audit.record(door.turn.now, &audit);
    let line = HistoryEntry {
        // No message asked for it.
        event_id: owned_event_id!("$schedule"),
        at_ms: door.turn.now,
        actor: "its schedule".to_owned(),
        room: owned_room_id!("!schedule"),
        verb: verb.to_owned(),
        from: change.map(|change| change.from),
        to: change.map(|change| change.to),
        outcome: outcome.to_owned(),
        seconds: None,
    };
    Ok(tx.history().put(target, &line)?)
}
