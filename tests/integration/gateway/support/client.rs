//! Somebody who writes bytes to a port and reads what comes back, within a deadline.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::backend::accept_of;
use super::frames::{Frame, frame, read_frame};
use crate::support::monitor::DEADLINE;

/// The mask of the frames that are sent: any will do.
const MASK: [u8; 4] = [1, 2, 3, 4];

/// The key of the handshakes.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    /// In order, with names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// The first value of a header; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// The values of a header, in order.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let all = self.headers.iter().filter(|(key, _)| key == name);
        all.map(|(_, value)| value.as_str()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// A connection.
pub struct Raw {
    stream: TcpStream,
    pending: Vec<u8>,
}

impl Raw {
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");
        stream.set_nodelay(true).expect("it is open");
        Self {
            stream,
            pending: Vec::new(),
        }
    }

    /// Writes bytes; nothing happens where the other side is gone.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Sends a GET with this Host and these header lines, each with its `\r\n`.
    pub fn get(&mut self, host: &str, path: &str, headers: &str) {
        self.send(format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n"
        ));
    }

    /// Sends no more, and goes on reading.
    pub fn finish(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads more until this time; false at the end of the connection or after it.
    fn fill(&mut self, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        let wait = left.max(Duration::from_millis(1));
        let _ = self.stream.set_read_timeout(Some(wait));
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(read) => {
                self.pending.extend_from_slice(&buffer[..read]);
                true
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(_) => false,
        }
    }

    /// All that comes within this time, or until the end.
    pub fn read_for(&mut self, time: Duration) -> Vec<u8> {
        let until = Instant::now() + time;
        while Instant::now() < until && self.fill(until) {}
        std::mem::take(&mut self.pending)
    }

    /// All that comes up to and with these bytes, within the deadline.
    pub fn read_until(&mut self, marker: &[u8]) -> Vec<u8> {
        let until = Instant::now() + DEADLINE;
        loop {
            let found = self
                .pending
                .windows(marker.len())
                .position(|part| part == marker);
            if let Some(at) = found {
                return self.pending.drain(..at + marker.len()).collect();
            }
            assert!(
                self.fill(until),
                "the connection ends with {:?}",
                String::from_utf8_lossy(&self.pending)
            );
        }
    }

    /// So many bytes, within the deadline.
    pub fn read_bytes(&mut self, count: usize) -> Vec<u8> {
        let until = Instant::now() + DEADLINE;
        while self.pending.len() < count {
            assert!(self.fill(until), "only {} bytes came", self.pending.len());
        }
        self.pending.drain(..count).collect()
    }

    /// The head of an answer; what follows is left.
    pub fn head(&mut self) -> Reply {
        let head = self.read_until(b"\r\n\r\n");
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let headers = lines.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        });
        Reply {
            status: status
                .and_then(|status| status.parse().ok())
                .expect("a status"),
            headers: headers.collect(),
            body: Vec::new(),
        }
    }

    /// A whole answer, within the deadline; one without a length ends with the connection.
    /// Interim answers are passed over.
    pub fn reply(&mut self) -> Reply {
        let mut reply = self.head();
        while (100..200).contains(&reply.status) && reply.status != 101 {
            reply = self.head();
        }
        self.body(&mut reply);
        reply
    }

    /// The same of a HEAD, which has no body.
    pub fn reply_to_head(&mut self) -> Reply {
        self.head()
    }

    fn body(&mut self, reply: &mut Reply) {
        if matches!(reply.status, 101 | 204 | 304) {
            return;
        }
        if reply.header("transfer-encoding").contains("chunked") {
            loop {
                let line = self.read_until(b"\r\n");
                let line = String::from_utf8_lossy(&line);
                let size = line.split(';').next().unwrap_or_default().trim();
                let size = usize::from_str_radix(size, 16).expect("a size");
                if size == 0 {
                    while self.read_until(b"\r\n").len() > 2 {}
                    return;
                }
                reply.body.extend(self.read_bytes(size));
                self.read_bytes(2);
            }
        }
        match reply.header("content-length").parse() {
            Ok(length) => reply.body = self.read_bytes(length),
            Err(_) => reply.body = self.read_for(DEADLINE),
        }
    }

    /// True if the other side closes within this time. What comes before is left.
    pub fn is_closed_within(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while self.fill(until) {}
        let before = self.pending.len();
        let is_open = self.fill(Instant::now() + Duration::from_millis(20));
        let is_error = self.stream.take_error().ok().flatten().is_some();
        !is_open && self.pending.len() == before && (is_error || self.is_at_end())
    }

    fn is_at_end(&self) -> bool {
        let _ = self.stream.set_nonblocking(true);
        let peeked = self.stream.peek(&mut [0]);
        let _ = self.stream.set_nonblocking(false);
        match peeked {
            Ok(count) => count == 0,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    /// Asks for a WebSocket, with more header lines.
    pub fn ask_websocket(&mut self, host: &str, path: &str, headers: &str) {
        self.get(
            host,
            path,
            &format!(
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: {KEY}\r\n{headers}"
            ),
        );
    }

    /// Makes a WebSocket of the connection, with more header lines; gives the answer as it
    /// is.
    pub fn try_websocket(&mut self, host: &str, path: &str, headers: &str) -> Reply {
        self.ask_websocket(host, path, headers);
        self.reply()
    }

    /// The same, of which the answer has to be right.
    pub fn websocket(port: u16, host: &str, path: &str, headers: &str) -> Self {
        let mut raw = Self::connect(port);
        let reply = raw.try_websocket(host, path, headers);
        assert_eq!(reply.status, 101, "{}", reply.text());
        assert_eq!(reply.header("sec-websocket-accept"), accept_of(KEY));
        raw
    }

    /// Sends a frame as a client does.
    pub fn send_frame(&mut self, opcode: u8, payload: &[u8]) {
        self.send(frame(opcode, payload, Some(MASK)));
    }

    /// The next frame within the deadline; None at the end.
    pub fn frame(&mut self) -> Option<Frame> {
        self.frame_within(DEADLINE)
    }

    /// The next frame within this time; None at the end or after it.
    pub fn frame_within(&mut self, time: Duration) -> Option<Frame> {
        let _ = self.stream.set_read_timeout(Some(time));
        read_frame(&mut self.stream, &mut self.pending)
            .ok()
            .flatten()
    }
}

/// The answer to a GET over a connection of its own.
pub fn get(port: u16, host: &str, path: &str, headers: &str) -> Reply {
    let mut raw = Raw::connect(port);
    raw.get(host, path, &format!("Connection: close\r\n{headers}"));
    raw.reply()
}

/// The answer to a request with a JSON body, or without one, over a connection of its own.
pub fn request(
    port: u16,
    method: &str,
    host: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Reply {
    let mut raw = Raw::connect(port);
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    let body = body.map(Value::to_string);
    let framing = body.as_ref().map(|body| {
        format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        )
    });
    raw.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{}{}\r\n{}",
        token.unwrap_or_default(),
        framing.unwrap_or_default(),
        body.unwrap_or_default()
    ));
    raw.reply()
}
