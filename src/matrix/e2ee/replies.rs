//! Replies: queued, and moved to the outbox when their room's devices have the key.

use log::{error, warn};
use ruma::{OwnedRoomId, RoomId};
use serde_json::value::RawValue;

use super::account::AccountCache;
use super::context::Context;
use super::cross_signing;
use super::error::Error;
use super::key_sharing::{KeySharing, Lacking};
use super::outbox::{send_call, text_content, transaction_id};
use super::plaintext::PlaintextReplies;
use super::request::RequestKey;
use crate::crypto::{Device, Rotation};
use crate::matrix::client::{InThread, relate, take_relation};
use crate::store::{self, Encryption, InClear, Reply, Transaction};

/// A reply waits so long for people who command nothing: for their devices to be
/// known, for keys to reach them, and for the list of who is in the room. However
/// many they are and whatever their servers do, a command is answered after that.
/// Those who could not be reached by then can read the next reply.
const PATIENCE_MS: u64 = 5_000;

/// The progress of a room's replies.
enum Readiness {
    /// They are in the outbox.
    Done,
    /// They wait for an answer that is being asked for anyway (members, devices,
    /// encryption, one-time keys).
    Wait,
    /// There are devices that lack the key.
    Share(Lacking),
}

/// The replies of all rooms are prepared with this.
pub(super) struct Preparation<'a> {
    pub(super) context: &'a Context,
    pub(super) accounts: &'a AccountCache,
    pub(super) plaintext: PlaintextReplies,
    pub(super) tx: &'a Transaction<'a>,
    /// Milliseconds since the Unix epoch.
    pub(super) now: u64,
    /// Tells which requests are under way.
    pub(super) busy: &'a dyn Fn(&RequestKey) -> bool,
}

/// The claims that are missing before all replies can leave.
#[derive(Default)]
pub(super) struct Unprepared {
    /// Devices whose one-time keys have to be claimed.
    pub(super) claims: Vec<Device>,
    /// There is more to do at once.
    pub(super) has_more: bool,
    /// The time at which a reply stops waiting for others, by the bot's own clock, in
    /// milliseconds.
    pub(super) patience_ends: Option<u64>,
}

/// Queues a text for a room, or for a thread in it. One that answers no command
/// that ran (`is_answer`) is left unsaid where too much else waits to be said.
pub(super) fn queue(
    context: &Context,
    tx: &Transaction<'_>,
    room: &RoomId,
    thread: Option<InThread<'_>>,
    text: &str,
    is_answer: bool,
) -> Result<(), Error> {
    let (id, kind, own_now) = (transaction_id()?, "m.room.message", context.own_now());
    let content = threaded(text, thread).to_string();
    let replies = tx.replies();
    replies.put(room, &id, kind, &content, own_now, is_answer)?;
    Ok(())
}

impl Preparation<'_> {
    /// Moves what can be moved from the replies to the outbox, and returns what
    /// stands before the rest. While a claim is `busy` no other like it is prepared.
    pub(super) fn run(&self) -> Result<Unprepared, Error> {
        let mut unprepared = Unprepared::default();
        let earliest = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
        for room in self.tx.replies().rooms()? {
            let (readiness, patience_ends) = self.prepare_room(&room)?;
            if !matches!(readiness, Readiness::Done) {
                unprepared.patience_ends = earliest(unprepared.patience_ends, patience_ends);
            }
            if let Readiness::Share(Lacking {
                claims, has_more, ..
            }) = readiness
            {
                unprepared.claims.extend(claims);
                unprepared.has_more |= has_more;
            }
        }
        Ok(unprepared)
    }

    /// Prepares one room, and tells until when its replies wait for others.
    fn prepare_room(&self, room: &OwnedRoomId) -> Result<(Readiness, Option<u64>), Error> {
        let Self { context, tx, .. } = *self;
        if !tx.rooms().is_joined(room)? {
            let dropped = tx.replies().drop_room(room)?;
            warn!("not in {room} any more: {dropped} replies dropped");
            return Ok((Readiness::Done, None));
        }
        let replies = tx.replies().unprepared(room)?;
        match tx.rooms().encryption(room)? {
            Encryption::Unknown => Ok((Readiness::Wait, None)),
            Encryption::Unsupported => {
                let dropped = tx.replies().drop_room(room)?;
                warn!(
                    "{room} has an encryption this program does not know: {dropped} replies dropped"
                );
                Ok((Readiness::Done, None))
            }
            Encryption::Plaintext => {
                self.plaintext.queue(tx, &replies)?;
                Ok((Readiness::Done, None))
            }
            Encryption::Megolm(rotation) => {
                let ends = replies.iter().map(|reply| reply.queued_at).min();
                let ends = ends.map(|queued_at| queued_at.saturating_add(PATIENCE_MS));
                let is_patient = ends.is_some_and(|ends| context.own_now() < ends);
                let readiness = self.prepare_encrypted(room, rotation, &replies, is_patient)?;
                Ok((readiness, ends.filter(|_| is_patient)))
            }
        }
    }

    fn prepare_encrypted(
        &self,
        room: &OwnedRoomId,
        rotation: Rotation,
        replies: &[Reply],
        is_patient: bool,
    ) -> Result<Readiness, Error> {
        let Self {
            context, tx, now, ..
        } = *self;
        let must_wait = match is_patient {
            true => {
                !tx.members().are_complete(room)?
                    || tx.device_lists().has_outdated_members(room, now)?
            }
            false => has_outdated_commanders(context, tx, room, now)?,
        };
        if must_wait {
            return Ok(Readiness::Wait);
        }
        let account = self.accounts.load(tx)?;
        if !account.device_keys_uploaded() || !cross_signing::is_done(tx)? {
            // Nobody could make sense of a message from an unknown device, and
            // who insists on signed devices would throw away the key.
            return Ok(Readiness::Wait);
        }
        let sharing = KeySharing {
            context,
            tx,
            account: &account,
            room,
            now,
            busy: self.busy,
        };
        for reply in replies {
            let mut group = sharing.outbound_group(rotation)?;
            if let Some(lacking) = sharing.share(&group)?
                && (is_patient || lacking.is_about_commanders)
            {
                return Ok(Readiness::Share(lacking));
            }
            let corrupt = |_| store::Error::Corrupt("a reply");
            let (content, relation) = match take_relation(&reply.content) {
                Some((content, relation)) => (content, Some(relation)),
                None => (reply.content.clone(), None),
            };
            let content = RawValue::from_string(content).map_err(corrupt)?;
            let mut content = group
                .encrypt(&account, &reply.kind, &content)
                .map_err(|_| Error::Account)?;
            if let Some(relation) = relation {
                content = beside(&content, relation)?;
            }
            tx.outbound_sessions().put(room, &group)?;
            put_encrypted(tx, reply, content)?;
        }
        Ok(Readiness::Done)
    }
}

fn has_outdated_commanders(
    context: &Context,
    tx: &Transaction<'_>,
    room: &RoomId,
    now: u64,
) -> Result<bool, Error> {
    for user in &context.commanders.users {
        if tx.members().contains(room, user)? && tx.device_lists().must_query(user, now)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The same, in a thread if there is one.
fn threaded(text: &str, thread: Option<InThread<'_>>) -> serde_json::Value {
    let mut content = text_content(text);
    if let Some(thread) = thread {
        thread.put(&mut content);
    }
    content
}

/// Puts a relation beside a ciphertext, where servers and clients look for it.
fn beside(content: &RawValue, relation: serde_json::Value) -> Result<Box<RawValue>, Error> {
    let content: Result<serde_json::Value, _> = serde_json::from_str(content.get());
    let mut content = content.map_err(|_| Error::Account)?;
    relate(&mut content, relation);
    serde_json::value::to_raw_value(&content).map_err(|_| Error::Account)
}

/// Queues a reply that was encrypted.
fn put_encrypted(tx: &Transaction<'_>, reply: &Reply, content: Box<RawValue>) -> Result<(), Error> {
    match send_call(reply, "m.room.encrypted", content) {
        Ok(call) => {
            let lane = reply.room.as_str();
            tx.outbox()
                .put(lane, &call.path, &call.body, Some(reply.id), InClear::No)?;
        }
        Err(fault) => {
            error!("a reply is given up: {fault}");
            tx.replies().drop_one(reply.id)?;
        }
    }
    Ok(())
}
