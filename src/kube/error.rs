//! The errors of the API server, for two readers: the person in the chat and the log.

use std::fmt;
use std::time::Duration;

use super::about::Object;
use super::access::Identity;
use super::operation::Operation;
use crate::control::{Namespace, ObjectName, Workload};
use crate::net::{self, Remedy, Responsible};
use crate::util::{printable, unlinked};

/// The longest detail, in bytes.
const MAX_DETAIL: usize = 512;

/// The wait that a person is told of when the server asks for none.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(30);

/// The reason why the API server did not do what it was asked. There is no `Display`:
/// the caller chooses between [`Error::sentence`] and [`Error::detail`], so that a
/// log's detail cannot end up in a chat.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// The service account, or the user of the kubeconfig, lacks a right.
    Forbidden {
        /// The operation that it may not do.
        operation: Operation,
        /// The object of it, if that is no workload.
        object: Option<Box<Object>>,
        /// The proof of who asked.
        identity: Identity,
        /// For the log.
        detail: Detail,
    },
    /// There is no such workload, or no such namespace or kind.
    NotFound {
        /// The operation that found nothing.
        operation: Operation,
        /// The object of it, if that is no workload.
        object: Option<Box<Object>>,
        /// The part of its name that leads to nothing.
        what: Missing,
        /// For the log.
        detail: Detail,
    },
    /// The token or the client certificate is not accepted, not even after it was read
    /// again.
    Unauthorized {
        /// The proof of who asked.
        identity: Identity,
        /// For the log.
        detail: Detail,
    },
    /// The API server gives no answer.
    Unreachable {
        /// The time of the first attempt that failed since the last answer of any kind.
        since: Box<str>,
        /// The proof of who asked.
        identity: Identity,
        /// The reason why the last attempt failed.
        cause: net::Error,
    },
    /// There was a connection, but no answer in time.
    Timeout {
        /// The operation, which may have happened all the same.
        operation: Operation,
        /// The object of it, if that is no workload.
        object: Option<Box<Object>>,
        /// The stage in which the time ran out.
        cause: net::Error,
    },
    /// The API server turns requests away, 429 or 503
    /// (<https://kubernetes.io/docs/concepts/cluster-administration/flow-control/>).
    Overloaded {
        /// The HTTP status.
        status: u16,
        /// The time that it asks to wait.
        retry_after: Option<Duration>,
        /// For the log.
        detail: Detail,
    },
    /// The API server failed in itself, any other 5xx.
    Failing {
        /// The HTTP status.
        status: u16,
        /// For the log.
        detail: Detail,
    },
    /// The API server understood and will not: an admission rule, a conflict,
    /// an invalid number.
    Refused {
        /// The operation that it will not do.
        operation: Operation,
        /// The object of it, if that is no workload.
        object: Option<Box<Object>>,
        /// Its reason: one bounded line, fit to be shown.
        reason: String,
        /// For the log.
        detail: Detail,
    },
    /// The answer is not one of a Kubernetes API server.
    Broken {
        /// The proof of who asked.
        identity: Identity,
        /// For the log.
        detail: Detail,
    },
}

/// The kind of thing whose name leads to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// There is no such object.
    Object,
    /// There is no such namespace.
    Namespace,
    /// The API server knows no such kind of object.
    Kind,
}

/// A text for the log: one line of at most 512 bytes without deceptive
/// characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail(String);

impl Detail {
    pub(super) fn new(text: &str) -> Self {
        Self(printable(text, MAX_DETAIL))
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error {
    /// One sentence for the chat that a person can act on: bounded, on one
    /// line, and of the server's words only a reason to refuse. It is about `target`, or
    /// about the object of the call if that was no workload.
    pub fn sentence(&self, target: &Workload) -> String {
        self.told(Some(target))
    }

    /// As [`Error::sentence`], of a call that was not about a workload.
    pub fn sentence_without_target(&self) -> String {
        self.told(None)
    }

    fn told(&self, target: Option<&Workload>) -> String {
        match self {
            Self::Forbidden {
                operation,
                object,
                identity,
                ..
            } => {
                let thing = Thing::new(*operation, object.as_deref(), target);
                let kind = target.map(|target| &target.kind);
                let resource = operation.resource_of(kind).unwrap_or_default();
                let scope = match thing.namespace {
                    Some(_) => "",
                    None => " in the whole cluster",
                };
                format!(
                    "I may not {} {thing}: grant {} `{}` on `{resource}`{scope}.",
                    operation.word(),
                    identity.holder(),
                    operation.verb(),
                )
            }
            Self::NotFound {
                operation,
                object,
                what,
                ..
            } => {
                let thing = Thing::new(*operation, object.as_deref(), target);
                let cure = match operation {
                    Operation::Other(act) => act.cure,
                    _ if operation.is_of_environment() => {
                        "check DEPLOYMENT_NAME and DEPLOYMENT_NAMESPACE"
                    }
                    _ => "check the target's entry",
                };
                match (what, thing.namespace, target.filter(|_| object.is_none())) {
                    (Missing::Namespace, Some(namespace), _) => {
                        format!("There is no namespace {namespace}: {cure}.")
                    }
                    (Missing::Kind, _, Some(Workload { kind, .. })) => format!(
                        "The Kubernetes API server knows no {} in {}/{}: {cure}.",
                        kind.resource(),
                        kind.group(),
                        kind.version()
                    ),
                    (Missing::Kind, ..) => format!(
                        "The Kubernetes API server knows no {}.",
                        operation.resource_of(None).unwrap_or_default()
                    ),
                    _ => format!("There is no {thing}: {cure}."),
                }
            }
            Self::Unauthorized { identity, .. } => format!(
                "The Kubernetes API server does not accept {}.",
                identity.refused()
            ),
            Self::Unreachable { since, cause, .. } => {
                let why = match &cause.fault {
                    // Who answers in the API server's place chose the names in it.
                    net::Fault::Tls(fault) => format!(
                        "no secure connection to {}: {}; my log says what to do",
                        cause.authority,
                        unlinked(&fault.to_string())
                    ),
                    _ => cause.to_string(),
                };
                format!("The Kubernetes API server has not answered since {since}: {why}.")
            }
            Self::Timeout {
                operation, object, ..
            } if operation.is_write() => format!(
                "The Kubernetes API server did not answer in time, so {} \
                 may or may not have been {}: ask for the status.",
                Thing::new(*operation, object.as_deref(), target),
                match operation {
                    Operation::Restart => "restarted",
                    Operation::Other(_) => "changed",
                    _ => "scaled",
                }
            ),
            Self::Timeout { .. } => {
                "The Kubernetes API server did not answer in time: try again.".to_owned()
            }
            Self::Overloaded {
                status,
                retry_after,
                ..
            } => {
                let seconds = retry_after.unwrap_or(DEFAULT_PATIENCE).as_secs().max(1);
                format!(
                    "The Kubernetes API server is overloaded (status {status}): \
                     try again in {seconds} s."
                )
            }
            Self::Failing { status, .. } => format!(
                "The Kubernetes API server failed (status {status}): \
                 try again, and look at its log and mine if it stays so."
            ),
            Self::Refused {
                operation,
                object,
                reason,
                ..
            } => format!(
                "The Kubernetes API server refused to {} {}: {reason}.",
                operation.word(),
                Thing::new(*operation, object.as_deref(), target)
            ),
            Self::Broken { identity, .. } => format!(
                "I do not understand the answer of the Kubernetes API server: \
                 check that {} it.",
                identity.leading_to()
            ),
        }
    }

    /// The text for the log, with the cure where there is one; not for the chat.
    pub fn detail(&self) -> Detail {
        match self {
            Self::Forbidden { detail, .. }
            | Self::NotFound { detail, .. }
            | Self::Unauthorized { detail, .. }
            | Self::Overloaded { detail, .. }
            | Self::Failing { detail, .. }
            | Self::Refused { detail, .. }
            | Self::Broken { detail, .. } => detail.clone(),
            Self::Unreachable {
                identity, cause, ..
            } => {
                let cure = match &cause.fault {
                    net::Fault::Tls(fault) => format!("; {}", identity.cure(fault)),
                    _ => String::new(),
                };
                Detail::new(&format!("{cause}{cure}"))
            }
            Self::Timeout { cause, .. } => Detail::new(&cause.to_string()),
        }
    }
}

/// The thing that a sentence is about: `deployment web in namespace shop`.
struct Thing<'a> {
    noun: &'a str,
    name: Option<&'a ObjectName>,
    namespace: Option<&'a Namespace>,
}

impl<'a> Thing<'a> {
    fn new(operation: Operation, object: Option<&'a Object>, target: Option<&'a Workload>) -> Self {
        match (operation, object, target) {
            (Operation::Other(act), Some(object), _) => Self {
                noun: act.noun,
                name: object.name.as_ref(),
                namespace: object.namespace.as_ref(),
            },
            (_, _, Some(target)) => Self {
                noun: target.kind.word(),
                name: Some(&target.name),
                namespace: Some(&target.namespace),
            },
            _ => Self {
                noun: "a workload",
                name: None,
                namespace: None,
            },
        }
    }
}

impl fmt::Display for Thing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.noun)?;
        if let Some(name) = self.name {
            write!(f, " {name}")?;
        }
        match self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None => Ok(()),
        }
    }
}

impl Remedy for Error {
    type Party = Responsible;

    fn responsible(&self) -> Responsible {
        match self {
            Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Unauthorized { .. }
            | Self::Broken { .. } => Responsible::Configuration,
            Self::Unreachable { cause, .. } | Self::Timeout { cause, .. } => cause.responsible(),
            Self::Overloaded { .. } | Self::Failing { .. } | Self::Refused { .. } => {
                Responsible::Server
            }
        }
    }

    fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { cause, .. } | Self::Timeout { cause, .. } => cause.is_transient(),
            Self::Overloaded { .. } | Self::Failing { .. } => true,
            Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::Unauthorized { .. }
            | Self::Refused { .. }
            | Self::Broken { .. } => false,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
