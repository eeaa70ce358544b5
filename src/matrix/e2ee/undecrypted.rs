//! Messages that could not be classified when they came (UTD), classified later.

use super::classify::Disposition;
use super::engine::Turn;
use super::error::Error;
use super::message::{Candidate, Message, MessageKind, key_grace_ms};
use crate::control::Age;
use crate::matrix::client::Event;
use crate::store::WaitReason;

impl Turn<'_> {
    /// Classifies again what waited: a key, a device list, a room's state or a gap's last
    /// page may have come, or the time may be over. One event is in memory at a time.
    pub fn classify_undecrypted(&self, messages: &mut Vec<Message>) -> Result<(), Error> {
        let held = self.tx.undecrypted();
        self.give_up_overdue_gaps()?;
        for row in held.rows()? {
            let Some(waiting) = held.find(row)? else {
                continue;
            };
            let Ok(event) = serde_json::from_slice::<Event<'_>>(waiting.event.as_bytes()) else {
                held.remove(&waiting.event_id)?;
                continue;
            };
            // A clock that went back does not tell for how long: long enough.
            let waited = self.now.checked_sub(waiting.received_at);
            let waited = waited.unwrap_or(key_grace_ms());
            let candidate = Candidate {
                room: &waiting.room,
                sender: &waiting.sender,
                event_id: &waiting.event_id,
                event: &event,
            };
            let (kind, mentions_bot) = match self.classify(&candidate)? {
                Disposition::Is { kind, mentions_bot } => (Some(kind), mentions_bot),
                Disposition::Nothing => (None, false),
                Disposition::Wait(WaitReason::NoKey) if waited >= key_grace_ms() => {
                    self.open_channel_to_author(&waiting.sender, event.content)?;
                    (Some(MessageKind::Undecryptable(None)), false)
                }
                Disposition::Wait(reason) => {
                    if reason != waiting.reason {
                        held.set_reason(&waiting.event_id, reason)?;
                    }
                    continue;
                }
            };
            held.remove(&waiting.event_id)?;
            let age = Age {
                ms: waiting.age_ms.saturating_add(waited),
                // That the clocks are apart was so when it came, too.
                doubt: self.age_of(&event).doubt,
            };
            messages.extend(kind.map(|kind| candidate.message(age, kind, mentions_bot)));
        }
        Ok(())
    }

    /// The time at which the next waiting event, or what it waits for, runs out of time, in
    /// milliseconds since the Unix epoch.
    pub fn next_undecrypted_deadline(&self) -> Result<Option<u64>, Error> {
        let held = self.tx.undecrypted();
        let key = held.oldest_received_at(WaitReason::NoKey)?;
        let key = key.map(|since| since.saturating_add(key_grace_ms()));
        Ok(key.into_iter().chain(self.next_gap_deadline()?).min())
    }
}
