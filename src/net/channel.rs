//! One connection that was accepted or made, in the clear or with TLS of ours. It keeps no
//! buffer of its own in the clear, and as little as the protocol lets it under TLS: whoever
//! has thousands that do nothing pays for nothing.
//!
//! Specification: <https://www.rfc-editor.org/rfc/rfc8446>.

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use rustls::{ServerConfig, ServerConnection};
use socket2::SockRef;
use tokio::net::TcpStream;

/// The most that is encrypted and not sent yet, in bytes: one record.
const MAX_UNSENT: usize = 16 * 1024;

/// A connection over TCP, which is read and written when it is ready, never waited for.
pub struct Channel {
    tcp: TcpStream,
    tls: Option<Box<Mutex<Session>>>,
}

/// The TLS of one connection.
struct Session {
    tls: ServerConnection,
    /// True if there may be something that was decrypted and not read yet.
    has_unread: bool,
}

impl Channel {
    /// A connection in the clear.
    pub fn plain(tcp: TcpStream) -> Self {
        Self { tcp, tls: None }
    }

    /// A connection whose client begins with a handshake.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn tls(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<Self> {
        let mut tls = ServerConnection::new(config).map_err(io::Error::other)?;
        tls.set_buffer_limit(Some(MAX_UNSENT));
        let session = Session {
            tls,
            has_unread: false,
        };
        Ok(Self {
            tcp,
            tls: Some(Box::new(Mutex::new(session))),
        })
    }

    /// The connection below.
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// Returns true if what is sent is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Does the handshake, if there is one to be done.
    ///
    /// # Errors
    /// The client left, or does not speak TLS as this server does. It has been told.
    pub async fn handshake(&self) -> io::Result<()> {
        poll_fn(|context| {
            loop {
                ready!(self.poll_flush(context))?;
                let session = self.session();
                if !session.is_some_and(|session| session.tls.is_handshaking()) {
                    return Poll::Ready(Ok(()));
                }
                ready!(self.tcp.poll_read_ready(context))?;
                if let Some(mut session) = self.session()
                    && is_ready(session.receive(&self.tcp))? == Some(0)
                {
                    return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
                }
            }
        })
        .await
    }

    /// Ready when something can be read, or the end of it.
    ///
    /// # Errors
    /// The runtime is about to end.
    pub fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.session() {
            Some(session) if session.has_unread => Poll::Ready(Ok(())),
            _ => self.tcp.poll_read_ready(context),
        }
    }

    /// Reads what there is; 0 bytes at the end.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] if there is nothing yet; else the connection is broken.
    pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        match self.session() {
            None => self.tcp.try_read(into),
            Some(mut session) => session.read(&self.tcp, into),
        }
    }

    /// Ready when something can be written.
    ///
    /// # Errors
    /// The runtime is about to end.
    pub fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp.poll_write_ready(context)
    }

    /// Writes what is taken of this. Under TLS some of it may wait here until
    /// [`Self::poll_flush`].
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] if nothing is taken yet; else the connection is broken.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.session() {
            None => self.tcp.try_write(bytes),
            Some(mut session) => session.write(&self.tcp, |tls| tls.writer().write(bytes)),
        }
    }

    /// As [`Self::try_write`], of several pieces.
    ///
    /// # Errors
    /// As there.
    pub fn try_write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.session() {
            None => self.tcp.try_write_vectored(pieces),
            Some(mut session) => {
                session.write(&self.tcp, |tls| tls.writer().write_vectored(pieces))
            }
        }
    }

    /// Returns true if something that was written waits here.
    pub fn has_unsent(&self) -> bool {
        self.session()
            .is_some_and(|session| session.tls.wants_write())
    }

    /// Sends what waits here.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] if not all of it is taken yet; else the connection is broken.
    pub fn try_flush(&self) -> io::Result<()> {
        match self.session() {
            None => Ok(()),
            Some(mut session) => session.send(&self.tcp),
        }
    }

    /// Ready when all that was written is sent.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.has_unsent() {
            ready!(self.tcp.poll_write_ready(context))?;
            if let Some(()) = is_ready(self.try_flush())? {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Says that nothing more comes. What waits here is lost if it is not taken at once.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn shut_down(&self) -> io::Result<()> {
        if let Some(mut session) = self.session() {
            session.tls.send_close_notify();
            let _ = session.send(&self.tcp);
        }
        SockRef::from(&self.tcp).shutdown(Shutdown::Write)
    }

    fn session(&self) -> Option<MutexGuard<'_, Session>> {
        let session = self.tls.as_ref()?.lock();
        Some(session.unwrap_or_else(PoisonError::into_inner))
    }
}

impl Session {
    fn read(&mut self, tcp: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
        if !self.has_unread {
            // Once only: records with nothing in them must not keep others waiting.
            self.receive(tcp)?;
        }
        match self.tls.reader().read(into) {
            // The client closed without a word of TLS. Each message of HTTP says where it
            // ends, and so nobody can cut one off unnoticed.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
            read => {
                self.has_unread = matches!(&read, Ok(count) if *count == into.len());
                read
            }
        }
    }

    /// Takes what there is of the client's, and answers what TLS itself answers. Returns the
    /// number of bytes, 0 at the end.
    fn receive(&mut self, tcp: &TcpStream) -> io::Result<usize> {
        let count = self.tls.read_tls(&mut Wire(tcp))?;
        let processed = self.tls.process_new_packets();
        let sent = is_ready(self.send(tcp));
        // The client was told why.
        let state = processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        self.has_unread = state.plaintext_bytes_to_read() > 0;
        sent.map(|_| count)
    }

    fn write(
        &mut self,
        tcp: &TcpStream,
        write: impl FnOnce(&mut ServerConnection) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.send(tcp)?;
        let written = write(&mut self.tls)?;
        is_ready(self.send(tcp)).map(|_| written)
    }

    fn send(&mut self, tcp: &TcpStream) -> io::Result<()> {
        while self.tls.wants_write() {
            if self.tls.write_tls(&mut Wire(tcp))? == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }
}

/// The result; None if it could not be done yet.
fn is_ready<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// The connection as rustls reads and writes it.
struct Wire<'a>(&'a TcpStream);

impl Read for Wire<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(into)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
