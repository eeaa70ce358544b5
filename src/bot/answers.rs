//! What the homeserver's answers to the engine's requests mean.

use super::policy::Policy;
use crate::{
    health::Tallies,
    json::Sifted,
    matrix::{self, About, Engine, Message},
    store::Transaction,
};

/// Journals messages, in order; says first where some may be missing.
pub(super) fn judge(
    engine: &Engine,
    policy: &Policy,
    tx: &Transaction<'_>,
    messages: &[Message],
) -> Result<Tallies, matrix::Error> {
    policy.tell_missed(tx, engine)?;
    messages
        .iter()
        .filter_map(|message| policy.judge_message(tx, engine, message).transpose())
        .collect()
}

/// Judges what waited.
pub(super) fn judge_again(
    engine: &Engine,
    policy: &Policy,
    tx: &Transaction<'_>,
    now: u64,
) -> Result<Tallies, matrix::Error> {
    let mut messages = Vec::new();
    engine.judge_held(tx, now, &mut messages)?;
    judge(engine, policy, tx, &messages)
}

/// Takes in an answer.
pub(super) fn take_body(
    engine: &Engine,
    policy: &Policy,
    tx: &Transaction<'_>,
    about: &About,
    answer: &Sifted,
    now: u64,
) -> Result<Tallies, matrix::Error> {
    let body = answer.body.as_slice();
    match about {
        About::Upload {
            with_device_keys,
            fallback,
        } => engine.take_upload(tx, *with_device_keys, fallback.as_deref())?,
        // Taken in elsewhere.
        About::Query(_) | About::Invites => {}
        About::OwnIdentity(step) => engine.take_own_step(tx, *step, body, now)?,
        About::Claim(asked) => engine.take_claim(tx, asked, body, now)?,
        About::Members(room, generation) => engine.take_members(tx, room, *generation, body)?,
        About::Encryption(room) => {
            engine.take_room_encryption(tx, room, Some(body))?;
            return judge_again(engine, policy, tx, now);
        }
        About::Join(room) => tx.forget_invite(room)?,
        About::Gap(room, token) => {
            let max_age = u64::try_from(policy.command_max_age.as_millis()).unwrap_or(u64::MAX);
            engine.take_gap(tx, room, token, answer, max_age, now)?;
            return judge_again(engine, policy, tx, now);
        }
        About::Outbox(row, _) => tx.finish_outbox(*row)?,
    }
    Ok(Tallies::default())
}

/// What a refusal means for a request.
pub(super) enum Refusal {
    /// It is not sent again.
    Final,
    /// It is sent again later.
    Retry,
    /// The store is older than the device: its keys must not be used again.
    Outlived(String),
    /// The program must stop.
    Fatal(String),
}

/// Decides on a Matrix error that is the answer to a request.
pub(super) fn refused(about: &About, status: u16, errcode: &str, message: &str) -> Refusal {
    match about {
        About::OwnIdentity(_) | About::Gap(..) => Refusal::Final,
        // A server, or a worker of it, that does not know the endpoint yet.
        _ if errcode == "M_UNRECOGNIZED" => Refusal::Retry,
        // Another key under an id that this device has used: it was made by a
        // life of the device that the store does not know.
        About::Upload { .. } if status == 400 => Refusal::Outlived(format!(
            "the homeserver has other keys of this device than the store in CRYPTO_STORE_PATH \
             ({status} {errcode}: {message}): the store is an older copy"
        )),
        About::Upload { .. } => Refusal::Fatal(format!(
            "the homeserver refuses this device's keys ({status} {errcode}: {message}): the store \
             in CRYPTO_STORE_PATH is older than the device, or of another one; move it away to \
             start as a new device"
        )),
        // That the bot is no longer in a room is told by a sync, not by a refusal.
        About::Query(_) | About::Claim(_) | About::Members(..) | About::Invites => Refusal::Retry,
        About::Encryption(_) if errcode != "M_NOT_FOUND" => Refusal::Retry,
        About::Join(_) => Refusal::Retry,
        About::Encryption(_) | About::Outbox(..) => Refusal::Final,
    }
}

/// A Matrix error.
pub(super) struct Said<'a> {
    /// The HTTP status.
    pub(super) status: u16,
    /// `M_…`.
    pub(super) errcode: &'a str,
    /// The server's words.
    pub(super) message: &'a str,
}

/// Takes in that a request cannot be sent, for this reason: what it is about is given
/// up, or stays as it is and is tried again.
pub(super) fn give_up_unsendable(
    engine: &Engine,
    tx: &Transaction<'_>,
    about: &About,
    why: &str,
) -> Result<(), matrix::Error> {
    match about {
        About::OwnIdentity(_) => engine.own_step_unsendable(tx, why),
        About::Join(room) => Ok(tx.forget_invite(room)?),
        About::Gap(room, _) => engine.give_up_gap(tx, room),
        About::Outbox(row, lane) => Ok(tx.give_up_outbox(*row, lane)?),
        About::Upload { .. }
        | About::Query(_)
        | About::Claim(_)
        | About::Members(..)
        | About::Invites
        | About::Encryption(_) => Ok(()),
    }
}

/// Takes in that a request was refused for good.
pub(super) fn give_up(
    engine: &Engine,
    policy: &Policy,
    tx: &Transaction<'_>,
    about: &About,
    said: &Said<'_>,
    now: u64,
) -> Result<Tallies, matrix::Error> {
    match about {
        About::OwnIdentity(step) => {
            engine.own_step_refused(tx, *step, said.status, said.errcode, said.message)?;
        }
        // There is no such state: the room is not encrypted.
        About::Encryption(room) => {
            engine.take_room_encryption(tx, room, None)?;
            return judge_again(engine, policy, tx, now);
        }
        About::Gap(room, _) => {
            engine.give_up_gap(tx, room)?;
            return judge_again(engine, policy, tx, now);
        }
        About::Outbox(row, lane) => tx.give_up_outbox(*row, lane)?,
        // Never given up.
        About::Upload { .. }
        | About::Query(_)
        | About::Claim(_)
        | About::Members(..)
        | About::Join(_)
        | About::Invites => {}
    }
    Ok(Tallies::default())
}
