//! The two ends of a connection, and bytes as they are.

use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::timeout;

/// The longest that a test waits for an event.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The two ends of a connection.
pub(super) async fn pair() -> (TcpStream, TcpStream) {
    let listener = listener().await;
    let address = listener.local_addr().unwrap();
    let (near, far) = (TcpStream::connect(address).await, listener.accept().await);
    (near.unwrap(), far.unwrap().0)
}

pub(super) async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// Writes all of these bytes.
pub(super) async fn write(stream: &TcpStream, bytes: &[u8]) {
    try_write(stream, bytes).await.unwrap();
}

/// Writes all of these bytes again and again for as long as they are taken.
pub(super) async fn flood(stream: &TcpStream, bytes: &[u8]) {
    while try_write(stream, bytes).await.is_ok() {}
}

/// Writes zeros until none is taken for a while: until all that lies between the two ends is full.
///
/// A fixed time is none to wait for: how much a busy machine passes on within it is anybody's guess.
pub(super) async fn fill(stream: &TcpStream) {
    let more = async || {
        stream.writable().await.unwrap();
        match stream.try_write(&[0; 64 * 1024]) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            Ok(written) => assert_ne!(written, 0),
        }
    };
    while timeout(Duration::from_millis(300), more()).await.is_ok() {}
}

async fn try_write(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The next bytes; empty at the end, also where it was broken off.
pub(super) async fn read(stream: &TcpStream) -> Vec<u8> {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        timeout(PATIENCE, stream.readable()).await.unwrap().unwrap();
        match stream.try_read(&mut bytes) {
            Ok(count) => {
                bytes.truncate(count);
                return bytes;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return Vec::new(),
        }
    }
}

/// Everything up to this text, which has to come.
pub(super) async fn read_to(stream: &TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.contains(end) {
        let bytes = read(stream).await;
        assert!(!bytes.is_empty(), "no {end:?} in {text:?}");
        text.push_str(&String::from_utf8_lossy(&bytes));
    }
    text
}

/// Everything to the end.
pub(super) async fn read_all(stream: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let bytes = read(stream).await;
        if bytes.is_empty() {
            return all;
        }
        all.extend(bytes);
    }
}

/// Returns true if a connection has ended and nothing came before. The clock is paused and stands
/// still meanwhile: nothing ends for being late.
pub(super) async fn has_ended(stream: &TcpStream) -> bool {
    let begun = std::time::Instant::now();
    loop {
        match stream.try_read(&mut [0]) {
            Ok(count) => return count == 0,
            Err(error) if error.kind() != ErrorKind::WouldBlock => return true,
            Err(_) if begun.elapsed() > PATIENCE => return false,
            Err(_) => yield_now().await,
        }
    }
}
