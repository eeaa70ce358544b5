//! One case: what the pod is like, and what becomes of the bot's homeserver in it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use super::nameserver::Mood::{self, *};
use super::nameserver::{self, A};
use super::pod::{self, Row};
use crate::support::bot::run_as;
use crate::support::temp::TempDir;
use crate::support::world::World;

pub const HOST: &str = "matrix.example.org";

/// As a kubelet writes it, with a search domain of the node at the end.
pub const POD: &str = "search clawdbot.svc.cluster.local svc.cluster.local cluster.local \
                   corp.example\nnameserver SERVER1\noptions ndots:5\n";

/// The answer to a question for `corp.example`, or another odd one; None for the
/// answer of a name server in good health.
type Oddity = Arc<dyn Fn(&str, u16) -> Option<Mood> + Send + Sync>;

pub struct Case {
    name: String,
    host: &'static str,
    conf: String,
    hosts: &'static str,
    /// Each server's oddity, and whether it listens by TCP; None does not exist.
    servers: Vec<Option<(Oddity, bool)>>,
    said: Vec<&'static str>,
    at_most: Duration,
    /// Run for the release binary alone: most of it is waiting.
    is_slow: bool,
}

pub fn case(
    name: impl Into<String>,
    odd: impl Fn(&str, u16) -> Option<Mood> + Send + Sync + 'static,
) -> Case {
    Case {
        name: name.into(),
        host: HOST,
        conf: POD.to_owned(),
        hosts: "127.0.0.1 localhost\n",
        servers: vec![Some((Arc::new(odd), true))],
        said: vec!["logged out"],
        // musl waits five seconds for a server that refuses.
        at_most: Duration::from_secs(4),
        is_slow: false,
    }
}

impl Case {
    pub fn host(mut self, host: &'static str) -> Self {
        self.host = host;
        self
    }

    pub fn conf(mut self, conf: &str) -> Self {
        self.conf = conf.to_owned();
        self
    }

    pub fn hosts(mut self, hosts: &'static str) -> Self {
        self.hosts = hosts;
        self
    }

    pub fn udp_only(mut self) -> Self {
        for (_, tcp) in self.servers.iter_mut().flatten() {
            *tcp = false;
        }
        self
    }

    /// A second server, in good health.
    pub fn and_a_good_one(mut self) -> Self {
        self.servers.push(Some((Arc::new(|_, _| None), true)));
        self.conf = self
            .conf
            .replace("SERVER1\n", "SERVER1\nnameserver SERVER2\n");
        self
    }

    pub fn nobody_at_first(mut self) -> Self {
        self.servers[0] = None;
        self
    }

    /// It takes some seconds by its nature, and no more than these.
    pub fn within(mut self, seconds: u64) -> Self {
        self.is_slow = true;
        self.at_most = Duration::from_secs(seconds);
        self
    }

    /// It fails, with all of these words.
    pub fn fails(mut self, said: &[&'static str]) -> Self {
        self.said = said.to_vec();
        self
    }
}

fn healthy(name: &str, kind: u16) -> Mood {
    match (name, kind) {
        (HOST, A) => Addresses(vec!["127.0.0.1"]),
        (HOST, _) => Empty,
        _ => Code(3),
    }
}

/// The one homeserver of all cases; it listens on IPv6, too.
fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let world = World::new();
        let port = port(&world);
        let listener = TcpListener::bind(("::1", port)).expect("the port is free");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
                let ends = [(&stream, &server), (&server, &stream)];
                for (from, to) in ends.map(|(from, to)| (from.try_clone(), to.try_clone())) {
                    let (mut from, mut to) = (from.expect("a clone"), to.expect("a clone"));
                    thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Write);
                    });
                }
            }
        });
        world
    })
}

/// True if the release binary is looked at, and time is no matter.
fn is_measured() -> bool {
    std::env::var_os("BOT_BINARY").is_some()
}

fn port(world: &World) -> u16 {
    let url = world.hs.url();
    let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
    port.expect("the URL ends with a port")
}

/// Runs `conntest` in the case's pod, unless other cases are asked for.
pub fn run(case: &Case) -> Option<Row> {
    let wanted = std::env::var("CASE").unwrap_or_default();
    let is_left_out = case.is_slow && wanted.is_empty() && !is_measured();
    if is_left_out || !case.name.contains(&wanted) {
        return None;
    }
    let mut conf = case.conf.clone();
    for (number, server) in case.servers.iter().enumerate() {
        let is_default = conf.matches("nameserver").count() == 0;
        let at = match conf.contains("nameserver ::1") {
            true => "::1".parse().expect("an address"),
            false if is_default => "127.0.0.1".parse().expect("an address"),
            false => pod::address(),
        };
        conf = conf.replace(&format!("SERVER{}", number + 1), &at.to_string());
        if let Some((odd, tcp)) = server {
            let odd = Arc::clone(odd);
            nameserver::start(at, *tcp, move |name, kind| {
                odd(name, kind).unwrap_or_else(|| healthy(name, kind))
            });
        }
    }
    let dir = TempDir::new();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("a file can be written");
        path
    };
    let (conf, hosts) = (file("resolv.conf", &conf), file("hosts", case.hosts));
    let mut env = world().login_env();
    let url = format!("http://{}:{}", case.host, port(world()));
    env.insert("MATRIX_HOMESERVER".into(), url);
    let test = || {
        let mut program = pod::program(&conf, &hosts);
        program.arg("conntest");
        let started = Instant::now();
        let done = run_as(program, &env);
        (started.elapsed(), format!("{}{}", done.out, done.err))
    };
    let missing = |text: &str| case.said.iter().find(|said| !text.contains(**said));
    let (mut took, mut text) = test();
    // The program waits as long the second time, and a machine that was busy need not.
    if took > case.at_most && missing(&text).is_none() {
        let (again, told) = test();
        (took, text) = (took.min(again), told);
    }
    let missing = missing(&text);
    let failed = match missing {
        Some(said) => Some(format!("no {said:?} in {text}")),
        None if took > case.at_most => Some(format!("longer than {:?}", case.at_most)),
        None => None,
    };
    Some(Row {
        name: case.name.clone(),
        took,
        failed,
    })
}
