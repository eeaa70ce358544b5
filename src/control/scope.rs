//! The targets that one person sees in one room. What is not in it does not exist there:
//! every answer is the same as if it were not configured.

use ruma::RoomId;

use super::access::{Action, Permissions};
use super::{Target, TargetName};
use crate::util::nearest;

/// The targets that one person sees in one room, in the order of the configuration.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    room: &'a RoomId,
    permissions: Permissions,
    seen: Vec<&'a Target>,
}

impl<'a> Scope<'a> {
    /// Those of these targets that somebody with these permissions sees in this room.
    pub fn new(room: &'a RoomId, targets: &'a [Target], permissions: Permissions) -> Self {
        let seen = targets.iter();
        let seen = seen.filter(|target| permissions.allows(&target.name, Action::List));
        Self {
            room,
            seen: seen.collect(),
            permissions,
        }
    }

    /// All that is seen.
    pub fn seen(&self) -> &[&'a Target] {
        &self.seen
    }

    /// Those with which this may be done.
    pub fn with(&self, action: Action) -> impl Iterator<Item = &'a Target> {
        let seen = self.seen.iter().copied();
        seen.filter(move |target| self.may(action, &target.name))
    }

    /// Returns true if this may be done with the target.
    pub fn may(&self, action: Action, target: &TargetName) -> bool {
        self.permissions.allows(target, action)
    }

    /// The target of this name.
    pub fn find(&self, name: &str) -> Option<&'a Target> {
        let mut seen = self.seen.iter();
        seen.find(|target| target.name.as_str() == name).copied()
    }

    /// The target that is meant where none is named: the room's own, or the only one.
    pub fn default(&self) -> Option<&'a Target> {
        let of_room = |target: &&&Target| target.default_in.contains(self.room);
        match self.seen.as_slice() {
            [only] => Some(*only),
            several => several.iter().find(of_room).copied(),
        }
    }

    /// The one target that a prefix or a slip of the pen can only mean.
    pub fn meant(&self, text: &str) -> Option<&'a TargetName> {
        let names = self.seen.iter().map(|target| &target.name);
        let mut by_prefix = names
            .clone()
            .filter(|name| !text.is_empty() && name.as_str().starts_with(text));
        match (by_prefix.next(), by_prefix.next()) {
            (Some(only), None) => Some(only),
            (Some(_), Some(_)) => None,
            (None, _) => {
                let meant = nearest(text, names.clone().map(TargetName::as_str))?;
                names.clone().find(|name| name.as_str() == meant)
            }
        }
    }
}
