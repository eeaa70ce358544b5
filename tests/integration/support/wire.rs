//! HTTP/1.1 over blocking sockets, one thread a connection. Written by hand so
//! that a test can cut a connection or put rubbish on it at any byte.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

use super::filling;
use super::rooms::now_ms;

/// A time as HTTP has it, so many milliseconds from now.
pub fn http_date(offset_ms: i64) -> String {
    let now = Duration::from_millis(now_ms().saturating_add_signed(offset_ms));
    httpdate::fmt_http_date(UNIX_EPOCH + now)
}

/// One request as it came in.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// The path without the query, percent-decoded.
    pub fn path(&self) -> String {
        decode(self.target.split('?').next().unwrap_or_default())
    }

    /// The path's segments after `prefix`, each percent-decoded on its own.
    pub fn segments(&self) -> Vec<String> {
        self.target
            .split('?')
            .next()
            .unwrap_or_default()
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(decode)
            .collect()
    }

    /// The first value of a query parameter, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        query(&self.target, name)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The bearer token, if one was sent.
    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// The first value of a query parameter of a request's target, decoded.
pub fn query(target: &str, name: &str) -> Option<String> {
    let (_, query) = target.split_once('?')?;
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key) == name).then(|| decode(value.replace('+', " ")))
    })
}

/// An answer as it goes back.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".into(), "application/json".into())],
            body: body.to_string().into_bytes(),
        }
    }

    pub fn text(status: u16, content_type: &str, body: &str) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".into(), content_type.into())],
            body: body.as_bytes().to_vec(),
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(key, _)| key == name)
    }

    /// The body, if there are places in it that grow while it is written.
    pub fn growing(&self) -> Option<&str> {
        let text = std::str::from_utf8(&self.body).ok()?;
        filling::grows(text).then_some(text)
    }
}

/// The ways in which a handler ends a request.
pub enum Answer {
    Reply(Response),
    /// The same, and what is done when the client has all of it, or no longer
    /// wants it.
    Watched(Response, Box<dyn FnOnce()>),
    /// A body in pieces, each when it is there, until there are no more.
    Pieces(Box<dyn FnMut() -> Option<Vec<u8>>>),
    /// Close the connection without a byte.
    Cut,
    /// These bytes as they are, then close.
    Raw(Vec<u8>),
}

/// Answers requests on one connection until either side closes it.
pub fn serve<S: Read + Write>(
    mut stream: S,
    mut handle: impl FnMut(Request) -> Answer,
) -> io::Result<()> {
    let mut pending = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut pending)? {
        match handle(request) {
            Answer::Reply(response) => {
                write_response(&mut stream, &response)?;
                if response.has("Connection") {
                    return Ok(());
                }
            }
            Answer::Watched(response, then) => {
                let written = write_response(&mut stream, &response);
                then();
                written?;
                if response.has("Connection") {
                    return Ok(());
                }
            }
            Answer::Pieces(mut next) => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                            Transfer-Encoding: chunked\r\n\r\n";
                stream.write_all(head.as_bytes())?;
                stream.flush()?;
                while let Some(piece) = next() {
                    Chunks(&mut stream).write_all(&piece)?;
                    stream.flush()?;
                }
                stream.write_all(b"0\r\n\r\n")?;
                stream.flush()?;
            }
            Answer::Cut => return Ok(()),
            Answer::Raw(bytes) => {
                stream.write_all(&bytes)?;
                return stream.flush();
            }
        }
    }
    Ok(())
}

fn read_request<S: Read>(stream: &mut S, pending: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let head_end = loop {
        if let Some(at) = find(pending, b"\r\n\r\n") {
            break at;
        }
        if fill(stream, pending)? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&pending[..head_end]).into_owned();
    pending.drain(..head_end + 4);
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let mut request = Request {
        method: first.next().unwrap_or_default().to_owned(),
        target: first.next().unwrap_or_default().to_owned(),
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect(),
        body: Vec::new(),
    };
    if let Some(length) = request.header("content-length") {
        let length: usize = length.parse().map_err(io::Error::other)?;
        while pending.len() < length {
            if fill(stream, pending)? == 0 {
                return Ok(None);
            }
        }
        request.body = pending.drain(..length).collect();
    } else if request.header("transfer-encoding").is_some() {
        request.body = read_chunks(stream, pending)?;
    }
    Ok(Some(request))
}

fn read_chunks<S: Read>(stream: &mut S, pending: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = loop {
            if let Some(at) = find(pending, b"\r\n") {
                break at;
            }
            if fill(stream, pending)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let line = String::from_utf8_lossy(&pending[..line_end]).into_owned();
        pending.drain(..line_end + 2);
        let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
            .map_err(io::Error::other)?;
        while pending.len() < size + 2 {
            if fill(stream, pending)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        body.extend(pending.drain(..size));
        pending.drain(..2);
        if size == 0 {
            return Ok(body);
        }
    }
}

fn fill<S: Read>(stream: &mut S, pending: &mut Vec<u8>) -> io::Result<usize> {
    let mut buffer = [0; 16 * 1024];
    let read = stream.read(&mut buffer)?;
    pending.extend_from_slice(&buffer[..read]);
    Ok(read)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// Writes an answer, and what grows in its body at its full size. Its length is
/// what the headers say, where they say anything.
fn write_response<S: Write>(stream: &mut S, response: &Response) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} Whatever\r\n", response.status);
    for (name, value) in &response.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let growing = response.growing();
    let length = match growing {
        Some(text) => filling::length(text),
        None => Some(response.body.len() as u64),
    };
    match length {
        _ if response.has("Content-Length") => {}
        Some(length) => head.push_str(&format!("Content-Length: {length}\r\n")),
        None => head.push_str("Transfer-Encoding: chunked\r\n"),
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    let Some(text) = growing else {
        bytes.extend_from_slice(&response.body);
        stream.write_all(&bytes)?;
        return stream.flush();
    };
    stream.write_all(&bytes)?;
    if length.is_some() || response.has("Content-Length") {
        filling::write(text, stream)?;
    } else {
        let mut chunks = io::BufWriter::with_capacity(16 * 1024, Chunks(&mut *stream));
        filling::write(text, &mut chunks)?;
        chunks.flush()?;
        drop(chunks);
        stream.write_all(b"0\r\n\r\n")?;
    }
    stream.flush()
}

/// Writes each piece as a chunk.
struct Chunks<'a, S>(&'a mut S);

impl<S: Write> Write for Chunks<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write!(self.0, "{:x}\r\n", bytes.len())?;
        self.0.write_all(bytes)?;
        self.0.write_all(b"\r\n")?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Percent-decoding; what is not valid stays as it is.
pub fn decode(text: impl AsRef<str>) -> String {
    let bytes = text.as_ref().as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match escaped {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Percent-encoding of one path segment or query value.
pub fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// A listening socket on a free loopback port, closed with everything it
/// accepted when dropped.
pub struct Listener {
    pub port: u16,
    open: Arc<Open>,
}

struct Open {
    closing: AtomicBool,
    sockets: Mutex<Vec<TcpStream>>,
}

impl Listener {
    pub fn start(connection: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a loopback port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let open = Arc::new(Open {
            closing: AtomicBool::new(false),
            sockets: Mutex::new(Vec::new()),
        });
        let accepting = Arc::clone(&open);
        let connection = Arc::new(connection);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.closing.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let _ = stream.set_nodelay(true);
                if let (Ok(kept), Ok(mut sockets)) = (stream.try_clone(), accepting.sockets.lock())
                {
                    sockets.push(kept);
                }
                let connection = Arc::clone(&connection);
                std::thread::spawn(move || {
                    let ended = stream.try_clone();
                    connection(stream);
                    if let Ok(stream) = ended {
                        let _ = stream.shutdown(Shutdown::Both);
                    }
                });
            }
        });
        Self { port, open }
    }

    /// Closes every connection that is open now.
    pub fn cut_all(&self) {
        for socket in self.open.sockets.lock().expect("not poisoned").drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.open.closing.store(true, Ordering::SeqCst);
        let _ =
            TcpStream::connect_timeout(&([127, 0, 0, 1], self.port).into(), Duration::from_secs(1));
        self.cut_all();
    }
}

/// One request from the test itself, on a connection of its own.
pub fn call(
    port: u16,
    method: &str,
    target: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> io::Result<(u16, Value)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let authorization = token
        .map(|token| format!("Authorization: Bearer {token}\r\n"))
        .unwrap_or_default();
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{authorization}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = find(&bytes, b"\r\n\r\n") {
            break at;
        }
        if fill(&mut stream, &mut bytes)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or(io::ErrorKind::InvalidData)?;
    let length: usize = head
        .split("\r\n")
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.parse().ok())
        .ok_or(io::ErrorKind::InvalidData)?;
    while bytes.len() < head_end + 4 + length {
        if fill(&mut stream, &mut bytes)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let json = serde_json::from_slice(&bytes[head_end + 4..]).unwrap_or(Value::Null);
    Ok((status, json))
}
