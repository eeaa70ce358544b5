//! The grammar of commands where targets have names.
//!
//! `start|on [TARGET] [N] [for 2h30m | until 18:00]`, `stop|off [TARGET… | all]`,
//! `scale TARGET N`, `restart TARGET`, `status [TARGET]`, `list`, `extend TARGET 1h`,
//! `history [TARGET]`, `help [COMMAND]`, `yes CODE`.

use std::time::Duration;

use super::{
    Command, NameFault, RestartStep, Scope, Seen, Target, TargetName, Unknown, Verb,
    time::{TimeFault, Zone, parse_duration, parse_until},
};
use crate::util::nearest;

/// The most targets that are named in an answer.
const MAX_NAMED: usize = 20;

/// The most characters of a confirmation's code that are looked at.
const MAX_CODE: usize = 16;

/// The reason why a text is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrammarFault {
    /// It begins with no command.
    NoCommand {
        /// The first word.
        word: Unknown,
        /// The command that was meant, as it seems.
        meant: Option<Verb>,
    },
    /// There is no such target: it is not configured, or not to be seen here.
    NoSuchTarget {
        /// The command.
        verb: Verb,
        /// The word in the place of its name.
        word: Unknown,
        /// The target that was meant, as it seems.
        meant: Option<TargetName>,
    },
    /// A target has to be named.
    WhichTarget {
        /// The command.
        verb: Verb,
        /// Those there are, at most 20.
        names: Vec<TargetName>,
    },
    /// This person may look at it and not switch it.
    MayOnlyLook {
        /// The target.
        target: TargetName,
    },
    /// The number of replicas is none that may be asked for.
    Count {
        /// The command.
        verb: Verb,
        /// The target.
        target: TargetName,
        /// The word that was given; empty where a number is missing.
        word: Unknown,
        /// The largest that may be asked for.
        max: i32,
    },
    /// The time is none.
    Time(TimeFault),
    /// It would run for longer than it may.
    TooLong {
        /// The target.
        target: TargetName,
        /// The longest time.
        max: Duration,
    },
    /// There are words behind the command that do not belong to it.
    Rest {
        /// The command.
        verb: Verb,
        /// The first of them.
        word: Unknown,
    },
}

/// The context that a text is read in: the time and its zone, who sees what, the limits.
pub struct Grammar<'a> {
    /// The targets of the person who wrote it.
    pub scope: &'a Scope<'a>,
    /// The time, in milliseconds since the Unix epoch.
    pub wall_ms: u64,
    /// The zone in which times of day are meant.
    pub zone: &'a Zone,
    /// The longest time that anything may be asked to run for.
    pub max_for: Option<Duration>,
}

/// The words behind a command, taken one after the other.
struct Words<'t> {
    rest: std::collections::VecDeque<&'t str>,
}

impl<'t> Words<'t> {
    fn peek(&self) -> Option<String> {
        self.rest.front().map(|word| word.to_ascii_lowercase())
    }

    fn next(&mut self) -> Option<&'t str> {
        self.rest.pop_front()
    }

    /// The next word if it is a number, however it is signed.
    fn next_if_number(&mut self) -> Option<&'t str> {
        let is_number = self.rest.front().is_some_and(|word| {
            let digits = word.trim_start_matches(['-', '+']);
            !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
        });
        is_number.then(|| self.next()).flatten()
    }

    fn end(&mut self, verb: Verb) -> Result<(), GrammarFault> {
        match self.next() {
            None => Ok(()),
            Some(word) => Err(GrammarFault::Rest {
                verb,
                word: Unknown::new(word),
            }),
        }
    }
}

impl Grammar<'_> {
    /// Reads a text.
    ///
    /// # Errors
    /// The first thing in it that is not understood.
    pub fn parse(&self, text: &str) -> Result<Command, GrammarFault> {
        let mut words = Words {
            rest: text.split_whitespace().collect(),
        };
        let first = words.next().unwrap_or_default();
        let Some(verb) = Verb::of_word(first) else {
            return Err(no_command(first));
        };
        let command = match verb {
            Verb::Start => self.start(&mut words)?,
            Verb::Stop => self.stop(&mut words)?,
            Verb::Scale => {
                let target = self.commanded(verb, &mut words)?;
                let replicas = count(verb, target, words.next(), 0)?;
                Command::Scale {
                    target: target.name.clone(),
                    replicas,
                }
            }
            Verb::Restart => Command::Restart {
                target: self.commanded(verb, &mut words)?.name.clone(),
                step: RestartStep::Asked,
            },
            Verb::Status if words.rest.is_empty() && self.scope.default().is_none() => {
                Command::List
            }
            Verb::Status => Command::Status {
                target: self.seen(verb, &mut words)?.target.name.clone(),
            },
            Verb::List => Command::List,
            Verb::Extend => self.extend(&mut words)?,
            Verb::History => Command::History {
                target: self.seen(verb, &mut words)?.target.name.clone(),
            },
            Verb::Help => {
                let about = words.next();
                Command::Help {
                    about: match about {
                        None => None,
                        Some(word) => Some(Verb::of_word(word).ok_or_else(|| no_command(word))?),
                    },
                }
            }
            Verb::Confirm => {
                let code: String = words.next().unwrap_or_default().chars().collect();
                Command::Confirm {
                    code: code.chars().take(MAX_CODE).collect(),
                }
            }
        };
        words.end(verb)?;
        Ok(command)
    }

    fn start(&self, words: &mut Words<'_>) -> Result<Command, GrammarFault> {
        let verb = Verb::Start;
        let target = self.commanded(verb, words)?;
        let replicas = match words.next_if_number() {
            Some(word) => Some(count(verb, target, Some(word), 1)?),
            None => None,
        };
        let until = match words.peek().as_deref() {
            Some("for") => {
                words.next();
                let length = parse_duration(&rest(words)).map_err(GrammarFault::Time)?;
                Some(later(self.wall_ms, length))
            }
            Some("until") => {
                words.next();
                let time = parse_until(&rest(words), self.wall_ms, self.zone);
                Some(time.map_err(GrammarFault::Time)?)
            }
            _ => target.default_for.map(|length| later(self.wall_ms, length)),
        };
        let max = [target.max_for, self.max_for].into_iter().flatten().min();
        if let (Some(until), Some(max)) = (until, max)
            && until > later(self.wall_ms, max)
        {
            return Err(GrammarFault::TooLong {
                target: target.name.clone(),
                max,
            });
        }
        // What may not run for ever is stopped in the end, whatever is said.
        let until = until.or_else(|| max.map(|max| later(self.wall_ms, max)));
        Ok(Command::Start {
            target: target.name.clone(),
            replicas,
            until,
        })
    }

    fn stop(&self, words: &mut Words<'_>) -> Result<Command, GrammarFault> {
        let verb = Verb::Stop;
        if words.peek().as_deref() == Some("all") {
            words.next();
            let targets: Vec<_> = self
                .scope
                .commanded()
                .map(|target| target.name.clone())
                .collect();
            return match targets.is_empty() {
                true => Err(self.which(verb)),
                false => Ok(Command::Stop { targets }),
            };
        }
        let mut targets = vec![self.commanded(verb, words)?.name.clone()];
        while !words.rest.is_empty() {
            let target = self.commanded(verb, words)?;
            if !targets.contains(&target.name) {
                targets.push(target.name.clone());
            }
        }
        Ok(Command::Stop { targets })
    }

    fn extend(&self, words: &mut Words<'_>) -> Result<Command, GrammarFault> {
        let verb = Verb::Extend;
        let target = self.commanded(verb, words)?;
        if matches!(words.peek().as_deref(), Some("by" | "for")) {
            words.next();
        }
        let by = parse_duration(&rest(words)).map_err(GrammarFault::Time)?;
        Ok(Command::Extend {
            target: target.name.clone(),
            by_ms: u64::try_from(by.as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// The target that is named next, or meant where none is, if it may be switched.
    fn commanded(&self, verb: Verb, words: &mut Words<'_>) -> Result<&Target, GrammarFault> {
        let seen = self.named(verb, words, false)?;
        match seen.may_command {
            true => Ok(seen.target),
            false => Err(GrammarFault::MayOnlyLook {
                target: seen.target.name.clone(),
            }),
        }
    }

    /// The target that is named next, or meant where none is, to be looked at: a prefix
    /// or a slip of the pen is completed.
    fn seen(&self, verb: Verb, words: &mut Words<'_>) -> Result<Seen<'_>, GrammarFault> {
        self.named(verb, words, true)
    }

    fn named(
        &self,
        verb: Verb,
        words: &mut Words<'_>,
        completes: bool,
    ) -> Result<Seen<'_>, GrammarFault> {
        let is_name = words.peek().is_some_and(|word| {
            let word = word.trim_end_matches(',');
            // A name, or what was to be one; but no number, and no word of the grammar.
            !matches!(TargetName::parse(word), Err(NameFault::Reserved))
                && word.parse::<i64>().is_err()
        });
        if !is_name {
            return self.scope.default().ok_or_else(|| self.which(verb));
        }
        let word = words.next().unwrap_or_default().trim_end_matches(',');
        let name = word.to_ascii_lowercase();
        if let Some(seen) = self.scope.find(&name) {
            return Ok(seen);
        }
        let meant = self.scope.meant(&name);
        match meant.and_then(|meant| self.scope.find(meant.as_str())) {
            Some(seen) if completes => Ok(seen),
            _ => Err(GrammarFault::NoSuchTarget {
                verb,
                word: Unknown::new(word),
                meant: meant.cloned(),
            }),
        }
    }

    fn which(&self, verb: Verb) -> GrammarFault {
        let seen = self.scope.seen().iter();
        let names = seen.map(|seen| seen.target.name.clone());
        GrammarFault::WhichTarget {
            verb,
            names: names.take(MAX_NAMED).collect(),
        }
    }
}

fn no_command(word: &str) -> GrammarFault {
    let meant = nearest(word, Verb::ALL.map(Verb::as_str));
    GrammarFault::NoCommand {
        word: Unknown::new(word),
        meant: meant.and_then(Verb::of_word),
    }
}

/// Reads a number of replicas from `least` to the most that the target may have.
fn count(verb: Verb, target: &Target, word: Option<&str>, least: i32) -> Result<i32, GrammarFault> {
    let given = word.unwrap_or_default();
    let number = given.parse::<i32>().ok();
    number
        .filter(|number| (least..=target.max).contains(number))
        .ok_or_else(|| GrammarFault::Count {
            verb,
            target: target.name.clone(),
            word: Unknown::new(given),
            max: target.max,
        })
}

/// All words that are left, which are a time.
fn rest(words: &mut Words<'_>) -> String {
    let rest: Vec<&str> = words.rest.drain(..).collect();
    rest.join(" ")
}

fn later(ms: u64, by: Duration) -> u64 {
    let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
    ms.saturating_add(by)
}
