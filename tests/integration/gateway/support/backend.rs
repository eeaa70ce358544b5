//! An app on loopback that takes whatever comes over a connection, and keeps all of it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use serde_json::json;

use super::frames::{Frame, read_frame, write_frame};
use super::script::Script;
use crate::support::monitor::Monitor;

/// Appended to the key of a handshake (<https://www.rfc-editor.org/rfc/rfc6455#section-1.3>).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The size of what is written at once, where an app writes without end.
const FLOOD: usize = 16 * 1024;

/// A request as the app understood it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub at: Instant,
    /// The number of its connection, from 0 on.
    pub connection: usize,
    pub head: String,
    pub body: Vec<u8>,
}

impl Asked {
    /// The request line.
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// The values of a header, in order, by a name in any case.
    pub fn headers(&self, name: &str) -> Vec<String> {
        let lines = self.head.lines().skip(1);
        let values = lines.filter_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        });
        values.collect()
    }

    /// The first value of a header; empty if there is none.
    pub fn header(&self, name: &str) -> String {
        self.headers(name).into_iter().next().unwrap_or_default()
    }
}

#[derive(Default)]
struct State {
    scripts: Vec<(String, Script)>,
    asked: Vec<Asked>,
    /// All bytes of each connection.
    bytes: Vec<Vec<u8>>,
    /// The frames of WebSockets that came, by their opcodes.
    frames: Vec<Frame>,
    open: usize,
    sockets: Vec<TcpStream>,
}

/// The app; closed with its connections when dropped.
pub struct Backend {
    pub port: u16,
    shared: Arc<Monitor<State>>,
    closing: Arc<AtomicBool>,
}

/// A port on which nobody listens, and somebody may later. It is below those that the system
/// gives to whoever wants any, which another test would be given meanwhile, and each is
/// given once.
pub fn free_port() -> u16 {
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let at = std::process::id() * 97 + NEXT.fetch_add(1, Ordering::SeqCst);
        let port = u16::try_from(FIRST + at % COUNT).expect("it is below 65536");
        // Not by listening there: a child that another thread is just starting has the socket,
        // too, until its program begins, and the port would be taken as long.
        if TcpStream::connect(("127.0.0.1", port)).is_err() {
            return port;
        }
    }
}

impl Backend {
    /// One that answers everything with 200 and `hello`.
    pub fn start() -> Self {
        Self::start_on(0)
    }

    /// The same on this port.
    pub fn start_on(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Monitor::<State>::default());
        let closing = Arc::new(AtomicBool::new(false));
        let (serving, is_over) = (Arc::clone(&shared), Arc::clone(&closing));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let _ = stream.set_nodelay(true);
                let serving = Arc::clone(&serving);
                thread::spawn(move || accept(&serving, stream));
            }
        });
        Self {
            port,
            shared,
            closing,
        }
    }

    /// Requests whose target begins like this are answered so from now on.
    pub fn on(&self, path: &str, script: Script) {
        self.shared.with(|state| {
            state.scripts.retain(|(known, _)| known != path);
            state.scripts.push((path.to_owned(), script));
        });
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.lock().asked.clone()
    }

    /// Waits until there were so many requests.
    pub fn wait_asked(&self, count: usize) -> Vec<Asked> {
        let what = format!("{count} requests at the app");
        self.shared.wait(&what, |state| {
            (state.asked.len() >= count).then(|| state.asked.clone())
        })
    }

    /// Waits until the connections hold this fragment of bytes.
    pub fn wait_bytes(&self, fragment: &[u8]) {
        self.shared.wait("bytes at the app", |state| {
            let mut all = state.bytes.iter();
            let has = |bytes: &Vec<u8>| bytes.windows(fragment.len()).any(|part| part == fragment);
            all.any(has).then_some(())
        });
    }

    /// All bytes of each connection so far.
    pub fn bytes(&self) -> Vec<Vec<u8>> {
        self.shared.lock().bytes.clone()
    }

    /// The number of connections so far.
    pub fn connections(&self) -> usize {
        self.shared.lock().bytes.len()
    }

    /// The number of connections that are open.
    pub fn open(&self) -> usize {
        self.shared.lock().open
    }

    /// Waits until so many connections are open.
    pub fn wait_open(&self, count: usize) {
        let what = format!("{count} open connections at the app");
        self.shared
            .wait(&what, |state| (state.open == count).then_some(()));
    }

    /// The frames of WebSockets so far.
    pub fn frames(&self) -> Vec<Frame> {
        self.shared.lock().frames.clone()
    }

    /// Breaks all connections.
    pub fn cut(&self) {
        self.shared.with(|state| {
            for socket in state.sockets.drain(..) {
                let _ = socket.shutdown(Shutdown::Both);
            }
        });
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        let address = ([127, 0, 0, 1], self.port).into();
        let _ = TcpStream::connect_timeout(&address, Duration::from_secs(1));
        self.cut();
    }
}

fn accept(shared: &Arc<Monitor<State>>, stream: TcpStream) {
    let kept = stream.try_clone();
    let number = shared.with(|state| {
        state.sockets.extend(kept);
        state.bytes.push(Vec::new());
        state.open += 1;
        state.bytes.len() - 1
    });
    let mut connection = Connection {
        shared: Arc::clone(shared),
        number,
        stream,
        pending: Vec::new(),
    };
    let ended = loop {
        match connection.serve_one() {
            Ok(true) => {}
            ended => break ended,
        }
    };
    // A shutdown would come before the reset.
    if !ended.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset) {
        let _ = connection.stream.shutdown(Shutdown::Both);
    }
    shared.with(|state| state.open -= 1);
}

struct Connection {
    shared: Arc<Monitor<State>>,
    number: usize,
    stream: TcpStream,
    /// Bytes that are read and not used.
    pending: Vec<u8>,
}

impl Read for Connection {
    /// What comes is noted.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(bytes)?;
        let (number, new) = (self.number, &bytes[..read]);
        self.shared
            .with(|state| state.bytes[number].extend_from_slice(new));
        Ok(read)
    }
}

impl Connection {
    /// Reads more; false at the end.
    fn fill(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16 * 1024];
        let read = self.read(&mut buffer)?;
        self.pending.extend_from_slice(&buffer[..read]);
        Ok(read > 0)
    }

    /// Everything up to the end of this marker.
    fn take_until(&mut self, markers: &[&[u8]]) -> io::Result<Option<Vec<u8>>> {
        loop {
            let ends = markers.iter().filter_map(|marker| {
                let mut windows = self.pending.windows(marker.len());
                Some(windows.position(|part| part == *marker)? + marker.len())
            });
            if let Some(end) = ends.min() {
                return Ok(Some(self.pending.drain(..end).collect()));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.pending.len() < count {
            if !self.fill()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.pending.drain(..count).collect())
    }

    /// Serves a request; false if the connection is over.
    fn serve_one(&mut self) -> io::Result<bool> {
        let Some(head) = self.take_until(&[b"\r\n\r\n", b"\n\n"])? else {
            return Ok(false);
        };
        let mut asked = Asked {
            at: Instant::now(),
            connection: self.number,
            head: String::from_utf8_lossy(&head).into_owned(),
            body: Vec::new(),
        };
        let target = asked
            .line()
            .split(' ')
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        let script = self.shared.with(|state| {
            let scripts = state.scripts.iter();
            let fits = scripts.filter(|(path, _)| target.starts_with(path));
            let best = fits.max_by_key(|(path, _)| path.len());
            best.map(|(_, script)| script.clone())
        });
        let script = script.unwrap_or_else(|| Script::text(200, "hello"));
        // Who is never answered, or reset, need not have sent its body.
        let is_early = matches!(script, Script::Never | Script::Reset | Script::Close);
        if !is_early {
            asked.body = self.body(&asked)?;
        }
        self.shared.with(|state| state.asked.push(asked.clone()));
        self.answer(script, &asked)
    }

    /// The body, as somebody understands it who asks no questions.
    fn body(&mut self, asked: &Asked) -> io::Result<Vec<u8>> {
        if asked.header("transfer-encoding").contains("chunked") {
            let mut body = Vec::new();
            loop {
                let line = self.take_until(&[b"\n"])?.unwrap_or_default();
                let text = String::from_utf8_lossy(&line);
                let size = text.split(';').next().unwrap_or_default().trim();
                let size = usize::from_str_radix(size, 16).unwrap_or(0);
                if size == 0 {
                    // The trailers.
                    while self
                        .take_until(&[b"\n"])?
                        .is_some_and(|line| line.len() > 2)
                    {}
                    return Ok(body);
                }
                body.extend(self.take(size)?);
                self.take_until(&[b"\n"])?;
            }
        }
        let length = asked.header("content-length").parse().unwrap_or(0);
        self.take(length)
    }

    fn answer(&mut self, script: Script, asked: &Asked) -> io::Result<bool> {
        match script {
            Script::Reply {
                status,
                headers,
                body,
                chunked,
                delay,
            } => {
                thread::sleep(delay);
                self.reply(asked, status, &headers, &body, chunked)?;
            }
            Script::Echo => {
                let body = String::from_utf8_lossy(&asked.body);
                let body = json!({"head": asked.head, "body": body}).to_string();
                let kind = "Content-Type: application/json\r\n";
                self.reply(asked, 200, kind, body.as_bytes(), false)?;
            }
            Script::Raw(bytes) => {
                self.stream.write_all(&bytes)?;
                return Ok(false);
            }
            Script::Bytes(bytes) => self.stream.write_all(&bytes)?,
            Script::Flood(first, piece) => {
                self.stream.write_all(&first)?;
                let pieces = piece.repeat(FLOOD / piece.len());
                while self.stream.write_all(&pieces).is_ok() {}
                return Ok(false);
            }
            Script::Never => while self.fill()? {},
            Script::Reset => {
                let zero = Some(Duration::ZERO);
                socket2::SockRef::from(&self.stream).set_linger(zero)?;
                // The last handle resets it.
                let number = self.stream.peer_addr()?;
                self.shared.with(|state| {
                    let is_other = |one: &TcpStream| one.peer_addr().ok() != Some(number);
                    state.sockets.retain(is_other);
                });
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Script::Close => return Ok(false),
            Script::CloseAfterHead => {
                let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n";
                self.stream.write_all(head)?;
                return Ok(false);
            }
            Script::WebSocket { is_right } => return self.websocket(asked, is_right),
            Script::Switch(protocol) => {
                let head = format!(
                    "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n"
                );
                self.stream.write_all(head.as_bytes())?;
                while self.fill()? {}
            }
            Script::Events { every, count } => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                            Transfer-Encoding: chunked\r\n\r\n";
                self.stream.write_all(head.as_bytes())?;
                for n in 0..count {
                    thread::sleep(every);
                    let event = format!("data: {n}\n\n");
                    write!(self.stream, "{:x}\r\n{event}\r\n", event.len())?;
                }
                while self.fill()? {}
            }
            Script::Drip { every, bytes } => {
                write!(
                    self.stream,
                    "HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n"
                )?;
                for _ in 0..bytes {
                    self.stream.write_all(b"x")?;
                    thread::sleep(every);
                }
            }
        }
        Ok(!asked.header("connection").eq_ignore_ascii_case("close"))
    }

    fn reply(
        &mut self,
        asked: &Asked,
        status: u16,
        headers: &str,
        body: &[u8],
        chunked: bool,
    ) -> io::Result<()> {
        let framing = match chunked {
            true => "Transfer-Encoding: chunked\r\n".to_owned(),
            false if headers.to_ascii_lowercase().contains("content-length:") => String::new(),
            false => format!("Content-Length: {}\r\n", body.len()),
        };
        let mut bytes = format!("HTTP/1.1 {status} X\r\n{framing}{headers}\r\n").into_bytes();
        let has_body = !asked.line().starts_with("HEAD ") && !matches!(status, 204 | 304);
        match chunked {
            _ if !has_body => {}
            false => bytes.extend_from_slice(body),
            true => {
                for part in body.chunks(1000) {
                    bytes.extend(format!("{:x}\r\n", part.len()).bytes());
                    bytes.extend_from_slice(part);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
        }
        self.stream.write_all(&bytes)
    }

    /// Answers a handshake, and sends data frames back until one side closes.
    fn websocket(&mut self, asked: &Asked, is_right: bool) -> io::Result<bool> {
        let key = match is_right {
            true => asked.header("sec-websocket-key"),
            false => "another".to_owned(),
        };
        write!(
            self.stream,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {}\r\n\r\n",
            accept_of(&key)
        )?;
        while let Some(frame) = {
            let mut pending = std::mem::take(&mut self.pending);
            let frame = read_frame(self, &mut pending);
            self.pending = pending;
            frame?
        } {
            self.shared.with(|state| state.frames.push(frame.clone()));
            match frame.opcode {
                // Ping.
                9 => write_frame(&mut self.stream, 10, &frame.payload)?,
                8 => {
                    write_frame(&mut self.stream, 8, &frame.payload)?;
                    return Ok(false);
                }
                10 => {}
                opcode => write_frame(&mut self.stream, opcode, &frame.payload)?,
            }
        }
        Ok(false)
    }
}

/// The answer to the key of a handshake.
pub fn accept_of(key: &str) -> String {
    let text = format!("{key}{GUID}");
    STANDARD.encode(digest::digest(
        &digest::SHA1_FOR_LEGACY_USE_ONLY,
        text.as_bytes(),
    ))
}
