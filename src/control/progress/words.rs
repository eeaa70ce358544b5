//! The sentences about a change that is followed, for people: plain text, at most
//! 300 characters, and some 300 more with all details.

use std::fmt;

use super::{Cause, Details, Direction, Ending, Lingering, Owner, Progress, Remark, WaitsFor};
use crate::control::TargetName;

/// The longest kind of an owner in a sentence, in characters.
const MAX_KIND: usize = 32;

impl Progress {
    /// The progress, without a full stop.
    pub fn sentence(&self, target: &TargetName, details: Details) -> String {
        let Self { done, of, .. } = self;
        let mut text = match self.direction {
            Direction::Up => format!("{target}: {done} of {of} ready"),
            Direction::Down if *of == 0 => format!("{target}: {} left", pods(*done)),
            Direction::Down => format!("{target}: {} left, {of} will stay", pods(*done)),
        };
        // Where none is ready there are no others.
        let others = self
            .waits_for
            .filter(|waits_for| *done > 0 || *waits_for != WaitsFor::Readiness);
        if let Some(waits_for) = others {
            text.push_str(&format!(", {waits_for}"));
        }
        if let Some(cause) = &self.cause {
            text.push_str(&format!("; {}", cause.sentence(details)));
        }
        text
    }
}

impl Ending {
    /// The outcome, with a full stop.
    pub fn sentence(&self, target: &TargetName, details: Details) -> String {
        match self {
            Self::Ready {
                replicas,
                after,
                remark,
                is_late,
            } => {
                let after_all = after_all(*is_late);
                let (ready, counted) = match remark {
                    Some(Remark::ReadinessUnknown) => ("up", pods(*replicas)),
                    _ => ("ready", format!("{replicas} of {replicas}")),
                };
                let span = span(*after);
                let remark = remark_words(*remark);
                format!("{target} is {ready}{after_all}: {counted} after {span}.{remark}")
            }
            Self::Stopped {
                replicas,
                after,
                remark,
                is_late,
            } => {
                let (after_all, span) = (after_all(*is_late), span(*after));
                let remark = remark_words(*remark);
                match replicas {
                    0 => format!("{target} has stopped{after_all}, after {span}.{remark}"),
                    left => format!(
                        "{target} is down to {left} of {left}{after_all}, after {span}.{remark}"
                    ),
                }
            }
            Self::NotReady {
                done,
                of,
                after,
                cause,
            } => {
                let cause = match cause {
                    Some(cause) => cause.sentence(details),
                    None => Cause::Unknown { missing: None }.sentence(),
                };
                let span = span(*after);
                format!(
                    "{target} is not ready after {span}: {done} of {of}; {cause}. I keep watching for an hour."
                )
            }
            Self::StillStopping {
                pods: left,
                replicas,
                after,
                why,
            } => {
                let (left, span) = (pods(*left), span(*after));
                let what = match replicas {
                    0 => "has not stopped".to_owned(),
                    stay => format!("is not down to {stay}"),
                };
                format!(
                    "{target} {what} after {span}: {left} still to end; {why}. I keep watching for an hour."
                )
            }
            Self::PausedEmpty => format!(
                "{target} was created paused, so no pod will come before somebody resumes its rollout."
            ),
            Self::CountChanged {
                from,
                to,
                after,
                by,
            } => {
                let (doer, by) = match by {
                    Some(Owner::Autoscaler) => ("its autoscaler", String::new()),
                    by => (
                        "something else",
                        by.as_ref().map(owner_words).unwrap_or_default(),
                    ),
                };
                let span = span(*after);
                format!(
                    "{target} was set from {from} to {to} by {doer}, {span} after the command.{by}"
                )
            }
            Self::Replaced => {
                format!("{target} was deleted and created again; I no longer follow the command.")
            }
            Self::Gone => format!("{target} is not there any more: it was deleted."),
            Self::Superseded => format!("{target}: replaced by a newer command."),
            Self::MayNotLook => format!(
                "{target}: I may not look whether it is done; grant me \"get\" on it and I can tell."
            ),
            Self::NotSeen { after } => {
                let span = span(*after);
                format!(
                    "{target}: the cluster has not let me see it for {span}, so I cannot say how far it is. I keep trying for an hour."
                )
            }
        }
    }
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Controller => f.write_str("the cluster has not begun"),
            Self::NewPods => f.write_str("new pods are being made"),
            Self::OldPods => f.write_str("old pods are being replaced"),
            Self::Readiness => f.write_str("waits for the others"),
            Self::Availability => f.write_str("but not for long enough yet"),
            Self::Pod { ordinal } => write!(f, "waits for pod {ordinal}"),
        }
    }
}

impl fmt::Display for Lingering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GracePeriodOver => {
                f.write_str("the time for that is over, and the node may be gone")
            }
            Self::NotBegun => f.write_str("the cluster has not begun"),
            Self::UnreadyPods { ordinals } => {
                f.write_str("Kubernetes deletes none while two or more are not ready")?;
                for (index, ordinal) in ordinals.iter().enumerate() {
                    let before = if index == 0 { ": pods " } else { ", " };
                    write!(f, "{before}{ordinal}")?;
                }
                f.write_str("; somebody has to delete those")
            }
        }
    }
}

/// A time, in its largest unit and the next.
fn span(ms: u64) -> String {
    let secs = ms / 1_000;
    let (hours, minutes) = (secs / 3_600, secs / 60 % 60);
    match (hours, minutes, secs % 60) {
        (0, 0, secs) => format!("{secs} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes @ ..10, secs) => format!("{minutes} min {secs} s"),
        (0, minutes, _) => format!("{minutes} min"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

fn pods(count: i32) -> String {
    match count {
        1 => "1 pod".to_owned(),
        count => format!("{count} pods"),
    }
}

fn after_all(is_late: bool) -> &'static str {
    if is_late { " after all" } else { "" }
}

/// A sentence of its own, after a space.
fn remark_words(remark: Option<Remark>) -> String {
    match remark {
        None => String::new(),
        Some(Remark::PausedOld) => {
            " Its rollout is paused: these pods run the version of before.".to_owned()
        }
        Some(Remark::OldPods { pods: old }) => {
            let verb = if old == 1 { "runs" } else { "run" };
            let old = pods(old);
            format!(" {old} {verb} the version of before, until somebody deletes them.")
        }
        Some(Remark::ReadinessUnknown) => {
            " Whether they are ready, I cannot tell of this kind.".to_owned()
        }
        Some(Remark::MayLinger { grace_secs }) => {
            let grace = span(u64::from(grace_secs).saturating_mul(1_000));
            format!(" Its pods may take up to {grace} to end.")
        }
    }
}

/// Its name.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Controller { kind } => {
                let plain = kind.chars().filter(char::is_ascii_alphanumeric);
                let kind: String = plain.take(MAX_KIND).collect();
                return write!(f, "an object of kind {kind}");
            }
            Self::ArgoCd => "Argo CD",
            Self::Flux => "Flux",
            Self::Helm => "Helm",
            Self::K3s => "the deploy controller of K3s",
            Self::Autoscaler => "its autoscaler",
        })
    }
}

/// A sentence of its own, after a space.
fn owner_words(owner: &Owner) -> String {
    format!(" It belongs to {owner}, which may have done it.")
}
