//! The homeserver's refusals, read by what they say.
//!
//! <https://spec.matrix.org/v1.11/client-server-api/#standard-error-response>

use crate::matrix::{client::Fault, e2ee::RequestContext};

/// The meaning of a refusal for a request.
pub enum Refusal {
    /// It is not sent again.
    Final,
    /// It is not sent again as it is: a message that is related to another one may be
    /// refused because of that.
    Related,
    /// It is sent again later.
    Retry,
    /// The store is older than the device: its keys must not be used again.
    Outlived(String),
    /// Somebody has used this device before, whom the store does not know: its keys
    /// need other ids.
    IdsTaken(String),
}

/// The meaning of a Matrix error that is the answer to a request.
pub fn refused(about: &RequestContext, status: u16, errcode: &str, message: &str) -> Refusal {
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
        RequestContext::Encryption(_) if errcode == "M_NOT_FOUND" => Refusal::Final,
        RequestContext::Outbox(..) if status == 400 => Refusal::Related,
        RequestContext::Outbox(..) => Refusal::Final,
        // That the bot is no longer in a room is told by a sync, not by a refusal.
        _ => Refusal::Retry,
    }
}

/// Returns true if a homeserver's words are that a one-time key has this id already, as
/// Synapse and Dendrite say it: their errors have no code of their own for it.
fn says_that_a_key_exists(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    let names_key = ["one time key", "one-time key", "fallback key", "key id"]
        .iter()
        .any(|name| message.contains(name));
    names_key && message.contains("already exists")
}

/// A refusal of the device's keys as such, also where the homeserver gives it no code:
/// its words tell what is wrong.
pub fn with_code(about: &RequestContext, fault: Fault) -> Fault {
    match fault {
        Fault::Broken {
            status: status @ 400..500,
            words: Some(message),
            ..
        } if matches!(about, RequestContext::Upload { .. }) => Fault::Refused {
            status,
            errcode: "without a code".to_owned(),
            message,
        },
        fault => fault,
    }
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
    fn a_bad_message_may_be_one_without_its_relation() {
        let about = RequestContext::Outbox(1, "!r:test".to_owned());
        let bad = refused(
            &about,
            400,
            "M_BAD_JSON",
            "Can't send relation to unknown event",
        );
        assert!(matches!(bad, Refusal::Related));
        for (status, errcode) in [(403, "M_FORBIDDEN"), (413, "M_TOO_LARGE")] {
            let refusal = refused(&about, status, errcode, "");
            assert!(matches!(refusal, Refusal::Final), "{errcode}");
        }
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
