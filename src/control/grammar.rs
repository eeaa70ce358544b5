//! The grammar of commands where targets have names.
//!
//! `start|on [TARGET] [N] [for 2h30m | until 18:00 | idle]`,
//! `stop|off [TARGET… | all] [hold]`, `scale TARGET N`, `restart TARGET`, `status [TARGET]`,
//! `list`, `extend TARGET 1h`, `history [TARGET]`, `help [COMMAND]`, `yes CODE`. The words
//! `idle` and `hold` are about a gateway.

use std::time::Duration;

use super::access::Action;
use super::command::{HOLD, IDLE};
use super::{
    Command, NameFault, RestartStep, Scope, Target, TargetName, Unknown, Verb,
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
    /// It is to be left to the gateway, and to end at a time.
    IdleWithTime {
        /// The target.
        target: TargetName,
    },
    /// It is about a gateway, and none is configured.
    NoGateway {
        /// The command.
        verb: Verb,
        /// The word that is about it.
        word: &'static str,
    },
    /// There are words behind the command that do not belong to it.
    Rest {
        /// The command.
        verb: Verb,
        /// The first of them.
        word: Unknown,
        /// True if there is a gateway that the command could be about.
        has_gateway: bool,
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
    /// True if a gateway wakes targets and puts them to sleep.
    pub has_gateway: bool,
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

    /// Returns true if the next word is the name of a target, or was to be one: it is no
    /// number, and no word of the grammar.
    fn names_a_target(&self) -> bool {
        self.peek().is_some_and(|word| {
            let word = word.trim_end_matches(',');
            !matches!(TargetName::parse(word), Err(NameFault::Reserved))
                && word.parse::<i64>().is_err()
        })
    }

    /// Returns true if this is the last word.
    fn ends_in(&self, word: &str) -> bool {
        let last = self.rest.back();
        last.is_some_and(|last| last.eq_ignore_ascii_case(word))
    }

    /// The next word if it is a number, however it is signed.
    fn next_if_number(&mut self) -> Option<&'t str> {
        let is_number = self.rest.front().is_some_and(|word| {
            let digits = word.trim_start_matches(['-', '+']);
            !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
        });
        is_number.then(|| self.next()).flatten()
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
                target: self.seen(verb, &mut words)?.name.clone(),
            },
            Verb::List => Command::List,
            Verb::Extend => self.extend(&mut words)?,
            Verb::History => Command::History {
                target: self.seen(verb, &mut words)?.name.clone(),
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
        match words.next() {
            None => Ok(command),
            Some(word) => Err(self.not_understood(verb, word)),
        }
    }

    /// The fault of a word that does not belong to the command before it.
    fn not_understood(&self, verb: Verb, word: &str) -> GrammarFault {
        GrammarFault::Rest {
            verb,
            word: Unknown::new(word),
            has_gateway: self.has_gateway,
        }
    }

    /// Takes the word about the gateway that a command may end in.
    fn manner(
        &self,
        verb: Verb,
        word: &'static str,
        words: &mut Words<'_>,
    ) -> Result<bool, GrammarFault> {
        if !self.has_gateway && words.ends_in(word) {
            return Err(GrammarFault::NoGateway { verb, word });
        }
        let is_next = words.peek().as_deref() == Some(word);
        Ok(is_next && words.next().is_some())
    }

    fn start(&self, words: &mut Words<'_>) -> Result<Command, GrammarFault> {
        let verb = Verb::Start;
        let target = self.commanded(verb, words)?;
        let replicas = match words.next_if_number() {
            Some(word) => Some(count(verb, target, Some(word), 1)?),
            None => None,
        };
        let idle = self.manner(verb, IDLE, words)?;
        let has_time = matches!(words.peek().as_deref(), Some("for" | "until"));
        if has_time && (idle || words.ends_in(IDLE)) {
            return Err(GrammarFault::IdleWithTime {
                target: target.name.clone(),
            });
        }
        let until = match words.peek().as_deref() {
            // Its end is that nobody uses it.
            _ if idle => {
                return Ok(Command::Start {
                    target: target.name.clone(),
                    replicas,
                    until: None,
                    idle,
                });
            }
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
            idle: false,
        })
    }

    fn stop(&self, words: &mut Words<'_>) -> Result<Command, GrammarFault> {
        let verb = Verb::Stop;
        let targets = match words.peek().as_deref() {
            Some("all") => {
                words.next();
                let all = self.scope.with(Action::Stop);
                let all = all.map(|target| target.name.clone());
                let all: Vec<_> = all.collect();
                match all.is_empty() {
                    true => return Err(self.which(verb)),
                    false => all,
                }
            }
            _ => self.several(verb, words)?,
        };
        let hold = self.manner(verb, HOLD, words)?;
        Ok(Command::Stop { targets, hold })
    }

    /// The targets that are named up to a word of the grammar, or the one that is meant
    /// where none is.
    fn several(&self, verb: Verb, words: &mut Words<'_>) -> Result<Vec<TargetName>, GrammarFault> {
        let mut targets = vec![self.commanded(verb, words)?.name.clone()];
        while words.names_a_target() {
            let target = self.commanded(verb, words)?;
            if !targets.contains(&target.name) {
                targets.push(target.name.clone());
            }
        }
        Ok(targets)
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
        let target = self.named(verb, words, false)?;
        let action = verb.action();
        match action.is_some_and(|action| self.scope.may(action, &target.name)) {
            true => Ok(target),
            false => Err(GrammarFault::MayOnlyLook {
                target: target.name.clone(),
            }),
        }
    }

    /// The target that is named next, or meant where none is, to be looked at: a prefix
    /// or a slip of the pen is completed.
    fn seen(&self, verb: Verb, words: &mut Words<'_>) -> Result<&Target, GrammarFault> {
        self.named(verb, words, true)
    }

    fn named(
        &self,
        verb: Verb,
        words: &mut Words<'_>,
        completes: bool,
    ) -> Result<&Target, GrammarFault> {
        if !words.names_a_target() {
            return self.scope.default().ok_or_else(|| self.which(verb));
        }
        let word = words.next().unwrap_or_default().trim_end_matches(',');
        let name = word.to_ascii_lowercase();
        if let Some(target) = self.scope.find(&name) {
            return Ok(target);
        }
        let meant = self.scope.meant(&name);
        match meant.and_then(|meant| self.scope.find(meant.as_str())) {
            Some(target) if completes => Ok(target),
            _ => Err(GrammarFault::NoSuchTarget {
                verb,
                word: Unknown::new(word),
                meant: meant.cloned(),
            }),
        }
    }

    fn which(&self, verb: Verb) -> GrammarFault {
        let seen = self.scope.seen().iter();
        let names = seen.map(|target| target.name.clone());
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
