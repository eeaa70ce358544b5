//! The bytes of an open socket, both ways. While nothing happens it holds no buffer: what
//! is read is written on before anybody waits, and only what the other side did not take
//! is kept.
//!
//! Specification: <https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1> (Close).

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Bytes;
use tokio::time::{Sleep, sleep};

use super::frames::Frames;
use super::scratch;
use super::socket::MAX_STALL;
use super::usage::Counter;
use crate::gateway::listener::Passing;
use crate::net::Channel;

/// The time in which a frame that has begun has to end before the socket is closed in the
/// middle of it, and in which the other side has to answer a Close.
const GRACE: Duration = Duration::from_secs(1);

/// The most that is read at once, and kept while the other side does not take it.
const MAX_PIECE: usize = 8 * 1024;

/// The time that one direction lives on when the other one has ended.
const HALF_OPEN: Duration = Duration::from_secs(10);

/// Reason why the gateway ends a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// The target, or the gateway, is about to end.
    Away,
    /// The credential has expired.
    Expired,
    /// The credential is not taken any more.
    Refused,
}

impl Over {
    /// The frame that says so: Close, not masked, with the reason where there is more to know
    /// than the code tells.
    fn frame(self) -> Vec<u8> {
        let (code, reason) = match self {
            Self::Away => (1001_u16, ""),
            Self::Expired | Self::Refused => (1008, self.reason()),
        };
        let length = u8::try_from(2 + reason.len()).unwrap_or_default();
        [&[0x88, length][..], &code.to_be_bytes(), reason.as_bytes()].concat()
    }

    /// The reason in the audit log.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Away => "going away",
            Self::Expired => "the credential has expired",
            Self::Refused => "the credential is not taken any more",
        }
    }
}

/// One direction.
#[derive(Default)]
struct Way {
    frames: Frames,
    /// Read, and not written yet.
    left: Vec<u8>,
    /// The end of the time in which the other side has to take something of it.
    stalled: Option<Pin<Box<Sleep>>>,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// More may come.
    #[default]
    Open,
    /// Nothing more comes; what is left has to be written.
    Ending,
    /// All was written, and that nothing more comes.
    Ended,
}

/// Passes bytes on until both sides have ended, one of them broke, or it is over for a
/// reason of the gateway's own, which is returned. `early` is what was read from either
/// side already; what one of them does not take is kept if there is room for it, and ends
/// the socket otherwise. One that takes nothing for [`MAX_STALL`] ends it, too.
pub(super) async fn run(
    client: &Channel,
    app: &Channel,
    early: (Bytes, Bytes),
    counter: &Counter,
    room: &(dyn Fn() -> Option<Passing> + Sync),
    over: impl Future<Output = Over>,
) -> Option<Over> {
    let mut over = pin!(over);
    let (mut up, mut down) = (Way::default(), Way::default());
    take(&mut up, &early.0, counter, true);
    take(&mut down, &early.1, counter, false);
    // Even an empty one keeps the whole buffer that it is a part of.
    drop(early);
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    let mut ending = None;
    let mut kept: Option<Passing> = None;
    poll_fn(|context| {
        if ending.is_none()
            && let Poll::Ready(reason) = over.as_mut().poll(context)
        {
            ending = Some(reason);
            timer = Some(Box::pin(sleep(GRACE)));
        }
        let is_broken = pass(&mut up, client, app, context, counter, true).is_err()
            || match ending {
                // What the app says goes on until a read ends between two of its frames.
                Some(_) if is_between(&down) => false,
                _ => pass(&mut down, app, client, context, counter, false).is_err(),
            };
        if up.left.is_empty() && down.left.is_empty() && !client.has_unsent() {
            kept = None;
        } else if kept.is_none() {
            kept = room();
            if kept.is_none() {
                return Poll::Ready(());
            }
        }
        let is_done = match ending {
            Some(_) => is_between(&down),
            None => up.state == State::Ended && down.state == State::Ended,
        };
        if is_broken || is_done {
            return Poll::Ready(());
        }
        if up.state == State::Ended || down.state == State::Ended {
            timer.get_or_insert_with(|| Box::pin(sleep(HALF_OPEN)));
        }
        match &mut timer {
            Some(timer) => timer.as_mut().poll(context),
            None => Poll::Pending,
        }
    })
    .await;
    if let Some(reason) = ending
        && is_between(&down)
        && down.state == State::Open
    {
        say_goodbye(client, reason).await;
    }
    ending
}

impl Way {
    /// The other side takes nothing now; an error if that has been so for too long. Of a record
    /// of TLS it counts when all is taken.
    fn stall(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let until = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep(MAX_STALL)));
        match until.as_mut().poll(context) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => Err(ErrorKind::TimedOut.into()),
        }
    }
}

/// Returns true if the direction is between two frames, as far as the reader can tell.
fn is_between(way: &Way) -> bool {
    way.frames.is_between() && way.left.is_empty()
}

fn take(way: &mut Way, bytes: &[u8], counter: &Counter, is_client: bool) {
    if way.frames.feed(bytes) {
        counter.touch(is_client);
    }
    way.left.extend_from_slice(bytes);
}

/// Moves what can be moved now.
fn pass(
    way: &mut Way,
    from: &Channel,
    to: &Channel,
    context: &mut Context<'_>,
    counter: &Counter,
    is_client: bool,
) -> io::Result<()> {
    loop {
        while !way.left.is_empty() {
            if to.poll_write_ready(context)?.is_pending() {
                return way.stall(context);
            }
            match to.try_write(&way.left) {
                Ok(written) => {
                    way.left.drain(..written);
                    way.stalled = None;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        // An idle socket keeps none.
        way.left = Vec::new();
        if to.poll_flush(context)?.is_pending() {
            return way.stall(context);
        }
        way.stalled = None;
        match way.state {
            State::Open => {}
            State::Ending => {
                way.state = State::Ended;
                // It may be gone altogether.
                let _ = to.shut_down();
                return Ok(());
            }
            State::Ended => return Ok(()),
        }
        if from.poll_read_ready(context)?.is_pending() {
            return Ok(());
        }
        scratch::with(|scratch| {
            let piece = scratch.get_mut(..MAX_PIECE).unwrap_or_default();
            let count = match from.try_read(piece) {
                Ok(0) => {
                    way.state = State::Ending;
                    return Ok(());
                }
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let bytes = scratch.get(..count).unwrap_or_default();
            if way.frames.feed(bytes) {
                counter.touch(is_client);
            }
            let written = match to.try_write(bytes) {
                Ok(written) => written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error),
            };
            way.left
                .extend_from_slice(bytes.get(written..).unwrap_or_default());
            Ok(())
        })?;
    }
}

/// Tells the client why, and waits a moment for it to close.
async fn say_goodbye(client: &Channel, reason: Over) {
    let frame = reason.frame();
    let is_said = client
        .try_write(&frame)
        .is_ok_and(|count| count == frame.len());
    if !is_said || client.shut_down().is_err() {
        return;
    }
    let mut patience = pin!(sleep(GRACE));
    poll_fn(|context| {
        loop {
            if patience.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            match client.poll_read_ready(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {}
            }
            match scratch::with(|scratch| client.try_read(scratch)) {
                Ok(0) => return Poll::Ready(()),
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Poll::Ready(()),
                _ => {}
            }
        }
    })
    .await;
}
