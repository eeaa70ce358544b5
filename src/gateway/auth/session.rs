//! An authenticated caller.

use std::time::SystemTime;

use crate::control::access::{Permissions, Principal};

/// Somebody whose credential was checked, and what they may do. Shared by all requests that
/// carry the same credential until it has to be checked again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Who it is.
    pub principal: Principal,
    /// What they may do.
    pub permissions: Permissions,
    /// The end of the credential's validity; None for nobody's.
    pub expires: Option<SystemTime>,
    /// `authentication.kubernetes.io/credential-id` or `jti`, for the audit log.
    pub credential_id: Option<String>,
    /// The SHA-256 of the credential, by which it is checked again; None for nobody's.
    pub digest: Option<[u8; 32]>,
}

/// Why a credential is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthFault {
    /// It proves nothing, for this reason, which is for the audit log and no answer: 401.
    Unauthorized(&'static str),
    /// It cannot be checked now: 503 with `Retry-After`.
    Unavailable,
    /// This peer tries too often: 429 with `Retry-After`.
    TooMany,
}
