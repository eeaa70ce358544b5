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
use ruma::{EventId, OwnedRoomId, RoomId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::context::Context;
use super::error::Error;
use super::message::{keep_undecrypted, may_say_something};
use super::request::{OutgoingRequest, RequestContext, RequestKey};
use super::room_state::{is_own_join, parse};
use crate::json::{Sifted, lenient};
use crate::matrix::client::{Call, encode, item_kind};
use crate::store::{EventStatus, Gap, MAX_UNDECRYPTED, Transaction, UndecryptedEvent, WaitReason};
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

/// Opens a gap: the server left something out of a room's timeline before `prev_batch`;
/// the last sync ended at `since`.
pub(super) fn open_gap(
    context: &Context,
    tx: &Transaction<'_>,
    room: &RoomId,
    prev_batch: Option<&RawValue>,
    since: &str,
) -> Result<(), Error> {
    let token: Option<Cow<'_, str>> =
        prev_batch.and_then(|raw| serde_json::from_str(raw.get()).ok());
    match token.filter(|token| is_carried(token, MAX_POSITION)) {
        Some(token) if is_carried(since, MAX_POSITION) => {
            debug!("reading back what a sync left out in {room}");
            tx.gaps().open(room, &token, since, context.own_now())?;
        }
        _ => {
            warn!("the server left messages out in {room} and does not say where");
            tx.gaps().put_missed(room)?;
        }
    }
    Ok(())
}

/// The next pages of gaps.
pub(super) fn requests(
    context: &Context,
    tx: &Transaction<'_>,
) -> Result<Vec<OutgoingRequest>, Error> {
    let gaps = tx.gaps().oldest(GAPS_AT_ONCE)?;
    Ok(gaps.into_iter().map(|gap| request(context, gap)).collect())
}

fn request(context: &Context, gap: Gap) -> OutgoingRequest {
    // The bot's own join is looked for: what lies before it is history.
    let senders: Vec<&UserId> = context
        .commanders
        .users
        .iter()
        .map(|user| &**user)
        .chain([&*context.user])
        .collect();
    let mut filter = serde_json::json!({
        "types": ["m.room.message", "m.room.encrypted", "m.room.member"],
        "lazy_load_members": true,
    });
    if senders
        .iter()
        .map(|user| user.as_str().len())
        .sum::<usize>()
        <= MAX_SENDERS
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
pub(super) fn handle_page(
    context: &Context,
    tx: &Transaction<'_>,
    room: &RoomId,
    token: &str,
    answer: &Sifted,
    max_age_ms: u64,
    now: u64,
) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow, default)]
        chunk: Vec<&'a RawValue>,
        #[serde(default, deserialize_with = "lenient")]
        end: Option<String>,
    }
    let Some(mut gap) = tx.gaps().find(room)?.filter(|gap| gap.token == token) else {
        debug!("a page of a gap in {room} that nobody waits for");
        return Ok(());
    };
    let page: Page<'_> =
        serde_json::from_slice(&answer.body).map_err(|_| Error::Malformed("messages of a room"))?;
    gap.pages = gap.pages.saturating_add(1);
    let reached = read_page(context, tx, &mut gap, &page.chunk, max_age_ms, now)?;
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
            return Ok(tx.gaps().put(&gap)?);
        }
        (Reached::Bound | Reached::EndOfPage, _) => true,
    };
    debug!("the gap in {room} is read: {} messages", gap.events);
    tx.gaps().close(room)?;
    if missed {
        warn!("the server left out more in {room} than is read back");
        tx.gaps().put_missed(room)?;
    }
    Ok(())
}

/// Keeps the messages of commanders on a page, newest first.
fn read_page(
    context: &Context,
    tx: &Transaction<'_>,
    gap: &mut Gap,
    chunk: &[&RawValue],
    max_age_ms: u64,
    now: u64,
) -> Result<Reached, Error> {
    for raw in chunk.iter().take(MAX_PAGE_EVENTS) {
        let Some(event) = parse(raw) else { continue };
        if is_own_join(context, &event) {
            return Ok(Reached::End);
        }
        let Ok(sender) = <&UserId>::try_from(event.sender.as_ref()) else {
            continue;
        };
        let event_id = event.event_id.as_deref().map(<&EventId>::try_from);
        let Some(Ok(event_id)) = event_id else {
            continue;
        };
        if sender == context.user || !context.is_commander(sender) || !may_say_something(&event) {
            continue;
        }
        match tx.undecrypted().status(event_id)? {
            // What is seen in one piece is put into one order.
            Some(EventStatus::Waiting(WaitReason::Gap)) => {
                gap.position -= 1;
                tx.undecrypted().set_position(event_id, gap.position)?;
                continue;
            }
            Some(_) => return Ok(Reached::End),
            None => {}
        }
        if gap.events >= MAX_GAP_EVENTS || tx.undecrypted().count()? >= MAX_UNDECRYPTED {
            return Ok(Reached::Bound);
        }
        gap.events += 1;
        gap.position -= 1;
        let age_ms = event.age(now, context.server_ahead()).ms;
        let waiting = UndecryptedEvent {
            event_id: event_id.to_owned(),
            room: gap.room.clone(),
            sender: sender.to_owned(),
            event: raw.get().to_owned(),
            received_at: now,
            age_ms,
            reason: WaitReason::Gap,
        };
        keep_undecrypted(tx, &waiting, Some(gap.position))?;
        if age_ms >= max_age_ms {
            return Ok(Reached::End);
        }
    }
    Ok(match chunk.len() > MAX_PAGE_EVENTS {
        true => Reached::Bound,
        false => Reached::EndOfPage,
    })
}

/// Gives up a gap that cannot be read: what waits for it is classified without the rest.
pub(super) fn give_up(tx: &Transaction<'_>, room: &RoomId) -> Result<(), Error> {
    if tx.gaps().find(room)?.is_some() {
        warn!("what the server left out in {room} cannot be read");
        tx.gaps().close(room)?;
        tx.gaps().put_missed(room)?;
    }
    Ok(())
}

/// Gives up the gaps that are read for too long.
pub(super) fn give_up_overdue(context: &Context, tx: &Transaction<'_>) -> Result<(), Error> {
    let before = context.own_now().saturating_sub(BACKFILL_DEADLINE_MS);
    for room in tx.gaps().begun_before(before)? {
        give_up(tx, &room)?;
    }
    // With too many gaps at once the oldest had no room.
    Ok(tx.undecrypted().release_without_gap()?)
}

/// The time at which the next gap is given up, in milliseconds since the Unix epoch;
/// `now` is such a time.
pub(super) fn next_deadline(
    context: &Context,
    tx: &Transaction<'_>,
    now: u64,
) -> Result<Option<u64>, Error> {
    Ok(tx.gaps().oldest_began_at()?.map(|began| {
        let due = began.saturating_add(BACKFILL_DEADLINE_MS);
        now.saturating_add(due.saturating_sub(context.own_now()))
    }))
}

/// The rooms whose people have to be told now that something was missed there.
pub(super) fn rooms_with_missed_messages(
    context: &Context,
    tx: &Transaction<'_>,
) -> Result<Vec<OwnedRoomId>, Error> {
    let mut rooms = Vec::new();
    for (room, told) in tx.gaps().missed()? {
        let now = context.own_now();
        if told != 0 && now.saturating_sub(told) < MISSED_INTERVAL_MS {
            info!("in {room} it was said a moment ago that messages were missed");
            tx.gaps().finish_missed(&room, told)?;
            continue;
        }
        tx.gaps().finish_missed(&room, now)?;
        rooms.push(room);
    }
    Ok(rooms)
}

#[cfg(test)]
mod tests;
