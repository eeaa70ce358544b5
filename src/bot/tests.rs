//! The loop, the login and the policy on a real store, without a homeserver.

use std::{fs, rc::Rc, sync::Arc, time::Duration};

use ruma::{RoomId, UserId, event_id, room_id, user_id};
use tokio::time::{Instant, timeout};

use super::*;
use crate::config::{Account, Overrides};
use crate::control::{Kind, Namespace, ObjectName, Policy, Targets, Workload, time::Zone};
use crate::crypto::DeviceTrust;
use crate::kube::{Api, Credentials, ServiceAccount};
use crate::login::{SessionError, connect, log_in};
use crate::matrix::client::{Homeserver, LoggedIn, SyncBody};
use crate::matrix::e2ee::{
    Commanders, Engine, Message, MessageKind, PlaintextReplies, RequestContext,
};
use crate::matrix::session::SessionEnd;
use crate::net::fake::{Authority, closed_port};
use crate::net::{Client, Roots};
use crate::store::Store;
use crate::telemetry::HealthState;
use crate::util::Clock;
use crate::util::temp::TempDir;
use crate::util::{Secret, SortedMap, Tokens};

/// The sum of the 20 waits, in seconds; jitter adds up to a fifth.
const ALL_WAITS: u64 = 2 + 4 + 8 + 16 + 32 + 15 * 60;

/// Far beyond it, in the time of the test.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// Runs a test on a clock that jumps to whatever is waited for next.
fn paused<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}

/// A store and a service account, which go with the test.
struct Directory(TempDir);

impl Directory {
    fn new() -> Self {
        Self(TempDir::new())
    }

    fn store(&self) -> Store {
        Store::open(&self.0.path().join("store")).unwrap()
    }

    /// An API server that is not there.
    fn no_cluster(&self) -> Api {
        fs::write(self.0.path().join("token"), "token").unwrap();
        fs::write(self.0.path().join("ca.crt"), Authority::new().pem()).unwrap();
        let port = closed_port().to_string();
        let account =
            ServiceAccount::load("127.0.0.1", &port, self.0.path(), Clock::stopped()).unwrap();
        Api::new(Credentials::InCluster(account))
    }
}

/// A homeserver that is not there.
fn no_homeserver() -> Homeserver {
    let client = Client::new(Roots::Mozilla, Clock::stopped()).unwrap();
    Homeserver::new(client, format!("http://127.0.0.1:{}", closed_port()))
}

fn bot() -> &'static UserId {
    user_id!("@bot:test")
}

fn alice() -> &'static UserId {
    user_id!("@alice:test")
}

fn mallory() -> &'static UserId {
    user_id!("@mallory:test")
}

fn room() -> &'static RoomId {
    room_id!("!ops:test")
}

fn chat() -> Chat {
    Chat::new(Policy {
        users: [alice().to_owned()].into(),
        viewers: [].into(),
        rooms: None,
        require_encryption: false,
        max_age: Duration::from_secs(120),
        targets: Targets::Reference(workload()),
        zone: Zone::utc(),
        max_for: None,
        has_gateway: false,
    })
}

fn workload() -> Workload {
    Workload {
        kind: Kind::Deployment,
        namespace: Namespace::parse("ns").unwrap(),
        name: ObjectName::parse("web").unwrap(),
    }
}

/// Knows these people as the ones to listen to.
fn engine(commanders: &[&UserId]) -> Engine {
    let commanders = self::commanders(commanders);
    Engine::new(
        bot().to_owned(),
        "DEVICE".into(),
        commanders,
        Rc::default(),
        PlaintextReplies::Any,
    )
}

fn commanders(users: &[&UserId]) -> Commanders {
    Commanders {
        users: users.iter().map(|user| (*user).to_owned()).collect(),
        trust: DeviceTrust::CrossSigned,
        pins: SortedMap::new(),
    }
}

fn assert_all_waits(took: Duration) {
    let seconds = took.as_secs_f64();
    let least = Duration::from_secs(ALL_WAITS).as_secs_f64();
    assert!(
        (least..=least * 1.2 + 1.0).contains(&seconds),
        "after {seconds} s"
    );
}

fn health() -> HealthState {
    HealthState::new(true, Duration::from_secs(90), Clock::stopped().now())
}

fn tokens() -> Tokens {
    Tokens {
        access: Secret::new("t".to_owned()),
        refresh: None,
        refresh_at: None,
    }
}

#[test]
fn a_login_gives_up_after_twenty_retries() {
    let directory = Directory::new();
    let mut store = directory.store();
    let env = |name: &str| {
        let value = match name {
            "MATRIX_HOMESERVER" => format!("http://127.0.0.1:{}", closed_port()),
            "MATRIX_USER" => "bot".to_owned(),
            "MATRIX_PASSWORD" => "a password".to_owned(),
            _ => return None,
        };
        Some(value.into())
    };
    let account = Account::from_env(&env, Overrides::default()).unwrap();
    paused(async {
        let started = Instant::now();
        let login = connect(&account, Clock::stopped()).await.unwrap();
        let health = health();
        let session = log_in(&mut store, &login, &health);
        let ended = timeout(FOR_EVER, session).await.expect("it gives up");
        assert!(matches!(ended, Err(SessionError::GaveUp(_))));
        assert_all_waits(started.elapsed());
    });
}

/// Runs the loop without a homeserver until it gives up; returns how, and after
/// how long.
fn end_without_homeserver(uploaded: bool) -> (SessionEnd, Duration) {
    let directory = Directory::new();
    let mut store = directory.store();
    let tx = store.begin().unwrap();
    let engine = engine(&[alice()]);
    engine.on(&tx, 0).prepare_account().unwrap();
    if uploaded {
        let outgoing = engine.on(&tx, 0).outgoing(false, &|_| false).unwrap();
        let upload = outgoing
            .requests
            .into_iter()
            .find_map(|want| match want.about {
                RequestContext::Upload { fallback, .. } => Some(fallback),
                _ => None,
            });
        let fallback = upload.flatten();
        engine
            .on(&tx, 0)
            .handle_upload(true, fallback.as_deref())
            .unwrap();
    }
    tx.commit().unwrap();
    let access = LoggedIn {
        user: bot().to_owned(),
        device: "DEVICE".into(),
        tokens: tokens(),
    };
    let (kube, chat) = (directory.no_cluster(), chat());
    paused(async {
        let started = Instant::now();
        let homeserver = no_homeserver();
        let health = Arc::new(health());
        let mut jobs = Jobs::new(kube, Targets::Reference(workload()), Arc::clone(&health));
        let context = Context {
            chat: &chat,
            commanders: commanders(&[alice()]),
            homeserver: &homeserver,
            own_keys: Rc::default(),
            health: Arc::clone(&health),
            keeps_device: false,
        };
        let session = Session::new(&mut store, &mut jobs, access, context);
        let end = timeout(FOR_EVER, session.run()).await.expect("it gives up");
        assert!(!health.snapshot().logged_in, "the session has ended");
        (end, started.elapsed())
    })
}

#[test]
fn a_sync_gives_up_after_twenty_retries() {
    let (end, took) = end_without_homeserver(true);
    assert!(
        matches!(&end, SessionEnd::GaveUp(why) if why.contains("giving up")),
        "{end}"
    );
    assert_all_waits(took);
}

/// On a new device the first sync waits for its keys to be uploaded; it must not
/// wait for ever.
#[test]
fn a_device_that_cannot_upload_its_keys_gives_up_too() {
    let (end, _) = end_without_homeserver(false);
    assert!(matches!(end, SessionEnd::GaveUp(_)), "{end}");
}

/// Were the engine to let a stranger's message through, the policy would not.
#[test]
fn the_policy_alone_hears_no_stranger() {
    let directory = Directory::new();
    let mut store = directory.store();
    let tx = store.begin().unwrap();
    tx.rooms().enter(room()).unwrap();
    let engine = engine(&[alice(), mallory()]);
    for (sender, heard) in [(mallory(), false), (alice(), true)] {
        for (body, id) in [("start", event_id!("$a")), ("nonsense", event_id!("$b"))] {
            let message = Message {
                event_id: id.to_owned(),
                room: room().to_owned(),
                sender: sender.to_owned(),
                age: Default::default(),
                thread: None,
                mentions_bot: false,
                kind: MessageKind::Text {
                    overdue_ms: 0,
                    body: body.to_owned(),
                    device: None,
                },
            };
            let door = Door {
                chat: &chat(),
                executing: &[],
                turn: engine.on(&tx, 0),
            };
            door.receive(&message).unwrap();
        }
        assert_eq!(
            tx.journal().next_unfinished("").unwrap().is_some(),
            heard,
            "{sender}"
        );
        assert_eq!(!tx.replies().rooms().unwrap().is_empty(), heard);
    }
}

/// And the engine alone does not look at a stranger's message either.
#[test]
fn the_engine_alone_hears_no_stranger() {
    let directory = Directory::new();
    let mut store = directory.store();
    let tx = store.begin().unwrap();
    tx.rooms().enter(room()).unwrap();
    tx.rooms().set_not_encrypted(room()).unwrap();
    tx.session().put(bot(), "DEVICE".into(), &tokens()).unwrap();
    tx.session().set_next_batch("s1").unwrap();
    let message = |sender: &UserId, id: &str| {
        serde_json::json!({
            "type": "m.room.message", "sender": sender, "event_id": id,
            "origin_server_ts": 1, "content": {"msgtype": "m.text", "body": "start"},
        })
    };
    let sync = serde_json::json!({
        "next_batch": "s2",
        "rooms": {"join": {room().as_str(): {"timeline": {
            "events": [message(mallory(), "$m"), message(alice(), "$a")],
        }}}},
    })
    .to_string();
    let body: SyncBody<'_> = serde_json::from_str(&sync).unwrap();
    let engine = engine(&[alice()]);
    engine.on(&tx, 1).prepare_account().unwrap();
    let received = engine
        .on(&tx, 1)
        .handle_sync(&body, &Default::default(), false)
        .unwrap();
    let senders: Vec<_> = received.messages.iter().map(|m| &*m.sender).collect();
    assert_eq!(senders, [alice()]);
}
