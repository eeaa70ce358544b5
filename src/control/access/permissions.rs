//! What one principal may do, and the decision about one request of theirs.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Action, Actions};
use crate::control::TargetName;

/// What one principal may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permissions {
    /// The roles that they come from, for the audit log.
    pub roles: Vec<String>,
    /// What may be done with every target.
    pub(super) everywhere: Option<Permission>,
    /// What may be done with some targets beside that.
    pub(super) by_target: BTreeMap<TargetName, Permission>,
}

/// What may be done with a target.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Permission {
    /// The actions.
    pub actions: Actions,
    /// The largest number of replicas that may be asked for; None for the target's own.
    pub max_replicas: Option<i32>,
    /// The longest time that may be asked for; None for any.
    pub max_for: Option<Duration>,
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask<'a> {
    /// The target's name, which need not exist.
    pub target: &'a TargetName,
    /// What is to be done with it.
    pub action: Action,
    /// The number of replicas that is asked for.
    pub replicas: Option<i32>,
    /// The time that is asked for.
    pub run_for: Option<Duration>,
}

/// The decision about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It is allowed.
    Granted,
    /// Nothing may be done with this target, or it does not exist: both are the same to
    /// whoever asks.
    Hidden,
    /// The target may be seen, but this may not be done with it.
    Denied,
    /// More replicas than the role allows, which is this many.
    TooMany(i32),
    /// A longer time than the role allows, which is this.
    TooLong(Duration),
}

impl Permissions {
    /// Decides about a request.
    pub fn decide(&self, ask: &Ask<'_>) -> Access {
        let _ = ask;
        todo!()
    }

    /// Returns true if this may be done with the target, whatever is asked for.
    pub fn allows(&self, target: &TargetName, action: Action) -> bool {
        let _ = (target, action);
        todo!()
    }

    /// Returns true if there is nothing that may be done.
    pub fn is_empty(&self) -> bool {
        todo!()
    }
}
