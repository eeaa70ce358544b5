//! Olm: messages from device to device.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#molmv1curve25519-aes-sha2>.

mod error;
mod event;
mod payload;
mod session;

pub use error::{OlmError, PayloadError};
pub use event::{OlmEvent, OlmPosition};
pub use payload::OlmPayload;
pub use session::{Decrypted, OlmSession, decrypt, encrypt_to_device, outbound_session};
