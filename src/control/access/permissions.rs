//! The rights of one principal, and the decision about one request of theirs.

use std::sync::Arc;
use std::time::Duration;

use super::role::{Role, seen};
use super::{Action, Actions};
use crate::control::TargetName;
use crate::util::SortedMap;

/// The rights of one principal: the roles that they have, and what they may do with targets by
/// name: what the chat's rules say of them, or what anybody may through the gateway.
///
/// Roles add up: a request is allowed if one of them allows all of it. So of several that
/// give an action, the most generous number of replicas and the most generous time count,
/// but never the number of one together with the time of another, which no role allows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permissions {
    /// The names of the roles, for the audit log, each of them once.
    pub roles: Vec<String>,
    /// The roles themselves, in the same order.
    given: Vec<Arc<Role>>,
    /// The actions by target, without limits.
    by_name: Arc<SortedMap<TargetName, Actions>>,
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask<'a> {
    /// The target's name, which need not exist.
    pub target: &'a TargetName,
    /// The action that is asked for.
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
    /// A longer time than the role allows, which is this. Of several roles, one that allows
    /// the number of replicas.
    TooLong(Duration),
}

impl Permissions {
    /// These rights by target, without limits and without roles.
    pub const fn by_name(by_name: Arc<SortedMap<TargetName, Actions>>) -> Self {
        Self {
            roles: Vec::new(),
            given: Vec::new(),
            by_name,
        }
    }

    /// Adds the rights of a role.
    pub(super) fn give(&mut self, name: &str, role: &Arc<Role>) {
        if !self.roles.iter().any(|known| known == name) {
            self.roles.push(name.to_owned());
            self.given.push(Arc::clone(role));
        }
    }

    /// Decides about a request.
    pub fn decide(&self, ask: &Ask<'_>) -> Access {
        let all = self.actions(ask.target);
        if all.is_empty() {
            return Access::Hidden;
        }
        if !all.has(ask.action) {
            return Access::Denied;
        }
        if self.named(ask.target).has(ask.action) {
            return Access::Granted;
        }
        let giving = || {
            self.given
                .iter()
                .filter(|role| role.on(ask.target).has(ask.action))
        };
        let counts = |role: &Role| fits(ask.replicas, role.max_replicas);
        if !giving().any(|role| counts(role)) {
            let most = giving().filter_map(|role| role.max_replicas).max();
            return Access::TooMany(most.unwrap_or(0));
        }
        let giving = || giving().filter(|role| counts(role));
        if !giving().any(|role| fits(ask.run_for, role.max_for)) {
            let longest = giving().filter_map(|role| role.max_for).max();
            return Access::TooLong(longest.unwrap_or_default());
        }
        Access::Granted
    }

    /// The most replicas of one who asks for no number: the most generous of the roles that
    /// allow the rest of what is asked for. None without a limit.
    pub fn most_replicas(&self, ask: &Ask<'_>) -> Option<i32> {
        let allowing = self
            .given
            .iter()
            .filter(|role| role.on(ask.target).has(ask.action) && fits(ask.run_for, role.max_for));
        // One without a limit allows more than any number.
        let most = allowing
            .map(|role| role.max_replicas.unwrap_or(i32::MAX))
            .max();
        most.filter(|most| *most < i32::MAX && !self.named(ask.target).has(ask.action))
    }

    /// Returns true if this may be done with the target, whatever is asked for.
    pub fn allows(&self, target: &TargetName, action: Action) -> bool {
        self.named(target).has(action) || self.given.iter().any(|role| role.on(target).has(action))
    }

    /// All that may be done with the target: [`Action::List`] is among them if anything is.
    pub fn actions(&self, target: &TargetName) -> Actions {
        let given = self.given.iter().map(|role| role.on(target));
        given.fold(self.named(target), Actions::or)
    }

    /// Returns true if there is nothing that may be done.
    pub fn is_empty(&self) -> bool {
        self.given.iter().all(|role| role.is_empty())
            && self.by_name.values().all(|actions| actions.is_empty())
    }

    fn named(&self, target: &TargetName) -> Actions {
        let named = self.by_name.get(target);
        named.map_or(Actions::NONE, |actions| seen(*actions))
    }
}

/// True if what is asked for, if anything, is within the limit, if there is one.
fn fits<T: PartialOrd>(asked: Option<T>, most: Option<T>) -> bool {
    match (asked, most) {
        (Some(asked), Some(most)) => asked <= most,
        _ => true,
    }
}
