//! Commands whose turn has come, and the decision about them: who asked may not be allowed
//! any more, and what they asked for may be gone.

use log::warn;

use super::{
    chat::{self, Door},
    denied,
    execute::Order,
};
use crate::{
    control::{
        Age, Command, Decision, Denial, Distrust, Policy, Proof, Request, RestartStep, Stage,
        Targets,
    },
    matrix::e2ee::{Error, Turn},
    store::{Encryption, JournalEntry},
};

/// A command whose turn has come, and the decision about it.
pub(super) struct Job {
    pub(super) entry: JournalEntry,
    pub(super) decision: Decision,
    /// The order to the cluster; None where it takes none.
    pub(super) order: Option<Order>,
}

impl Job {
    /// Returns true if its answer tells what the bot can be known by.
    pub(super) const fn tells_fingerprints(&self) -> bool {
        matches!(self.decision, Decision::Execute(Command::Help { .. }))
    }
}

/// Decides about a command whose turn has come. None while its sender's devices are
/// being asked for.
pub(super) fn decide(
    door: Door<'_>,
    entry: JournalEntry,
    started_at: u64,
) -> Result<Option<Job>, Error> {
    let (policy, own_now) = (&door.chat.policy, door.turn.own_now);
    let is_interrupted = entry.received_at < started_at;
    if let Some((command, order)) = half_done(policy, &entry.payload, is_interrupted) {
        return Ok(Some(Job {
            entry,
            decision: Decision::Execute(command),
            order: Some(order),
        }));
    }
    let mut request = Request {
        principal: &entry.sender,
        room: &entry.room,
        text: &entry.payload,
        proof: Proof::Encrypted,
        age: Age::told(entry.age_ms),
        overdue_ms: 0,
        received_at: entry.received_at,
        wall_ms: door.turn.now,
        stage: Stage::Due {
            interrupted: is_interrupted,
        },
    };
    let mut decision = policy.decide(&request, own_now);
    // What is too old is told so without asking for its sender's devices.
    if !matches!(&decision, Decision::Deny(denial) if denial.is_about_time()) {
        let Some(proof) = proof(door.turn, &entry)? else {
            return Ok(None);
        };
        request.proof = proof;
        decision = policy.decide(&request, own_now);
    }
    if let Decision::Deny(denial) = &decision {
        denied::log_denial(denial, &entry);
        if matches!(denial, Denial::NoLongerAllowed | Denial::Unproven(_)) {
            warn!(
                "{} may no longer command: {} is not run",
                entry.sender, entry.payload
            );
        }
    }
    let order = match &decision {
        Decision::Execute(command) => order(door, &entry, command)?,
        _ => None,
    };
    Ok(Some(Job {
        entry,
        decision,
        order,
    }))
}

/// A restart that may have scaled its target to none: that is brought back, whatever is
/// known by now of who asked for it. What an earlier process began is only started again.
fn half_done(policy: &Policy, payload: &str, is_interrupted: bool) -> Option<(Command, Order)> {
    let (Targets::Named(targets), Some(command)) = (&policy.targets, Command::decode(payload))
    else {
        return None;
    };
    let Command::Restart {
        target: name,
        step: RestartStep::Back(replicas),
    } = &command
    else {
        return None;
    };
    let target = targets.iter().find(|target| target.name == *name)?;
    let does = match is_interrupted {
        true => Command::Start {
            target: name.clone(),
            replicas: Some(*replicas),
            until: None,
            idle: false,
        },
        false => command.clone(),
    };
    let order = Order::Target {
        command: does,
        target: Box::new(target.clone()),
        previous: None,
        // A start and the way back have no use for it.
        received_at: 0,
    };
    Some((command, order))
}

/// The order to the cluster for a command; None where it takes none.
fn order(door: Door<'_>, entry: &JournalEntry, command: &Command) -> Result<Option<Order>, Error> {
    let policy = &door.chat.policy;
    if let Targets::Reference(workload) = &policy.targets {
        return Ok(Some(Order::Reference(command.clone(), workload.clone())));
    }
    if !command.verb().needs_cluster() {
        return Ok(None);
    }
    let scope = policy.scope(&entry.sender, &entry.room);
    let Some(name) = command.targets().first() else {
        let seen = scope.seen().iter().copied();
        return Ok(Some(Order::List(seen.cloned().collect())));
    };
    let previous = match command {
        Command::Start { .. } => door.turn.tx.previous_replicas().get(name.as_str())?,
        _ => None,
    };
    Ok(scope.find(name.as_str()).map(|target| Order::Target {
        command: command.clone(),
        target: Box::new(target.clone()),
        previous,
        received_at: entry.received_at,
    }))
}

/// Proof, as of now, that the sender wrote a command of the journal. None while
/// their devices are being asked for.
fn proof(turn: Turn<'_>, entry: &JournalEntry) -> Result<Option<Proof>, Error> {
    let tx = turn.tx;
    let Some(device) = entry.device else {
        return Ok(Some(match tx.rooms().encryption(&entry.room)? {
            Encryption::Plaintext => Proof::Unencrypted,
            _ => Proof::Missing(Distrust::UnencryptedInEncryptedRoom),
        }));
    };
    if tx.device_lists().must_query(&entry.sender, turn.now)? {
        return Ok(None);
    }
    let distrust = turn.distrust(&entry.sender, &device)?;
    Ok(Some(
        distrust.map_or(Proof::Encrypted, |kind| chat::proof(&kind)),
    ))
}
