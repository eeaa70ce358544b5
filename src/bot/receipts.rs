//! Read receipts that are not sent yet.

use std::time::Duration;

use ruma::{OwnedEventId, OwnedRoomId};
use tokio::time::Instant;

use super::chat::ReadMessage;
use crate::util::SortedMap;

/// From a message to its receipt. Each receipt is news to all clients in a room and work
/// for their homeserver, which is not to come before the answer.
const DELAY: Duration = Duration::from_secs(1);

/// The receipts that wait, one a thread: all that was said before is read, too.
#[derive(Default)]
pub(super) struct Receipts {
    waiting: SortedMap<(OwnedRoomId, Option<OwnedEventId>), Receipt>,
}

/// A receipt that waits.
struct Receipt {
    due: Instant,
    event_id: OwnedEventId,
}

impl Receipts {
    /// Takes in a message, which is newer than those before.
    pub(super) fn add(&mut self, read: ReadMessage) {
        let due = self
            .waiting
            .get(&(read.room.clone(), read.thread.clone()))
            .map_or_else(|| Instant::now() + DELAY, |before| before.due);
        let receipt = Receipt {
            due,
            event_id: read.event_id,
        };
        self.waiting.insert((read.room, read.thread), receipt);
    }

    /// The time at which the next one is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.values().map(|receipt| receipt.due).min()
    }

    /// The messages whose receipts are due; they wait no more.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<ReadMessage> {
        let mut taken = Vec::new();
        self.waiting.retain(|(room, thread), receipt| {
            let is_due = receipt.due <= now;
            if is_due {
                taken.push(ReadMessage {
                    room: room.clone(),
                    event_id: receipt.event_id.clone(),
                    thread: thread.clone(),
                });
            }
            !is_due
        });
        taken
    }
}

#[cfg(test)]
mod tests {
    use ruma::{event_id, room_id};

    use super::*;

    fn read(event: &str, thread: Option<&str>) -> ReadMessage {
        let id = |text: &str| OwnedEventId::try_from(text).unwrap();
        ReadMessage {
            room: room_id!("!ops:test").to_owned(),
            event_id: id(event),
            thread: thread.map(id),
        }
    }

    #[test]
    fn the_newest_message_of_a_thread_is_read_a_second_after_the_first() {
        let mut receipts = Receipts::default();
        assert_eq!(receipts.due(), None);
        for (event, thread) in [("$1", None), ("$2", Some("$1")), ("$3", None)] {
            receipts.add(read(event, thread));
        }
        let due = receipts.due().unwrap();
        assert!(due <= Instant::now() + DELAY);
        assert!(
            receipts
                .take_due(due.checked_sub(DELAY / 2).unwrap())
                .is_empty()
        );
        let taken = receipts.take_due(due + DELAY);
        let taken: Vec<_> = taken.iter().map(|read| &*read.event_id).collect();
        assert_eq!(taken, [event_id!("$3"), event_id!("$2")]);
        assert_eq!(receipts.due(), None);
    }
}
