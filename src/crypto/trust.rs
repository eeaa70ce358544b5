//! Trust in devices: identities, pins, and their consequences for a device.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#cross-signing>, MSC4153.

use std::fmt;

use vodozemac::Ed25519PublicKey;

use super::Device;

/// Rule by which a device is one of its user's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceTrust {
    /// The user's identity has signed it, where the user has one.
    CrossSigned,
    /// That the homeserver lists it; but for users pinned by configuration.
    Tofu,
}

/// Origin of a pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinSource {
    /// The operator, who wrote it down.
    Configuration,
    /// This program, when it first saw the user.
    FirstUse,
}

impl fmt::Display for PinSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configuration => "configuration",
            Self::FirstUse => "first use",
        })
    }
}

/// The master key that a user's commands must come under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The key.
    pub master: Ed25519PublicKey,
    /// Its origin.
    pub source: PinSource,
}

/// The known identity and pin of a user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownIdentity {
    /// The master key the homeserver named last. An answer that names none does
    /// not take it back.
    pub master: Option<Ed25519PublicKey>,
    /// The one that counts.
    pub pin: Option<Pin>,
}

/// Trust in a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceTrustState {
    /// It speaks for its user.
    Trusted,
    /// Its user's identity has not signed it.
    Unverified,
    /// Its user has another identity than the pinned one.
    IdentityChanged,
}

impl KnownIdentity {
    /// Returns whether one of this user's listed devices may be given room keys. Somebody
    /// whose identity changed since first use may still read why their commands
    /// are refused.
    pub fn may_have_keys(&self, device: &Device, trust: DeviceTrust) -> bool {
        let signed = self.master.is_none() || device.signed_by == self.master;
        let configured = self.configured_master();
        (trust == DeviceTrust::Tofu || signed)
            && (configured.is_none() || device.signed_by == configured)
    }

    /// The master key that the operator has pinned.
    fn configured_master(&self) -> Option<Ed25519PublicKey> {
        let pin = self.pin.as_ref()?;
        (pin.source == PinSource::Configuration).then_some(pin.master)
    }

    /// The standing of one of this user's listed devices.
    pub fn standing(&self, device: &Device, trust: DeviceTrust) -> DeviceTrustState {
        let binding = match trust {
            DeviceTrust::CrossSigned => self.pin.as_ref().map(|pin| pin.master).or(self.master),
            DeviceTrust::Tofu => self.configured_master(),
        };
        match binding {
            None => DeviceTrustState::Trusted,
            Some(master) if device.signed_by == Some(master) => DeviceTrustState::Trusted,
            Some(master) if self.master.is_some_and(|current| current != master) => {
                DeviceTrustState::IdentityChanged
            }
            Some(_) => DeviceTrustState::Unverified,
        }
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;
    use vodozemac::Ed25519SecretKey;

    use super::*;
    use crate::crypto::Account;

    fn key() -> Ed25519PublicKey {
        Ed25519SecretKey::new().public_key()
    }

    fn device(signed_by: Option<Ed25519PublicKey>) -> Device {
        let account = Account::new(user_id!("@a:test").to_owned(), "DEV".into());
        Device {
            user: account.user().to_owned(),
            id: account.device().to_owned(),
            curve25519: account.curve25519(),
            ed25519: account.ed25519(),
            signed_by,
        }
    }

    fn known(
        master: Option<Ed25519PublicKey>,
        pin: Option<(Ed25519PublicKey, PinSource)>,
    ) -> KnownIdentity {
        KnownIdentity {
            master,
            pin: pin.map(|(master, source)| Pin { master, source }),
        }
    }

    #[test]
    fn a_users_device_stands_as_the_pin_and_the_mode_say() {
        use DeviceTrust::{CrossSigned, Tofu};
        use DeviceTrustState::{IdentityChanged, Trusted, Unverified};
        use PinSource::{Configuration, FirstUse};
        let (a, b) = (key(), key());
        for (master, pin, signed_by, cross_signed, tofu) in [
            // Nobody has an identity.
            (None, None, None, Trusted, Trusted),
            // Seen, pinned, and the device is signed or not.
            (Some(a), Some((a, FirstUse)), Some(a), Trusted, Trusted),
            (Some(a), Some((a, FirstUse)), None, Unverified, Trusted),
            (Some(a), Some((a, Configuration)), Some(a), Trusted, Trusted),
            (
                Some(a),
                Some((a, Configuration)),
                None,
                Unverified,
                Unverified,
            ),
            // Another identity than the pinned one.
            (
                Some(b),
                Some((a, FirstUse)),
                Some(b),
                IdentityChanged,
                Trusted,
            ),
            (
                Some(b),
                Some((a, Configuration)),
                Some(b),
                IdentityChanged,
                IdentityChanged,
            ),
            // Pinned, and the homeserver shows no identity.
            (None, Some((a, Configuration)), None, Unverified, Unverified),
            (None, Some((a, FirstUse)), None, Unverified, Trusted),
            // Not pinned: nobody who commands.
            (Some(a), None, Some(a), Trusted, Trusted),
            (Some(a), None, None, Unverified, Trusted),
            // Signed by an older identity that is still the pinned one.
            (Some(b), Some((a, FirstUse)), Some(a), Trusted, Trusted),
        ] {
            let (known, device) = (known(master, pin), device(signed_by));
            assert_eq!(
                known.standing(&device, CrossSigned),
                cross_signed,
                "{known:?}"
            );
            assert_eq!(known.standing(&device, Tofu), tofu, "{known:?}");
        }
    }
}
