//! The store on a real directory.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use ruma::{EventId, OwnedEventId, RoomId, UserId, event_id, room_id, user_id};

use vodozemac::{
    Ed25519SecretKey,
    megolm::{self, GroupSession, SessionConfig},
};

use super::*;
use crate::crypto::{
    Account, Device, DeviceChange, DeviceTrust, InboundGroupSession, MEGOLM_ALGORITHM, OlmSession,
    OutboundGroupSession, Pin, PinSource, Rotation, outbound_session,
};
use crate::util::Secret;
use crate::util::temp::TempDir;

mod caps;
mod edits;
mod files;
mod formats;
mod invites;
mod keys;
mod lists;
mod opening;
mod queues;
mod states;
mod table_sizes;
mod target_sizes;
mod targets;
mod year;

/// A directory that goes with the test.
struct Directory(
    PathBuf,
    #[expect(dead_code, reason = "it is removed when dropped")] TempDir,
);

impl Directory {
    fn new() -> Self {
        let directory = TempDir::new();
        Self(directory.path().join("store"), directory)
    }

    fn open(&self) -> Store {
        Store::open(&self.0).unwrap()
    }

    /// With all pages in memory, for a test that fills tables in one transaction: the
    /// bot's few would be read again and again.
    fn open_roomy(&self) -> Store {
        let store = self.open();
        let pages = store.connection.pragma_update(None, "cache_size", -65_536);
        pages.unwrap();
        store
    }
}

fn room() -> &'static RoomId {
    room_id!("!a:test")
}

fn alice() -> &'static UserId {
    user_id!("@alice:test")
}

fn device(user: &UserId, id: &str) -> Device {
    let account = Account::new(user.to_owned(), id.into());
    Device {
        user: user.to_owned(),
        id: id.into(),
        curve25519: account.curve25519(),
        ed25519: account.ed25519(),
        signed_by: None,
    }
}

fn entry(event_id: &EventId) -> JournalEntry {
    JournalEntry {
        event_id: event_id.to_owned(),
        room: room().to_owned(),
        sender: alice().to_owned(),
        device: None,
        payload: "start".to_owned(),
        received_at: 7,
        age_ms: 5,
        thread: None,
        part: 0,
        target: String::new(),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn own() -> &'static UserId {
    user_id!("@bot:test")
}

/// A session that `alice` shared, at its start, and the other end of it.
fn shared_session() -> (GroupSession, InboundGroupSession) {
    let outbound = GroupSession::new(SessionConfig::version_1());
    let inbound =
        megolm::InboundGroupSession::new(&outbound.session_key(), SessionConfig::version_1());
    let pickle = serde_json::to_vec(&inbound.pickle()).unwrap();
    let author = device(alice(), "PHONE");
    let (curve25519, ed25519) = (author.curve25519, author.ed25519);
    let owner = alice().to_owned();
    (
        outbound,
        InboundGroupSession::from_pickle(owner, curve25519, ed25519, &pickle).unwrap(),
    )
}

fn sharing(session_id: &str, trust: DeviceTrust, now: u64) -> Sharing<'_> {
    Sharing {
        room: room(),
        session_id,
        own: own(),
        trust,
        now,
    }
}
