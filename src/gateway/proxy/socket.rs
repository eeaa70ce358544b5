//! The socket of a client as hyper uses it: what is read is looked at, what is written has
//! to be taken within a time, and others can see whether the client is still there.

use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::scan::HeadScan;
use super::scratch;

/// The time in which a client has to take something of what is sent to it.
const MAX_STALL: Duration = Duration::from_secs(60);

/// The pause before looking again where a socket is ready for something else.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The socket of a client.
#[derive(Debug)]
pub(in crate::gateway) struct ClientSocket {
    pub(super) stream: TcpStream,
    conflict: AtomicBool,
}

impl ClientSocket {
    pub(in crate::gateway) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            conflict: AtomicBool::new(false),
        }
    }

    /// Returns true once a head said twice how long its body is.
    pub(in crate::gateway) fn has_conflict(&self) -> bool {
        self.conflict.load(Ordering::Relaxed)
    }

    /// Resolves when the client has gone, also while there is something of it unread.
    pub(super) async fn left(&self) {
        // Readiness for urgent data is that of the end, too, but not that of data, which
        // would be there all the time.
        while let Ok(ready) = self.stream.ready(Interest::PRIORITY).await {
            if ready.is_read_closed() || ready.is_write_closed() || ready.is_error() {
                return;
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

/// The stream that hyper reads from and writes to.
pub(in crate::gateway) struct ClientIo {
    pub(super) socket: Arc<ClientSocket>,
    scan: HeadScan,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl ClientIo {
    pub(in crate::gateway) fn new(socket: Arc<ClientSocket>) -> Self {
        Self {
            socket,
            scan: HeadScan::default(),
            stalled: None,
        }
    }

    /// Writes as soon as the socket takes something.
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        write: &dyn Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.socket.stream.poll_write_ready(context)?.is_pending() {
                let stalled = self
                    .stalled
                    .get_or_insert_with(|| Box::pin(sleep(MAX_STALL)));
                ready!(stalled.as_mut().poll(context));
                return Poll::Ready(Err(ErrorKind::TimedOut.into()));
            }
            match write(&self.socket.stream) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => {
                    self.stalled = None;
                    return Poll::Ready(done);
                }
            }
        }
    }
}

impl Read for ClientIo {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { socket, scan, .. } = self.get_mut();
        loop {
            ready!(socket.stream.poll_read_ready(context))?;
            let read = scratch::with(|scratch| {
                let room = into.remaining().min(scratch.len());
                let scratch = scratch.get_mut(..room).unwrap_or_default();
                let count = socket.stream.try_read(scratch)?;
                let bytes = scratch.get(..count).unwrap_or_default();
                if scan.feed(bytes) {
                    socket.conflict.store(true, Ordering::Relaxed);
                }
                into.put_slice(bytes);
                Ok(())
            });
            match read {
                Err(error) if io::Error::kind(&error) == ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl Write for ClientIo {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .poll(context, &|stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .poll(context, &|stream| stream.try_write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(shut_down(&self.socket.stream))
    }
}

/// Says that nothing more comes.
pub(super) fn shut_down(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).shutdown(Shutdown::Write)
}
