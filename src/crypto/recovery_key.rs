//! The recovery key: what a person was given to open their secret storage with.
//!
//! Specification: <https://spec.matrix.org/v1.11/appendices/#cryptographic-key-representation>.

use std::fmt;

use zeroize::Zeroizing;

/// The first bytes.
const PREFIX: [u8; 2] = [0x8b, 0x01];

/// Prefix, key, parity.
const BYTES: usize = 2 + 32 + 1;

/// The characters of a key of [`BYTES`] with that prefix.
const CHARACTERS: usize = 48;

/// The key of a secret storage. Overwritten when dropped.
pub struct RecoveryKey(Zeroizing<[u8; 32]>);

/// Error of parsing a recovery key. None of them tells a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryKeyError {
    /// So many characters instead of 48.
    #[error(
        "it has {0} characters, and a recovery key has {CHARACTERS} without the \
                 spaces; a passphrase cannot be used"
    )]
    Length(usize),
    /// A character that is not of Bitcoin's base58.
    #[error("it has a character that no recovery key has (0, O, I, l and signs never occur)")]
    Alphabet,
    /// Not `8B 01` at the start.
    #[error("it is not a recovery key: they all start with the same characters")]
    Prefix,
    /// The bytes, XORed, are not 0.
    #[error("a character was mistyped")]
    Parity,
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryKey(…)")
    }
}

impl RecoveryKey {
    /// Reads a key as Element shows it; white space anywhere is ignored.
    ///
    /// # Errors
    /// The text is not a recovery key, or was mistyped.
    pub fn parse(text: &str) -> Result<Self, RecoveryKeyError> {
        let length = text.chars().filter(|c| !c.is_whitespace()).count();
        // First, since base58 takes time in the square of the length, and most
        // passphrases fail here.
        if length != CHARACTERS {
            return Err(RecoveryKeyError::Length(length));
        }
        let mut compact = Zeroizing::new(String::with_capacity(text.len()));
        compact.extend(text.chars().filter(|c| !c.is_whitespace()));
        let mut bytes = Zeroizing::new([0; CHARACTERS]);
        let decoded = bs58::decode(compact.as_bytes())
            .with_alphabet(bs58::Alphabet::BITCOIN)
            .onto(bytes.as_mut_slice())
            .map_err(|_| RecoveryKeyError::Alphabet)?;
        let bytes: &[u8; BYTES] = bytes
            .get(..decoded)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(RecoveryKeyError::Prefix)?;
        let key = bytes
            .strip_prefix(&PREFIX)
            .and_then(|rest| rest.first_chunk())
            .ok_or(RecoveryKeyError::Prefix)?;
        if bytes.iter().fold(0, |parity, byte| parity ^ byte) != 0 {
            return Err(RecoveryKeyError::Parity);
        }
        Ok(Self(Zeroizing::new(*key)))
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
