//! Messages that could not be classified when they came (UTD), classified later.

use super::backfill;
use super::classify::{Candidate, Disposition, classify};
use super::context::Context;
use super::error::Error;
use super::message::{KEY_GRACE_MS, Message, MessageKind};
use super::olm_sessions::open_channel_to_author;
use crate::control::Age;
use crate::matrix::client::{Event, thread_of};
use crate::store::{Transaction, WaitReason};

/// Classifies again what waited: a key, a device list, a room's state or a gap's last
/// page may have come, or the time may be over. One event is in memory at a time.
pub(super) fn classify_undecrypted(
    context: &Context,
    tx: &Transaction<'_>,
    now: u64,
    messages: &mut Vec<Message>,
) -> Result<(), Error> {
    backfill::give_up_overdue(context, tx)?;
    for row in tx.undecrypted().rows()? {
        let Some(waiting) = tx.undecrypted().find(row)? else {
            continue;
        };
        let Ok(event) = serde_json::from_str::<Event<'_>>(&waiting.event) else {
            tx.undecrypted().remove(&waiting.event_id)?;
            continue;
        };
        // A clock that went back does not tell for how long: long enough.
        let waited = now.checked_sub(waiting.received_at).unwrap_or(KEY_GRACE_MS);
        let candidate = Candidate {
            room: &waiting.room,
            sender: &waiting.sender,
            event_id: &waiting.event_id,
            event: &event,
        };
        let kind = match classify(context, tx, &candidate, now)? {
            Disposition::Is(kind) => Some(kind),
            Disposition::Nothing => None,
            Disposition::Wait(WaitReason::NoKey) if waited >= KEY_GRACE_MS => {
                open_channel_to_author(tx, &waiting.sender, event.content, now)?;
                Some(MessageKind::Undecryptable(None))
            }
            Disposition::Wait(reason) => {
                if reason != waiting.reason {
                    tx.undecrypted().set_reason(&waiting.event_id, reason)?;
                }
                continue;
            }
        };
        tx.undecrypted().remove(&waiting.event_id)?;
        if let Some(kind) = kind {
            messages.push(Message {
                event_id: waiting.event_id,
                room: waiting.room,
                sender: waiting.sender,
                age: Age {
                    ms: waiting.age_ms.saturating_add(waited),
                    // That the clocks are apart was so when it came, too.
                    doubt: event.age(now, context.server_ahead()).doubt,
                },
                thread: thread_of(event.content),
                kind,
            });
        }
    }
    Ok(())
}

/// The time at which the next waiting event, or what it waits for, runs out of time, in
/// milliseconds since the Unix epoch; `now` is such a time.
pub(super) fn next_deadline(
    context: &Context,
    tx: &Transaction<'_>,
    now: u64,
) -> Result<Option<u64>, Error> {
    let key = tx.undecrypted().oldest_received_at(WaitReason::NoKey)?;
    let key = key.map(|since| since.saturating_add(KEY_GRACE_MS));
    let gap = backfill::next_deadline(context, tx, now)?;
    Ok([key, gap].into_iter().flatten().min())
}
