//! A year of rubbish at 100 messages a second: time is shortened, the code is not.
//! What is sent once too often is sent as often as it takes to fill its table and
//! go on; more of the same changes nothing any more, which the second half shows.

use serde_json::json;

use super::{
    caps::{cheap_device, key, rows},
    table_sizes::TABLES,
    *,
};
use crate::{
    crypto::outbound_session,
    matrix::{
        client::SyncBody,
        e2ee::{Commanders, Engine, OwnKeys, PlaintextReplies},
    },
    store::caps,
    util::Tokens,
};

/// The variable that says how many times a full store gets more rubbish, 1 if it is
/// not set. `make bench` sets more.
const TIMES: &str = "OPENCLAW_TEST_YEAR_TIMES";

const HOUR_MS: u64 = 3_600_000;

/// An identifier of this sigil as long as one can be.
pub(super) fn long(sigil: char, number: usize) -> String {
    let name = format!("{sigil}{number:06}{}", "x".repeat(255));
    format!("{}:hs", &name[..252])
}

pub(super) fn user(number: usize) -> ruma::OwnedUserId {
    long('@', number).try_into().unwrap()
}

pub(super) fn room_of(number: usize) -> ruma::OwnedRoomId {
    long('!', number).try_into().unwrap()
}

pub(super) struct Year {
    directory: Directory,
    pub(super) store: Store,
    largest: u64,
    bot: Bot,
}

/// The receiver of the rubbish, and its present time in milliseconds.
pub(super) struct Bot {
    engine: Engine,
    now: u64,
    group: InboundGroupSession,
    session: crate::crypto::OlmSession,
}

impl Year {
    /// The bot, and Alice, who may command, with all that guards her.
    pub(super) fn new() -> Self {
        let directory = Directory::new();
        let mut store = directory.open();
        let commanders = Commanders {
            users: [alice().to_owned()].into(),
            trust: DeviceTrust::CrossSigned,
            pins: Default::default(),
        };
        let engine = Engine::new(
            own().to_owned(),
            "BOT".into(),
            commanders,
            std::rc::Rc::new(OwnKeys::default()),
            PlaintextReplies::Any,
        );
        let now = 1_800_000_000_000;
        let account = Account::new(own().to_owned(), "BOT".into());
        let session = outbound_session(&account, key(1), key(2)).unwrap();
        let (_, group) = shared_session();
        let tx = store.begin().unwrap();
        let tokens = Tokens {
            access: Secret::new("t".to_owned()),
            refresh: None,
            refresh_at: None,
        };
        tx.session().put(own(), "BOT".into(), &tokens).unwrap();
        engine.on(&tx, now).prepare_account().unwrap();
        tx.session().set_next_batch("s0").unwrap();
        tx.rooms().enter(room()).unwrap();
        tx.rooms()
            .set_encrypted(room(), MEGOLM_ALGORITHM, None, None)
            .unwrap();
        tx.members()
            .set(room(), alice(), Membership::Joined)
            .unwrap();
        let master = Ed25519SecretKey::from_slice(&[1; 32]).public_key();
        tx.identities().put(alice(), &master).unwrap();
        let pin = Pin {
            master,
            source: PinSource::FirstUse,
        };
        tx.identities().pin(alice(), &pin, now).unwrap();
        for (number, deleted) in [(1, false), (2, true)] {
            let device = Device {
                signed_by: Some(master),
                ..cheap_device(alice(), number)
            };
            let id = device.id.clone();
            tx.devices()
                .apply(alice(), &DeviceChange::Put(Box::new(device)))
                .unwrap();
            if deleted {
                tx.devices()
                    .apply(alice(), &DeviceChange::Delete(id))
                    .unwrap();
            }
        }
        tx.olm_sessions()
            .put(alice(), &key(1), &session, true, now)
            .unwrap();
        let hers = InboundGroupSession::from_pickle(
            alice().to_owned(),
            key(1),
            group.ed25519,
            &group.pickle().unwrap(),
        );
        tx.inbound_sessions()
            .put(room(), "hers", &hers.unwrap(), now)
            .unwrap();
        let asked = event_id!("$asked");
        assert!(tx.journal().record(&entry(asked)).unwrap());
        tx.commit().unwrap();
        Self {
            directory,
            store,
            largest: 0,
            bot: Bot {
                engine,
                now,
                group,
                session,
            },
        }
    }

    /// Runs this for each number below `count`, some hundred in a transaction and
    /// an hour.
    pub(super) fn each(&mut self, count: usize, what: impl Fn(&Transaction<'_>, &Bot, usize)) {
        for from in (0..count).step_by(500) {
            self.bot.now += HOUR_MS;
            let tx = self.store.begin().unwrap();
            for number in from..count.min(from + 500) {
                what(&tx, &self.bot, number);
            }
            tx.commit().unwrap();
            self.largest = self.largest.max(self.size());
        }
        self.store.checkpoint().unwrap();
    }

    /// Bytes of all files.
    pub(super) fn size(&self) -> u64 {
        let files = fs::read_dir(&self.directory.0).unwrap();
        files
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum()
    }
}

impl Bot {
    fn sync(&self, tx: &Transaction<'_>, body: serde_json::Value) {
        let body = body.to_string();
        let body: SyncBody<'_> = serde_json::from_str(&body).unwrap();
        let nothing = Default::default();
        let turn = self.engine.on(tx, self.now);
        turn.handle_sync_to_device(&body, 0, crate::matrix::e2ee::TimeBudget::unlimited())
            .unwrap();
        turn.handle_sync(&body, &nothing, false).unwrap();
    }
}

/// Some tenths of a cap.
pub(super) fn of(rows: i64, tenths: usize) -> usize {
    usize::try_from(rows).unwrap() * tenths / 10
}

/// Fills all tables by so many tenths of their caps, by names from this number on.
fn rubbish(year: &mut Year, base: usize, tenths: usize) {
    // Rooms, and members of rooms, who come from a server of their own.
    year.each(of(caps::ROOMS, tenths), |tx, _, number| {
        let room = room_of(base + number + 4);
        if tx.rooms().has_room_for(&room).unwrap() {
            tx.rooms().enter(&room).unwrap();
            tx.rooms()
                .set_encrypted(&room, &"x".repeat(300), Some(1), Some(1))
                .unwrap();
            tx.rooms().leave(&room).unwrap();
        }
    });
    year.each(of(caps::MEMBERS, tenths) / 50, |tx, bot, number| {
        let member = |who: usize, kind: &str| {
            json!({
                "type": "m.room.member", "sender": user(who), "state_key": user(who),
                "event_id": long('$', who), "content": {"membership": kind},
            })
        };
        let mut events = Vec::new();
        for who in (0..50).map(|nth| base + number * 50 + nth) {
            events.push(member(who, "join"));
            if who.is_multiple_of(3) {
                events.push(member(who, "leave"));
            }
        }
        let room = room_of(number % 4);
        bot.sync(
            tx,
            json!({"next_batch": format!("s{base}-{number}"), "rooms": {"join": {room.as_str(): {
                "state": {"events": [{"type": "m.room.encryption", "sender": user(1),
                    "state_key": "", "event_id": "$e", "content": {"algorithm": MEGOLM_ALGORITHM}}]},
                "timeline": {"events": events},
            }}}}),
        );
    });
    // Their devices, which come and go; what is tried with them.
    year.each(of(caps::DEVICES, tenths), |tx, _, number| {
        let owner = user(base + number % 500);
        let number = base + number;
        let index = u32::try_from(number).unwrap();
        let device = Device {
            id: format!("{number:0>128}").into(),
            ..cheap_device(&owner, index)
        };
        tx.devices()
            .apply(&owner, &DeviceChange::Put(Box::new(device.clone())))
            .unwrap();
        if number.is_multiple_of(3) {
            tx.devices()
                .apply(&owner, &DeviceChange::Delete(device.id.clone()))
                .unwrap();
        }
        tx.identities().put(&owner, &device.ed25519).unwrap();
        tx.olm_peers().postpone_claim(&device, 1).unwrap();
        tx.olm_peers().ask_unwedge(&device, 0, 1).unwrap();
    });
    year.each(of(caps::OLM_SESSIONS, tenths), |tx, bot, number| {
        let number = base + number;
        let index = u32::try_from(number).unwrap();
        tx.olm_sessions()
            .put(
                &user(number % 500),
                &key(index),
                &bot.session,
                true,
                bot.now,
            )
            .unwrap();
    });
    year.each(of(caps::SHARES, tenths), |tx, _, number| {
        let room = room_of(number * 2 / of(caps::SHARES, 10));
        let group = match tx.outbound_sessions().find(&room).unwrap() {
            Some(group) => group,
            None => {
                let group = OutboundGroupSession::new(room.clone(), 1);
                tx.outbound_sessions().put(&room, &group).unwrap();
                group
            }
        };
        let device = Device {
            id: format!("{number:0>128}").into(),
            ..cheap_device(&user(number % 500), 1)
        };
        tx.shares()
            .put(&group.session_id(), &device, Some(0))
            .unwrap();
    });
    // Olm messages that nobody wrote.
    let before = year.size();
    year.each(100 * tenths, |tx, bot, number| {
        let body =
            vodozemac::base64_encode([&[3, 10, 32][..], &[5; 32], &[16, 0, 34, 16]].concat());
        let own = Account::new(own().to_owned(), "X".into()).curve25519();
        bot.sync(
            tx,
            json!({"next_batch": format!("t{number}"), "to_device": {"events": [{
            "type": "m.room.encrypted", "sender": alice(), "content": {
                "algorithm": "m.olm.v1.curve25519-aes-sha2", "sender_key": own.to_base64(),
                "ciphertext": {own.to_base64(): {"type": 0, "body": body}},
            }}]}}),
        );
    });
    assert!(year.size() <= before + 100_000, "rubbish is not remembered");
    // What only an allowed user, or their homeserver, can send.
    year.each(of(caps::ROOM_KEYS, tenths), |tx, bot, number| {
        let number = base + number + 10;
        let index = u32::try_from(number).unwrap();
        let pickle = bot.group.pickle().unwrap();
        let made_up = InboundGroupSession::from_pickle(
            alice().to_owned(),
            key(index),
            bot.group.ed25519,
            &pickle,
        );
        tx.inbound_sessions()
            .put(&room_of(number), "session", &made_up.unwrap(), bot.now)
            .unwrap();
    });
    target_sizes::fill(year, base, tenths);
    year.each(of(caps::JOURNAL, tenths), |tx, _, number| {
        let number = base + number;
        let event_id: OwnedEventId = long('$', number).try_into().unwrap();
        let entry = JournalEntry {
            room: room_of(1),
            ..entry(&event_id)
        };
        tx.journal().record(&entry).unwrap();
        tx.journal().finish(&event_id).unwrap();
        let text = "x".repeat(caps::CHATTER_BYTES);
        tx.replies()
            .put(
                &room_of(number % 8),
                &format!("{number}"),
                "m",
                &text,
                0,
                false,
            )
            .unwrap();
        if !number.is_multiple_of(10) {
            return;
        }
        let held = UndecryptedEvent {
            event_id,
            room: room_of(1),
            sender: user(1),
            event: "x".repeat(32_000),
            received_at: 1,
            age_ms: 0,
            reason: WaitReason::NoKey,
        };
        tx.undecrypted().put(&held, None).unwrap();
        tx.withheld_keys()
            .put(
                &room_of(number),
                &"x".repeat(number % 80),
                &user(1),
                crate::crypto::WithheldCode::NoOlm,
                1,
            )
            .unwrap();
        tx.invites()
            .put(&room_of(number), &user(number), number.is_multiple_of(3))
            .unwrap();
    });
}

#[test]
fn a_year_of_rubbish_does_not_fill_a_small_volume() {
    let times = std::env::var(TIMES).map_or(1, |times| times.parse().unwrap());
    let mut year = Year::new();
    rubbish(&mut year, 0, 11);
    let half = year.size();
    // And more of it, of others, to a store that is full.
    for nth in 1..=times {
        rubbish(&mut year, nth * 20_000, 2);
    }
    let end = year.size();
    report(half, end, year.largest);
    assert!(year.largest < 64 << 20, "{} bytes", year.largest);
    assert!(end < half + half / 5, "{half} bytes, then {end}");

    let tx = year.store.begin().unwrap();
    for cap in TABLES {
        let count = format!("SELECT count(*) FROM {}", cap.table);
        let rows: i64 = tx.inner.query_row(&count, [], |row| row.get(0)).unwrap();
        assert!(rows <= cap.rows, "{}: {rows} rows", cap.table);
    }
    // All that guards is there.
    assert_eq!(
        tx.olm_sessions().of_peer(alice(), &key(1)).unwrap().len(),
        1
    );
    assert!(tx.identities().of_user(alice()).unwrap().pin.is_some());
    assert!(tx.device_lists().is_tracked(alice()).unwrap());
    assert!(tx.members().contains(room(), alice()).unwrap());
    assert!(
        tx.inbound_sessions()
            .find(room(), "hers", alice(), &key(1))
            .unwrap()
            .is_some()
    );
    assert!(matches!(
        tx.rooms().encryption(room()).unwrap(),
        Encryption::Megolm(_)
    ));
    let known = tx.devices().known(alice()).unwrap();
    assert_eq!(known.iter().filter(|known| known.deleted).count(), 1);
    assert_eq!(known.len(), 2);
    let waiting = tx
        .journal()
        .next_unfinished("")
        .unwrap()
        .map(|entry| entry.event_id);
    assert_eq!(waiting.as_deref(), Some(event_id!("$asked")));
    assert_eq!(rows(&tx, "SELECT count(*) FROM session"), 1);
}

#[allow(clippy::print_stdout, reason = "a figure")]
fn report(half: u64, end: u64, largest: u64) {
    println!(
        "figures {}",
        json!({"year": {
            "half_bytes": half, "end_bytes": end, "largest_bytes": largest,
        }})
    );
}
