//! The budgets of an answer: by sender, so that no one takes the room of another.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use ruma::{OwnedUserId, UserId};
use serde::Deserialize;

use super::shapes::{KIB, item_kind};
use crate::json::{Admission, Gate};

/// The users whose items have budgets of their own.
#[derive(Debug)]
pub struct Audience {
    /// The bot.
    pub own: OwnedUserId,
    /// The users who may command.
    pub commanders: BTreeSet<OwnedUserId>,
}

/// Bytes of one sync for messages of allowed users.
const MESSAGES_BUDGET: usize = 512 * KIB;
/// For messages of the bot's own account, which tell whether this store is an
/// older copy.
const OWN_BUDGET: usize = 96 * KIB;
/// For state, in timelines or beside them.
const STATE_BUDGET: usize = 640 * KIB;
/// For to-device messages of allowed users.
const COMMANDERS_TO_DEVICE_BUDGET: usize = 640 * KIB;
/// For to-device messages of everybody else.
const OTHERS_TO_DEVICE_BUDGET: usize = 256 * KIB;
/// For invitations by allowed users.
const COMMANDERS_INVITES_BUDGET: usize = 64 * KIB;
/// For invitations by everybody else.
const OTHERS_INVITES_BUDGET: usize = 64 * KIB;
/// Bytes of one list for members who are not allowed users.
const MEMBERS_BUDGET: usize = 640 * KIB;

/// The gate of an answer: admits what is relevant, as long as there is room for it.
pub(super) struct Budgets {
    audience: Arc<Audience>,
    messages: usize,
    own: usize,
    state: usize,
    commanders_to_device: usize,
    others_to_device: usize,
    commanders_invites: usize,
    others_invites: usize,
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
            messages: MESSAGES_BUDGET,
            own: OWN_BUDGET,
            state: STATE_BUDGET,
            commanders_to_device: COMMANDERS_TO_DEVICE_BUDGET,
            others_to_device: OTHERS_TO_DEVICE_BUDGET,
            commanders_invites: COMMANDERS_INVITES_BUDGET,
            others_invites: OTHERS_INVITES_BUDGET,
            members: MEMBERS_BUDGET,
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
        #[derive(Deserialize)]
        struct Invited<'a> {
            #[serde(borrow)]
            invite_state: State<'a>,
        }
        #[derive(Deserialize)]
        struct State<'a> {
            #[serde(borrow)]
            events: Vec<Head<'a>>,
        }
        let Ok(invited) = serde_json::from_slice::<Invited<'_>>(item) else {
            return Admission::Irrelevant;
        };
        let senders = &invited.invite_state.events;
        let size = room.len() + item.len();
        if senders.is_empty() {
            // Nobody is named: it is no invite.
            return Admission::Irrelevant;
        }
        match senders.iter().all(|head| self.is_commander(&head.sender)) {
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
        if what == item_kind::INVITE && !name.is_empty() {
            return self.invited_room(name, item);
        }
        let is_event = matches!(
            what,
            item_kind::TIMELINE
                | item_kind::STATE
                | item_kind::INVITE
                | item_kind::TO_DEVICE
                | item_kind::MEMBER
        );
        if !is_event {
            return Admission::Keep;
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
