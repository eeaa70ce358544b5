//! The connection to an app as hyper uses it: what comes without being of use is limited.
//!
//! hyper reads on for as long as there are interim answers, zeros before the size of a chunk
//! and the like, however many.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The most that an app may send before there is an answer, or more of its body, in bytes: a
/// head of 16 KiB, and what hyper has read beyond it.
const MOST: usize = 64 * 1024;

/// The bytes that an app may still send before there is something of use.
pub(super) struct Allowance(AtomicUsize);

impl Allowance {
    /// A request begins, or there is something of use.
    pub(super) fn renew(&self) {
        self.0.store(MOST, Relaxed);
    }

    /// Takes so much of it.
    ///
    /// # Errors
    /// There is less left.
    fn spend(&self, bytes: usize) -> io::Result<()> {
        let left = self.0.load(Relaxed).checked_sub(bytes);
        self.0.store(left.unwrap_or(0), Relaxed);
        match left {
            Some(_) => Ok(()),
            None => Err(ErrorKind::InvalidData.into()),
        }
    }
}

/// The connection.
pub(super) struct AppStream {
    tcp: TcpStream,
    allowance: Arc<Allowance>,
}

impl AppStream {
    /// A connection, and what its app may send.
    pub(super) fn new(tcp: TcpStream) -> (Self, Arc<Allowance>) {
        let allowance = Arc::new(Allowance(AtomicUsize::new(MOST)));
        let stream = Self {
            tcp,
            allowance: Arc::clone(&allowance),
        };
        (stream, allowance)
    }

    /// The connection without a limit.
    pub(super) fn into_tcp(self) -> TcpStream {
        self.tcp
    }
}

impl AsyncRead for AppStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(context, buffer))?;
        let read = buffer.filled().len().saturating_sub(before);
        Poll::Ready(self.allowance.spend(read))
    }
}

impl AsyncWrite for AppStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}
