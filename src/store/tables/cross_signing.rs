//! The bot's own cross-signing keys, and how far the server knows of them.

use vodozemac::Ed25519PublicKey;

use super::columns::optional_fingerprint;
use crate::crypto::Seed;
use crate::store::{Error, Transaction};

/// Progress of cross-signing the bot's device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CrossSigningState {
    /// Not compared with the server's word since the start.
    Unknown,
    /// The public keys have to be uploaded.
    Upload {
        /// The server asked for authentication in this session.
        uia_session: Option<String>,
    },
    /// The signatures of the device and the master key have to be uploaded.
    Sign,
    /// The device is signed.
    Signed,
    /// The recovery key is at hand: which key does the account use?
    FindKeyId,
    /// The description of this key is asked for.
    FindKey(String),
    /// The self-signing key, encrypted with this key, is asked for.
    FindSecret(String),
    /// The self-signing key was found; the master key, encrypted with this key, is
    /// asked for.
    FindMaster(String),
    /// The search is over; the keys found are checked when the account is
    /// compared.
    Recovered,
    /// The device stays unsigned. Why, and what to do, in a sentence.
    Unsigned(String),
    /// The operator asks for a new identity in place of the one there is.
    Reset,
}

/// The stored keys and state of the bot's cross-signing.
pub struct StoredCrossSigning {
    /// All private keys derive from it.
    pub seed: Option<Seed>,
    /// The private self-signing key alone, from the account's secret storage.
    pub self_signing: Option<Seed>,
    /// The public master key whose private half lay beside it there.
    pub master: Option<Ed25519PublicKey>,
    /// The progress.
    pub state: CrossSigningState,
    /// A request on the way failed and is tried again: nothing waits for it.
    pub delayed: bool,
}

impl CrossSigningState {
    fn columns(&self) -> (&'static str, &str) {
        match self {
            Self::Unknown => ("unknown", ""),
            Self::Upload { uia_session } => ("upload", uia_session.as_deref().unwrap_or_default()),
            Self::Sign => ("sign", ""),
            Self::Signed => ("signed", ""),
            Self::FindKeyId => ("find key id", ""),
            Self::FindKey(id) => ("find key", id),
            Self::FindSecret(id) => ("find secret", id),
            Self::FindMaster(id) => ("find master", id),
            Self::Recovered => ("recovered", ""),
            Self::Unsigned(why) => ("unsigned", why),
            Self::Reset => ("reset", ""),
        }
    }

    fn from_columns(state: &str, detail: String) -> Option<Self> {
        Some(match state {
            "unknown" => Self::Unknown,
            "upload" => Self::Upload {
                uia_session: (!detail.is_empty()).then_some(detail),
            },
            "sign" => Self::Sign,
            "signed" => Self::Signed,
            "find key id" => Self::FindKeyId,
            "find key" => Self::FindKey(detail),
            "find secret" => Self::FindSecret(detail),
            "find master" => Self::FindMaster(detail),
            "recovered" => Self::Recovered,
            "unsigned" => Self::Unsigned(detail),
            "reset" => Self::Reset,
            _ => return None,
        })
    }
}

/// The bot's own cross-signing keys.
pub struct CrossSigning<'a>(pub(in crate::store) &'a Transaction<'a>);

impl CrossSigning<'_> {
    /// The bot's own identity.
    pub fn load(&self) -> Result<StoredCrossSigning, Error> {
        let stored = self.0.one(
            "SELECT seed, self_signing, state, detail, delayed, master FROM own_identity",
            [],
            |row| {
                let (seed, self_signing, delayed) = (row.get(0)?, row.get(1)?, row.get(4)?);
                let (state, master): (String, _) = (row.get(2)?, optional_fingerprint(row, 5)?);
                let state = CrossSigningState::from_columns(&state, row.get(3)?);
                Ok(state.map(|state| StoredCrossSigning {
                    seed,
                    self_signing,
                    master,
                    state,
                    delayed,
                }))
            },
        )?;
        stored
            .flatten()
            .ok_or(Error::Corrupt("the bot's own identity"))
    }

    /// Goes on to `state`; nothing is delayed there yet.
    pub fn set_state(&self, state: &CrossSigningState) -> Result<(), Error> {
        let (name, detail) = state.columns();
        self.0.run(
            "UPDATE own_identity SET state = ?1, detail = ?2, delayed = 0",
            (name, detail),
        )
    }

    /// A request of this state failed for now.
    pub fn delay(&self) -> Result<(), Error> {
        self.0.run("UPDATE own_identity SET delayed = 1", [])
    }

    /// Keeps the seed that the identity derives from.
    pub fn put_seed(&self, seed: &Seed) -> Result<(), Error> {
        self.0.run("UPDATE own_identity SET seed = ?1", [seed])
    }

    /// Keeps the self-signing key that was recovered, or forgets it (none). The master
    /// key it belongs to is not known yet.
    pub fn put_self_signing(&self, key: Option<&Seed>) -> Result<(), Error> {
        self.0.run(
            "UPDATE own_identity SET self_signing = ?1, master = NULL",
            [key],
        )
    }

    /// Keeps the master key that was recovered beside it.
    pub fn put_master(&self, key: &Ed25519PublicKey) -> Result<(), Error> {
        self.0
            .run("UPDATE own_identity SET master = ?1", [key.as_bytes()])
    }
}
