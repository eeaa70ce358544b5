//! Backfill of what a `limited` timeline left out: a room full of chat makes no
//! command vanish.
//!
//! While a gap is read, what its room's commanders say waits, so that it is classified
//! after what they said in the gap. That costs a command 5 seconds at most, whatever
//! the server does.
//!
//! Specification:
//! <https://spec.matrix.org/v1.11/client-server-api/#get_matrixclientv3roomsroomidmessages>

use std::borrow::Cow;

use log::{debug, info, warn};
use ruma::{OwnedRoomId, RoomId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::engine::Turn;
use super::error::Error;
use super::message::{Candidate, may_say_something};
use super::request::{OutgoingRequest, RequestContext, RequestKey};
use super::room_state::parse;
use crate::json::{Sifted, lenient};
use crate::matrix::client::{Call, encode, item_kind};
use crate::store::{EventStatus, Gap, WaitReason, caps};
use crate::util::{MAX_POSITION, is_carried};

/// A gap is read for so long, in milliseconds of the bot's own clock. What its room's
/// people said waits meanwhile.
pub const BACKFILL_DEADLINE_MS: u64 = 5_000;

/// Events that are asked for in one page: as many as are kept of it, however large
/// they are.
const PAGE_EVENTS: u32 = 16;

/// Events of one page that are looked at, however many there are.
const MAX_PAGE_EVENTS: usize = 100;

/// Pages of one gap.
const MAX_GAP_PAGES: u32 = 8;

/// Messages of commanders that are kept of one gap.
const MAX_GAP_EVENTS: u32 = 100;

/// Gaps that are read at the same time.
const GAPS_AT_ONCE: u32 = 8;

/// The longest list of senders that a filter names, in bytes: with more of them the
/// server is asked for everybody's messages.
const MAX_SENDERS: usize = 4 * 1024;

/// People are told that something was missed at most this often in each room, in
/// milliseconds of the bot's own clock.
const MISSED_INTERVAL_MS: u64 = 60_000;

/// The reason that the reading of a page ended.
enum Reached {
    /// Everything before is known, or too old.
    End,
    /// There may be more than is kept.
    Bound,
    /// The page's own end.
    EndOfPage,
}

impl Turn<'_> {
    /// Opens a gap: the server left something out of a room's timeline before `prev_batch`;
    /// the last sync ended at `since`.
    pub(super) fn open_gap(
        &self,
        room: &RoomId,
        prev_batch: Option<&RawValue>,
        since: &str,
    ) -> Result<(), Error> {
        let token: Option<Cow<'_, str>> =
            prev_batch.and_then(|raw| serde_json::from_slice(raw.get().as_bytes()).ok());
        match token.filter(|token| is_carried(token, MAX_POSITION)) {
            Some(token) if is_carried(since, MAX_POSITION) => {
                debug!("reading back what a sync left out in {room}");
                self.tx.gaps().open(room, &token, since, self.own_now)?;
            }
            _ => {
                warn!("the server left messages out in {room} and does not say where");
                self.tx.gaps().put_missed(room)?;
            }
        }
        Ok(())
    }

    /// The next pages of gaps.
    pub(super) fn gap_requests(&self) -> Result<Vec<OutgoingRequest>, Error> {
        let gaps = self.tx.gaps().oldest(GAPS_AT_ONCE)?;
        Ok(gaps.into_iter().map(|gap| self.gap_request(gap)).collect())
    }

    fn gap_request(&self, gap: Gap) -> OutgoingRequest {
        // The bot's own join is looked for: what lies before it is history.
        let senders: Vec<&UserId> = self
            .engine
            .commanders
            .users
            .iter()
            .chain([&self.engine.user])
            .map(|user| &**user)
            .collect();
        let mut filter = serde_json::json!({
            "types": ["m.room.message", "m.room.encrypted", "m.room.member"],
            "lazy_load_members": true,
        });
        let length: usize = senders.iter().map(|user| user.as_str().len()).sum();
        if length <= MAX_SENDERS
            && let Some(filter) = filter.as_object_mut()
        {
            filter.insert("senders".to_owned(), serde_json::json!(senders));
        }
        let path = format!(
            "/_matrix/client/v3/rooms/{}/messages?dir=b&from={}&to={}&limit={PAGE_EVENTS}&filter={}",
            encode(gap.room.as_str()),
            encode(&gap.token),
            encode(&gap.until),
            encode(&filter.to_string()),
        );
        OutgoingRequest {
            key: RequestKey::Gap(gap.room.clone()),
            call: Call::get(path),
            about: RequestContext::Gap(gap.room, gap.token),
        }
    }

    /// Takes in the page of a gap that was asked for with `token`. Of the messages
    /// older than `max_age_ms` the newest is kept, so that its sender is told. What
    /// waits for the gap can be classified when it has been read to its end.
    pub fn handle_backfill(
        &self,
        room: &RoomId,
        token: &str,
        answer: &Sifted,
        max_age_ms: u64,
    ) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct Page<'a> {
            #[serde(borrow, default)]
            chunk: Vec<&'a RawValue>,
            #[serde(default, deserialize_with = "lenient")]
            end: Option<String>,
        }
        let gaps = self.tx.gaps();
        let Some(mut gap) = gaps.find(room)?.filter(|gap| gap.token == token) else {
            debug!("a page of a gap in {room} that nobody waits for");
            return Ok(());
        };
        let page: Page<'_> = serde_json::from_slice(&answer.body)
            .map_err(|_| Error::Malformed("messages of a room"))?;
        gap.pages = gap.pages.saturating_add(1);
        let reached = self.read_page(&mut gap, &page.chunk, max_age_ms)?;
        let is_whole = !answer.is_cut && !answer.skipped.contains_key(item_kind::TIMELINE);
        // What others said is left out of a page: an empty one that leads on may not
        // be the last. Some servers let the last one lead to itself.
        let is_last = page
            .end
            .as_ref()
            .is_none_or(|end| end.is_empty() || (page.chunk.is_empty() && *end == gap.token));
        let missed = match (reached, page.end) {
            (Reached::End, _) => false,
            (Reached::EndOfPage, _) if is_last => !is_whole,
            (Reached::EndOfPage, Some(end))
                if is_whole
                    && gap.pages < MAX_GAP_PAGES
                    && end != gap.token
                    && is_carried(&end, MAX_POSITION) =>
            {
                gap.token = end;
                return Ok(gaps.put(&gap)?);
            }
            (Reached::Bound | Reached::EndOfPage, _) => true,
        };
        debug!("the gap in {room} is read: {} messages", gap.events);
        gaps.close(room)?;
        if missed {
            warn!("the server left out more in {room} than is read back");
            gaps.put_missed(room)?;
        }
        Ok(())
    }

    /// Keeps the messages of commanders on a page, newest first.
    fn read_page(
        &self,
        gap: &mut Gap,
        chunk: &[&RawValue],
        max_age_ms: u64,
    ) -> Result<Reached, Error> {
        let held = self.tx.undecrypted();
        let room = gap.room.clone();
        for raw in chunk.iter().take(MAX_PAGE_EVENTS) {
            let Some(event) = parse(raw) else { continue };
            if self.is_own_membership(&event, "join") {
                return Ok(Reached::End);
            }
            let candidate = Candidate::of(self.engine, &room, &event);
            let Some(candidate) = candidate.filter(|_| may_say_something(&event)) else {
                continue;
            };
            match held.status(candidate.event_id)? {
                // What is seen in one piece is put into one order.
                Some(EventStatus::Waiting(WaitReason::Gap)) => {
                    gap.position -= 1;
                    held.set_position(candidate.event_id, gap.position)?;
                    continue;
                }
                Some(_) => return Ok(Reached::End),
                None => {}
            }
            if gap.events >= MAX_GAP_EVENTS || held.count()? >= caps::UNDECRYPTED_EVENTS {
                return Ok(Reached::Bound);
            }
            gap.events += 1;
            gap.position -= 1;
            let age_ms = self.age_of(&event).ms;
            self.keep_undecrypted(&candidate, raw, age_ms, WaitReason::Gap, Some(gap.position))?;
            if age_ms >= max_age_ms {
                return Ok(Reached::End);
            }
        }
        Ok(match chunk.len() > MAX_PAGE_EVENTS {
            true => Reached::Bound,
            false => Reached::EndOfPage,
        })
    }

    /// Gives up a gap that cannot be read: what waits for it is classified without the
    /// rest.
    pub fn give_up_backfill(&self, room: &RoomId) -> Result<(), Error> {
        if self.tx.gaps().find(room)?.is_some() {
            warn!("what the server left out in {room} cannot be read");
            self.tx.gaps().close(room)?;
            self.tx.gaps().put_missed(room)?;
        }
        Ok(())
    }

    /// Gives up the gaps that are read for too long.
    pub(super) fn give_up_overdue_gaps(&self) -> Result<(), Error> {
        let before = self.own_now.saturating_sub(BACKFILL_DEADLINE_MS);
        for room in self.tx.gaps().begun_before(before)? {
            self.give_up_backfill(&room)?;
        }
        // With too many gaps at once the oldest had no room.
        Ok(self.tx.undecrypted().release_without_gap()?)
    }

    /// The time at which the next gap is given up, in milliseconds since the Unix epoch.
    pub(super) fn next_gap_deadline(&self) -> Result<Option<u64>, Error> {
        Ok(self.tx.gaps().oldest_began_at()?.map(|began| {
            let due = began.saturating_add(BACKFILL_DEADLINE_MS);
            self.now.saturating_add(due.saturating_sub(self.own_now))
        }))
    }

    /// The rooms whose people have to be told now that something was missed there.
    pub fn rooms_with_missed_messages(&self) -> Result<Vec<OwnedRoomId>, Error> {
        let mut rooms = Vec::new();
        for (room, told) in self.tx.gaps().missed()? {
            if told != 0 && self.own_now.saturating_sub(told) < MISSED_INTERVAL_MS {
                info!("in {room} it was said a moment ago that messages were missed");
                self.tx.gaps().finish_missed(&room, told)?;
                continue;
            }
            self.tx.gaps().finish_missed(&room, self.own_now)?;
            rooms.push(room);
        }
        Ok(rooms)
    }
}

#[cfg(test)]
mod tests;
