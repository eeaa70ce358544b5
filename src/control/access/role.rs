//! A role: targets, and what may be done with them.

use std::time::Duration;

use super::{Action, Actions};
use crate::control::TargetName;
use crate::util::SortedSet;

/// The rights that a role gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// The targets it is about; None for all of them (`*`).
    pub targets: Option<SortedSet<TargetName>>,
    /// The actions that may be done with them.
    pub actions: Actions,
    /// The largest number of replicas that may be asked for, beside the target's own. A start
    /// that asks for none gets no more either.
    pub max_replicas: Option<i32>,
    /// The longest time that may be asked for. A start that asks for none is as long as the
    /// target's idle time lets it be.
    pub max_for: Option<Duration>,
}

impl Role {
    /// The actions that it gives on a target. Whoever may do something with it sees that it
    /// exists.
    pub(super) fn on(&self, target: &TargetName) -> Actions {
        let listed = self.targets.as_ref();
        match listed.is_none_or(|targets| targets.contains(target)) {
            true => seen(self.actions),
            false => Actions::NONE,
        }
    }

    /// Returns true if it gives nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.actions.is_empty() || self.targets.as_ref().is_some_and(SortedSet::is_empty)
    }
}

/// The actions, with [`Action::List`] if there are any.
pub(super) const fn seen(actions: Actions) -> Actions {
    match actions.is_empty() {
        true => Actions::NONE,
        false => actions.with(Action::List),
    }
}
