//! Asking the bot how it is, as a kubelet or a Prometheus does.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};

use super::bot::{self, Done};
use super::metrics::Metrics;
use super::monitor::{DEADLINE, poll};
use super::world::World;

/// The bot's health port, at an address of loopback that nobody else has.
#[derive(Clone)]
pub struct Health {
    pub address: SocketAddr,
}

/// An answer of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Health {
    /// Tells the world's next bot to serve it.
    pub fn of(world: &mut World) -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let [a, b, c, d] = std::process::id().to_be_bytes();
        let [e, f] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let address = SocketAddr::from(([127, a ^ b ^ 64, c ^ e, d], 20_000 + u16::from(f)));
        world.set("HEALTH_ADDR", &address.to_string());
        Self { address }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect_timeout(&self.address, DEADLINE).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream
    }

    /// Sends these bytes and reads until the bot closes the connection.
    pub fn send(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        // The bot may have had enough before it has everything.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).expect("an answer in UTF-8")
    }

    pub fn ask(&self, method: &str, path: &str) -> Page {
        let answer = self.send(format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        Page {
            status: head[9..12].parse().expect("a status"),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    pub fn get(&self, path: &str) -> Page {
        self.ask("GET", path)
    }

    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.get("/metrics").body)
    }

    /// Waits until the page has this status and its body this fragment.
    pub fn wait(&self, path: &str, status: u16, fragment: &str) -> Page {
        poll(&format!("{status} and {fragment:?} at {path}"), || {
            let page = self.get(path);
            (page.status == status && page.body.contains(fragment)).then_some(page)
        })
    }

    /// Waits until the series has this value.
    pub fn wait_metric(&self, series: &str, value: f64) {
        poll(&format!("{series} to be {value}"), || {
            (self.metrics().get(series) == value).then_some(())
        })
    }

    /// Runs `healthcheck`, told nothing but the address.
    pub fn check(&self, args: &[&str]) -> Done {
        let env = [("HEALTH_ADDR".to_owned(), self.address.to_string())];
        bot::run(&[&["healthcheck"], args].concat(), &env.into())
    }
}
