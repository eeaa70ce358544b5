//! Giving up what belongs to several tables at once.

use super::{Error, Transaction};

impl Transaction<'_> {
    /// Drops what waits, what was asked for and is not done, but for the payloads that
    /// `keeps` says, and what was to be said.
    pub fn forget_unfinished(&self, keeps: impl Fn(&str) -> bool) -> Result<(), Error> {
        for asked in self.journal().unfinished()? {
            if !keeps(&asked.payload) {
                self.execute(
                    "DELETE FROM journal WHERE event_id = ?1",
                    [asked.event_id.as_str()],
                )?;
            }
        }
        Ok(self
            .inner
            .execute_batch("DELETE FROM held; DELETE FROM gaps; DELETE FROM replies;")?)
    }

    /// Forgets what this device has agreed on with others, and what it was about to
    /// send; it stays the same device. Sessions of others are buried, not forgotten:
    /// [`InboundGroupSessions::bury_all`](super::InboundGroupSessions::bury_all).
    pub fn forget_sessions(&self) -> Result<(), Error> {
        Ok(self.inner.execute_batch(
            "DELETE FROM shares; DELETE FROM outbound_groups;
             DELETE FROM olm_sessions; DELETE FROM olm_seen; DELETE FROM olm_peers;
             DELETE FROM unwedge; DELETE FROM refused_keys;
             DELETE FROM held; DELETE FROM replies; DELETE FROM outbox;",
        )?)
    }

    /// Forgets the device: a hard logout made its keys worthless. What is known
    /// of rooms and of others' devices stays (encrypted rooms stay encrypted,
    /// device ids keep their keys), the bot's own identity and the pins stay, and
    /// so do commands and replies: what was encrypted and not yet taken by the
    /// server is encrypted anew. Messages that wait stay too: their keys are gone,
    /// and their senders must be told. The keys' rooms stay encrypted, those too
    /// that the bot is not in yet. Gaps are not read any further.
    pub fn forget_device(&self) -> Result<(), Error> {
        self.memory.account_written();
        Ok(self.inner.execute_batch(
            "INSERT INTO rooms (room_id, joined, algorithm)
             SELECT DISTINCT room_id, 0, 'm.megolm.v1.aes-sha2' FROM inbound_groups WHERE true
             ON CONFLICT (room_id) DO UPDATE SET algorithm = coalesce(algorithm, excluded.algorithm);
             UPDATE held SET reason = 1 WHERE reason = 2;
             UPDATE gaps SET token = '', missed = 1 WHERE token <> '';
             DELETE FROM session; DELETE FROM pending_device; DELETE FROM account; DELETE FROM olm_sessions;
             DELETE FROM olm_seen; DELETE FROM olm_peers; DELETE FROM unwedge;
             DELETE FROM inbound_groups; DELETE FROM refused_keys;
             DELETE FROM outbound_groups; DELETE FROM sent_groups; DELETE FROM shares;
             UPDATE own_identity SET state = 'unknown', detail = '';
             DELETE FROM outbox; UPDATE users SET outdated = 1, generation = generation + 1;
             UPDATE rooms SET members_complete = 0, members_generation = members_generation + 1;",
        )?)
    }
}
