//! Commands: what is asked for.

use super::{TargetName, Unknown, Verb};

/// The word behind a start after which the gateway may put its target to sleep.
pub(super) const IDLE: &str = "idle";

/// The word behind a stop after which no visitor of the gateway wakes its targets.
pub(super) const HOLD: &str = "hold";

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
        /// True if the gateway may put it to sleep when nobody uses it.
        idle: bool,
    },
    /// Scale to none.
    Stop {
        /// The targets to stop, at least one, each once.
        targets: Vec<TargetName>,
        /// True if no visitor of the gateway may wake them again.
        hold: bool,
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
                idle: false,
            }),
            Some(Verb::Stop) => Ok(Self::Stop {
                targets: vec![target],
                hold: false,
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
            Self::Stop { targets, .. } => targets,
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
            Self::Stop { targets, hold } if targets.len() > 1 => {
                let each = targets.iter().cloned();
                each.map(|target| Self::Stop {
                    targets: vec![target],
                    hold: *hold,
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

    /// The words in which a reply names it: without what only the journal needs.
    pub fn in_words(&self) -> String {
        let names = self.targets().iter().map(TargetName::as_str);
        let named: Vec<&str> = std::iter::once(self.verb().as_str())
            .chain(names)
            .filter(|word| !word.is_empty())
            .collect();
        let named = named.join(" ");
        let named = match self {
            Self::Start {
                replicas: Some(count),
                ..
            }
            | Self::Scale {
                replicas: count, ..
            } => format!("{named} {count}"),
            _ => named,
        };
        match self.manner() {
            "" => named,
            manner => format!("{named} {manner}"),
        }
    }

    /// The word behind it that says what the gateway may do with its target; empty where
    /// there is none.
    pub const fn manner(&self) -> &'static str {
        match self {
            Self::Start { idle: true, .. } => IDLE,
            Self::Stop { hold: true, .. } => HOLD,
            _ => "",
        }
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
    fn a_command_on_several_targets_has_a_part_for_each() {
        let command = Command::Stop {
            targets: vec![name("a"), name("b")],
            hold: true,
        };
        let parts: Vec<String> = command.parts().iter().map(Command::to_string).collect();
        assert_eq!(parts, ["stop a hold", "stop b hold"]);
        assert_eq!(Command::List.parts(), [Command::List]);
    }
}
