//! The answers to the engine's requests, taken into the store.

use super::chat::Door;
use crate::{
    json::Sifted,
    matrix::e2ee::{Engine, Error, RequestContext},
    store::Transaction,
    telemetry::MetricEvents,
};

/// Takes in an answer.
pub(super) fn handle_body(
    engine: &Engine,
    chat: Door<'_>,
    tx: &Transaction<'_>,
    about: &RequestContext,
    answer: &Sifted,
    now: u64,
) -> Result<MetricEvents, Error> {
    let body = answer.body.as_slice();
    match about {
        RequestContext::Upload {
            with_device_keys,
            fallback,
        } => engine.handle_upload(tx, *with_device_keys, fallback.as_deref())?,
        // Taken in elsewhere.
        RequestContext::Query(_) | RequestContext::Invites => {}
        RequestContext::OwnIdentity(step) => {
            engine.handle_cross_signing_step(tx, *step, body, now)?
        }
        RequestContext::Claim(asked) => engine.handle_claim(tx, asked, body, now)?,
        RequestContext::Members(room, generation) => {
            engine.handle_members(tx, room, *generation, body)?
        }
        RequestContext::Encryption(room) => {
            engine.handle_room_encryption(tx, room, Some(body))?;
            return chat.receive_undecrypted(tx, engine, now);
        }
        RequestContext::Join(room) => tx.invites().forget(room)?,
        RequestContext::Gap(room, token) => {
            let max_age = u64::try_from(chat.chat.policy.max_age.as_millis()).unwrap_or(u64::MAX);
            engine.handle_backfill(tx, room, token, answer, max_age, now)?;
            return chat.receive_undecrypted(tx, engine, now);
        }
        RequestContext::Outbox(row, _) => tx.outbox().finish(*row)?,
    }
    Ok(MetricEvents::default())
}

/// A Matrix error: <https://spec.matrix.org/v1.11/client-server-api/#standard-error-response>.
pub(super) struct Refused<'a> {
    /// The HTTP status.
    pub(super) status: u16,
    /// `M_…`.
    pub(super) errcode: &'a str,
    /// The server's words.
    pub(super) message: &'a str,
}

/// Takes in that a request cannot be sent, for this reason: its subject is given up, or
/// stays as it is and is tried again.
pub(super) fn give_up_unsendable(
    engine: &Engine,
    tx: &Transaction<'_>,
    about: &RequestContext,
    why: &str,
) -> Result<(), Error> {
    match about {
        RequestContext::OwnIdentity(_) => engine.cross_signing_unsendable(tx, why),
        RequestContext::Join(room) => Ok(tx.invites().forget(room)?),
        RequestContext::Gap(room, _) => engine.give_up_backfill(tx, room),
        RequestContext::Outbox(row, lane) => Ok(tx.outbox().give_up(*row, lane)?),
        RequestContext::Upload { .. }
        | RequestContext::Query(_)
        | RequestContext::Claim(_)
        | RequestContext::Members(..)
        | RequestContext::Invites
        | RequestContext::Encryption(_) => Ok(()),
    }
}

/// Takes in that a request was refused for good.
pub(super) fn give_up(
    engine: &Engine,
    chat: Door<'_>,
    tx: &Transaction<'_>,
    about: &RequestContext,
    said: &Refused<'_>,
    now: u64,
) -> Result<MetricEvents, Error> {
    match about {
        RequestContext::OwnIdentity(step) => {
            engine.cross_signing_refused(tx, *step, said.status, said.errcode, said.message)?;
        }
        // There is no such state: the room is not encrypted.
        RequestContext::Encryption(room) => {
            engine.handle_room_encryption(tx, room, None)?;
            return chat.receive_undecrypted(tx, engine, now);
        }
        RequestContext::Gap(room, _) => {
            engine.give_up_backfill(tx, room)?;
            return chat.receive_undecrypted(tx, engine, now);
        }
        RequestContext::Outbox(row, lane) => tx.outbox().give_up(*row, lane)?,
        // Never given up.
        RequestContext::Upload { .. }
        | RequestContext::Query(_)
        | RequestContext::Claim(_)
        | RequestContext::Members(..)
        | RequestContext::Join(_)
        | RequestContext::Invites => {}
    }
    Ok(MetricEvents::default())
}
