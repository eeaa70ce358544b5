//! The forms in which secrets leave the crypto machine: for the store, and for
//! the device that a key is shared with. All of them are wiped when dropped.

use std::fmt;
use std::mem;
use std::ops::Deref;

use serde::Serialize;
use serde_json::value::RawValue;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::util::wiped_json;

/// An account or a session as bytes, for the store alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Pickle(Zeroizing<Vec<u8>>);

impl Pickle {
    /// Takes a copy of bytes that were stored: the only one.
    pub fn copied(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    pub(super) fn of(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        wiped_json(value).map(Self)
    }
}

impl Deref for Pickle {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Pickle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pickle({} bytes)", self.0.len())
    }
}

impl ZeroizeOnDrop for Pickle {}

/// The content of an event that holds the key of a session.
pub struct SecretContent(Box<RawValue>);

impl SecretContent {
    pub(super) fn of(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        let bytes = wiped_json(value)?;
        serde_json::from_slice(&bytes).map(Self::copied)
    }

    /// Takes a copy.
    pub(super) fn copied(content: &RawValue) -> Self {
        Self(content.to_owned())
    }
}

impl Deref for SecretContent {
    type Target = RawValue;

    fn deref(&self) -> &RawValue {
        &self.0
    }
}

impl Drop for SecretContent {
    fn drop(&mut self) {
        // All of these are the same piece of memory.
        let text: Box<str> = mem::take(&mut self.0).into();
        String::from(text).zeroize();
    }
}

impl fmt::Debug for SecretContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretContent({} bytes)", self.0.get().len())
    }
}

impl ZeroizeOnDrop for SecretContent {}
