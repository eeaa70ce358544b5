//! One bot with its people, what is done to it, and how it bore that.

use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::cgroup::{Group, limit};
use super::process::{Watch, on_cpu, status_kb};
use crate::support::homeserver::State;
use crate::support::person::Person;
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, MALLORY, ROOM, World};

/// Commands of others are answered within this.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The time between two looks at whether the bot is still there.
const MOMENT: Duration = Duration::from_millis(200);

/// The number of commands after which the budget for memory calls a bot warm.
const WARM: usize = 60;

/// The targets of a bot that has some.
pub const TARGETS: usize = 50;

/// The people who ask it in turn, none of them too fast, and those who ask for much at once.
pub const ASKING: usize = 30;
pub const FLOODING: usize = 6;

/// The memory that a warm bot takes of the limit, in kB.
const WARM_KB: u64 = 5_300;

/// True if the release binary is looked at in its cgroup, and not only what it does.
pub fn measured() -> bool {
    std::env::var_os("BOT_BINARY").is_some()
}

/// The result of one case.
pub struct Row {
    /// The endpoint whose answer it is about.
    pub endpoint: &'static str,
    pub name: String,
    pub store: Store,
    /// The fault, if there was one.
    pub failed: Option<String>,
    pub answered: Option<Duration>,
    pub resident_kb: u64,
    pub charged_kb: u64,
    pub longest_turn: Duration,
    pub cpu: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    Empty,
    Full,
}

/// Alice, who commands, and Mallory, who does not, in an encrypted room with the
/// bot.
pub struct Stage {
    pub world: World,
    pub mallory: Person,
    group: Option<Group>,
    /// True if the same attack was done before.
    pub again: bool,
    asked: usize,
    /// Those who ask in turn where targets have names, since one person may not ask for
    /// much in a row; nobody where there is one Deployment.
    people: Vec<Person>,
    /// Answers to something else than Alice's question, and answers to it that
    /// may be that there is none.
    pub extra: usize,
    pub excused: usize,
    number: usize,
}

impl Stage {
    /// The bot not started, in the cgroup where it is measured.
    pub fn unstarted() -> Self {
        static SAID: Once = Once::new();
        let group = measured().then(|| Group::new(limit()));
        Self::within(group.and_then(|made| {
            made.inspect_err(|why| {
                SAID.call_once(|| say(&format!("{why}: only VmHWM is looked at")))
            })
            .ok()
        }))
    }

    /// The bot started and in peace, with as much memory as it likes.
    pub fn free() -> Self {
        let mut stage = Self::within(None);
        stage.start();
        assert!(stage.ask().is_some(), "a bot in peace answers");
        stage
    }

    fn within(group: Option<Group>) -> Self {
        let mut world = Scenario::encrypted()
            .user(MALLORY, |user| user.device("MALLORYPHONE"))
            .member(MALLORY)
            .build();
        let mallory = world.take(MALLORY);
        if measured() {
            world.set(
                "RUST_LOG",
                "info,openclaw_k8s_toggle_operator::bot::session_loop=debug",
            );
        }
        Self {
            world,
            mallory,
            group,
            again: false,
            asked: 0,
            people: Vec::new(),
            extra: 0,
            excused: 0,
            number: 0,
        }
    }

    /// The bot started, and warm where its store is to be full.
    pub fn new(store: Store) -> Self {
        Self::unstarted().warm(store)
    }

    /// As [`Stage::new`], with 50 targets.
    pub fn of_targets(store: Store) -> Self {
        Self::unstarted_of_targets().warm(store)
    }

    /// As [`Stage::unstarted`], with 50 targets and people enough to ask for much in a row.
    pub fn unstarted_of_targets() -> Self {
        let mut stage = Self::unstarted();
        let names = (0..TARGETS).map(|number| format!("t{number:02}"));
        let listed: Vec<String> = names.map(|name| format!("{name}={name}:5")).collect();
        for number in 0..TARGETS {
            let name = format!("t{number:02}");
            stage.world.api.add("apps/v1/deployments", "claw", &name);
        }
        let users: Vec<String> = (0..ASKING + FLOODING)
            .map(|user| format!("@user{user}:test"))
            .collect();
        for user in &users {
            let person = stage.world.person(user, "PHONE");
            stage.people.push(person);
            stage.world.hs.member(ROOM, user, "join");
        }
        for (name, value) in [
            ("DEPLOYMENT_NAME", ""),
            ("DEPLOYMENT_NAMESPACE", "claw"),
            ("TARGETS", &listed.join(",")),
            ("ALLOWED_USERS", &format!("{ALICE},{}", users.join(","))),
        ] {
            stage.world.set(name, value);
        }
        stage
    }

    fn warm(mut self, store: Store) -> Self {
        let stage = &mut self;
        stage.start();
        let commands = if store == Store::Full { WARM } else { 1 };
        for _ in 0..commands {
            assert!(stage.ask().is_some(), "a bot in peace answers");
        }
        self
    }

    pub fn start(&mut self) {
        self.spawn();
        self.world.wait_listening();
    }

    pub fn spawn(&mut self) {
        match &self.group {
            Some(group) => self.world.spawn_as(group.program()),
            None => self.world.spawn(),
        };
    }

    /// A number that no other call gives.
    pub fn next(&mut self) -> usize {
        self.number += 1;
        self.number
    }

    /// The size of the store's files together, in bytes.
    pub fn store_bytes(&self) -> u64 {
        let files = fs::read_dir(&self.world.env["CRYPTO_STORE_PATH"]).expect("it is there");
        let sizes = files.flatten().filter_map(|file| file.metadata().ok());
        sizes.map(|file| file.len()).sum()
    }

    /// Alice asks how the deployment is; how long that took, if not too long.
    pub fn ask(&mut self) -> Option<Duration> {
        self.ask_patiently(PATIENCE)
    }

    /// As [`Stage::ask`], with another idea of what is too long.
    ///
    /// With many targets a question is taken only where few commands and answers wait in its
    /// room: it is asked again, as changes that end together have many answers for a moment.
    pub fn ask_patiently(&mut self, patience: Duration) -> Option<Duration> {
        if !self.people.is_empty() {
            return (0..5).find_map(|_| self.told("status t00", patience / 5));
        }
        self.world.say("status");
        self.answer_within(patience)
    }

    /// One of the people says something.
    pub fn say_as(&mut self, number: usize, text: &str) -> String {
        self.people[number].say(ROOM, text)
    }

    /// Somebody says something where targets have names; how long the reply took.
    pub fn told(&mut self, text: &str, patience: Duration) -> Option<Duration> {
        let number = self.next() % ASKING;
        let asked = self.say_as(number, text);
        let started = Instant::now();
        let answered = |state: &mut State| {
            let mut events = state.rooms[ROOM].events.iter();
            let to = "/content/m.relates_to/m.in_reply_to/event_id";
            events
                .any(|event| {
                    event.json["sender"] == BOT
                        && event.json.pointer(to).and_then(Value::as_str) == Some(&asked)
                })
                .then_some(())
        };
        while self.world.hs.wait_within(MOMENT, answered).is_none() {
            if started.elapsed() > patience || !self.world.bot().is_running() {
                return None;
            }
        }
        let took = started.elapsed();
        // The word of one who asks too fast is no answer.
        let too_fast = format!("@user{number}:test asks for too much at once");
        assert!(!self.world.bot().log().contains(&too_fast), "{too_fast}");
        Some(took)
    }

    /// As [`Stage::ask`], by another device of Alice's.
    pub fn ask_from(&mut self, device: &mut Person) -> Option<Duration> {
        device.say(ROOM, "status");
        self.answer_within(PATIENCE)
    }

    /// Waits for one answer more than there were questions before.
    fn answer_within(&mut self, patience: Duration) -> Option<Duration> {
        self.asked += 1;
        let wanted = self.asked + self.extra;
        let started = Instant::now();
        let said = |state: &mut State| (state.said(BOT, ROOM) >= wanted).then_some(());
        while self.world.hs.wait_within(MOMENT, said).is_none() {
            if started.elapsed() > patience || !self.world.bot().is_running() {
                return None;
            }
        }
        Some(started.elapsed())
    }

    /// Does something that makes the bot ask for what the pattern names, and waits
    /// until it has; but for the first time it may have learned not to.
    pub fn provoke(&mut self, pattern: &str, mut provoke: impl FnMut(&mut Self)) {
        let before = self.world.hs.requests(pattern).len();
        provoke(self);
        if !self.again {
            self.world.hs.wait_requests(pattern, before + 1);
        }
    }

    /// Changes the homeserver's next answer to such a request in this way.
    pub fn once(&self, pattern: &str, mut edit: impl FnMut(&mut Value) + Send + 'static) {
        let mut done = false;
        self.world.hs.rewrite(pattern, move |body| {
            if !std::mem::replace(&mut done, true) {
                edit(body);
            }
        });
    }

    /// The next sync is changed so, and comes at once.
    pub fn sync(&mut self, edit: impl FnMut(&mut Value) + Send + 'static) {
        // The long poll that is open now is the one that is changed.
        self.once("GET /sync", edit);
        self.provoke("GET /sync", |stage| stage.world.hs.nudge());
    }

    /// Changes Mallory's device keys from now on, and everybody is told.
    pub fn show_device(&mut self, edit: impl FnOnce(&mut Value)) {
        let mut keys = self.mallory.device_keys();
        edit(&mut keys);
        self.provoke("POST /keys/query", |stage| {
            stage.mallory.publish_raw(keys.clone());
        });
    }

    /// Alice can read an answer to everything she asked, and each once.
    fn nothing_is_lost(&mut self) -> Result<(), String> {
        let answers = self.world.alice.read(ROOM, BOT);
        if !self.people.is_empty() {
            // Each was waited for; what a change becomes is told beside them.
            return match answers.iter().all(|seen| seen.body.is_some()) {
                true => Ok(()),
                false => Err("an answer that nobody can read".to_owned()),
            };
        }
        let states = answers.iter().filter(|seen| {
            let body = seen.body.as_deref().unwrap_or_default();
            body.contains("Desired replicas")
        });
        let (states, readable) = (
            states.count(),
            answers.iter().filter(|seen| seen.body.is_some()).count(),
        );
        let asked = self.asked + self.extra;
        match (answers.len(), readable) == (asked, asked) && states + self.excused >= self.asked {
            true => Ok(()),
            false => Err(format!(
                "{} answers to {asked} questions, {readable} readable, {states} states",
                answers.len()
            )),
        }
    }

    /// Everything as it was, for the next case.
    fn calm_down(&mut self) {
        self.world.hs.clear_faults();
        self.world.hs.clear_rewrites();
        self.world.api.clear_faults();
        self.world.hs.with(|state| {
            state.cross_signing.remove(MALLORY);
        });
        self.mallory.publish(|_| {});
    }

    fn bot_is_alive(&mut self) -> Result<(), String> {
        let kills = self.group.as_ref().map_or(0, Group::kills);
        if kills > 0 {
            return Err("killed by the kernel for its memory".to_owned());
        }
        match self.world.bot().is_running() {
            true => Ok(()),
            false => Err(format!("ended: {}", self.last_line())),
        }
    }

    fn last_line(&mut self) -> String {
        let log = self.world.bot().log();
        log.lines()
            .last()
            .unwrap_or_default()
            .chars()
            .take(160)
            .collect()
    }
}

/// Runs what is done to a bot, Alice asking meanwhile, and looks at the bot.
pub fn run(
    endpoint: &'static str,
    name: &str,
    store: Store,
    stage: &mut Stage,
    attack: &dyn Fn(&mut Stage),
) -> Row {
    let pid = stage.world.bot().id();
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
    let before_kb = status_kb(pid, "VmRSS").unwrap_or(0);
    let cpu = on_cpu(pid);
    let watch = Watch::start(stage.world.bot());
    let mut answered = None;
    let went = catch_unwind(AssertUnwindSafe(|| {
        attack(stage);
        answered = stage.ask();
        if answered.is_none() {
            return Err(format!(
                "no answer within {PATIENCE:?}: {}",
                stage.last_line()
            ));
        }
        let taken = |state: &mut State| (state.growing == 0).then_some(());
        stage.world.hs.wait("what was sent to be taken in", taken);
        // Nothing is lost: the syncs go on, and each question has one answer.
        stage.world.hs.wait_next_sync();
        stage.calm_down();
        if stage.ask().is_none() {
            return Err(format!("no answer afterwards: {}", stage.last_line()));
        }
        stage.nothing_is_lost()
    }));
    let longest_turn = watch.stop(stage.world.bot());
    let alive = stage.bot_is_alive();
    let went = went.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.unwrap_or_else(|| "the test broke".to_owned()))
    });
    let resident_kb = status_kb(pid, "VmHWM").unwrap_or(0);
    // The debug binary is another; what it needs more is not.
    let least_kb = if measured() {
        0
    } else {
        before_kb.saturating_sub(WARM_KB)
    };
    // Pages of files that others read too are not charged here, and may be there.
    let fits = match resident_kb.saturating_sub(least_kb) > limit() / 1024 {
        true => Err(format!(
            "resident memory above the limit: {resident_kb} kB after {before_kb} kB"
        )),
        false => Ok(()),
    };
    Row {
        endpoint,
        name: name.to_owned(),
        store,
        failed: alive.and(went).and(fits).err(),
        answered,
        resident_kb,
        charged_kb: stage.group.as_ref().map_or(0, Group::peak_kb),
        longest_turn,
        cpu: on_cpu(pid).saturating_sub(cpu),
    }
}

#[allow(clippy::print_stdout, reason = "a person reads it")]
pub fn say(text: &str) {
    println!("{text}");
}

/// A row of the table, and its figures for the bench.
#[allow(clippy::print_stdout, reason = "it is what is measured")]
pub fn show(row: &Row) {
    let answered = row.answered.map(|time| time.as_millis() as u64);
    println!(
        "{:<5} {:<62} {:>6} ms {:>6} kB {:>6} ms {:>6} ms  {}",
        format!("{:?}", row.store).to_lowercase(),
        row.name,
        answered.map_or("—".to_owned(), |time| time.to_string()),
        row.resident_kb,
        row.longest_turn.as_millis(),
        row.cpu.as_millis(),
        row.failed.as_deref().unwrap_or("ok"),
    );
    let figures = json!({
        "endpoint": row.endpoint, "name": row.name, "store": format!("{:?}", row.store), "failed": row.failed,
        "answered_ms": answered, "resident_kb": row.resident_kb, "charged_kb": row.charged_kb,
        "longest_turn_ms": row.longest_turn.as_millis() as u64,
        "cpu_ms": row.cpu.as_millis() as u64,
    });
    if let Some(path) = std::env::var_os("MEMORY_FIGURES") {
        let file = fs::OpenOptions::new().create(true).append(true).open(path);
        let mut file = file.expect("figures can be written down");
        file.write_all(format!("{figures}\n").as_bytes())
            .expect("figures can be written down");
    }
}
