//! The outcome of a command, written down: the answer, what is remembered of it, the time
//! at which it ends, and that its outcome is waited for.

use std::time::Duration;

use super::{
    chat::Door,
    execute::{Change, Done},
    gateway::Told,
    jobs::{Answered, End},
    lease_words::{self, Reader},
    replies,
    words::{self, ListedTarget},
};
use crate::{
    control::{
        Command, RestartStep, Target, TargetName, Targets, Verb,
        access::Action,
        progress::{Details, Ending, Observation, Stage},
        time::extend,
    },
    matrix::e2ee::{Error, Place, Speech},
    store::{Anchor, FollowedChange, HistoryEntry, JournalEntry, StoredTimer},
    telemetry::{AuditDecision, AuditEvent, AuditRecord, MetricEvents},
};

/// Writes down the end of a job, and that it is done.
pub(super) fn put(door: Door<'_>, answered: &Answered) -> Result<MetricEvents, Error> {
    put_end(door, answered)?;
    // What goes on is counted at its end.
    let goes_on = matches!(
        answered.end,
        End::Done(Done::RestartFrom(_) | Done::MustConfirm)
    );
    let metric = (!goes_on).then_some(answered.metric);
    Ok(metric.into_iter().collect())
}

fn put_end(door: Door<'_>, answered: &Answered) -> Result<(), Error> {
    let Answered {
        entry,
        command,
        end,
        told,
        ..
    } = answered;
    audit(door, answered);
    let sentence = match (command, end) {
        (_, End::Told(text)) => text.clone(),
        (_, End::Failed(sentence)) => {
            if let Some(command) = command {
                remember(door, entry, command, None, "failed")?;
            }
            replies::failure(sentence)
        }
        (Some(command), End::Done(Done::MustConfirm)) => return door.ask(entry, command.clone()),
        (Some(command), End::Done(Done::RestartFrom(count))) => {
            let next = Command::Restart {
                target: first_target(command),
                step: RestartStep::Back(*count),
            };
            return Ok(door
                .turn
                .tx
                .journal()
                .rewrite(&entry.event_id, &next.to_string())?);
        }
        (Some(command), End::Done(done)) => {
            let sentence = done_sentence(door, entry, command, (done, told))?;
            sentence + &words::gateway(command, done, told)
        }
        (None, End::Done(_)) => String::new(),
    };
    let fault = match command.as_ref().map(Command::verb) {
        Some(Verb::Status | Verb::List) => door.turn.cross_signing_fault()?,
        _ => None,
    };
    let sentence = match fault {
        Some(fault) => format!("{sentence}\n\n⚠ {fault}"),
        None => sentence,
    };
    // Of a command in parts, the last one answers for all.
    let Some(results) = door.turn.tx.journal().finish_part(entry, &sentence)? else {
        return Ok(());
    };
    if results.len() > 1 {
        let lines = results.into_iter().filter_map(|part| part.result);
        return door.answer(entry, &lines.collect::<Vec<_>>().join("\n"));
    }
    if answered.changed().is_none() {
        return door.answer(entry, &sentence);
    }
    // It is edited while the change is followed.
    let mut speech = door.speech(entry, &sentence);
    speech.anchor = Some(Anchor::new(&entry.event_id, &entry.target));
    door.turn.say(&entry.room, &speech, true)
}

/// Writes what came of a command into the audit log.
fn audit(door: Door<'_>, answered: &Answered) {
    let (outcome, change) = match &answered.end {
        End::Told(_) => ("answered", None),
        End::Failed(_) => ("failed", None),
        End::Done(Done::Changed(change)) => ("changed", Some(change)),
        End::Done(Done::AlreadyOn(_)) => ("was on already", None),
        End::Done(Done::LosesData) => ("refused: would lose data", None),
        End::Done(Done::Paused) => ("refused: paused", None),
        End::Done(Done::RestartFrom(_)) => return,
        End::Done(Done::MustConfirm) => {
            let asked = AuditRecord {
                decision: Some(AuditDecision::Asked),
                ..AuditRecord::new(AuditEvent::Decision)
            };
            return door.audit(&answered.entry, answered.command.as_ref(), &asked);
        }
        End::Done(_) => ("answered", None),
    };
    let record = AuditRecord {
        outcome,
        from: change.map(|change| change.from),
        to: change.map(|change| change.to),
        ..AuditRecord::new(AuditEvent::Outcome)
    };
    door.audit(&answered.entry, answered.command.as_ref(), &record);
}

fn first_target(command: &Command) -> TargetName {
    let first = command.targets().first();
    first.cloned().unwrap_or_else(TargetName::unnamed)
}

/// The target of a command, as it is configured.
fn target<'a>(door: Door<'a>, command: &Command) -> Option<&'a Target> {
    let Targets::Named(targets) = &door.chat.policy.targets else {
        return None;
    };
    let name = command.targets().first()?;
    targets.iter().find(|target| target.name == *name)
}

fn done_sentence(
    door: Door<'_>,
    entry: &JournalEntry,
    command: &Command,
    (done, told): (&Done, &Told),
) -> Result<String, Error> {
    let name = first_target(command);
    Ok(match done {
        Done::Changed(change) => {
            let sentence = match command {
                Command::Restart { .. } => words::restarted(&name, change.from, change.to),
                _ => words::changed(&name, change.from, change.to),
            };
            note_change(door, entry, command, change)?;
            sentence + &note_timer(door, entry, command, &change.uid, change.to)?
        }
        Done::AlreadyOn(seen) => {
            remember(door, entry, command, None, "was on already")?;
            words::already_on(&name, seen)
                + &note_timer(door, entry, command, &seen.uid, seen.desired)?
        }
        Done::LosesData => {
            remember(door, entry, command, None, "refused: would lose data")?;
            words::would_lose_data(&name)
        }
        Done::Paused => {
            remember(door, entry, command, None, "refused: paused")?;
            words::is_paused(&name)
        }
        Done::Status(seen) if command.verb() == Verb::Restart => words::nothing_to_restart(&name),
        Done::Status(seen) => status(door, entry, &name, (seen, told))?,
        Done::List(counts) => {
            let scope = door.chat.policy.scope(&entry.sender, &entry.room);
            let listed: Vec<ListedTarget<'_>> = counts
                .iter()
                .filter_map(|(name, counts)| {
                    Some(ListedTarget {
                        target: scope.find(name.as_str())?,
                        counts: *counts,
                    })
                })
                .collect();
            words::list(&listed)
        }
        Done::Store => from_store(door, entry, command)?,
        Done::Reference(_) | Done::RestartFrom(_) | Done::MustConfirm => String::new(),
    })
}

/// The answer to what takes no cluster.
fn from_store(door: Door<'_>, entry: &JournalEntry, command: &Command) -> Result<String, Error> {
    match command {
        Command::Extend { target, by_ms } => extended(door, entry, target, *by_ms),
        Command::History { target } => {
            let scope = door.chat.policy.scope(&entry.sender, &entry.room);
            let may_switch = scope.may(Action::Start, target);
            let entries = door.turn.tx.history().of(target.as_str())?;
            let zone = &door.chat.policy.zone;
            Ok(words::history(target, &entries, may_switch, zone))
        }
        _ => door.help(command),
    }
}

fn extended(
    door: Door<'_>,
    entry: &JournalEntry,
    name: &TargetName,
    by_ms: u64,
) -> Result<String, Error> {
    let timers = door.turn.tx.timers();
    let Some(timer) = timers.get(name.as_str())? else {
        return Ok(words::does_not_stop(name));
    };
    let configured = match &door.chat.policy.targets {
        Targets::Named(targets) => targets.iter().find(|target| target.name == *name),
        Targets::Reference(_) => None,
    };
    let limits = [
        configured.and_then(|target| target.max_for),
        door.chat.policy.max_for,
    ];
    let max_for = limits.into_iter().flatten().min();
    let by = Duration::from_millis(by_ms);
    let deadline_ms = match extend(timer.deadline_ms, by, max_for, timer.set_at_ms) {
        Ok(deadline_ms) => deadline_ms,
        Err(fault) => return Ok(fault.to_string()),
    };
    timers.put(&StoredTimer {
        deadline_ms,
        // Who is spoken to about it, and where: not in a room that they may not be in.
        set_by: entry.sender.clone(),
        room: entry.room.clone(),
        thread: entry.thread.clone(),
        command: entry.event_id.clone(),
        warned_at_ms: None,
        ..timer
    })?;
    let stops = words::stops_at(deadline_ms, door.turn.now, &door.chat.policy.zone);
    Ok(format!("{name}:{stops}"))
}

fn status(
    door: Door<'_>,
    entry: &JournalEntry,
    name: &TargetName,
    (seen, told): (&Observation, &Told),
) -> Result<String, Error> {
    let mut lines = vec![format!("{name} is {}.", words::state(seen))];
    if let Some(timer) = door.turn.tx.timers().get(name.as_str())? {
        let zone = &door.chat.policy.zone;
        let stops = words::stops_at(timer.deadline_ms, door.turn.now, zone);
        lines.push(stops.trim_start().to_owned());
    }
    let scope = door.chat.policy.scope(&entry.sender, &entry.room);
    let may_switch = scope.may(Action::Start, name);
    if let Told::Seen(lease) = told {
        let reader = Reader {
            policy: &door.chat.policy,
            now: door.turn.now,
            with_names: may_switch,
        };
        lines.extend(lease_words::line(lease, seen.desired > 0, &reader));
    }
    if let Some(last) = door.turn.tx.history().last(name.as_str())? {
        lines.push(words::last_change(
            &last,
            may_switch,
            &door.chat.policy.zone,
        ));
    }
    Ok(lines.join("\n"))
}

/// Remembers a change, and that its outcome is to be told.
fn note_change(
    door: Door<'_>,
    entry: &JournalEntry,
    command: &Command,
    change: &Change,
) -> Result<(), Error> {
    let tx = door.turn.tx;
    let name = first_target(command);
    remember(door, entry, command, Some(change), "")?;
    if command.verb() != Verb::Restart {
        let previous = tx.previous_replicas();
        previous.note_change(name.as_str(), &change.uid, change.from, change.to)?;
    }
    supersede(door, entry, &name)?;
    let follows =
        door.chat.progress && (change.from != change.to || command.verb() == Verb::Restart);
    if follows {
        tx.followed().put(&FollowedChange {
            target: name.as_str().to_owned(),
            command: entry.event_id.clone(),
            room: entry.room.clone(),
            sender: entry.sender.clone(),
            thread: entry.thread.clone(),
            verb: command.verb().as_str().to_owned(),
            uid: change.uid.clone(),
            generation: change.generation,
            replicas: change.to,
            started_ms: door.turn.now,
            edits: 0,
            stage: Stage::Following.as_str().to_owned(),
            previous: change.from,
            selector: change.selector.clone(),
        })?;
    } else {
        tx.followed().remove(name.as_str())?;
    }
    Ok(())
}

/// Tells who waits for the outcome of an earlier change of a target that it is replaced.
fn supersede(door: Door<'_>, entry: &JournalEntry, name: &TargetName) -> Result<(), Error> {
    let Some(earlier) = door.turn.tx.followed().get(name.as_str())? else {
        return Ok(());
    };
    let is_told = Stage::parse(&earlier.stage) != Some(Stage::Following);
    if is_told || earlier.command == entry.event_id {
        return Ok(());
    }
    let place = Place::answering(earlier.thread.as_deref(), &earlier.command);
    let sentence = Ending::Superseded.sentence(name, Details::Short);
    let speech = Speech::new(sentence, place);
    door.turn.say(&earlier.room, &speech, true)?;
    let history = door.turn.tx.history();
    let outcome = words::outcome(&Ending::Superseded);
    history.end(name.as_str(), &earlier.command, outcome, None)?;
    Ok(())
}

/// Sets the time at which what was started is stopped again, or takes back the one that was
/// set before. Returns the rest of the answer about it.
fn note_timer(
    door: Door<'_>,
    entry: &JournalEntry,
    command: &Command,
    uid: &str,
    expected: i32,
) -> Result<String, Error> {
    let timers = door.turn.tx.timers();
    let name = first_target(command);
    let until = match command {
        Command::Start { until, .. } => *until,
        // It comes back as it was.
        Command::Restart { .. } => return Ok(String::new()),
        _ => None,
    };
    let Some(deadline_ms) = until else {
        let was_set = timers.remove(name.as_str())?;
        let sleeps = matches!(command, Command::Start { idle: true, .. });
        return Ok(match was_set && expected > 0 && !sleeps {
            true => words::STOPS_NO_MORE.to_owned(),
            false => String::new(),
        });
    };
    timers.put(&StoredTimer {
        target: name.as_str().to_owned(),
        uid: uid.to_owned(),
        expected,
        deadline_ms,
        set_at_ms: door.turn.now,
        set_by: entry.sender.clone(),
        room: entry.room.clone(),
        thread: entry.thread.clone(),
        command: entry.event_id.clone(),
        warned_at_ms: None,
    })?;
    let zone = &door.chat.policy.zone;
    Ok(words::stops_at(deadline_ms, door.turn.now, zone))
}

/// Writes a line into the history of a target.
fn remember(
    door: Door<'_>,
    entry: &JournalEntry,
    command: &Command,
    change: Option<&Change>,
    outcome: &str,
) -> Result<(), Error> {
    if target(door, command).is_none() || !command.verb().is_change() {
        return Ok(());
    }
    let name = first_target(command);
    let line = HistoryEntry {
        event_id: entry.event_id.clone(),
        at_ms: door.turn.now,
        actor: entry.sender.as_str().to_owned(),
        room: entry.room.clone(),
        verb: command.verb().as_str().to_owned(),
        from: change.map(|change| change.from),
        to: change.map(|change| change.to),
        outcome: outcome.to_owned(),
        seconds: None,
    };
    Ok(door.turn.tx.history().put(name.as_str(), &line)?)
}
