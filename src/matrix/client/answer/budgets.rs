//! The budgets of an answer: by sender, so that no one takes the room of another.

use std::{borrow::Cow, sync::Arc};

use ruma::{OwnedUserId, UserId};
use serde::Deserialize;

use super::shapes::{KIB, item_kind};
use crate::json::{Admission, Gate};
use crate::matrix::client::sync::InvitedRoom;
use crate::util::SortedSet;

/// The users whose items have budgets of their own.
#[derive(Debug)]
pub struct Audience {
    /// The bot.
    pub own: OwnedUserId,
    /// The users who may command.
    pub commanders: SortedSet<OwnedUserId>,
}

/// The gate of an answer: admits what is relevant, as long as there is room for it. Each
/// budget is in bytes, and for one answer.
pub(super) struct Budgets {
    audience: Arc<Audience>,
    /// Messages of allowed users.
    messages: usize,
    /// Messages of the bot's own account, which tell whether this store is an older copy.
    own: usize,
    /// State, in timelines or beside them.
    state: usize,
    /// To-device messages of allowed users.
    commanders_to_device: usize,
    /// To-device messages of everybody else.
    others_to_device: usize,
    /// Invitations by allowed users.
    commanders_invites: usize,
    /// Invitations by everybody else.
    others_invites: usize,
    /// Members who are not allowed users.
    members: usize,
}

/// The fields by which an event is admitted.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    sender: Cow<'a, str>,
    #[serde(borrow, default)]
    state_key: Option<Cow<'a, str>>,
}

impl Budgets {
    pub(super) fn new(audience: Arc<Audience>) -> Self {
        Self {
            audience,
            messages: 512 * KIB,
            own: 96 * KIB,
            state: 640 * KIB,
            commanders_to_device: 640 * KIB,
            others_to_device: 256 * KIB,
            commanders_invites: 64 * KIB,
            others_invites: 64 * KIB,
            members: 640 * KIB,
        }
    }

    fn is_commander(&self, user: &str) -> bool {
        // Ids are ordered as their texts.
        <&UserId>::try_from(user).is_ok_and(|user| self.audience.commanders.contains(user))
    }

    /// An event of a room the bot is in.
    fn room_event(&mut self, head: &Head<'_>, size: usize) -> Admission {
        if head.state_key.is_some() {
            return spend(&mut self.state, size);
        }
        if head.sender == self.audience.own.as_str() {
            spend(&mut self.own, size)
        } else if self.is_commander(&head.sender) {
            spend(&mut self.messages, size)
        } else {
            // Nobody else's messages are looked at.
            Admission::Irrelevant
        }
    }

    /// A room that the bot is invited to, as far as its stripped state was kept.
    fn invited_room(&mut self, room: &[u8], item: &[u8]) -> Admission {
        let Ok(invited) = serde_json::from_slice::<InvitedRoom<'_>>(item) else {
            return Admission::Irrelevant;
        };
        let heads = invited.invite_state.events.into_iter();
        let heads = heads.map(|event| serde_json::from_slice::<Head<'_>>(event.get().as_bytes()));
        let heads = match heads.collect::<Result<Vec<_>, _>>() {
            Ok(heads) if !heads.is_empty() => heads,
            // Nobody is named: it is no invite.
            _ => return Admission::Irrelevant,
        };
        let size = room.len() + item.len();
        match heads.iter().all(|head| self.is_commander(&head.sender)) {
            true => spend(&mut self.commanders_invites, size),
            false => spend(&mut self.others_invites, size),
        }
    }

    fn device_event(&mut self, head: &Head<'_>, size: usize) -> Admission {
        match head.kind.as_ref() {
            "m.room.encrypted" | "m.room_key.withheld" | "m.room_key_request" => {}
            _ => return Admission::Irrelevant,
        }
        match self.is_commander(&head.sender) {
            true => spend(&mut self.commanders_to_device, size),
            false => spend(&mut self.others_to_device, size),
        }
    }
}

fn spend(budget: &mut usize, size: usize) -> Admission {
    match budget.checked_sub(size) {
        Some(left) => {
            *budget = left;
            Admission::Keep
        }
        None => Admission::TooMuch,
    }
}

impl Gate for Budgets {
    fn admit(&mut self, what: &'static str, name: &[u8], item: &[u8]) -> Admission {
        match what {
            item_kind::INVITE if !name.is_empty() => return self.invited_room(name, item),
            item_kind::TIMELINE
            | item_kind::STATE
            | item_kind::INVITE
            | item_kind::TO_DEVICE
            | item_kind::MEMBER => {}
            _ => return Admission::Keep,
        }
        // An item that cannot be read is no event.
        let Ok(head) = serde_json::from_slice::<Head<'_>>(item) else {
            return Admission::Irrelevant;
        };
        let size = item.len();
        match what {
            item_kind::TO_DEVICE => self.device_event(&head, size),
            item_kind::INVITE => match head.state_key.as_deref() {
                Some(user) if user == self.audience.own.as_str() => Admission::Keep,
                _ => Admission::Irrelevant,
            },
            item_kind::MEMBER => match head.state_key.as_deref() {
                Some(user) if self.is_commander(user) => Admission::Keep,
                _ => spend(&mut self.members, size),
            },
            _ => self.room_event(&head, size),
        }
    }
}
