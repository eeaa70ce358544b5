//! Commands as the journal has them: a line of canonical words that is read again.

use std::fmt;

use super::command::{HOLD, IDLE};
use super::{Command, RestartStep, TargetName, Verb};

/// The word before the time at which a start ends, in the journal.
const UNTIL: &str = "until=";

/// The word behind a restart that was confirmed, in the journal.
const CONFIRMED: &str = "confirmed";

impl Command {
    /// Reads what [`fmt::Display`] has written into the journal.
    pub fn decode(text: &str) -> Option<Self> {
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        let verb = Verb::of_word(words.next()?)?;
        let words: Vec<&str> = words.collect();
        let target = |at: usize| match words.get(at) {
            Some(word) => TargetName::parse(word).ok(),
            None => Some(TargetName::unnamed()),
        };
        Some(match verb {
            Verb::Start => {
                let until = words.iter().find_map(|word| word.strip_prefix(UNTIL));
                Self::Start {
                    target: target(0)?,
                    replicas: words.get(1).and_then(|word| word.parse().ok()),
                    until: until.and_then(|ms| ms.parse().ok()),
                    idle: words.contains(&IDLE),
                }
            }
            Verb::Stop if words.is_empty() => Self::Stop {
                targets: vec![TargetName::unnamed()],
                hold: false,
            },
            Verb::Stop => {
                let (hold, names) = match words.split_last() {
                    Some((&HOLD, names)) if !names.is_empty() => (true, names),
                    _ => (false, words.as_slice()),
                };
                let names = names.iter().map(|word| TargetName::parse(word).ok());
                Self::Stop {
                    targets: names.collect::<Option<_>>()?,
                    hold,
                }
            }
            Verb::Scale => Self::Scale {
                target: target(0)?,
                replicas: words.get(1)?.parse().ok()?,
            },
            Verb::Restart => Self::Restart {
                target: target(0)?,
                step: match words.get(1) {
                    None => RestartStep::Asked,
                    Some(&CONFIRMED) => RestartStep::Confirmed,
                    Some(count) => RestartStep::Back(count.parse().ok()?),
                },
            },
            Verb::Status => Self::Status { target: target(0)? },
            Verb::List => Self::List,
            Verb::Extend => Self::Extend {
                target: target(0)?,
                by_ms: words.get(1)?.parse().ok()?,
            },
            Verb::History => Self::History { target: target(0)? },
            Verb::Help => Self::Help {
                about: words.first().and_then(|word| Verb::of_word(word)),
            },
            Verb::Confirm => return None,
        })
    }
}

/// As the journal has it: canonical words that [`Command::decode`] reads again.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb().as_str())?;
        for target in self.targets().iter().filter(|name| !name.is_unnamed()) {
            write!(f, " {target}")?;
        }
        match self {
            Self::Start {
                replicas, until, ..
            } => {
                if let Some(replicas) = replicas {
                    write!(f, " {replicas}")?;
                }
                if let Some(until) = until {
                    write!(f, " {UNTIL}{until}")?;
                }
                manner(self, f)
            }
            Self::Stop { .. } => manner(self, f),
            Self::Scale { replicas, .. }
            | Self::Restart {
                step: RestartStep::Back(replicas),
                ..
            } => write!(f, " {replicas}"),
            Self::Restart {
                step: RestartStep::Confirmed,
                ..
            } => write!(f, " {CONFIRMED}"),
            Self::Extend { by_ms, .. } => write!(f, " {by_ms}"),
            Self::Help { about: Some(verb) } => write!(f, " {verb}"),
            _ => Ok(()),
        }
    }
}

fn manner(command: &Command, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match command.manner() {
        "" => Ok(()),
        manner => write!(f, " {manner}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> TargetName {
        TargetName::parse(text).unwrap()
    }

    #[test]
    fn what_the_journal_has_is_read_again() {
        let start = |replicas, until| Command::Start {
            target: name("worker"),
            replicas,
            until,
            idle: false,
        };
        for (command, text) in [
            (start(None, None), "start worker"),
            (start(Some(3), None), "start worker 3"),
            (start(None, Some(17)), "start worker until=17"),
            (start(Some(2), Some(17)), "start worker 2 until=17"),
            (
                Command::Stop {
                    targets: vec![name("a"), name("b")],
                    hold: false,
                },
                "stop a b",
            ),
            (
                Command::Stop {
                    targets: vec![name("a"), name("b")],
                    hold: true,
                },
                "stop a b hold",
            ),
            (
                Command::Start {
                    target: name("a"),
                    replicas: Some(2),
                    until: None,
                    idle: true,
                },
                "start a 2 idle",
            ),
            (
                Command::Scale {
                    target: name("a"),
                    replicas: 0,
                },
                "scale a 0",
            ),
            (
                Command::Restart {
                    target: name("a"),
                    step: RestartStep::Asked,
                },
                "restart a",
            ),
            (
                Command::Restart {
                    target: name("a"),
                    step: RestartStep::Confirmed,
                },
                "restart a confirmed",
            ),
            (
                Command::Restart {
                    target: name("a"),
                    step: RestartStep::Back(4),
                },
                "restart a 4",
            ),
            (Command::Status { target: name("a") }, "status a"),
            (Command::List, "list"),
            (
                Command::Extend {
                    target: name("a"),
                    by_ms: 60_000,
                },
                "extend a 60000",
            ),
            (Command::History { target: name("a") }, "history a"),
            (
                Command::Help {
                    about: Some(Verb::Scale),
                },
                "help scale",
            ),
        ] {
            assert_eq!(command.to_string(), text);
            assert_eq!(Command::decode(text), Some(command));
        }
        for text in [
            "",
            "dance",
            "scale a",
            "scale a b",
            "restart a b",
            "stop all",
            "stop hold",
            "stop hold a",
            "yes K3ZQ",
            "start A",
        ] {
            assert_eq!(Command::decode(text), None, "{text}");
        }
    }
}
