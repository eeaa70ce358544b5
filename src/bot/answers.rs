//! What the homeserver's answers to the engine's requests mean.

use super::policy::Policy;
use crate::json::Sifted;
use crate::matrix::e2ee::{self, Engine, Message, RequestContext};
use crate::store::Transaction;
use crate::telemetry::MetricEvents;

/// Journals messages, in order; says first where some may be missing.
pub(super) fn classify(
    engine: &Engine,
    policy: &Policy,
    tx: &Transaction<'_>,
    messages: &[Message],
) -> Result<MetricEvents, e2ee::Error> {
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
) -> Result<MetricEvents, e2ee::Error> {
    let mut messages = Vec::new();
    engine.classify_undecrypted(tx, now, &mut messages)?;
    classify(engine, policy, tx, &messages)
}

/// Takes in an answer.
pub(super) fn handle_body(
    engine: &Engine,
    policy: &Policy,
    tx: &Transaction<'_>,
    about: &RequestContext,
    answer: &Sifted,
    now: u64,
) -> Result<MetricEvents, e2ee::Error> {
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
            return judge_again(engine, policy, tx, now);
        }
        RequestContext::Join(room) => tx.invites().forget(room)?,
        RequestContext::Gap(room, token) => {
            let max_age = u64::try_from(policy.command_max_age.as_millis()).unwrap_or(u64::MAX);
            engine.handle_backfill(tx, room, token, answer, max_age, now)?;
            return judge_again(engine, policy, tx, now);
        }
        RequestContext::Outbox(row, _) => tx.outbox().finish(*row)?,
    }
    Ok(MetricEvents::default())
}

/// What a refusal means for a request.
pub(super) enum Refusal {
    /// It is not sent again.
    Final,
    /// It is sent again later.
    Retry,
    /// The store is older than the device: its keys must not be used again.
    Outlived(String),
    /// Somebody has used this device before, whom the store does not know: its keys
    /// need other ids.
    IdsTaken(String),
}

/// Decides on a Matrix error that is the answer to a request.
pub(super) fn refused(
    about: &RequestContext,
    status: u16,
    errcode: &str,
    message: &str,
) -> Refusal {
    match about {
        RequestContext::OwnIdentity(_) | RequestContext::Gap(..) => Refusal::Final,
        // A server, or a worker of it, that does not know the endpoint yet.
        _ if errcode == "M_UNRECOGNIZED" => Refusal::Retry,
        // Another key under an id that this device has used: it was made by a life of
        // the device that the store does not know. No other refusal says that.
        RequestContext::Upload {
            with_device_keys, ..
        } if says_that_a_key_exists(message) => {
            let answer = format!(
                "the homeserver has other keys of this device than the store in CRYPTO_STORE_PATH \
                 ({status} {errcode}: {message})"
            );
            match with_device_keys {
                true => Refusal::IdsTaken(format!("{answer}: the device was used before")),
                false => Refusal::Outlived(format!("{answer}: the store is an older copy")),
            }
        }
        RequestContext::Upload { .. } => Refusal::Retry,
        // That the bot is no longer in a room is told by a sync, not by a refusal.
        RequestContext::Query(_)
        | RequestContext::Claim(_)
        | RequestContext::Members(..)
        | RequestContext::Invites => Refusal::Retry,
        RequestContext::Encryption(_) if errcode != "M_NOT_FOUND" => Refusal::Retry,
        RequestContext::Join(_) => Refusal::Retry,
        RequestContext::Encryption(_) | RequestContext::Outbox(..) => Refusal::Final,
    }
}

/// Whether a homeserver's words are that a one-time key has this id already: as
/// Synapse and Dendrite say it, whose errors have no code of their own for it.
fn says_that_a_key_exists(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let names_key = ["one time key", "one-time key", "fallback key", "key id"]
        .iter()
        .any(|name| message.contains(name));
    names_key && message.contains("already exists")
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
    about: &RequestContext,
    why: &str,
) -> Result<(), e2ee::Error> {
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
    policy: &Policy,
    tx: &Transaction<'_>,
    about: &RequestContext,
    said: &Said<'_>,
    now: u64,
) -> Result<MetricEvents, e2ee::Error> {
    match about {
        RequestContext::OwnIdentity(step) => {
            engine.cross_signing_refused(tx, *step, said.status, said.errcode, said.message)?;
        }
        // There is no such state: the room is not encrypted.
        RequestContext::Encryption(room) => {
            engine.handle_room_encryption(tx, room, None)?;
            return judge_again(engine, policy, tx, now);
        }
        RequestContext::Gap(room, _) => {
            engine.give_up_backfill(tx, room)?;
            return judge_again(engine, policy, tx, now);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(with_device_keys: bool, status: u16, errcode: &str, words: &str) -> Refusal {
        let about = RequestContext::Upload {
            with_device_keys,
            fallback: None,
        };
        refused(&about, status, errcode, words)
    }

    #[test]
    fn a_refused_upload_is_read_by_what_it_says() {
        let exists = [
            "One time key signed_curve25519:AAAAAA already exists. Old key: {}; new key: {}",
            r#"{"@bot:x":{"D":{"Error":"@bot:x device D: algorithm / key ID signed_curve25519:AAAAAA one-time key already exists"}}}"#,
        ];
        for (words, status, errcode) in [
            (exists[0], 400, "M_UNKNOWN"),
            (exists[0], 409, "M_DUPLICATE_ONE_TIME_KEY"),
            (exists[1], 400, "without a code"),
        ] {
            let of_used = upload(false, status, errcode, words);
            assert!(matches!(of_used, Refusal::Outlived(why) if why.contains("older copy")));
            let of_new = upload(true, status, errcode, words);
            assert!(matches!(of_new, Refusal::IdsTaken(why) if !why.contains("older copy")));
        }
        for (status, errcode, words) in [
            (400, "M_BAD_JSON", "Invalid device keys"),
            (400, "M_UNKNOWN", ""),
            (400, "M_INVALID_PARAM", "device_id already exists elsewhere"),
            (403, "M_FORBIDDEN", "no"),
            (404, "M_NOT_FOUND", "no such device"),
            (404, "M_UNRECOGNIZED", "Unrecognized request"),
            (413, "M_TOO_LARGE", "too large"),
        ] {
            for is_first in [true, false] {
                let refusal = upload(is_first, status, errcode, words);
                assert!(matches!(refusal, Refusal::Retry), "{status} {errcode}");
            }
        }
    }
}
