//! One story of everything the bot does, told while something befalls it at a
//! chosen moment. The people in it never repeat themselves.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::bot::{Bot, Victim};
use super::evidence;
use super::faults::Fault;
use super::homeserver::Homeserver;
use super::person::{Person, text_message};
use super::world::{ALICE, BOT, OFF, ON, ROOM, World};

pub const CAROL: &str = "@carol:test";

/// The kind of moment in the bot's life that is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Commit,
    Homeserver,
    ApiServer,
}

/// For a request: before or after it takes effect, and never answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    Before,
    After,
}

/// The moment at which the bot dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    pub place: Place,
    pub nth: usize,
    pub moment: Moment,
}

/// The number of moments in a story, and the requests in it.
#[derive(Debug, Default)]
pub struct Told {
    pub commits: usize,
    pub requests: Vec<String>,
    pub calls: Vec<String>,
    /// True if the bot died at the point; it may not come to one of the last, since
    /// now and then one sync sees what otherwise two do.
    pub reached: bool,
    /// The scalings that were done twice, each time before their reply.
    pub repeated: usize,
}

/// The bot, started again on the same store when it dies before its time.
struct Watched {
    env: BTreeMap<String, String>,
    hs: Homeserver,
    runs: Mutex<Runs>,
    /// The place in the homeserver's log at which the newest run begins.
    from: AtomicUsize,
}

#[derive(Default)]
struct Runs {
    bots: Vec<Bot>,
    told_to_end: bool,
}

impl Watched {
    fn lock(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, runs: &mut Runs, env: &BTreeMap<String, String>, victim: &Victim) {
        let from = self.hs.with(|state| state.log.len());
        self.from.store(from, Ordering::SeqCst);
        runs.bots.push(Bot::spawn_as(Bot::program(), env, victim));
    }

    /// Starts the first run and whatever has to follow it.
    fn start(self: &Arc<Self>, env: &BTreeMap<String, String>, victim: &Victim) {
        let mut runs = self.lock();
        self.spawn(&mut runs, env, victim);
        let mut wait = runs.bots[0].waiter();
        drop(runs);
        let watched = Arc::clone(self);
        std::thread::spawn(move || {
            loop {
                wait();
                let mut runs = watched.lock();
                // Once is what was planned; twice is a failure that shows by itself.
                if runs.told_to_end || runs.bots.len() > 1 {
                    return;
                }
                watched.spawn(&mut runs, &watched.env, &Victim::default());
                wait = runs.bots[1].waiter();
            }
        });
    }

    fn idle(&self) {
        self.hs.wait_idle(BOT, || self.from.load(Ordering::SeqCst));
    }
}

/// Tells the whole story; the bot dies at the point. Panics at whatever is
/// wrong; `world` shows what happened when it does.
pub fn tell(point: Option<Point>) -> Told {
    let mut world = World::new();
    world.set("RUST_LOG", "openclaw_k8s_toggle_operator=debug");
    let mut carol = world.person(CAROL, "CAROLPHONE");
    world.hs.add_room(ROOM, &[ALICE, CAROL], true);
    world.hs.invite(ROOM, ALICE, BOT);
    let watched = Arc::new(Watched {
        env: world.env.clone(),
        hs: world.hs.clone(),
        runs: Mutex::default(),
        from: AtomicUsize::default(),
    });
    let mut story = Story {
        world,
        watched,
        scaled: Vec::new(),
        replies: Vec::new(),
    };
    story.begin(point);

    story.commands(&["start"], &[ON]);
    // Under the same session.
    story.commands(&["stop"], &[OFF]);
    let seen_by_carol = story.replies.len();
    let mut laptop = story.another_device();
    story.commands(&["status"], &["Deployment is off"]);
    story.world.hs.member(ROOM, CAROL, "leave");
    story.watched.idle();
    story.world.alice.rotate(ROOM);
    story.commands(&["start", "stop"], &[ON, OFF]);

    let (mut told, end) = story.end_first_run();
    told.reached = story.check_end(point, end);
    story.go_on();
    // The next message after all is the answer to the next command: nothing is
    // said twice, nothing comes late.
    story.commands(&["start"], &[ON]);
    story.check_readers(&mut laptop, &mut carol, seen_by_carol);
    told.repeated = story.check_scalings();
    story.world.hs.with(|state| evidence::check(state));
    told
}

struct Story {
    world: World,
    watched: Arc<Watched>,
    /// The scalings asked for, each with how many there were at its reply.
    scaled: Vec<(Vec<i64>, usize)>,
    /// The first lines of the replies that are due.
    replies: Vec<&'static str>,
}

impl Story {
    fn begin(&mut self, point: Option<Point>) {
        let victim = Victim::default();
        let mut env = self.world.env.clone();
        // One that is never reached: the commits are counted in the log.
        let mut crash = "after:1000000".to_owned();
        match point {
            Some(Point {
                place: Place::Commit,
                nth,
                moment,
            }) => {
                let moment = match moment {
                    Moment::Before => "before",
                    Moment::After => "after",
                };
                crash = format!("{moment}:{nth}");
            }
            Some(Point { place, nth, moment }) => {
                let fault = match moment {
                    Moment::Before => Fault::Kill(victim.clone()),
                    Moment::After => Fault::KillAfter(victim.clone()),
                };
                if place == Place::Homeserver {
                    self.world.hs.with(|state| state.faults.at(nth, fault));
                } else {
                    self.world.api.with(|state| state.faults.at(nth, fault));
                }
            }
            None => {}
        }
        env.insert("OPENCLAW_TEST_CRASH".into(), crash);
        self.watched.start(&env, &victim);
        self.world.hs.wait("the bot in the room", |state| {
            let (_, device) = state.only_device(BOT)?;
            (state.rooms[ROOM].has(BOT) && !device.one_time.is_empty()).then_some(())
        });
        self.watched.idle();
    }

    /// Alice says these, all seen by one sync, and waits for the answers.
    fn commands(&mut self, commands: &[&str], answers: &[&'static str]) {
        let world = &mut self.world;
        let (hs, alice) = (world.hs.clone(), &mut world.alice);
        hs.at_once(|| {
            alice.share(ROOM);
            for command in commands {
                let content = alice.encrypt(ROOM, &text_message(command));
                alice.post(ROOM, content);
            }
        });
        self.replies.extend(answers);
        let due = self.replies.len();
        hs.wait(&format!("{due} replies"), |state| {
            (state.said(BOT, ROOM) >= due).then_some(())
        });
        self.watched.idle();
        let wanted = commands.iter().filter_map(|command| match *command {
            "start" => Some(1),
            "stop" => Some(0),
            _ => None,
        });
        let so_far = self.world.api.scaled_to().len();
        self.scaled.push((wanted.collect(), so_far));
    }

    fn another_device(&mut self) -> Person {
        let laptop = self
            .world
            .hs
            .at_once(|| self.world.person(ALICE, "ALICELAPTOP"));
        self.watched.idle();
        laptop
    }

    /// Ends the bot in good order, unless it dies of it.
    fn end_first_run(&mut self) -> (Told, ExitStatus) {
        let mut runs = self.watched.lock();
        runs.told_to_end = true;
        let newest = runs.bots.last_mut().expect("it was started");
        // At one of the last points it may be dead already.
        newest.try_signal("TERM");
        newest.wait_exit(Duration::from_secs(5));
        let first = &mut runs.bots[0];
        let end = first.wait_exit(Duration::from_secs(5));
        // A moment that did not come is none of the next run's.
        self.world.hs.clear_faults();
        self.world.api.clear_faults();
        let log = first.log();
        let commits = log.matches("DEBUG store::crash::armed: commit ").count();
        let told = Told {
            commits,
            requests: self.world.hs.with(|state| {
                let log = state.log.iter();
                log.map(|r| format!("{} {}", r.method, r.path)).collect()
            }),
            calls: self.world.api.with(|state| {
                let calls = state.calls.iter();
                calls
                    .map(|c| format!("{} {}", c.method, c.target))
                    .collect()
            }),
            reached: false,
            repeated: 0,
        };
        drop(runs);
        (told, end)
    }

    /// True if it died at the point where it was told to. If not, it ended in good order.
    fn check_end(&self, point: Option<Point>, end: ExitStatus) -> bool {
        let runs = self.watched.lock();
        if end.success() {
            return false;
        }
        let point = point.expect("it ends of itself only when it is told to");
        if point.place == Place::Commit {
            let line = format!("crashing as told: {} commit {}", point.when(), point.nth);
            assert_eq!(end.signal(), Some(6), "it was to die of itself");
            assert!(runs.bots[0].log().contains(&line), "no {line:?} in the log");
        } else {
            assert_eq!(end.signal(), Some(9), "it was to be killed");
        }
        true
    }

    fn go_on(&mut self) {
        let mut runs = self.watched.lock();
        let env = self.watched.env.clone();
        self.watched.spawn(&mut runs, &env, &Victim::default());
        drop(runs);
        self.watched.idle();
    }

    /// Each reply reached everybody who may read it, once, in order.
    fn check_readers(&mut self, laptop: &mut Person, carol: &mut Person, seen_by_carol: usize) {
        let read = |person: &mut Person| -> Vec<Option<String>> {
            let seen = person.read(ROOM, BOT).into_iter();
            seen.map(|seen| Some(seen.body?.lines().next()?.to_owned()))
                .collect()
        };
        let due: Vec<Option<String>> = self.replies.iter().map(|r| Some((*r).into())).collect();
        assert_eq!(read(&mut self.world.alice), due, "what Alice reads");
        let late = read(laptop).split_off(2);
        assert_eq!(late, due[2..], "what Alice's laptop reads");
        let carols = read(carol);
        assert_eq!(carols[..seen_by_carol], due[..seen_by_carol], "Carol");
        let after = &carols[seen_by_carol + 1..];
        assert!(
            after.iter().all(Option::is_none),
            "Carol reads on: {after:?}"
        );
    }

    /// Each scaling was done, none after its reply, none out of order. Gives how
    /// many were done again, which an absolute number makes harmless.
    fn check_scalings(&self) -> usize {
        let all = self.world.api.scaled_to();
        let (mut from, mut repeated) = (0, 0);
        for (wanted, to) in &self.scaled {
            let mut done = all[from..*to].to_vec();
            let times = done.len();
            done.dedup();
            assert_eq!(done, *wanted, "scalings between two replies, of {all:?}");
            repeated += times - done.len();
            from = *to;
        }
        assert_eq!(from, all.len(), "a scaling after the last reply: {all:?}");
        repeated
    }
}

impl Point {
    pub fn when(self) -> &'static str {
        match self.moment {
            Moment::Before => "before",
            Moment::After => "after",
        }
    }
}

impl Drop for Story {
    /// A failed story shows what the bot said.
    #[allow(
        clippy::print_stderr,
        reason = "the test harness shows it with the failure"
    )]
    fn drop(&mut self) {
        let mut runs = self.watched.lock();
        runs.told_to_end = true;
        if std::thread::panicking() {
            for (run, bot) in runs.bots.iter().enumerate() {
                eprintln!("--- bot, run {run}:\n{}", bot.log_tail());
            }
        }
        runs.bots.clear();
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.place {
            Place::Commit => "commit",
            Place::Homeserver => "request to the homeserver",
            Place::ApiServer => "request to the API server",
        };
        write!(f, "{} {what} {}", self.when(), self.nth)
    }
}
