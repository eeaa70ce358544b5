//! The words of replies where targets have names: short, complete without markup, in
//! one place. They name no object of the cluster but the target's own name.

use super::{execute::Done, gateway::Told};
use crate::{
    control::{
        Command, GrammarFault, Target, TargetName, Unknown, Verb,
        progress::{Ending, Observation},
        time::{Zone, date_and_time, describe, describe_duration},
    },
    store::HistoryEntry,
    util::unlinked,
};

/// Lines of one group of a list that name a target each; the rest is counted.
const MAX_NAMED: usize = 30;

/// Said to who asks for too much in a row.
pub const TOO_FAST: &str = "You ask faster than I can answer: I take one command in three seconds \
    now. Please send again what you still want.";

/// The answer to a message that is too long to be a command.
pub const TOO_LONG: &str = "Your message is too long to be a command, so I did not read it.";

/// The answer to the edit of a command.
pub const EDITED: &str = "I do not run commands that were edited: the first version counts. Please \
    send what you want as a new message.";

/// The answer to a confirmation where nothing waits for one.
pub const NOTHING_TO_CONFIRM: &str = "There is nothing to confirm: please send the command itself.";

/// The answer to a confirmation with another code.
pub const WRONG_CODE: &str = "That is not the code of my question, so I did nothing: please write \
    \"yes\" and the four letters or digits of my question.";

/// The answer to the third confirmation with another code.
pub const WRONG_TOO_OFTEN: &str = "That was the third wrong code, so my question is void: please \
    send the command again.";

/// The answer to a confirmation that comes too late.
pub const CONFIRMED_TOO_LATE: &str = "My question was asked more than a minute ago and is void: \
    please send the command again.";

/// One line for each command.
pub fn help(has_gateway: bool) -> String {
    let lines = Verb::ALL.into_iter().filter(|verb| *verb != Verb::Confirm);
    let lines: Vec<String> = lines
        .map(|verb| format!("  {}\n    {}", usage(verb, has_gateway), purpose(verb)))
        .collect();
    format!(
        "Commands:\n{}\nExamples: start worker 3 for 2h30m · start worker until tomorrow 8:00 · \
         stop all · help start",
        lines.join("\n")
    )
}

/// The purpose of one command, with its form.
pub fn help_about(verb: Verb, has_gateway: bool) -> String {
    let of_gateway = match verb {
        Verb::Start if has_gateway => {
            "\nWith \"idle\" it sleeps when nobody uses it, and the next visitor wakes it; without, \
             it stays on until somebody stops it."
        }
        Verb::Stop if has_gateway => {
            "\nThe next visitor wakes it; with \"hold\" nobody does until it is started here."
        }
        _ => "",
    };
    let more = match verb {
        Verb::Start => {
            "\nIt never lowers a number of replicas. \"for\" takes 2h30m, 90m, 1.5h or 1d; \
             \"until\" takes 18:00, 6pm, tomorrow 8:00, fri 18:00 or 2026-03-29 18:00."
        }
        Verb::Stop => "\n\"stop all\" and several targets at once have to be confirmed.",
        Verb::Restart => {
            "\nWhere I may, its pods are replaced one after another. Else it is scaled to none and \
             back, which interrupts what runs, so it has to be confirmed."
        }
        Verb::Confirm => "\nThe code is in my question, and is good for a minute.",
        _ => "",
    };
    let (usage, purpose) = (usage(verb, has_gateway), purpose(verb));
    format!("{usage}\n{purpose}{more}{of_gateway}")
}

const fn usage(verb: Verb, has_gateway: bool) -> &'static str {
    match verb {
        Verb::Start if has_gateway => "start | on [TARGET] [N] [for TIME | until TIME | idle]",
        Verb::Stop if has_gateway => "stop | off [TARGET … | all] [hold]",
        Verb::Start => "start | on [TARGET] [N] [for TIME | until TIME]",
        Verb::Stop => "stop | off [TARGET … | all]",
        Verb::Scale => "scale TARGET N",
        Verb::Restart => "restart TARGET",
        Verb::Status => "status [TARGET]",
        Verb::List => "list",
        Verb::Extend => "extend TARGET TIME",
        Verb::History => "history [TARGET]",
        Verb::Help => "help [COMMAND]",
        Verb::Confirm => "yes CODE",
    }
}

const fn purpose(verb: Verb) -> &'static str {
    match verb {
        Verb::Start => "Scale up, for a while if you say so",
        Verb::Stop => "Scale to 0 replicas",
        Verb::Scale => "Scale to N replicas",
        Verb::Restart => "Replace all pods",
        Verb::Status => "Show how a target is",
        Verb::List => "Show how all targets are",
        Verb::Extend => "Stop it later than was said",
        Verb::History => "Show what was done with a target",
        Verb::Help => "Show the commands, or one of them",
        Verb::Confirm => "Confirm the command that I asked back about",
    }
}

/// The answer to a text that is not understood.
pub fn not_understood(fault: &GrammarFault) -> String {
    match fault {
        GrammarFault::NoCommand {
            meant: Some(verb), ..
        } => format!("I do not know that command. Did you mean \"{verb}\"? (help: all commands)"),
        GrammarFault::NoCommand { word, meant: None } => format!(
            "I do not know the command{}. (help: all commands)",
            quoted(word)
        ),
        GrammarFault::NoSuchTarget {
            verb,
            meant: Some(meant),
            ..
        } => format!("There is no target of that name here. Did you mean \"{verb} {meant}\"?"),
        GrammarFault::NoSuchTarget {
            word, meant: None, ..
        } => format!(
            "There is no target{} here. (list: all targets)",
            quoted(word)
        ),
        GrammarFault::WhichTarget { verb, names } if names.is_empty() => {
            format!("There is no target here that you could {verb}.")
        }
        GrammarFault::WhichTarget { verb, names } => {
            format!("Which one? Write \"{verb}\" and one of: {}.", joined(names))
        }
        GrammarFault::MayOnlyLook { target } => {
            format!("You may look at {target}, and not change it.")
        }
        GrammarFault::Count {
            target, word, max, ..
        } if word.as_str().is_empty() => {
            format!("To how many replicas? {target} takes 0 to {max}.")
        }
        GrammarFault::Count {
            verb, target, max, ..
        } => {
            let least = if *verb == Verb::Start { 1 } else { 0 };
            format!("{target} takes {least} to {max} replicas.")
        }
        GrammarFault::Time(fault) => fault.to_string(),
        GrammarFault::TooLong { target, max } => {
            format!("{target} may run for {} at most.", describe_duration(*max))
        }
        GrammarFault::IdleWithTime { target } => format!(
            "\"idle\" goes with no time: {target} either stops at a time or sleeps when nobody \
             uses it."
        ),
        GrammarFault::NoGateway { verb, word } => format!(
            "\"{verb} … {word}\" is about a gateway, and I know of none: my operator has to set \
             GATEWAY_LEASES."
        ),
        GrammarFault::Rest {
            verb,
            word,
            has_gateway,
        } => format!(
            "I do not understand{} there. Write: {}",
            quoted(word),
            usage(*verb, *has_gateway)
        ),
    }
}

/// A word of a person's as a part of a sentence; nothing where there is none.
fn quoted(word: &Unknown) -> String {
    match word.as_str() {
        "" => String::new(),
        word => format!(" \"{}\"", unlinked(word)),
    }
}

fn joined(names: &[TargetName]) -> String {
    let names: Vec<&str> = names.iter().map(TargetName::as_str).collect();
    names.join(", ")
}

/// The question before something risky is done.
pub fn question(command: &Command, code: &str) -> String {
    let held = match command {
        Command::Stop { hold: true, .. } => ", and let no visitor wake what is off",
        _ => "",
    };
    format!(
        "Shall I {} {}{held}? To confirm, write within a minute: yes {code}",
        command.verb(),
        joined(command.targets())
    )
}

/// The end of an answer that says when it is stopped.
pub fn stops_at(until: u64, now: u64, zone: &Zone) -> String {
    format!(" It stops {}.", describe(until, now, zone))
}

/// The answer to a change of the number of replicas.
pub fn changed(target: &TargetName, from: i32, to: i32) -> String {
    match (from, to) {
        (0, 0) => format!("{target} is already off."),
        (_, 0) => format!("{target} is stopping: {from} → 0 replicas."),
        (0, _) => format!("{target} is starting: 0 → {to} replicas."),
        (from, to) if from == to => format!("{target} has {to} replicas already."),
        _ => format!("{target} is scaled: {from} → {to} replicas."),
    }
}

/// The end of what is told of a change, where the gateway could not be told.
pub const fn not_told(told: &Told) -> &'static str {
    match told {
        Told::Failed => " I could not tell the gateway, so it may do otherwise.",
        _ => "",
    }
}

/// The end of the answer to a change, about the gateway's share in it.
pub fn gateway(command: &Command, done: &Done, told: &Told) -> String {
    let is_changed = matches!(done, Done::Changed(_) | Done::AlreadyOn(_));
    match (told, command) {
        (Told::Failed, _) if is_changed => not_told(told).to_owned(),
        (
            Told::Unknown,
            Command::Start {
                target, idle: true, ..
            },
        ) => {
            format!(" The gateway does not know {target}, so nobody puts it to sleep.")
        }
        (Told::Unknown, Command::Stop { hold: true, .. }) => {
            " The gateway does not know it, so no visitor wakes it in any case.".to_owned()
        }
        (Told::Done, Command::Start { idle: true, .. }) => {
            " It sleeps when nobody uses it.".to_owned()
        }
        (Told::Done, Command::Stop { hold: true, .. }) => {
            " No visitor wakes it until it is started here.".to_owned()
        }
        _ => String::new(),
    }
}

/// Said where what was started does not stop by itself any more.
pub const STOPS_NO_MORE: &str = " It does not stop by itself any more.";

/// The answer to a wish to extend what does not stop by itself.
pub fn does_not_stop(target: &TargetName) -> String {
    format!("{target} does not stop by itself: there is nothing to extend.")
}

/// Said before what was started for a time is stopped.
pub fn about_to_stop(target: &TargetName, at: u64, now: u64, zone: &Zone) -> String {
    let when = describe(at, now, zone);
    format!("{target} stops {when}. To keep it on, write for example: extend {target} 1h")
}

/// Said when the time of a target is up and it was stopped.
pub fn time_is_up(target: &TargetName, from: i32) -> String {
    format!("The time of {target} is up, so I stop it: {from} → 0 replicas.")
}

/// Said when the time of a target is up and it was off.
pub fn was_off_already(target: &TargetName) -> String {
    format!("The time of {target} is up; it was off already.")
}

/// Said when the time of a target is up and somebody has changed it since.
pub fn was_rescaled(target: &TargetName, count: i32, is_autoscaled: bool) -> String {
    let who = match is_autoscaled {
        true => "its autoscaler",
        false => "somebody",
    };
    format!(
        "The time of {target} is up, and I did not stop it: {who} has set it to {count} \
         replicas since. If it should stop, write: stop {target}"
    )
}

/// Said when the time of a target is up and its object is not the one that was started.
pub fn is_gone(target: &TargetName) -> String {
    format!(
        "The time of {target} is up, and what I had started is not there any more, so I did \
         nothing."
    )
}

/// Said when the time of a target is up and the cluster does not stop it.
pub fn cannot_stop(target: &TargetName, why: &str) -> String {
    format!("The time of {target} is up, and I could not stop it: {why} I try again every minute.")
}

/// Said when a target should have been stopped more than a day ago.
pub fn stopped_too_late(target: &TargetName, at: u64, now: u64, zone: &Zone) -> String {
    let when = describe(at, now, zone);
    format!(
        "{target} should have stopped {when}, and I was not there. It is too late to do that \
         unasked: if it should stop, write: stop {target}"
    )
}

/// The answer to a restart; without a change of the number of replicas, a rolling one.
pub fn restarted(target: &TargetName, from: i32, to: i32) -> String {
    match from == to {
        true => format!("{target} is restarting: new pods for {to} replicas, one after another."),
        false => format!("{target} is starting again: {from} → {to} replicas."),
    }
}

/// The answer to the restart of what would not be rolled out.
pub fn is_paused(target: &TargetName) -> String {
    format!(
        "I did not restart {target}: its rollout is paused, so nothing would happen before \
         somebody resumes it."
    )
}

/// The answer to the restart of what is off.
pub fn nothing_to_restart(target: &TargetName) -> String {
    format!("{target} is off: there is nothing to restart.")
}

/// The end of a change, in a word for the history and the audit log.
pub const fn outcome(ending: &Ending) -> &'static str {
    match ending {
        Ending::Ready { .. } => "ready",
        Ending::Stopped { .. } => "stopped",
        Ending::NotReady { .. } => "not ready",
        Ending::StillStopping { .. } => "still stopping",
        Ending::CountChanged { .. } => "count changed by others",
        Ending::Replaced => "object replaced",
        Ending::Gone => "object gone",
        Ending::PausedEmpty => "paused",
        Ending::Superseded => "superseded",
        _ => "not followed",
    }
}

/// The last change of a target, in a line.
pub fn last_change(entry: &HistoryEntry, with_names: bool, zone: &Zone) -> String {
    format!("Last: {}.", line(entry, with_names, zone))
}

/// The answer to the start of what runs.
pub fn already_on(target: &TargetName, seen: &Observation) -> String {
    format!("{target} is already on: {}.", readiness(seen))
}

/// The state of a target in a few words.
pub fn state(seen: &Observation) -> String {
    match (seen.desired, seen.replicas) {
        (0, 0) => "off".to_owned(),
        (0, left) => format!("stopping: {left} left"),
        _ => format!(
            "{}: {}",
            if seen.is_scale_only || seen.available >= seen.desired {
                "on"
            } else {
                "starting"
            },
            readiness(seen)
        ),
    }
}

fn readiness(seen: &Observation) -> String {
    match seen.is_scale_only {
        true => format!(
            "{} of {} there (whether they are ready is not known)",
            seen.replicas, seen.desired
        ),
        false => format!("{} of {} ready", seen.ready.min(seen.desired), seen.desired),
    }
}

/// The refusal to lower what would lose its volumes by that.
pub fn would_lose_data(target: &TargetName) -> String {
    format!(
        "I did not touch {target}: scaling it down deletes its volumes. If they may be lost, my \
         operator has to say so (data: disposable)."
    )
}

/// The things done with a target before, the newest first.
pub fn history(
    target: &TargetName,
    entries: &[HistoryEntry],
    with_names: bool,
    zone: &Zone,
) -> String {
    if entries.is_empty() {
        return format!("Nothing was done with {target} so far.");
    }
    let lines = entries.iter().take(MAX_NAMED);
    let lines: Vec<String> = lines
        .map(|entry| format!("  {}", line(entry, with_names, zone)))
        .collect();
    format!("{target}:\n{}", lines.join("\n"))
}

/// One change: when, what, by whom, and what came of it.
fn line(entry: &HistoryEntry, with_names: bool, zone: &Zone) -> String {
    let counts = match (entry.from, entry.to) {
        (Some(from), Some(to)) => format!(" {from} → {to}"),
        _ => String::new(),
    };
    let who = match with_names {
        true => format!(" by {}", entry.actor),
        false => String::new(),
    };
    let outcome = match (entry.outcome.as_str(), entry.seconds) {
        ("", _) => String::new(),
        (outcome, None) => format!(": {outcome}"),
        (outcome, Some(seconds)) => format!(": {outcome} after {seconds} s"),
    };
    let when = date_and_time(entry.at_ms, zone);
    format!("{when} {}{counts}{who}{outcome}", entry.verb)
}

/// One target of a list, and how it is; None where it could not be read.
pub struct ListedTarget<'a> {
    /// The target.
    pub target: &'a Target,
    /// Replicas that are asked for and those that are ready.
    pub counts: Option<(i32, i32)>,
}

/// All targets, in groups.
pub fn list(targets: &[ListedTarget<'_>]) -> String {
    if targets.is_empty() {
        return "There are no targets here.".to_owned();
    }
    let (mut on, mut starting, mut off, mut unknown) = (vec![], vec![], vec![], vec![]);
    for listed in targets {
        let name = &listed.target.name;
        match listed.counts {
            None => unknown.push(name.to_string()),
            Some((0, _)) => off.push(name.to_string()),
            Some((desired, ready)) if ready >= desired => on.push(format!("{name} ({desired})")),
            Some((desired, ready)) => starting.push(format!("{name} ({ready} of {desired})")),
        }
    }
    let groups = [
        ("On", on),
        ("Starting", starting),
        ("Off", off),
        ("Not known", unknown),
    ];
    let lines: Vec<String> = groups
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(group, names)| {
            let count = names.len();
            let mut shown: Vec<String> = names.into_iter().take(MAX_NAMED).collect();
            if count > MAX_NAMED {
                shown.push(format!("and {} more", count - MAX_NAMED));
            }
            format!("{group} ({count}): {}", shown.join(", "))
        })
        .collect();
    lines.join("\n")
}
