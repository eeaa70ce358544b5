//! What to ask the homeserver next, derived from the store alone: after a crash
//! the same requests come out again.

use std::{collections::BTreeMap, time::Duration};

use http::Method;
use log::warn;
use ruma::{
    OneTimeKeyAlgorithm, OwnedRoomId, OwnedUserId, UserId,
    api::client::{
        keys::{claim_keys, get_keys},
        membership::{get_member_events, join_room_by_id},
        state::get_state_event_for_key,
    },
    events::{StateEventType, room::member::MembershipState},
};

use super::{
    api::{BuildError, Call},
    engine::{Engine, Error},
    own_steps::OwnStep,
    sending::Unprepared,
};
use crate::{
    crypto::Device,
    store::{self, OutboxRow, Transaction},
};

/// Users of one `/keys/query`, and devices of one `/keys/claim`.
const PER_REQUEST: usize = 250;

/// How long the homeserver should wait for other servers.
const FEDERATION_TIMEOUT: Duration = Duration::from_secs(10);

/// A request and what its answer is about.
pub struct Want {
    /// What is asked.
    pub key: WantKey,
    /// The request.
    pub call: Call,
    /// What is needed to take in the answer.
    pub about: About,
}

/// All that is to be asked now.
pub struct Wants {
    /// The requests.
    pub requests: Vec<Want>,
    /// More follows as soon as these are begun.
    pub again: bool,
}

/// Requests with the same key are never under way together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WantKey {
    /// `/keys/upload`.
    Upload,
    /// `/keys/query`.
    Query,
    /// `/keys/claim`.
    Claim,
    /// What the bot's own identity needs next.
    OwnIdentity,
    /// `/rooms/{}/members`.
    Members(OwnedRoomId),
    /// `/rooms/{}/state/m.room.encryption`.
    Encryption(OwnedRoomId),
    /// `/rooms/{}/join`.
    Join(OwnedRoomId),
    /// `/rooms/{}/messages`.
    Gap(OwnedRoomId),
    /// The head of a lane of the outbox.
    Lane(String),
}

/// What the answer to a want is taken in with.
pub enum About {
    /// Keys were uploaded.
    Upload {
        /// The identity of the device among them.
        with_device_keys: bool,
        /// The id of the fallback key among them.
        fallback: Option<String>,
    },
    /// These users' devices were asked for, at these generations.
    Query(Vec<(OwnedUserId, i64)>),
    /// These devices' one-time keys were asked for.
    Claim(Vec<Device>),
    /// A step towards the bot's own identity.
    OwnIdentity(OwnStep),
    /// This room's members were asked for, at this generation.
    Members(OwnedRoomId, i64),
    /// This room's encryption was asked for.
    Encryption(OwnedRoomId),
    /// This room was to be joined.
    Join(OwnedRoomId),
    /// What lies before this position in this room's timeline was asked for.
    Gap(OwnedRoomId, String),
    /// This row of the outbox was sent, in this lane.
    Outbox(i64, String),
}

impl Engine {
    /// Prepares what can be sent, and returns all that is to be asked now, but
    /// for what would follow something `busy`. The caller commits before it sends
    /// any of it, and leaves out what is already under way. Nothing is encrypted
    /// for rooms before a first sync was taken in (`synced`).
    pub fn wants(
        &self,
        tx: &Transaction<'_>,
        synced: bool,
        now: u64,
        busy: &dyn Fn(&WantKey) -> bool,
    ) -> Result<Wants, Error> {
        let mut wants = Vec::new();
        self.withdraw_in_clear(tx, busy)?;
        let Unprepared { claims, again } = match synced {
            true => self.prepare_replies(tx, now, busy(&WantKey::Claim))?,
            false => Unprepared::default(),
        };
        let account = self.account(tx)?;
        if let Some(upload) = account.upload()? {
            wants.push(Want {
                key: WantKey::Upload,
                call: Call {
                    method: Method::POST,
                    path: "/_matrix/client/v3/keys/upload".to_owned(),
                    body: serde_json::to_vec(&upload).map_err(|_| Error::Account)?,
                },
                about: About::Upload {
                    with_device_keys: upload.device_keys.is_some(),
                    fallback: account.unpublished_fallback(),
                },
            });
        }
        // The bot's own device is asked for only when it can be there.
        let ask_own = account.device_keys_uploaded();
        wants.extend(query(tx, now, (!ask_own).then_some(&*self.user))?);
        wants.extend(claim(tx, claims)?);
        for (room, generation) in tx.rooms_without_members()? {
            let mut request = get_member_events::v3::Request::new(room.clone());
            request.membership = Some(MembershipState::Join);
            let key = WantKey::Members(room.clone());
            if let Some(call) = built(&key, Call::new(request)) {
                let about = About::Members(room, generation);
                wants.push(Want { key, call, about });
            }
        }
        for room in tx.rooms_without_encryption()? {
            let request = get_state_event_for_key::v3::Request::new(
                room.clone(),
                StateEventType::RoomEncryption,
                String::new(),
            );
            let key = WantKey::Encryption(room.clone());
            if let Some(call) = built(&key, Call::new(request)) {
                let about = About::Encryption(room);
                wants.push(Want { key, call, about });
            }
        }
        for room in tx.invites()? {
            let key = WantKey::Join(room.clone());
            match built(
                &key,
                Call::new(join_room_by_id::v3::Request::new(room.clone())),
            ) {
                Some(call) => wants.push(Want {
                    key,
                    call,
                    about: About::Join(room),
                }),
                None => tx.forget_invite(&room)?,
            }
        }
        wants.extend(self.gap_wants(tx)?);
        wants.extend(self.own_identity_want(tx)?);
        wants.extend(self.sends(tx, busy)?);
        Ok(Wants {
            requests: wants,
            again,
        })
    }

    /// The heads of the outbox's lanes, but for those that are `busy`: what is
    /// under way need not be in memory twice. Reads only.
    pub fn sends(
        &self,
        tx: &Transaction<'_>,
        busy: &dyn Fn(&WantKey) -> bool,
    ) -> Result<Vec<Want>, store::Error> {
        let mut sends = Vec::new();
        for (id, lane) in tx.outbox_heads()? {
            if !busy(&WantKey::Lane(lane))
                && let Some(row) = tx.outbox_row(id)?
                && self.may_leave(tx, &row)?
            {
                sends.push(send(row));
            }
        }
        Ok(sends)
    }
}

/// The call, if there can be one: what cannot be asked for stops nothing else.
fn built(key: &WantKey, call: Result<Call, BuildError>) -> Option<Call> {
    call.inspect_err(|fault| warn!("{key:?} is not asked for: {fault}"))
        .ok()
}

fn send(row: OutboxRow) -> Want {
    Want {
        key: WantKey::Lane(row.lane.clone()),
        call: Call {
            method: Method::PUT,
            path: row.path,
            body: row.body,
        },
        about: About::Outbox(row.id, row.lane),
    }
}

fn query(tx: &Transaction<'_>, now: u64, except: Option<&UserId>) -> Result<Option<Want>, Error> {
    let mut users = tx.outdated_users(now, PER_REQUEST)?;
    users.retain(|(user, _)| Some(&**user) != except);
    if users.is_empty() {
        return Ok(None);
    }
    let mut request = get_keys::v3::Request::new();
    request.timeout = Some(FEDERATION_TIMEOUT);
    request.device_keys = users
        .iter()
        .map(|(user, _)| (user.clone(), Vec::new()))
        .collect();
    Ok(Some(Want {
        key: WantKey::Query,
        call: Call::new(request)?,
        about: About::Query(users),
    }))
}

fn claim(tx: &Transaction<'_>, for_replies: Vec<Device>) -> Result<Option<Want>, Error> {
    let mut devices = for_replies;
    for (user, id) in tx.devices_to_unwedge()? {
        match tx.device(&user, &id)? {
            Some(device) => devices.push(device),
            None => {
                tx.finish_unwedge(&user, &id)?;
            }
        }
    }
    devices.sort_by(|a, b| (&a.user, &a.id).cmp(&(&b.user, &b.id)));
    devices.dedup_by(|a, b| a.user == b.user && a.id == b.id);
    devices.truncate(PER_REQUEST);
    if devices.is_empty() {
        return Ok(None);
    }
    let mut keys: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for device in &devices {
        keys.entry(device.user.clone())
            .or_default()
            .insert(device.id.clone(), OneTimeKeyAlgorithm::SignedCurve25519);
    }
    let mut request = claim_keys::v3::Request::new(keys);
    request.timeout = Some(FEDERATION_TIMEOUT);
    Ok(Some(Want {
        key: WantKey::Claim,
        call: Call::new(request)?,
        about: About::Claim(devices),
    }))
}
