//! Everything one scenario needs: both fakes, the bot, and Alice.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use super::apiserver::ApiServer;
use super::bot::{self, Bot, Victim};
use super::homeserver::Homeserver;
use super::person::{Person, Seen, text_message};
use super::redaction::Secrets;
use super::scenario::Scenario;
use super::temp::TempDir;

pub const BOT: &str = "@bot:test";
pub const ALICE: &str = "@alice:test";
pub const MALLORY: &str = "@mallory:test";
pub const ROOM: &str = "!ops:test";
/// The bot's; no other text is like it.
pub const PASSWORD: &str = "battery&9f3c =staple+%41";

/// The bot's sentence for a message that it cannot read.
pub const UNREADABLE: &str = "I could not decrypt your message.";
pub const ON: &str = "Deployment is now on  (replicas: 1)";
pub const OFF: &str = "Deployment is now off  (replicas: 0)";

/// The variables that a bot is given besides those that its login needs.
const OF_NO_LOGIN: [&str; 8] = [
    "ALLOWED_USERS",
    "DEPLOYMENT_NAME",
    "DEPLOYMENT_NAMESPACE",
    "CRYPTO_STORE_PATH",
    "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT",
    "SERVICE_ACCOUNT_DIR",
    "RUST_LOG",
];

pub struct World {
    pub hs: Homeserver,
    pub api: ApiServer,
    pub alice: Person,
    pub env: BTreeMap<String, String>,
    pub dir: TempDir,
    /// The devices of a scenario's users, until the test takes them.
    pub(super) people: Vec<Person>,
    bots: Vec<Bot>,
    /// The number of the bot's messages in each room that the test has looked at.
    read: BTreeMap<String, usize>,
}

impl World {
    /// The fakes, Alice, no room, and the bot not started.
    pub fn new() -> Self {
        let dir = TempDir::new();
        let hs = Homeserver::start();
        let api = ApiServer::start(dir.path());
        hs.add_user(BOT, PASSWORD);
        let alice = Person::new(&hs, ALICE, "ALICEPHONE");
        let store = dir.sub("store");
        let env = [
            ("MATRIX_HOMESERVER", hs.url()),
            ("MATRIX_USER", "bot".into()),
            ("MATRIX_PASSWORD", PASSWORD.into()),
            ("ALLOWED_USERS", ALICE.into()),
            ("DEPLOYMENT_NAME", super::apiserver::NAME.into()),
            ("DEPLOYMENT_NAMESPACE", super::apiserver::NAMESPACE.into()),
            ("CRYPTO_STORE_PATH", store.display().to_string()),
            ("ECHO_MODE", "false".into()),
            ("COMMAND_MAX_AGE", "120".into()),
            ("KUBERNETES_SERVICE_HOST", "127.0.0.1".into()),
            ("KUBERNETES_SERVICE_PORT", api.port().to_string()),
            (
                "SERVICE_ACCOUNT_DIR",
                api.account_dir().display().to_string(),
            ),
            ("RUST_LOG", super::bot::ALL.into()),
        ];
        Self {
            hs,
            api,
            alice,
            env: env.map(|(name, value)| (name.to_owned(), value)).into(),
            dir,
            people: Vec::new(),
            bots: Vec::new(),
            read: BTreeMap::new(),
        }
    }

    /// Alice and the bot in an encrypted room, the bot listening.
    pub fn encrypted() -> Self {
        Scenario::encrypted().start()
    }

    /// Alice and the bot in a room without encryption, the bot listening.
    pub fn plain() -> Self {
        Scenario::plain().start()
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.env.insert(name.into(), value.into());
    }

    /// From the next start on the bot waits so many times shorter before it tries again
    /// and for a room key. What has to come within such a wait needs it to be 1 s at
    /// least. These tests wait in real time: `a_sync_that_is_cut_is_tried_again`,
    /// `a_hard_logout_takes_a_new_device_with_new_keys`,
    /// `a_keycloak_that_is_not_there_is_waited_for`,
    /// `without_a_good_reason_the_general_sentence_comes_and_a_new_olm_session` and
    /// `a_message_without_a_key_is_given_up_in_time_whatever_the_clock_does`.
    pub fn pace(&mut self, times: u32) {
        self.set("OPENCLAW_TEST_PACE", &times.to_string());
    }

    /// The bot's clock can be moved by [`World::jump`] from the next start on.
    pub fn let_clock_move(&mut self) {
        let file = self.clock();
        std::fs::write(&file, "0").expect("the directory is there");
        self.set("OPENCLAW_TEST_CLOCK", &file.display().to_string());
    }

    /// The bot's clock is wrong by so many milliseconds from now on. A rename, so
    /// that the file is never seen half written.
    pub fn jump(&self, offset: i64) {
        let next = self.clock().with_extension("next");
        std::fs::write(&next, offset.to_string()).expect("the directory is there");
        std::fs::rename(&next, self.clock()).expect("both are there");
    }

    fn clock(&self) -> PathBuf {
        self.dir.path().join("clock")
    }

    /// Starts the bot and waits until it listens and people can write to it.
    pub fn start(&mut self) {
        self.spawn();
        self.wait_listening();
    }

    pub fn spawn(&mut self) -> &mut Bot {
        self.spawn_as(Bot::program())
    }

    pub fn spawn_as(&mut self, command: Command) -> &mut Bot {
        let bot = Bot::spawn_as(command, &self.env, &Victim::default());
        self.bots.push(bot);
        self.bot()
    }

    pub fn wait_listening(&mut self) {
        self.bot().wait_log("listening");
        self.hs.wait("the bot's one-time keys", |state| {
            let (_, device) = state.only_device(BOT)?;
            (!device.one_time.is_empty()).then_some(())
        });
    }

    /// Waits until the bot goes on as a new device that people can write to, after
    /// its last one was logged out.
    pub fn wait_new_device(&self) {
        self.hs.wait("the new device", |state| {
            let (id, device) = state.only_device(BOT)?;
            let syncs = state.requests("GET /sync");
            let mut of_it = syncs.iter().filter(|r| r.device.as_ref() == Some(&id));
            let follows = of_it.any(|r| r.target.contains("since="));
            (follows && !device.one_time.is_empty()).then_some(())
        });
    }

    /// The newest run of the bot.
    pub fn bot(&mut self) -> &mut Bot {
        self.bots.last_mut().expect("the bot was started")
    }

    /// Runs `identities` beside the bot: its exit code, what it prints, and what
    /// it complains of.
    pub fn identities(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let store = "CRYPTO_STORE_PATH";
        let env = BTreeMap::from([(store.to_owned(), self.env[store].clone())]);
        let done = bot::run(&[&["identities"], args].concat(), &env);
        // It is not told these, but it has the store.
        Secrets::of(&self.env).check(&format!("{}{}", done.out, done.err));
        (done.code, done.out, done.err)
    }

    /// The environment that a login needs, and no more.
    pub fn login_env(&self) -> BTreeMap<String, String> {
        let mut env = self.env.clone();
        env.retain(|name, _| !OF_NO_LOGIN.contains(&name.as_str()));
        env
    }

    /// Ends the bot and waits until it is gone.
    pub fn stop(&mut self) {
        self.bot().terminate();
        let status = self.bot().wait_exit(super::monitor::DEADLINE);
        assert_eq!(status.code(), Some(0));
    }

    /// Kills the bot as a crash does and starts it on the same store.
    pub fn crash_and_restart(&mut self) {
        self.bot().kill();
        self.start();
    }

    /// Waits until the bot is in the room.
    pub fn wait_joined(&self, room: &str) {
        self.hs.wait("the bot to join", |state| {
            state.rooms[room].has(BOT).then_some(())
        });
    }

    pub fn bot_device(&self) -> String {
        self.hs
            .wait("the bot's device", |state| Some(state.only_device(BOT)?.0))
    }

    /// A person with a device, not yet in any room.
    pub fn person(&self, user: &str, device: &str) -> Person {
        Person::new(&self.hs, user, device)
    }

    /// The first device of this user that the scenario made.
    pub fn take(&mut self, user: &str) -> Person {
        let at = self.people.iter().position(|person| person.user == user);
        self.people.remove(at.expect("a device of a scenario"))
    }

    /// The devices that an encrypted to-device message was sent to, as
    /// `user device`, one entry a message.
    pub fn olm_recipients(&self) -> Vec<String> {
        let mut out = Vec::new();
        for request in self.hs.requests("PUT /sendToDevice/m.room.encrypted") {
            for (user, devices) in request.body["messages"].as_object().into_iter().flatten() {
                for (device, _) in devices.as_object().into_iter().flatten() {
                    out.push(format!("{user} {device}"));
                }
            }
        }
        out
    }

    /// Waits until the bot has nothing left to ask for: its one-time keys are
    /// complete again and it is in a long poll.
    pub fn settle(&mut self) {
        self.hs.wait_next_sync();
        self.hs.wait("50 one-time keys", |state| {
            (state.only_device(BOT)?.1.one_time.len() == 50).then_some(())
        });
        self.hs.wait_next_sync();
    }

    /// Alice says something in the encrypted room.
    pub fn say(&mut self, text: &str) -> String {
        self.alice.say(ROOM, text)
    }

    /// Alice says something in a room without encryption.
    pub fn say_plain(&self, text: &str) -> String {
        self.hs.message(ROOM, ALICE, text_message(text))
    }

    /// The next message of the bot in the room, as Alice reads it.
    pub fn next(&mut self) -> Seen {
        self.next_in(ROOM)
    }

    pub fn next_in(&mut self, room: &str) -> Seen {
        let at = *self.read.get(room).unwrap_or(&0);
        self.hs.wait("the bot's next message", |state| {
            (said(state.rooms.get(room)?) > at).then_some(())
        });
        self.read.insert(room.to_owned(), at + 1);
        self.alice.read(room, BOT).swap_remove(at)
    }

    /// The last message looked at is the next one again.
    pub fn look_again(&mut self) {
        if let Some(read) = self.read.get_mut(ROOM) {
            *read -= 1;
        }
    }

    /// The text of the bot's next message.
    pub fn next_body(&mut self) -> String {
        let seen = self.next();
        seen.body
            .clone()
            .unwrap_or_else(|| panic!("Alice cannot read {seen:?}"))
    }

    /// Alice says something in the encrypted room and gets this answer.
    pub fn ask(&mut self, text: &str) -> String {
        self.say(text);
        self.next_body()
    }

    pub fn ask_plain(&mut self, text: &str) -> String {
        self.say_plain(text);
        self.next_body()
    }

    /// The number of messages that the bot has sent to the room.
    pub fn said(&self, room: &str) -> usize {
        self.hs.with(|state| state.rooms.get(room).map_or(0, said))
    }

    /// The bot's messages that the test has not looked at yet.
    pub fn unread(&mut self) -> Vec<Option<String>> {
        let at = *self.read.get(ROOM).unwrap_or(&0);
        let seen = self.alice.read(ROOM, BOT);
        seen.into_iter().skip(at).map(|seen| seen.body).collect()
    }

    /// Proves that nothing was done because of what happened so far: a command
    /// in good order is answered, and no scaling has taken place.
    pub fn assert_nothing_done(&mut self) {
        self.assert_scaled_only(&[]);
    }

    /// As [`World::assert_nothing_done`], with scalings that were in order.
    /// Sentences in which the bot refuses something may come before the answer.
    pub fn assert_scaled_only(&mut self, wanted: &[i64]) {
        self.say("status");
        self.wait_for_status();
        assert_eq!(self.api.scaled_to(), wanted);
    }

    /// The same in a room without encryption.
    pub fn assert_nothing_done_plain(&mut self) {
        self.say_plain("status");
        self.wait_for_status();
        assert_eq!(self.api.scaled_to(), Vec::<i64>::new());
    }

    /// Reads on until the bot tells the status; gives what it said before.
    pub fn wait_for_status(&mut self) -> Vec<String> {
        let mut before = Vec::new();
        loop {
            let body = self.next().body.unwrap_or_default();
            if body.contains("Desired replicas") {
                return before;
            }
            before.push(body);
        }
    }
}

fn said(room: &super::rooms::Room) -> usize {
    room.events
        .iter()
        .filter(|event| event.json["sender"] == BOT && event.json["state_key"].is_null())
        .count()
}

impl Drop for World {
    /// A failed test shows what happened.
    #[allow(
        clippy::print_stderr,
        reason = "the test harness shows it with the failure"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (run, bot) in self.bots.iter().enumerate() {
                eprintln!("--- bot, run {run}:\n{}", bot.log_tail());
            }
            eprintln!("--- requests:\n{}", self.hs.log_tail());
            eprintln!("--- API server:\n{}", self.api.log_tail());
        }
    }
}
