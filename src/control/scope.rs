//! The targets that one person sees in one room. What is not in it does not exist there:
//! every answer is the same as if it were not configured.

use ruma::RoomId;

use super::{Target, TargetName};
use crate::util::nearest;

/// A target that somebody sees.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The target.
    pub target: &'a Target,
    /// True if they may switch it, too.
    pub may_command: bool,
}

/// The targets that one person sees in one room, in the order of the configuration.
#[derive(Debug, Clone)]
pub struct Scope<'a> {
    pub(super) room: &'a RoomId,
    pub(super) seen: Vec<Seen<'a>>,
}

impl<'a> Scope<'a> {
    /// All that is seen.
    pub fn seen(&self) -> &[Seen<'a>] {
        &self.seen
    }

    /// All that may be switched.
    pub fn commanded(&self) -> impl Iterator<Item = &'a Target> {
        let commanded = self.seen.iter().filter(|seen| seen.may_command);
        commanded.map(|seen| seen.target)
    }

    /// The target of this name.
    pub fn find(&self, name: &str) -> Option<Seen<'a>> {
        let mut seen = self.seen.iter();
        seen.find(|seen| seen.target.name.as_str() == name).copied()
    }

    /// The target that is meant where none is named: the room's own, or the only one.
    pub fn default(&self) -> Option<Seen<'a>> {
        let of_room = |seen: &&Seen<'_>| seen.target.default_in.contains(self.room);
        match self.seen.as_slice() {
            [only] => Some(*only),
            several => several.iter().find(of_room).copied(),
        }
    }

    /// The one target that a prefix or a slip of the pen can only mean.
    pub fn meant(&self, text: &str) -> Option<&'a TargetName> {
        let names = self.seen.iter().map(|seen| &seen.target.name);
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
