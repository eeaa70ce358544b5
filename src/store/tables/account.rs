//! The Olm account of the device, and which of its states is the stored one.

use crate::crypto::Pickle;
use crate::store::{Error, Transaction};

/// The Olm account of the device.
pub struct AccountRow<'a>(pub(in crate::store) &'a Transaction<'a>);

impl AccountRow<'_> {
    /// The stored account.
    pub fn pickle(&self) -> Result<Option<Pickle>, Error> {
        self.0.value("SELECT pickle FROM account", [])
    }

    /// Replaces the stored account.
    pub fn put_pickle(&self, pickle: &Pickle) -> Result<(), Error> {
        self.0.execute(
            "INSERT OR REPLACE INTO account (id, pickle) VALUES (1, ?1)",
            [pickle],
        )?;
        self.0.memory.account_written();
        Ok(())
    }

    /// Names the stored account: as long as this is the same, so is the account.
    pub fn revision(&self) -> u64 {
        self.0.memory.account.get()
    }
}
