//! Causes for a workload not to come up: as data, and in the words that a room may read.

use std::fmt;

use crate::util::words;

/// The longest name of an image in a sentence, in bytes.
const MAX_IMAGE: usize = 64;

/// The most characters that are kept of the server's words.
const MAX_WORDS: usize = 200;

/// A cause, and what the server says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The cause.
    pub cause: Cause,
    /// The server's words, on one line, without links, at most 200 characters; may be
    /// empty. For the log, and for rooms that may read all details.
    pub words: String,
}

/// The part of a cause that is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Details {
    /// The part that every reader of a room may know.
    Short,
    /// The server's words, too.
    Full,
}

/// The reason why pods do not come up. The order of the variants is the order of
/// [`Cause::rank`]: what stands first is told first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// No pod may be made.
    NotCreated(Barrier),
    /// No node takes the pod.
    NotScheduled(NoNode),
    /// The image cannot be pulled.
    Image {
        /// The image.
        image: Image,
        /// The reason.
        fault: PullFault,
    },
    /// A container cannot be made of the image.
    Setup(SetupFault),
    /// It ran out of memory.
    OutOfMemory {
        /// The number of times.
        times: i32,
    },
    /// It starts and ends again.
    Crash {
        /// With which exit code.
        exit_code: i32,
        /// The number of times.
        times: i32,
    },
    /// An init container has not ended well yet.
    Preparation {
        /// Its number, from 1.
        step: usize,
        /// Of how many.
        of: usize,
        /// Its exit code, if it fails.
        exit_code: Option<i32>,
    },
    /// A volume is not there.
    Volume,
    /// It runs, and does not say that it is ready.
    NotReady,
    /// Pods were taken off their nodes.
    TakenOff,
    /// Pods of before have not ended, and new ones wait for that.
    OldPodsStay,
    /// None of these.
    Unknown {
        /// The right with which more could be told.
        missing: Option<Right>,
    },
}

/// A reason for which no pod may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Barrier {
    /// A quota, or a limit of the namespace.
    Quota,
    /// The pod security standard of the namespace.
    SecurityPolicy,
    /// An admission webhook or policy.
    AdmissionRule,
    /// There is no such service account.
    ServiceAccount,
    /// Another one.
    Other,
}

/// A reason for which no node takes a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoNode {
    /// Too little of this is free.
    NoRoom(Resource),
    /// Selectors, taints, affinities or spreads leave none.
    NoMatch,
    /// There is none that works.
    NoNodes,
    /// A scheduling gate holds it.
    Gated,
    /// Another one.
    Other,
}

/// A thing that a node has too little of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// `cpu`.
    Cpu,
    /// `memory`.
    Memory,
    /// The number of pods that a node takes.
    Pods,
    /// Another one, such as a device.
    Other,
}

/// A reason for which an image cannot be pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullFault {
    /// The registry has no such image.
    NotThere,
    /// The registry does not let it be pulled.
    NotAllowed,
    /// One of both: the registry does not say which.
    NotThereOrNotAllowed,
    /// The registry cannot be reached, or does not answer.
    Unreachable,
    /// The registry's limit is used up.
    TooMany,
    /// There is none for the node's processor.
    OtherPlatform,
    /// Its name is no name of an image.
    InvalidName,
    /// It is not on the node, and may not be pulled.
    NeverPull,
    /// Another one.
    Other,
}

/// A reason for which a container cannot be made of its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetupFault {
    /// A Secret is missing, or a key of it.
    Secret,
    /// A ConfigMap is missing, or a key of it.
    ConfigMap,
    /// The image runs as root, and must not.
    RunsAsRoot,
    /// The program is not in the image, or may not be run.
    Program,
    /// Another one.
    Other,
}

/// A right that the bot may lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// `list` on `pods`.
    ListPods,
    /// `list` on `events`.
    ListEvents,
}

/// The name of an image as a room may read it: without registry, path and digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image(String);

impl Image {
    /// Takes an image as a pod names it.
    pub fn of(reference: &str) -> Self {
        let without_digest = reference.split('@').next().unwrap_or_default();
        let last = without_digest.rsplit('/').next().unwrap_or_default();
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || ['.', '_', '-', ':'].contains(c);
        let plain: String = last.chars().filter(is_plain).take(MAX_IMAGE).collect();
        Self(plain)
    }

    /// The name; empty if there is none.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Finding {
    /// A cause of which a server says `words`.
    pub(super) fn new(cause: Cause, words: &str) -> Self {
        Self {
            cause,
            words: self::words(words, MAX_WORDS),
        }
    }

    /// The cause for the room, without a full stop.
    pub fn sentence(&self, details: Details) -> String {
        match (details, self.words.as_str()) {
            (Details::Short, _) | (Details::Full, "") => self.cause.sentence(),
            (Details::Full, words) => format!("{} ({words})", self.cause),
        }
    }
}

impl Right {
    /// The verb and the resource, as RBAC names them.
    pub fn words(self) -> &'static str {
        match self {
            Self::ListPods => "list pods",
            Self::ListEvents => "list events",
        }
    }
}

impl Cause {
    /// Its place among others: the cause of the lowest is told.
    pub fn rank(&self) -> u8 {
        match self {
            Self::NotCreated(_) => 1,
            Self::NotScheduled(_) => 2,
            Self::Image { .. } => 3,
            Self::Setup(_) => 4,
            Self::OutOfMemory { .. } => 5,
            Self::Crash { .. } => 6,
            Self::Preparation { .. } => 7,
            Self::Volume => 8,
            Self::NotReady => 9,
            Self::TakenOff => 10,
            Self::OldPodsStay => 11,
            Self::Unknown { .. } => 12,
        }
    }

    /// True if it has to be seen twice, some seconds apart, before it is told: first
    /// pulls fail and first starts crash in healthy clusters.
    pub fn needs_two_looks(&self) -> bool {
        match self {
            Self::Image { .. }
            | Self::Setup(_)
            | Self::OutOfMemory { .. }
            | Self::Crash { .. }
            | Self::Preparation { .. } => true,
            Self::NotCreated(_)
            | Self::NotScheduled(_)
            | Self::Volume
            | Self::NotReady
            | Self::TakenOff
            | Self::OldPodsStay
            | Self::Unknown { .. } => false,
        }
    }

    /// True if both are the same trouble, whatever their counts, codes and details.
    pub fn agrees_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Image { image: one, .. }, Self::Image { image: two, .. }) => one == two,
            _ => self.rank() == other.rank(),
        }
    }

    /// True unless it only says that nothing was found.
    pub fn is_known(&self) -> bool {
        !matches!(self, Self::Unknown { .. })
    }

    /// The right with which more could be told.
    pub fn missing_right(&self) -> Option<Right> {
        match self {
            Self::Unknown { missing } => *missing,
            _ => None,
        }
    }

    /// The words for the room, without a full stop: no name of a node, Secret, ConfigMap
    /// or volume, no address, none of the server's words.
    pub fn sentence(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCreated(barrier) => write!(f, "its pods cannot be made: {barrier}"),
            Self::NotScheduled(no_node) => write!(f, "{no_node}"),
            Self::Image { image, fault } => match image.as_str() {
                "" => write!(f, "its image cannot be pulled: {fault}"),
                name => write!(f, "image {name} cannot be pulled: {fault}"),
            },
            Self::Setup(fault) => write!(f, "{fault}"),
            Self::OutOfMemory { times } => {
                f.write_str("it runs out of memory")?;
                write_times(f, *times)
            }
            Self::Crash { exit_code, times } => {
                write!(f, "it starts and ends again: {}", exit_words(*exit_code))?;
                write_times(f, *times)
            }
            Self::Preparation {
                step,
                of,
                exit_code,
            } => match exit_code {
                Some(code) => write!(
                    f,
                    "its preparation step {step} of {of} fails: {}",
                    exit_words(*code)
                ),
                None => write!(f, "it is still at its preparation step {step} of {of}"),
            },
            Self::Volume => f.write_str("it waits for its volume"),
            Self::NotReady => f.write_str("it runs, but does not say that it is ready"),
            Self::TakenOff => f.write_str("its pod was taken off its node"),
            Self::OldPodsStay => f.write_str("it waits for pods of before to end"),
            Self::Unknown { missing: None } => f.write_str("the cause is not known"),
            Self::Unknown {
                missing: Some(right),
            } => write!(f, "grant me \"{}\" and I can tell why", right.words()),
        }
    }
}

impl fmt::Display for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quota => "a quota or limit of the namespace",
            Self::SecurityPolicy => "the security policy of the namespace",
            Self::AdmissionRule => "an admission rule",
            Self::ServiceAccount => "their service account is missing",
            Self::Other => "the cluster refuses them",
        })
    }
}

impl fmt::Display for NoNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRoom(Resource::Cpu) => "no node has room for it (cpu)",
            Self::NoRoom(Resource::Memory) => "no node has room for it (memory)",
            Self::NoRoom(Resource::Pods) => "no node has room for it (number of pods)",
            Self::NoRoom(Resource::Other) => "no node has room for it",
            Self::NoMatch => "no node matches its rules",
            Self::NoNodes => "there is no node for it",
            Self::Gated => "a scheduling gate holds it back",
            Self::Other => "no node takes it",
        })
    }
}

impl fmt::Display for PullFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotThere => "not there",
            Self::NotAllowed => "not allowed",
            Self::NotThereOrNotAllowed => "not there, or not allowed",
            Self::Unreachable => "its registry cannot be reached",
            Self::TooMany => "its registry's limit is used up",
            Self::OtherPlatform => "there is none for this kind of node",
            Self::InvalidName => "that is no name of an image",
            Self::NeverPull => "it is not on the node, and must not be pulled",
            Self::Other => "the node does not get it",
        })
    }
}

impl fmt::Display for SetupFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret => "a Secret that it needs is missing",
            Self::ConfigMap => "a ConfigMap that it needs is missing",
            Self::RunsAsRoot => "it must not run as root, and its image does",
            Self::Program => "its program is not in its image, or cannot be run",
            Self::Other => "a Secret or setting that it needs is missing or wrong",
        })
    }
}

/// An exit code; 137 is a kill, of which nothing more is known.
fn exit_words(code: i32) -> String {
    match code {
        137 => "killed".to_owned(),
        code => format!("exit {code}"),
    }
}

fn write_times(f: &mut fmt::Formatter<'_>, times: i32) -> fmt::Result {
    match times {
        ..=1 => Ok(()),
        times => write!(f, ", {times} times"),
    }
}
