//! The socket of a client as hyper uses it: what is read is looked at, what is written has
//! to be taken within a time, and others can see whether the client is still there.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::time::{Sleep, sleep, timeout};

use super::scan::HeadScan;
use super::scratch;
use crate::gateway::listener::{Passing, Slot};
use crate::net::Channel;

/// The time in which a client has to take something of what is sent to it.
pub(super) const MAX_STALL: Duration = Duration::from_secs(60);

/// The most of a head that hyper is given at once: with 8 KiB it would take even more room
/// for the next piece.
const MAX_PIECE: usize = 8 * 1024 - 1;

/// The receive buffer (`SO_RCVBUF`) of a connection whose body is passed on, in bytes, of which
/// Linux makes twice as much.
const RECV_BUFFER: usize = 16 * 1024;

/// The time in which a client that was answered early may notice it.
const LINGER: Duration = Duration::from_secs(1);

/// The bytes that it may go on sending meanwhile.
const MAX_SURPLUS: usize = 256 * 1024;

/// The pause before looking again where a socket is ready for something else.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// The socket of a client.
pub(in crate::gateway) struct ClientSocket {
    pub(super) channel: Channel,
    conflict: AtomicBool,
    has_unread: AtomicBool,
    slot: Arc<Slot>,
    /// The room for what was passed on last.
    passing: Mutex<Weak<Passing>>,
}

impl ClientSocket {
    pub(in crate::gateway) fn new(channel: Channel, slot: Arc<Slot>) -> Self {
        Self {
            channel,
            conflict: AtomicBool::new(false),
            has_unread: AtomicBool::new(false),
            slot,
            passing: Mutex::new(Weak::new()),
        }
    }

    /// Something is passed on, in this room.
    pub(super) fn passes(&self, passing: &Arc<Passing>) {
        *self.passing() = Arc::downgrade(passing);
    }

    /// A body is passed on: the system may keep more of it.
    pub(super) fn passes_body(&self) {
        // Without it the body takes longer.
        let _ = SockRef::from(self.channel.tcp()).set_recv_buffer_size(RECV_BUFFER);
    }

    /// The room for what the client does not take.
    fn room(&self) -> Option<Arc<Passing>> {
        let now = self.passing().upgrade();
        now.or_else(|| self.slot.pass().map(Arc::new))
    }

    fn passing(&self) -> MutexGuard<'_, Weak<Passing>> {
        self.passing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true once a head said twice how long its body is.
    pub(in crate::gateway) fn has_conflict(&self) -> bool {
        self.conflict.load(Ordering::Relaxed)
    }

    /// A body is answered that was not read to its end.
    pub(in crate::gateway) fn leave_unread(&self) {
        self.has_unread.store(true, Ordering::Relaxed);
    }

    /// The end of a connection without an upgrade. Where something was left unread, closing at
    /// once would make the system throw away the answer, too.
    pub(in crate::gateway) async fn linger(&self) {
        if self.has_unread.load(Ordering::Relaxed) {
            // Where an upgrade was asked for, hyper has not said that nothing more comes.
            let _ = self.channel.shut_down();
            let _ = timeout(LINGER, self.discard()).await;
        }
    }

    /// Reads what nobody needs.
    async fn discard(&self) {
        let (stream, mut surplus) = (self.channel.tcp(), MAX_SURPLUS);
        while stream.readable().await.is_ok() {
            match scratch::with(|scratch| stream.try_read(scratch)) {
                Ok(read) if read > 0 && read < surplus => surplus -= read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => return,
            }
        }
    }

    /// Resolves when the client has gone, also while there is something of it unread.
    pub(super) async fn left(&self) {
        // Readiness for urgent data is that of the end, too, but not that of data, which
        // would be there all the time.
        while let Ok(ready) = self.channel.tcp().ready(Interest::PRIORITY).await {
            if ready.is_read_closed() || ready.is_write_closed() || ready.is_error() {
                return;
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

/// A client that takes nothing.
struct Stalled {
    /// The end of the time in which it has to.
    until: Pin<Box<Sleep>>,
    /// Room for what was to be written, also when that was all.
    _room: Arc<Passing>,
}

/// The stream that hyper reads from and writes to.
pub(in crate::gateway) struct ClientIo {
    pub(super) socket: Arc<ClientSocket>,
    scan: HeadScan,
    /// There while the client takes nothing.
    stalled: Option<Stalled>,
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
        write: &dyn Fn(&Channel) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.socket.channel.poll_write_ready(context)?.is_pending() {
                let stalled = match &mut self.stalled {
                    Some(stalled) => stalled,
                    none => none.insert(Stalled {
                        until: Box::pin(sleep(MAX_STALL)),
                        _room: self.socket.room().ok_or(ErrorKind::OutOfMemory)?,
                    }),
                };
                ready!(stalled.until.as_mut().poll(context));
                return Poll::Ready(Err(ErrorKind::TimedOut.into()));
            }
            match write(&self.socket.channel) {
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
            ready!(socket.channel.poll_read_ready(context))?;
            let read = scratch::with(|scratch| {
                let most = if scan.is_in_body() {
                    scratch.len()
                } else {
                    MAX_PIECE
                };
                let room = into.remaining().min(most);
                let scratch = scratch.get_mut(..room).unwrap_or_default();
                let count = socket.channel.try_read(scratch)?;
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
            .poll(context, &|channel| channel.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut()
            .poll(context, &|channel| channel.try_write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.socket.channel.has_unsent() {
            return Poll::Ready(Ok(()));
        }
        let flushed = self
            .get_mut()
            .poll(context, &|channel| channel.try_flush().map(|()| 0));
        flushed.map_ok(|_| ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.channel.shut_down())
    }
}
