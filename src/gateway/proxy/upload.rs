//! The body of a request on its way to an app.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use thiserror::Error;
use tokio::time::Instant;

use super::silence::Silence;
use super::usage::Counter;

/// The time in which a client has to send more of a body that has begun.
const MAX_SILENCE: Duration = Duration::from_secs(60);

/// Reason why a body does not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BodyFault {
    /// The sender has broken it off.
    #[error("the body was broken off")]
    Broken,
    /// The sender says nothing any more.
    #[error("the body did not go on")]
    Silent,
    /// The one whom it was for may not have it any more.
    #[error("the credential is not taken any more")]
    Refused,
}

/// The body of a request: none, or one of which a piece at a time is read.
pub(super) enum Upload {
    /// None.
    None,
    /// One.
    Live(Box<Live>),
}

/// A body that is being read.
pub(super) struct Live {
    body: Incoming,
    counter: Counter,
    silence: Silence,
    progress: Progress,
}

/// The one whom a body waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The client, which has a time of its own.
    Client,
    /// The app, which was given a piece then and has not asked for the next one.
    App(Instant),
    /// Nobody: it has been read to its end since then.
    Done(Instant),
}

/// The progress of a body.
#[derive(Debug, Clone)]
pub(super) struct Progress(Arc<Mutex<Stage>>);

impl Progress {
    /// That of a body that begins now.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Stage::App(Instant::now()))))
    }

    /// The one whom it waits for now.
    pub(super) fn stage(&self) -> Stage {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It waits for somebody else.
    pub(super) fn set(&self, stage: Stage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    /// Returns true if there is nothing left to be read.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.stage(), Stage::Done(_))
    }
}

impl Upload {
    /// This body, and what tells how far it is.
    pub(super) fn of(body: Incoming, counter: Counter) -> (Self, Progress) {
        let progress = Progress::new();
        let live = Live {
            body,
            counter,
            silence: Silence::new(Some(MAX_SILENCE)),
            progress: progress.clone(),
        };
        (Self::Live(Box::new(live)), progress)
    }
}

/// The same bytes without the buffer that they were read into, which is far larger than what
/// comes at once from somebody slow, and otherwise kept by each piece that is not written yet.
pub(super) fn released(data: &Bytes) -> Bytes {
    Bytes::copy_from_slice(data)
}

impl Live {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        loop {
            let frame = match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending if self.silence.is_over(context) => {
                    return Poll::Ready(Some(Err(BodyFault::Silent)));
                }
                Poll::Pending => {
                    self.progress.set(Stage::Client);
                    return Poll::Pending;
                }
                Poll::Ready(frame) => frame,
            };
            self.silence.broken();
            let now = Instant::now();
            self.progress.set(match &frame {
                Some(_) if !self.body.is_end_stream() => Stage::App(now),
                _ => Stage::Done(now),
            });
            return Poll::Ready(match frame {
                None => None,
                Some(Err(_)) => Some(Err(BodyFault::Broken)),
                // Trailers end here: nobody has said that the app takes them.
                Some(Ok(frame)) if frame.is_trailers() => continue,
                Some(Ok(frame)) => {
                    self.counter.touch(true);
                    Some(Ok(frame.map_data(|data| released(&data))))
                }
            });
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match self.get_mut() {
            Self::None => Poll::Ready(None),
            Self::Live(live) => live.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::None => true,
            Self::Live(live) => live.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::None => SizeHint::with_exact(0),
            Self::Live(live) => live.body.size_hint(),
        }
    }
}
