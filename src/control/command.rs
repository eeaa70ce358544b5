//! Commands: what is asked for, and how the journal writes it.

use std::fmt;

use super::{TargetName, Verb};
use crate::util::is_deceptive;

/// Longest part of an unknown command that is kept, in characters.
const MAX_UNKNOWN_CHARS: usize = 200;

/// The word before the time at which a start ends, in the journal.
const UNTIL: &str = "until=";

/// The word behind a restart that was confirmed, in the journal.
const CONFIRMED: &str = "confirmed";

/// A thing that is asked for, with everything that it takes to do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Scale up from none; what runs already stays as it is.
    Start {
        /// The target to start.
        target: TargetName,
        /// To so many replicas; None for as many as the configuration says.
        replicas: Option<i32>,
        /// The time at which it is stopped again, in milliseconds since the Unix epoch.
        until: Option<u64>,
    },
    /// Scale to none.
    Stop {
        /// The targets to stop, at least one, each once.
        targets: Vec<TargetName>,
    },
    /// Scale to a number, whatever runs.
    Scale {
        /// The target to scale.
        target: TargetName,
        /// To so many replicas.
        replicas: i32,
    },
    /// Replace all pods: one after another, or by scaling to none and back.
    Restart {
        /// The target to restart.
        target: TargetName,
        /// The step that it is at.
        step: RestartStep,
    },
    /// Tell how a workload is.
    Status {
        /// The target.
        target: TargetName,
    },
    /// Tell how all workloads are.
    List,
    /// Stop it later than was said.
    Extend {
        /// The target that stops later.
        target: TargetName,
        /// By so many milliseconds.
        by_ms: u64,
    },
    /// Tell what was done with a workload before.
    History {
        /// The target.
        target: TargetName,
    },
    /// Tell what can be asked for.
    Help {
        /// The command that is asked about, if it is one.
        about: Option<Verb>,
    },
    /// Confirm the command that was asked back.
    Confirm {
        /// The code of the question.
        code: String,
    },
}

/// The steps of a restart, of which the journal has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartStep {
    /// It was asked for. What interrupts is asked back first.
    Asked,
    /// It was confirmed, and may interrupt.
    Confirmed,
    /// It may be scaled to none already, and comes back to so many replicas.
    Back(i32),
}

impl Command {
    /// Reads a text in the grammar of the Python program: one word, in any case, white
    /// space around it ignored.
    ///
    /// # Errors
    /// The text, if it is anything else.
    pub fn parse_reference(body: &str) -> Result<Self, Unknown> {
        let word = body.trim();
        let target = TargetName::unnamed();
        match Verb::of_word(word) {
            Some(Verb::Start) => Ok(Self::Start {
                target,
                replicas: None,
                until: None,
            }),
            Some(Verb::Stop) => Ok(Self::Stop {
                targets: vec![target],
            }),
            Some(Verb::Status) => Ok(Self::Status { target }),
            Some(Verb::Help) => Ok(Self::Help { about: None }),
            _ => Err(Unknown::new(word)),
        }
    }

    /// Its kind.
    pub const fn verb(&self) -> Verb {
        match self {
            Self::Start { .. } => Verb::Start,
            Self::Stop { .. } => Verb::Stop,
            Self::Scale { .. } => Verb::Scale,
            Self::Restart { .. } => Verb::Restart,
            Self::Status { .. } => Verb::Status,
            Self::List => Verb::List,
            Self::Extend { .. } => Verb::Extend,
            Self::History { .. } => Verb::History,
            Self::Help { .. } => Verb::Help,
            Self::Confirm { .. } => Verb::Confirm,
        }
    }

    /// Its targets; empty where it is about none in particular.
    pub fn targets(&self) -> &[TargetName] {
        match self {
            Self::Start { target, .. }
            | Self::Scale { target, .. }
            | Self::Restart { target, .. }
            | Self::Status { target }
            | Self::Extend { target, .. }
            | Self::History { target } => std::slice::from_ref(target),
            Self::Stop { targets } => targets,
            Self::List | Self::Help { .. } | Self::Confirm { .. } => &[],
        }
    }

    /// Returns true for a restart that has scaled to none, or is about to, and has to come
    /// back.
    pub const fn is_half_done(&self) -> bool {
        matches!(
            self,
            Self::Restart {
                step: RestartStep::Back(_),
                ..
            }
        )
    }

    /// The parts that are done apart: one for each target.
    pub fn parts(&self) -> Vec<Self> {
        match self {
            Self::Stop { targets } if targets.len() > 1 => {
                let each = targets.iter().cloned();
                each.map(|target| Self::Stop {
                    targets: vec![target],
                })
                .collect()
            }
            other => vec![other.clone()],
        }
    }

    /// The same after its principal has confirmed it.
    pub fn confirmed(self) -> Self {
        match self {
            Self::Restart { target, .. } => Self::Restart {
                target,
                step: RestartStep::Confirmed,
            },
            other => other,
        }
    }

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
                }
            }
            Verb::Stop if words.is_empty() => Self::Stop {
                targets: vec![TargetName::unnamed()],
            },
            Verb::Stop => {
                let names = words.iter().map(|word| TargetName::parse(word).ok());
                Self::Stop {
                    targets: names.collect::<Option<_>>()?,
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

    /// The words in which a reply names it: without what only the journal needs.
    pub fn in_words(&self) -> String {
        let names = self.targets().iter().map(TargetName::as_str);
        let named: Vec<&str> = std::iter::once(self.verb().as_str())
            .chain(names)
            .filter(|word| !word.is_empty())
            .collect();
        let named = named.join(" ");
        match self {
            Self::Start {
                replicas: Some(count),
                ..
            }
            | Self::Scale {
                replicas: count, ..
            } => format!("{named} {count}"),
            _ => named,
        }
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
                Ok(())
            }
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

/// A text that is not understood, fit to be quoted in a reply: at most 200
/// characters, control and direction characters replaced by spaces. `Debug`
/// hides it, for what people write is not logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Unknown(String);

impl Unknown {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn new(text: &str) -> Self {
        let shown = |c| if is_deceptive(c) { ' ' } else { c };
        let mut kept: String = text.chars().map(shown).take(MAX_UNKNOWN_CHARS).collect();
        if text.chars().nth(MAX_UNKNOWN_CHARS).is_some() {
            kept.pop();
            kept.push('…');
        }
        Self(kept)
    }
}

impl fmt::Debug for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unknown({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> TargetName {
        TargetName::parse(text).unwrap()
    }

    #[test]
    fn every_word_of_the_reference_in_any_case_and_with_white_space_around() {
        for (words, payload) in [
            (["start", "on", " START\n"], "start"),
            (["stop", "off", "\tOff "], "stop"),
            (["status", "Status", "STATUS"], "status"),
            (["help", "Help", " help "], "help"),
        ] {
            for word in words {
                let command = Command::parse_reference(word).unwrap();
                assert_eq!(command.to_string(), payload, "{word:?}");
                assert_eq!(Command::decode(payload), Some(command));
            }
        }
    }

    #[test]
    fn nothing_else_is_a_command_of_the_reference() {
        for body in [
            "",
            "starts",
            "start now",
            "st art",
            "start\u{200b}",
            "/start",
            "ｓtart",
            "list",
            "scale",
            "yes",
        ] {
            assert!(Command::parse_reference(body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn what_the_journal_has_is_read_again() {
        let start = |replicas, until| Command::Start {
            target: name("worker"),
            replicas,
            until,
        };
        for (command, text) in [
            (start(None, None), "start worker"),
            (start(Some(3), None), "start worker 3"),
            (start(None, Some(17)), "start worker until=17"),
            (start(Some(2), Some(17)), "start worker 2 until=17"),
            (
                Command::Stop {
                    targets: vec![name("a"), name("b")],
                },
                "stop a b",
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
            "yes K3ZQ",
            "start A",
        ] {
            assert_eq!(Command::decode(text), None, "{text}");
        }
    }

    #[test]
    fn a_command_on_several_targets_has_a_part_for_each() {
        let command = Command::Stop {
            targets: vec![name("a"), name("b")],
        };
        let parts: Vec<String> = command.parts().iter().map(Command::to_string).collect();
        assert_eq!(parts, ["stop a", "stop b"]);
        assert_eq!(Command::List.parts(), [Command::List]);
    }

    #[test]
    fn an_unknown_text_is_trimmed_and_keeps_its_case() {
        let unknown = Command::parse_reference("  Do it 🦞\n").unwrap_err();
        assert_eq!(unknown.as_str(), "Do it 🦞");
    }

    #[test]
    fn an_unknown_text_is_bounded_and_harmless() {
        let unknown = Command::parse_reference("a\nb\u{1b}[2J\u{202e}c").unwrap_err();
        assert_eq!(unknown.as_str(), "a b [2J c");

        let fits = "é".repeat(200);
        assert_eq!(Command::parse_reference(&fits).unwrap_err().as_str(), fits);
        let unknown = Command::parse_reference(&"é".repeat(201)).unwrap_err();
        assert_eq!(unknown.as_str().chars().count(), 200);
        assert!(unknown.as_str().ends_with("é…"));
    }

    #[test]
    fn debug_does_not_show_what_was_written() {
        let shown = format!("{:?}", Command::parse_reference("my pin is 1234"));
        assert_eq!(shown, "Err(Unknown(14 bytes))");
    }
}
