//! The program's engine, store and policy in the middle of their life, and what
//! must hold whatever comes in.

use std::{rc::Rc, time::Duration};

use http::uri::PathAndQuery;
use openclaw_k8s_toggle_operator::bot::{Chat, Door};
use openclaw_k8s_toggle_operator::control::time::Zone;
use openclaw_k8s_toggle_operator::control::{
    Command, Kind, Namespace, ObjectName, Policy, Targets, Workload,
};
use openclaw_k8s_toggle_operator::crypto::{
    DeviceTrust, DeviceTrustState, MEGOLM_ALGORITHM, Pickle, Pin, PinSource, RecoveryKey, Seed,
};
use openclaw_k8s_toggle_operator::json::Sifted;
use openclaw_k8s_toggle_operator::matrix::client::{Answer, SyncBody};
use openclaw_k8s_toggle_operator::matrix::e2ee::{
    Commanders, Engine, Error, Message, OutgoingRequest, OwnKeys, QueryAnswer, Received,
    RequestContext, TimeBudget, Turn,
};
use openclaw_k8s_toggle_operator::store::{Encryption, Store, Transaction};
use openclaw_k8s_toggle_operator::util::{Secret, SortedMap, SortedSet, Tokens};
use ruma::{OwnedUserId, RoomId, UserId};
use serde_json::{Value, json};

use crate::people::{self, ANNA, BOT, MALLORY, Person, event};

/// The time of everything, in milliseconds since the Unix epoch.
pub const NOW: u64 = 1_800_000_000_000;
/// An encrypted room of all three.
pub const SECRET: &str = "!secret:hs";
/// A room of all three that is not encrypted.
pub const CLEAR: &str = "!clear:hs";
/// A room of which it is not known whether it is encrypted.
pub const NEW: &str = "!new:hs";
/// The recovery key that the bot was given.
pub const RECOVERY_KEY: &str = "EsTc LW2K PGiF wKEA 3As5 g5c4 BXwk qeeJ ZJV8 Q9fu gUMN UE4d";

/// Everything, opened once in a process. Nothing that a run does stays.
pub struct World {
    store: Store,
    engine: Engine,
    chat: Chat,
}

/// One run: a transaction that is dropped in the end.
pub struct Run<'a> {
    /// The store as the run may look into it.
    pub tx: Transaction<'a>,
    /// The code under test.
    pub engine: &'a Engine,
    chat: &'a Chat,
}

impl World {
    /// A store in the temporary directory: the bot in three rooms, its peers'
    /// devices known, one Olm session with Anna and one group session of hers.
    pub fn new() -> Self {
        crate::logger::install();
        let directory = std::env::temp_dir().join(format!("store-{}", std::process::id()));
        let store = Store::open(&directory).unwrap();
        let commanders = Commanders {
            users: SortedSet::from([user(ANNA.0)]),
            trust: DeviceTrust::CrossSigned,
            pins: SortedMap::new(),
        };
        let own_keys = OwnKeys {
            seed: Some(Rc::new(Seed::copied(&[7; 32]).unwrap())),
            recovery_key: Some(Rc::new(RecoveryKey::parse(RECOVERY_KEY).unwrap())),
            password: Some(Secret::new("password".to_owned())),
        };
        let policy = Policy {
            users: commanders.users.clone(),
            viewers: SortedSet::new(),
            rooms: None,
            require_encryption: false,
            max_age: Duration::from_secs(600),
            targets: Targets::Reference(workload()),
            zone: Zone::utc(),
            max_for: None,
            has_gateway: false,
        };
        let mut chat = Chat::new(policy);
        chat.echo = true;
        let engine = Engine::new(
            user(BOT.0),
            BOT.1.into(),
            commanders,
            Rc::new(own_keys),
            chat.plaintext_replies(),
        );
        let mut world = Self {
            store,
            engine,
            chat,
        };
        world.live();
        world
    }

    /// Begins a run.
    pub fn run(&mut self) -> Run<'_> {
        Run {
            tx: self.store.begin().unwrap(),
            engine: &self.engine,
            chat: &self.chat,
        }
    }

    fn live(&mut self) {
        let run = self.run();
        run.tx
            .session()
            .put(
                &user(BOT.0),
                BOT.1.into(),
                &Tokens {
                    access: Secret::new("t".to_owned()),
                    refresh: None,
                    refresh_at: None,
                },
            )
            .unwrap();
        run.tx
            .account()
            .put_pickle(&Pickle::copied(&people::bot_account()))
            .unwrap();
        run.turn().prepare_account().unwrap();
        let member = |user: &str| {
            let mut event = event(
                user,
                &format!("$join-{}", &user[1..]),
                "m.room.member",
                &json!({"membership": "join"}),
            );
            event["state_key"] = json!(user);
            event
        };
        let members = [member(BOT.0), member(ANNA.0), member(MALLORY.0)];
        let mut encrypted = members.to_vec();
        encrypted.push(event(
            ANNA.0,
            "$encryption",
            "m.room.encryption",
            &json!({"algorithm": MEGOLM_ALGORITHM}),
        ));
        encrypted[3]["state_key"] = json!("");
        let join = |events: &[Value]| json!({ "state": { "events": events } });
        let first = json!({
            "next_batch": "s0",
            "rooms": { "join": {
                SECRET: join(&encrypted), CLEAR: join(&members), NEW: join(&members),
            } },
        });
        run.receive(first.to_string().as_bytes());
        for _ in 0..8 {
            for want in run.outgoing() {
                run.answer(&want, &members);
            }
        }
        let anna = Person::anna();
        let key = people::room_key(SECRET, &people::group(1));
        let plaintext = anna.payload("m.room_key", &key).to_string();
        let hello = anna.olm_event(&mut anna.session(0), plaintext.as_bytes());
        run.sync(&json!({ "next_batch": "s1", "to_device": { "events": [hello] } }));
        let room = <&RoomId>::try_from(SECRET).unwrap();
        let session_id = people::group(1).session_id();
        let owner = <&UserId>::try_from(ANNA.0).unwrap();
        let groups = run
            .tx
            .inbound_sessions()
            .shared_by(room, &session_id, Some(owner))
            .unwrap();
        assert_eq!(groups.len(), 1);
        assert!(run.turn().bootstrap_done().unwrap());
        run.tx.commit().unwrap();
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl Run<'_> {
    /// The engine in the run's transaction.
    pub fn turn(&self) -> Turn<'_> {
        self.engine.on(&self.tx, NOW)
    }

    /// Takes in a sync of honest content.
    pub fn sync(&self, body: &Value) {
        let body = body.to_string();
        self.handle_sync(body.as_bytes());
    }

    /// Takes in a sync answer as the program does, and judges what is in it.
    pub fn handle_sync(&self, body: &[u8]) {
        if let Some(received) = self.receive(body) {
            self.classify(&received);
        }
    }

    /// The part of an answer that the program keeps, however the answer arrives.
    pub fn sift(&self, answer: Answer, body: &[u8]) -> Option<Sifted> {
        let audience = self.engine.audience();
        let mut sieve = answer.sieve(&audience);
        for piece in body.chunks(1 + body.len() % 997) {
            sieve.push(piece).ok()?;
        }
        let sifted = sieve.finish().ok()?;
        assert!(sifted.body.len() < 4 << 20, "too much is kept");
        Some(sifted)
    }

    fn door(&self) -> Door<'_> {
        Door {
            chat: self.chat,
            executing: &[],
            turn: self.turn(),
        }
    }

    fn receive(&self, body: &[u8]) -> Option<Received> {
        let sifted = self.sift(Answer::Sync, body)?;
        let body = serde_json::from_slice::<SyncBody<'_>>(&sifted.body).ok()?;
        // Making 50 keys is what a run would be spent on, were the counts to hold.
        let turn = self.turn();
        let received = turn
            .handle_sync_to_device(&body, 0, TimeBudget::unlimited())
            .and_then(|_| turn.handle_sync(&body, &sifted.skipped, false));
        match received.and_then(|all| turn.check_rollback().map(|()| all)) {
            Ok(received) => Some(received),
            // A message that this device never sent is the server's to invent, and so is
            // a position that fits into no request.
            Err(Error::RolledBack(_) | Error::NotCarried { .. }) => None,
            Err(error) => panic!("a sync that was read is not taken in: {error}"),
        }
    }

    /// Takes in the answer to a `/keys/query` for everybody.
    pub fn handle_query(&self, body: &[u8]) {
        for who in [ANNA.0, MALLORY.0, BOT.0] {
            self.tx.device_lists().mark_outdated(&user(who)).unwrap();
        }
        let asked: Vec<_> = self.tx.device_lists().outdated(NOW, 250).unwrap();
        let asked: Vec<_> = asked
            .into_iter()
            .map(|found| (found.user, found.generation))
            .collect();
        let mut messages = Vec::new();
        let Some(sifted) = self.sift(Answer::Devices, body) else {
            return;
        };
        let queried = QueryAnswer {
            asked: &asked,
            done: 0,
            answer: &sifted,
        };
        let taken = self
            .turn()
            .handle_query(&queried, TimeBudget::unlimited(), &mut messages);
        if tolerable(taken.map(drop)) {
            self.classify(&Received {
                messages,
                invites: Vec::new(),
            });
        }
    }

    /// Journals and answers as the program does; then checks what must hold.
    pub fn classify(&self, received: &Received) {
        for message in &received.messages {
            self.receive_message(message);
        }
        for invite in &received.invites {
            self.door().judge_invite(invite).unwrap();
        }
        self.check();
    }

    fn receive_message(&self, message: &Message) {
        assert_eq!(
            message.sender, ANNA.0,
            "a message of somebody who may not command"
        );
        self.door().receive(message).unwrap();
        let Some(entry) = self.tx.journal().next_unfinished("").unwrap() else {
            return;
        };
        assert_eq!(entry.sender, ANNA.0);
        Command::decode(&entry.payload).expect("only commands wait in the journal");
        assert!(
            entry.device.is_some()
                || self.tx.rooms().encryption(&entry.room).unwrap() == Encryption::Plaintext,
            "a command in clear where it must not be"
        );
        self.tx.journal().finish(&entry.event_id).unwrap();
    }

    /// Asserts everything that holds after any input.
    pub fn check(&self) {
        for want in self.outgoing() {
            let path: PathAndQuery = want
                .call
                .path
                .parse()
                .expect("a path that can be asked for");
            assert!(path.path().starts_with("/_matrix/"), "{path}");
        }
        assert!(
            self.tx.undecrypted().count().unwrap() <= 256,
            "too much waits"
        );
        let anna = Person::anna();
        let key = anna.account.curve25519_key();
        assert!(
            self.tx
                .olm_sessions()
                .of_peer(&user(ANNA.0), &key)
                .unwrap()
                .len()
                <= 8
        );
        let identity = self.tx.identities().of_user(&user(ANNA.0)).unwrap();
        let pin = Pin {
            master: anna.master.public_key(),
            source: PinSource::FirstUse,
        };
        assert_eq!(identity.pin, Some(pin), "a pin that nobody gave up");
        for known in self.tx.devices().known(&user(ANNA.0)).unwrap() {
            let standing = identity.standing(&known.device, DeviceTrust::CrossSigned);
            assert!(
                standing != DeviceTrustState::Trusted
                    || known.device.ed25519 == anna.account.ed25519_key(),
                "a device commands that Anna never signed"
            );
        }
    }

    fn outgoing(&self) -> Vec<OutgoingRequest> {
        let outgoing = self.turn().outgoing(true, &|_| false);
        let mut outgoing = outgoing.expect("what is next can be asked").requests;
        outgoing.extend(
            self.engine
                .outbox_requests(&self.tx, true, &|_| false)
                .unwrap(),
        );
        outgoing
    }

    fn answer(&self, want: &OutgoingRequest, members: &[Value]) {
        let turn = self.turn();
        match &want.about {
            RequestContext::Upload {
                with_device_keys,
                fallback,
            } => turn.handle_upload(*with_device_keys, fallback.as_deref()),
            RequestContext::Query(asked) => {
                let answer = Sifted {
                    body: honest_query().to_string().into_bytes(),
                    ..Sifted::default()
                };
                let queried = QueryAnswer {
                    asked,
                    done: 0,
                    answer: &answer,
                };
                let taken = turn.handle_query(&queried, TimeBudget::unlimited(), &mut Vec::new());
                taken.map(drop)
            }
            RequestContext::Claim(_)
            | RequestContext::Join(_)
            | RequestContext::Invites
            | RequestContext::Signal => Ok(()),
            RequestContext::OwnIdentity(step) => turn.handle_cross_signing_step(*step, b"{}"),
            RequestContext::Members(room, generation) => {
                let body = json!({ "chunk": members }).to_string();
                turn.handle_members(room, *generation, body.as_bytes())
            }
            RequestContext::Encryption(room) if room == CLEAR => {
                turn.handle_room_encryption(room, None)
            }
            RequestContext::Encryption(_) => Ok(()),
            RequestContext::Gap(room, token) => {
                let answer = Sifted {
                    body: b"{}".to_vec(),
                    ..Sifted::default()
                };
                turn.handle_backfill(room, token, &answer, 600_000)
            }
            RequestContext::Outbox(row, _) => Ok(turn.tx.outbox().finish(*row).unwrap()),
        }
        .unwrap();
    }
}

/// The answer of an honest homeserver about everybody's keys.
pub fn honest_query() -> Value {
    let (anna, mallory) = (Person::anna(), Person::mallory());
    let (master, self_signing) = anna.identity();
    json!({
        "device_keys": {
            ANNA.0: { ANNA.1: anna.device_keys() },
            MALLORY.0: { MALLORY.1: mallory.device_keys() },
            BOT.0: { BOT.1: people::bot_device_keys() },
        },
        "master_keys": { ANNA.0: master },
        "self_signing_keys": { ANNA.0: self_signing },
    })
}

/// True if an answer was taken in. That a store refuses, or that a request cannot
/// be built, is never an answer's doing.
pub fn tolerable(taken: Result<(), Error>) -> bool {
    match taken {
        Ok(()) => true,
        Err(
            Error::Malformed(_)
            | Error::NotCarried { .. }
            | Error::OwnKeys(_)
            | Error::RolledBack(_),
        ) => false,
        Err(error) => panic!("an answer breaks more than itself: {error}"),
    }
}

/// The Deployment that commands are about.
pub fn workload() -> Workload {
    Workload {
        kind: Kind::Deployment,
        namespace: Namespace::parse("claw").unwrap(),
        name: ObjectName::parse("bot").unwrap(),
    }
}

/// A full id.
pub fn user(id: &str) -> OwnedUserId {
    <&UserId>::try_from(id).unwrap().to_owned()
}
