//! Olm sessions: one is made, opens messages and encrypts them.

use ruma::{CanonicalJsonObject, UserId};
use serde::Serialize;
use serde_json::value::RawValue;
use vodozemac::{
    Curve25519PublicKey,
    olm::{DecryptionError, OlmMessage, Session, SessionConfig, SessionPickle},
};
use zeroize::Zeroizing;

use super::{
    error::OlmError,
    event::OlmEvent,
    payload::{OlmPayload, check_payload},
};
use crate::crypto::{OLM_ALGORITHM, account::Account, device::Device, pickle::Pickle};
use crate::util::wiped_json;

/// One Olm session with one peer device, as stored.
pub struct OlmSession {
    inner: Session,
}

impl OlmSession {
    /// The session as stored by [`OlmSession::pickle`].
    ///
    /// # Errors
    /// The pickle is malformed.
    pub fn from_pickle(pickle: &[u8]) -> Result<Self, serde_json::Error> {
        let pickle: SessionPickle = serde_json::from_slice(pickle)?;
        Ok(Self {
            inner: Session::from_pickle(pickle),
        })
    }

    /// The ratchet, for the store alone.
    ///
    /// # Errors
    /// The session has no JSON form.
    pub fn pickle(&self) -> Result<Pickle, serde_json::Error> {
        Pickle::of(&self.inner.pickle())
    }

    /// The id both ends compute.
    pub fn id(&self) -> String {
        self.inner.session_id()
    }

    /// Encrypts any text, so that a test can lie in every field.
    #[cfg(test)]
    pub(in crate::crypto) fn encrypt_for_test(&mut self, plaintext: &str) -> (usize, String) {
        let (kind, body) = self.inner.encrypt(plaintext).unwrap().to_parts();
        (kind, vodozemac::base64_encode(body))
    }
}

/// A new session towards `peer` from a one-time key that was checked by
/// [`super::one_time_key`]. `None` when the keys do not contribute (a zero
/// point).
pub fn outbound_session(
    account: &Account,
    peer: Curve25519PublicKey,
    one_time_key: Curve25519PublicKey,
) -> Option<OlmSession> {
    let inner = account
        .inner
        .create_outbound_session(SessionConfig::version_1(), peer, one_time_key)
        .ok()?;
    Some(OlmSession { inner })
}

/// A message that a session opened: the ratchet has moved
/// and must be stored, whatever the payload is worth.
pub struct Decrypted {
    /// The session that opened it.
    pub session: OlmSession,
    /// The session is new: the account gave up a one-time key for it.
    pub new_session: bool,
    /// The payload, if its claims hold.
    pub payload: Result<OlmPayload, OlmError>,
}

/// Opens `event` with one of `sessions` (all of its sender key's, freshly
/// loaded: a failed attempt leaves them unusable) or with a new one.
///
/// A pre-key message of a known session is never answered by a second session:
/// when that session does not open it, the message is a replay or damaged.
///
/// # Errors
/// No session opens the message. A refused payload is within [`Decrypted`].
pub fn decrypt(
    account: &mut Account,
    sessions: Vec<OlmSession>,
    event: &OlmEvent,
) -> Result<Decrypted, OlmError> {
    let (session, new_session, plaintext) = match &event.message {
        OlmMessage::PreKey(pre_key) => {
            let id = pre_key.session_id();
            match sessions.into_iter().find(|session| session.id() == id) {
                Some(mut session) => {
                    let opened = session.inner.decrypt(&event.message);
                    let plaintext = opened.map_err(|error| fault(&error))?;
                    (session, false, plaintext)
                }
                None => {
                    let (config, sender_key) = (SessionConfig::version_1(), event.sender_key);
                    let created = account
                        .inner
                        .create_inbound_session(config, sender_key, pre_key)
                        .map_err(|_| OlmError::NoSession)?;
                    let inner = created.session;
                    (OlmSession { inner }, true, created.plaintext)
                }
            }
        }
        OlmMessage::Normal(_) => {
            let mut why = OlmError::Wedged;
            let opened = sessions.into_iter().find_map(|mut session| {
                match session.inner.decrypt(&event.message) {
                    Ok(plaintext) => Some((session, plaintext)),
                    Err(error) => {
                        if fault(&error) == OlmError::Repeated {
                            why = OlmError::Repeated;
                        }
                        None
                    }
                }
            });
            let (session, plaintext) = opened.ok_or(why)?;
            (session, false, plaintext)
        }
    };
    let plaintext = Zeroizing::new(plaintext);
    let payload = check_payload(account, event, &plaintext).map_err(OlmError::Payload);
    Ok(Decrypted {
        session,
        new_session,
        payload,
    })
}

fn fault(error: &DecryptionError) -> OlmError {
    match error {
        // Only the session that a message belongs to has its chain.
        DecryptionError::MissingMessageKey(_) => OlmError::Repeated,
        _ => OlmError::Wedged,
    }
}

/// Encrypts an event for one device: the `content` of the to-device
/// `m.room.encrypted`. The session has advanced and must be stored with it. None if the
/// ratchet refuses (a non-contributory key), or the payload has no JSON form.
pub fn encrypt_to_device(
    account: &Account,
    own_device_keys: &CanonicalJsonObject,
    session: &mut OlmSession,
    peer: &Device,
    kind: &str,
    content: &RawValue,
) -> Option<Box<RawValue>> {
    #[derive(Serialize)]
    struct Plain<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
        content: &'a RawValue,
        sender: &'a UserId,
        sender_device: &'a ruma::DeviceId,
        recipient: &'a UserId,
        recipient_keys: Keys,
        keys: Keys,
        sender_device_keys: &'a CanonicalJsonObject,
    }
    #[derive(Serialize)]
    struct Keys {
        ed25519: String,
    }
    let plain = Plain {
        kind,
        content,
        sender: account.user(),
        // matrix-nio's schema for m.dummy asks for it.
        sender_device: account.device(),
        recipient: &peer.user,
        recipient_keys: Keys {
            ed25519: peer.ed25519.to_base64(),
        },
        keys: Keys {
            ed25519: account.ed25519().to_base64(),
        },
        sender_device_keys: own_device_keys,
    };
    let plain = wiped_json(&plain).ok()?;
    let (kind, body) = session.inner.encrypt(&*plain).ok()?.to_parts();
    let content = serde_json::json!({
        "algorithm": OLM_ALGORITHM,
        "sender_key": account.curve25519().to_base64(),
        "ciphertext": {
            peer.curve25519.to_base64(): { "type": kind, "body": vodozemac::base64_encode(body) },
        },
    });
    serde_json::value::to_raw_value(&content).ok()
}
