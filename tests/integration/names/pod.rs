//! A network of its own, with nothing in it but this machine, and programs that
//! see another `resolv.conf` and another `hosts` than it has.

use std::env;
use std::net::IpAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::support::bot::Bot;

/// Set within the namespace.
const INSIDE: &str = "NAMES_INSIDE_A_POD";

/// The folders of `ip` and `mount`, for a shell.
const PATH: &str = "PATH=/usr/bin:/bin:/usr/sbin:/sbin";

/// Programs that run at the same time.
const AT_ONCE: usize = 16;

/// Runs a part of this test, by the test's path, in a network namespace: the test
/// starts itself again there. Where none can be made, it says so and passes,
/// unless it is there to measure a release binary or to guard a merge.
pub fn within(test: &str, inside: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return inside();
    }
    let Some(way) = ways()
        .into_iter()
        .find(|way| leads_there(&mut unshare(way)))
    else {
        let why = "no network namespace can be made: run as root, or let users make namespaces";
        let must = env::var_os("BOT_BINARY").is_some() || env::var_os("CI").is_some();
        assert!(!must, "{why}");
        return say(&format!("{why}; {test} was not run"));
    };
    let this = env::current_exe().expect("this test is a program");
    let done = unshare(&way)
        .args([
            "/bin/sh",
            "-c",
            &format!("{PATH}; ip link set lo up && exec \"$0\" \"$@\""),
        ])
        .arg(this)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .expect("unshare runs");
    let text = [done.stdout.as_slice(), done.stderr.as_slice()].concat();
    let text = String::from_utf8_lossy(&text);
    say(&text);
    let is_run = done.status.success() && text.contains("1 passed");
    assert!(is_run, "failed within the namespace");
}

/// The ways to become root in namespaces of one's own; `sudo` if it wants no password.
fn ways() -> Vec<Vec<&'static str>> {
    match is_root() {
        true => vec![vec!["unshare", "--net"]],
        false => vec![
            vec!["unshare", "--user", "--map-root-user", "--net"],
            vec![
                "sudo",
                "--non-interactive",
                "--preserve-env",
                "unshare",
                "--net",
            ],
        ],
    }
}

/// A command in namespaces, one for mounts among them.
fn unshare(way: &[&str]) -> Command {
    let mut words = way.iter();
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words);
    command.args(["--mount", "--propagation", "private"]);
    command
}

fn leads_there(unshare: &mut Command) -> bool {
    let status = unshare
        .args(["/bin/sh", "-c", &format!("{PATH}; ip link set lo up")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    line.and_then(|line| line.split_whitespace().nth(1)) == Some("0")
}

/// The bot's binary, which sees these two files instead of the system's.
pub fn program(resolv_conf: &Path, hosts: &Path) -> Command {
    // Its own environment is empty: no PATH leads there.
    let places = ["/usr/bin/unshare", "/bin/unshare"];
    let place = places.into_iter().find(|place| Path::new(place).exists());
    let mut command = unshare(&[place.unwrap_or("unshare")]);
    command
        .args(["/bin/sh", "-c"])
        .arg(format!(
            "{PATH}; mount --bind \"$1\" /etc/resolv.conf && \
             mount --bind \"$2\" /etc/hosts && bot=$0 && shift 2 && exec \"$bot\" \"$@\""
        ))
        .arg(Bot::program().get_program())
        .args([resolv_conf, hosts]);
    command
}

/// A loopback address that nobody else in this process has.
pub fn address() -> IpAddr {
    static NEXT: Mutex<u16> = Mutex::new(256);
    let mut next = NEXT.lock().expect("nobody panics with it");
    *next += 1;
    let [high, low] = next.to_be_bytes();
    IpAddr::from([127, 0, high, low])
}

/// The result of one case.
pub struct Row {
    pub name: String,
    pub took: Duration,
    pub failed: Option<String>,
}

/// Runs the cases that are asked for, some at a time and in this order, and prints
/// a table.
pub fn side_by_side<T: Sync>(cases: &[T], run: impl Fn(&T) -> Option<Row> + Sync) {
    let started = Instant::now();
    let next = Mutex::new(cases.iter());
    let rows = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let case = next.lock().expect("nobody panics with it").next();
                    let Some(case) = case else { return };
                    let row = run(case);
                    rows.lock().expect("nobody panics with it").extend(row);
                }
            });
        }
    });
    let mut rows = rows.into_inner().expect("nobody panics with it");
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    let mut table = String::new();
    for row in &rows {
        let verdict = row.failed.as_deref().unwrap_or("ok");
        table += &format!(
            "{:>6} ms  {:<70} {verdict}\n",
            row.took.as_millis(),
            row.name
        );
    }
    say(&format!(
        "{table}{} cases in {:.1} s",
        rows.len(),
        started.elapsed().as_secs_f64()
    ));
    let failed = rows.iter().filter(|row| row.failed.is_some()).count();
    assert_eq!(failed, 0, "cases that failed");
    assert!(!rows.is_empty(), "no such case");
}

#[allow(clippy::print_stdout, reason = "a person reads it")]
pub fn say(text: &str) {
    println!("{text}");
}
