//! Olm, Megolm, devices: the protocol without IO. Everything here takes what
//! came in and the state that was stored, and returns new state and payloads;
//! who keeps and sends them is not its business, so every rule can be tested
//! on values.

mod account;
mod canonical;
mod claim;
mod cross_signing;
mod derive;
mod device;
mod identity;
mod inbound_group_session;
mod olm;
mod outbound_group_session;
mod pickle;
mod recovery_key;
mod room_key;
mod secret_storage;
mod stored_account;
mod supply;
#[cfg(test)]
mod tests;
mod trust;
mod withheld;

pub use account::{Account, FallbackOnServer, KeyUpload, ONE_TIME_KEYS_ON_SERVER};
pub use canonical::{
    SignatureError, canonical_json, ed25519_from_base64, sign, signed_object, verify, verify_by,
};
pub use claim::{ClaimError, one_time_key};
pub use cross_signing::{
    CrossSigningKeys, Seed, SeedError, SelfSigningKey, fingerprint, public_of_base64_seed,
    signatures_upload,
};
pub use device::{Device, DeviceChange, DeviceError, KnownDevice, device_changes};
pub use identity::{Identity, IdentityError, identity_key_ids};
pub use inbound_group_session::{InboundGroupSession, MegolmError, MegolmEvent, accept_room_key};
pub use olm::{
    Decrypted, OlmError, OlmEvent, OlmPayload, OlmPosition, OlmSession, PayloadError, decrypt,
    encrypt_to_device, outbound_session,
};
pub use outbound_group_session::{OutboundGroupSession, Rotation};
pub use pickle::{Pickle, SecretContent};
pub use recovery_key::{RecoveryKey, RecoveryKeyError};
pub use room_key::{RoomKey, RoomKeyError};
pub use secret_storage::SecretStorageError;
pub use trust::{DeviceTrust, DeviceTrustState, KnownIdentity, Pin, PinSource};
pub use withheld::{Withheld, WithheldCode};

/// `m.olm.v1.curve25519-aes-sha2`, the only to-device encryption accepted.
pub const OLM_ALGORITHM: &str = "m.olm.v1.curve25519-aes-sha2";

/// `m.megolm.v1.aes-sha2`, the only room encryption accepted.
pub const MEGOLM_ALGORITHM: &str = "m.megolm.v1.aes-sha2";
