//! Crowds at the health port: whoever probes or scrapes is answered all the
//! same, and what the crowd can make the bot hold is bounded.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use tokio::net::TcpSocket;
use tokio::runtime::Runtime;

use super::full_disk::limited;
use crate::support::bot;
use crate::support::health::Health;
use crate::support::scenario::Scenario;
use crate::support::world::{ALICE, BOT, OFF, ON, ROOM, World};

/// A kubelet and a Prometheus ask again and again.
const ROUNDS: usize = 20;

/// A scraper that has no answer by then counts it as failed.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(5);

/// Files that the bot may open where that is scarce.
const FEW_FILES: usize = 48;

/// A client that was turned out comes back this much later: many thousands a
/// second, and not so many that it is the machine that is tested.
const BACK_AFTER: Duration = Duration::from_millis(20);

/// A crowd that was not let in again by then is not one.
const COMES_BACK: Duration = Duration::from_secs(30);

const SCRAPER: Ipv4Addr = Ipv4Addr::new(127, 0, 11, 1);

/// One of many addresses of this machine.
fn stranger(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 10, u8::try_from(number % 60 + 1).unwrap())
}

fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

async fn connect(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<tokio::net::TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(to).await
}

/// Opens this many connections, each from the address of its number, and sends
/// nothing.
fn idle(to: SocketAddr, count: usize, from: impl Fn(usize) -> Ipv4Addr) -> Vec<TcpStream> {
    let runtime = runtime();
    let connect = |number| {
        let stream = runtime.block_on(connect(from(number), to));
        stream.expect("it listens").into_std().unwrap()
    };
    (0..count).map(connect).collect()
}

/// The beginning of the answer to a scrape.
fn scrape(health: &Health) -> String {
    let mut stream = idle(health.address, 1, |_| SCRAPER).remove(0);
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(SCRAPE_TIMEOUT)).unwrap();
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer in time");
    String::from_utf8_lossy(&answer).into_owned()
}

fn watched() -> (World, Health) {
    let mut world = World::new();
    let health = Health::of(&mut world);
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.start();
    (world, health)
}

/// Each of them is answered in time, every time.
fn assert_both_are_answered(health: &Health) {
    for round in 0..ROUNDS {
        let check = health.check(&[]);
        assert_eq!(check.code, Some(0), "round {round}: {}", check.err);
        assert_eq!(scrape(health), "HTTP/1.1 200", "round {round}");
    }
}

fn is_open(stream: &tokio::net::TcpStream) -> bool {
    let read = stream.try_read(&mut [0; 64]);
    read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

fn stays_open(stream: &TcpStream) -> bool {
    let read = stream.peek(&mut [0]);
    read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

fn resident_kb(id: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.unwrap().split_whitespace().nth(1).unwrap();
    number.parse().unwrap()
}

fn open_files(id: u32) -> usize {
    std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count()
}

/// Opens a connection, sends these words, and opens it again when it is closed.
async fn stay(from: Ipv4Addr, to: SocketAddr, words: &'static [u8], opened: Arc<AtomicUsize>) {
    loop {
        if let Ok(stream) = connect(from, to).await {
            opened.fetch_add(1, Relaxed);
            let _ = stream.try_write(words);
            while stream.readable().await.is_ok() && is_open(&stream) {}
        }
        tokio::time::sleep(BACK_AFTER).await;
    }
}

/// Connections that are opened again as soon as the bot closes them, until this is
/// dropped.
struct Crowd {
    enough: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    opened: Arc<AtomicUsize>,
}

impl Crowd {
    /// Each sends `words` and nothing more.
    fn new(to: SocketAddr, from: Vec<Ipv4Addr>, words: &'static [u8]) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let opened = Arc::new(AtomicUsize::new(0));
        let (ended, count) = (Arc::clone(&enough), Arc::clone(&opened));
        let size = from.len();
        let thread = std::thread::spawn(move || {
            let runtime = runtime();
            for from in from {
                runtime.spawn(stay(from, to, words, Arc::clone(&count)));
            }
            runtime.block_on(async {
                while !ended.load(Relaxed) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
        });
        let crowd = Self {
            enough,
            thread: Some(thread),
            opened,
        };
        // As many as the system lets wait.
        while crowd.opened.load(Relaxed) < size.min(1000) {
            sleep(Duration::from_millis(5));
        }
        crowd
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.enough.store(true, Relaxed);
        let thread = self.thread.take().unwrap();
        assert!(thread.join().is_ok() || std::thread::panicking());
    }
}

#[test]
fn neither_a_thousand_idle_connections_nor_sixty_addresses_keep_out_a_probe_or_a_scraper() {
    let (mut world, health) = watched();
    let id = world.bot().id();
    let (memory, files) = (resident_kb(id), open_files(id));
    let mut from = vec![Ipv4Addr::new(127, 0, 9, 1); 1000];
    from.extend((0..200).map(stranger));
    let crowd = Crowd::new(health.address, from, b"");
    // At least until some of the crowd came back: on a machine with little time for it,
    // the rounds of a probe are over sooner.
    let since = Instant::now();
    loop {
        assert_both_are_answered(&health);
        let opened = crowd.opened.load(Relaxed);
        if opened > 1200 {
            break;
        }
        assert!(since.elapsed() < COMES_BACK, "{opened} were let in");
    }
    assert_eq!(world.ask("start"), ON);
    let grown = resident_kb(id).saturating_sub(memory);
    assert!(grown < 3072, "{grown} kB for a crowd");
    let more = open_files(id).saturating_sub(files);
    assert!(more < 100, "{more} files for a crowd");
}

/// Also from the address that the probe itself comes from: another process of
/// the pod.
#[test]
fn a_crowd_on_loopback_does_not_keep_out_a_probe_or_a_scraper() {
    let (mut world, health) = watched();
    let from = vec![Ipv4Addr::LOCALHOST; 200];
    let _crowd = Crowd::new(health.address, from, b"");
    assert_both_are_answered(&health);
    assert_eq!(world.ask("start"), ON);
}

#[test]
fn a_crowd_that_begins_to_ask_does_not_keep_out_a_probe_or_a_scraper() {
    let (mut world, health) = watched();
    let from = (0..240).map(stranger).collect();
    let _crowd = Crowd::new(health.address, from, b"GET /livez HTTP/1.1\r\nX: ");
    assert_both_are_answered(&health);
    assert_eq!(world.ask("stop"), OFF);
}

/// One address keeps a few connections and no more, and those not for long.
#[test]
fn one_address_keeps_a_few_connections_and_those_not_for_long() {
    let (_world, health) = watched();
    let crowd = idle(health.address, 100, |_| stranger(0));
    let opened = Instant::now();
    for (few, seconds) in [(4, 3), (0, 9)] {
        loop {
            let count = crowd.iter().filter(|stream| stays_open(stream)).count();
            if count <= few {
                break;
            }
            assert!(opened.elapsed() < Duration::from_secs(seconds), "{count}");
            sleep(Duration::from_millis(10));
        }
    }
}

/// An IPv4 address and a port as the kernel writes them in its table.
fn in_proc(address: SocketAddr) -> String {
    let IpAddr::V4(ip) = address.ip() else {
        panic!("{address} is not IPv4");
    };
    let ip = u32::from_ne_bytes(ip.octets());
    format!("{ip:08X}:{:04X}", address.port())
}

/// Whoever asks and stays is let go after a few seconds, and so is what the bot
/// has written for them.
#[test]
fn whoever_stays_after_their_answer_is_cut_off() {
    let (_world, health) = watched();
    let mut stream = health.connect();
    stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // This end stays open; the other one is not kept, not even by the kernel.
    let asked = Instant::now();
    // By both ends: other connections may have a port of the same number.
    let ends = [health.address, stream.local_addr().unwrap()].map(in_proc);
    let held = || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let mut lines = table
            .lines()
            .map(|line| line.split_whitespace().skip(1).take(2));
        lines.any(|columns| columns.eq(ends.iter().map(String::as_str)))
    };
    assert!(held(), "it is not waited for");
    while held() {
        assert!(asked.elapsed() < Duration::from_secs(8), "still held");
        sleep(Duration::from_millis(20));
    }
}

/// Strangers take only a part of the files that the process may open.
#[test]
fn a_crowd_does_not_use_up_the_files_that_may_be_open() {
    let mut world = World::new();
    let health = Health::of(&mut world);
    world.hs.add_room(ROOM, &[ALICE, BOT], true);
    world.spawn_as(limited(&format!("ulimit -n {FEW_FILES};")));
    world.wait_listening();
    let _crowd = idle(health.address, 300, stranger);
    assert_both_are_answered(&health);
    assert_eq!(world.ask("start"), ON);
    let _more = idle(health.address, 300, stranger);
    assert_eq!(world.ask("stop"), OFF);
    let log = world.bot().log();
    assert!(!log.contains("cannot be taken"), "{log}");
}

/// Whatever the port is bound to, the subcommand finds it.
#[test]
fn healthcheck_finds_an_address_of_either_family_and_one_that_is_not_loopback() {
    let mut addresses = vec!["127.83.2.5".parse::<IpAddr>().unwrap()];
    let free = |ip: &IpAddr| TcpListener::bind((*ip, 0)).is_ok();
    addresses.extend(["::1".parse().unwrap()].iter().filter(|ip| free(ip)));
    // The address that packets to elsewhere leave from; nothing is sent.
    let outward = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    addresses.extend(outward.ok().map(|address| address.ip()));
    for ip in addresses {
        // Another one than those of the other tests.
        let port = (20_300..21_000)
            .find(|port| TcpListener::bind((ip, *port)).is_ok())
            .unwrap();
        let address = SocketAddr::new(ip, port).to_string();
        let _world = Scenario::encrypted().set("HEALTH_ADDR", &address).start();
        let env = BTreeMap::from([("HEALTH_ADDR".to_owned(), address)]);
        let check = bot::run(&["healthcheck"], &env);
        assert_eq!(check.code, Some(0), "{ip}: {}", check.err);
    }
}
