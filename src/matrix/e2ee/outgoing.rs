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

use super::cross_signing::bootstrap::CrossSigningStep;
use super::engine::{Engine, Error};
use super::sending::Unprepared;
use crate::matrix::client::{Answer, BuildError, Call, invites_call};
use crate::{
    crypto::Device,
    store::{self, InClear, OutboxRow, OutdatedUser, Transaction},
};

/// Users of one `/keys/query`: so many that their lists fit into the answer's
/// budget, as lists usually are.
const USERS_PER_QUERY: usize = 100;

/// Devices of one `/keys/claim`: each costs some curve operations when the answer
/// is taken in.
const DEVICES_PER_CLAIM: usize = 100;

/// How long the homeserver should wait for other servers.
const FEDERATION_TIMEOUT: Duration = Duration::from_secs(10);

/// A request and what its answer is about.
pub struct OutgoingRequest {
    /// What is asked.
    pub key: RequestKey,
    /// The request.
    pub call: Call,
    /// What is needed to take in the answer.
    pub about: RequestContext,
}

/// All that is to be asked now.
pub struct Outgoing {
    /// The requests.
    pub requests: Vec<OutgoingRequest>,
    /// More follows as soon as these are begun.
    pub has_more: bool,
    /// When a reply stops waiting for others, by the bot's own clock, in
    /// milliseconds.
    pub patience_ends: Option<u64>,
}

/// Whose devices a request is about. Those of the bot and of allowed users are
/// asked for apart from everybody else's: nobody else can delay them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeviceOwner {
    /// The bot's own, and those of who may command.
    Commanders,
    /// Everybody else's.
    Others,
}

/// Requests with the same key are never under way together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RequestKey {
    /// `/keys/upload`.
    Upload,
    /// `/keys/query`.
    Query(DeviceOwner),
    /// `/keys/claim`.
    Claim(DeviceOwner),
    /// What the bot's own identity needs next.
    OwnIdentity,
    /// `/rooms/{}/members`.
    Members(OwnedRoomId),
    /// `/rooms/{}/state/m.room.encryption`.
    Encryption(OwnedRoomId),
    /// `/rooms/{}/join`.
    Join(OwnedRoomId),
    /// `/sync` from the beginning, for the invites that stand.
    Invites,
    /// `/rooms/{}/messages`.
    Gap(OwnedRoomId),
    /// The head of a lane of the outbox.
    Lane(String),
}

/// What the answer to a want is taken in with.
pub enum RequestContext {
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
    OwnIdentity(CrossSigningStep),
    /// This room's members were asked for, at this generation.
    Members(OwnedRoomId, i64),
    /// This room's encryption was asked for.
    Encryption(OwnedRoomId),
    /// This room was to be joined.
    Join(OwnedRoomId),
    /// All invites that stand were asked for.
    Invites,
    /// What lies before this position in this room's timeline was asked for.
    Gap(OwnedRoomId, String),
    /// This row of the outbox was sent, in this lane.
    Outbox(i64, String),
}

impl RequestContext {
    /// The endpoint that was asked.
    pub fn answer(&self) -> Answer {
        match self {
            Self::Query(_) => Answer::Devices,
            Self::Claim(_) => Answer::OneTimeKeys,
            Self::Members(..) => Answer::Members,
            Self::Gap(..) => Answer::Messages,
            Self::Encryption(_) => Answer::RoomEncryption,
            Self::Invites => Answer::Invites,
            Self::OwnIdentity(CrossSigningStep::Sign) => Answer::Signatures,
            Self::OwnIdentity(CrossSigningStep::Recover) => Answer::AccountData,
            Self::OwnIdentity(CrossSigningStep::Upload)
            | Self::Upload { .. }
            | Self::Join(_)
            | Self::Outbox(..) => Answer::Nothing,
        }
    }
}

impl Engine {
    /// Prepares what can be sent, and returns all that is to be asked now, but
    /// for what would follow something `busy` and for [`Engine::sends`]. The caller commits before it sends
    /// any of it, and leaves out what is already under way. Nothing is encrypted
    /// for rooms before a first sync was taken in (`synced`).
    pub fn outgoing(
        &self,
        tx: &Transaction<'_>,
        synced: bool,
        now: u64,
        busy: &dyn Fn(&RequestKey) -> bool,
    ) -> Result<Outgoing, Error> {
        tx.device_lists().date_outdated(self.own_now())?;
        let mut outgoing = Vec::new();
        self.withdraw_in_clear(tx, busy)?;
        let Unprepared {
            claims,
            has_more,
            patience_ends,
            ..
        } = match synced {
            true => self.prepare_replies(tx, now, busy)?,
            false => Unprepared::default(),
        };
        let account = self.account(tx)?;
        if let Some(upload) = account.upload()? {
            outgoing.push(OutgoingRequest {
                key: RequestKey::Upload,
                call: Call {
                    method: Method::POST,
                    path: "/_matrix/client/v3/keys/upload".to_owned(),
                    body: serde_json::to_vec(&upload).map_err(|_| Error::Account)?,
                },
                about: RequestContext::Upload {
                    with_device_keys: upload.device_keys.is_some(),
                    fallback: account.unpublished_fallback(),
                },
            });
        }
        // The bot's own device is asked for only when it can be there.
        let ask_own = account.device_keys_uploaded();
        outgoing.extend(self.query_commanders(tx, now, ask_own)?);
        outgoing.extend(self.query_others(tx, now)?);
        outgoing.extend(self.claims(tx, claims)?);
        for (room, generation) in tx.members().incomplete_rooms()? {
            let mut request = get_member_events::v3::Request::new(room.clone());
            request.membership = Some(MembershipState::Join);
            let key = RequestKey::Members(room.clone());
            if let Some(call) = built(&key, Call::new(request)) {
                let about = RequestContext::Members(room, generation);
                outgoing.push(OutgoingRequest { key, call, about });
            }
        }
        for room in tx.rooms().without_encryption()? {
            let request = get_state_event_for_key::v3::Request::new(
                room.clone(),
                StateEventType::RoomEncryption,
                String::new(),
            );
            let key = RequestKey::Encryption(room.clone());
            if let Some(call) = built(&key, Call::new(request)) {
                let about = RequestContext::Encryption(room);
                outgoing.push(OutgoingRequest { key, call, about });
            }
        }
        if synced && self.lists_invites.get() {
            outgoing.push(OutgoingRequest {
                key: RequestKey::Invites,
                call: invites_call(),
                about: RequestContext::Invites,
            });
        }
        for room in tx.invites().rooms_to_join()? {
            let key = RequestKey::Join(room.clone());
            match built(
                &key,
                Call::new(join_room_by_id::v3::Request::new(room.clone())),
            ) {
                Some(call) => outgoing.push(OutgoingRequest {
                    key,
                    call,
                    about: RequestContext::Join(room),
                }),
                None => tx.invites().forget(&room)?,
            }
        }
        outgoing.extend(self.backfill_requests(tx)?);
        outgoing.extend(self.cross_signing_request(tx)?);
        Ok(Outgoing {
            requests: outgoing,
            has_more,
            patience_ends,
        })
    }

    /// The heads of the outbox's lanes, but for those that are `busy`: what is
    /// under way, or cannot be now, need not be in memory. Nothing leaves in clear
    /// before a first sync was taken in (`synced`): it may tell that the room is
    /// encrypted. Reads only.
    pub fn outbox_requests(
        &self,
        tx: &Transaction<'_>,
        synced: bool,
        busy: &dyn Fn(&RequestKey) -> bool,
    ) -> Result<Vec<OutgoingRequest>, store::Error> {
        let mut sends = Vec::new();
        for (id, lane) in tx.outbox().heads()? {
            if !busy(&RequestKey::Lane(lane))
                && let Some(row) = tx.outbox().find(id)?
                && (row.in_clear == InClear::No || (synced && self.may_be_sent(tx, &row)?))
            {
                sends.push(send(row));
            }
        }
        Ok(sends)
    }
}

/// The call, if there can be one: what cannot be asked for stops nothing else.
fn built(key: &RequestKey, call: Result<Call, BuildError>) -> Option<Call> {
    call.inspect_err(|fault| warn!("{key:?} is not asked for: {fault}"))
        .ok()
}

fn send(row: OutboxRow) -> OutgoingRequest {
    OutgoingRequest {
        key: RequestKey::Lane(row.lane.clone()),
        call: Call {
            method: Method::PUT,
            path: row.path,
            body: row.body,
        },
        about: RequestContext::Outbox(row.id, row.lane),
    }
}

impl Engine {
    /// Whose devices these are.
    pub(crate) fn whose(&self, user: &UserId) -> DeviceOwner {
        match user == self.user || self.commanders.users.contains(user) {
            true => DeviceOwner::Commanders,
            false => DeviceOwner::Others,
        }
    }

    fn query_commanders(
        &self,
        tx: &Transaction<'_>,
        now: u64,
        ask_own: bool,
    ) -> Result<Option<OutgoingRequest>, Error> {
        let mut outdated = Vec::new();
        let own = ask_own.then_some(&self.user);
        for user in own.into_iter().chain(&self.commanders.users) {
            outdated.extend(tx.device_lists().outdated_of(user, now)?);
        }
        query(DeviceOwner::Commanders, outdated)
    }

    fn query_others(
        &self,
        tx: &Transaction<'_>,
        now: u64,
    ) -> Result<Option<OutgoingRequest>, Error> {
        let known = self.commanders.users.len() + 1;
        let mut outdated = tx.device_lists().outdated(now, USERS_PER_QUERY + known)?;
        outdated.retain(|found| self.whose(&found.user) == DeviceOwner::Others);
        query(DeviceOwner::Others, outdated)
    }

    /// A request for one-time keys for each group of devices.
    fn claims(
        &self,
        tx: &Transaction<'_>,
        for_replies: Vec<Device>,
    ) -> Result<Vec<OutgoingRequest>, Error> {
        let mut devices = for_replies;
        for (user, id) in tx.olm_peers().to_unwedge()? {
            match tx.devices().find(&user, &id)? {
                Some(device) => devices.push(device),
                None => {
                    tx.olm_peers().finish_unwedge(&user, &id)?;
                }
            }
        }
        devices.sort_by(|a, b| (&a.user, &a.id).cmp(&(&b.user, &b.id)));
        devices.dedup_by(|a, b| a.user == b.user && a.id == b.id);
        let (commanders, others) = devices
            .into_iter()
            .partition(|device| self.whose(&device.user) == DeviceOwner::Commanders);
        [
            (DeviceOwner::Commanders, commanders),
            (DeviceOwner::Others, others),
        ]
        .into_iter()
        .filter_map(|(whose, devices)| claim(whose, devices).transpose())
        .collect()
    }
}

/// Asks for the first of these users' devices, as many together as each of them
/// allows.
fn query(
    whose: DeviceOwner,
    outdated: Vec<OutdatedUser>,
) -> Result<Option<OutgoingRequest>, Error> {
    let mut most = USERS_PER_QUERY;
    let mut users = Vec::new();
    for found in outdated {
        let allowed = found.together.unwrap_or(USERS_PER_QUERY).min(most);
        if users.len() >= allowed {
            break;
        }
        most = allowed;
        users.push((found.user, found.generation));
    }
    if users.is_empty() {
        return Ok(None);
    }
    let mut request = get_keys::v3::Request::new();
    request.timeout = Some(FEDERATION_TIMEOUT);
    request.device_keys = users
        .iter()
        .map(|(user, _)| (user.clone(), Vec::new()))
        .collect();
    Ok(Some(OutgoingRequest {
        key: RequestKey::Query(whose),
        call: Call::new(request)?,
        about: RequestContext::Query(users),
    }))
}

fn claim(whose: DeviceOwner, mut devices: Vec<Device>) -> Result<Option<OutgoingRequest>, Error> {
    devices.truncate(DEVICES_PER_CLAIM);
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
    Ok(Some(OutgoingRequest {
        key: RequestKey::Claim(whose),
        call: Call::new(request)?,
        about: RequestContext::Claim(devices),
    }))
}
