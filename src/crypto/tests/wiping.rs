//! Everything that has to be wiped is of a type that wipes itself: its memory after
//! that cannot be looked at from here.

use std::mem::needs_drop;

use serde_json::value::RawValue;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::crypto::{
    Account, InboundGroupSession, OlmPayload, OlmSession, OutboundGroupSession, Pickle,
    SecretContent, Seed,
};

const fn is_wiped<T: ZeroizeOnDrop>() {}

/// RUSTSEC-2026-0445: vodozemac 0.11.1 does not ask for it. These are its ciphers
/// and hashes, in the same versions.
#[test]
fn ciphers_and_hashes_wipe_what_they_hold() {
    is_wiped::<aes::Aes256>();
    is_wiped::<cbc::Encryptor<aes::Aes256>>();
    is_wiped::<cbc::Decryptor<aes::Aes256>>();
    is_wiped::<chacha20poly1305::ChaCha20Poly1305>();
    is_wiped::<ctr::Ctr128BE<aes::Aes256>>();
    is_wiped::<sha2::Sha256>();
    is_wiped::<sha2::Sha512>();
    // Made of the hashes, without saying so: there is something to be done when
    // they are dropped.
    assert!(needs_drop::<hmac::Hmac<sha2::Sha256>>());
    assert!(needs_drop::<hkdf::Hkdf<sha2::Sha256>>());
}

#[test]
fn pickles_and_keys_wipe_themselves() {
    is_wiped::<Pickle>();
    is_wiped::<SecretContent>();
    is_wiped::<Zeroizing<[u8; 32]>>();
    type Pickled<T> = fn(&T) -> Result<Pickle, serde_json::Error>;
    let _: Pickled<Account> = Account::pickle;
    let _: Pickled<OlmSession> = OlmSession::pickle;
    let _: Pickled<InboundGroupSession> = InboundGroupSession::pickle;
    let _: Pickled<OutboundGroupSession> = OutboundGroupSession::pickle;
    let _: fn(&OutboundGroupSession) -> Result<SecretContent, serde_json::Error> =
        OutboundGroupSession::room_key;
    let _: fn(OlmPayload) -> SecretContent = |payload| payload.content;
}

/// A move leaves a copy in the old place, so a seed stays where it is.
#[test]
fn a_seed_is_not_moved_with_its_owner() {
    assert_eq!(size_of::<Seed>(), size_of::<usize>());
    let seed = Seed::copied(&[7; 32]).unwrap();
    let place = seed.as_bytes().as_ptr();
    let elsewhere = Box::new(Some(seed));
    assert_eq!(
        elsewhere.as_ref().as_ref().unwrap().as_bytes().as_ptr(),
        place
    );
    assert!(Seed::copied(&[7; 31]).is_none() && Seed::copied(&[7; 33]).is_none());
}

#[test]
fn debug_shows_no_secret() {
    let content = RawValue::from_string("\"hunter2\"".to_owned()).unwrap();
    let secret = SecretContent::copied(&content);
    assert_eq!(secret.get(), "\"hunter2\"");
    assert_eq!(format!("{secret:?}"), "SecretContent(9 bytes)");
    assert_eq!(
        format!("{:?}", Pickle::copied(b"hunter2")),
        "Pickle(7 bytes)"
    );
}
