//! The body of a request on its way to an app.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use thiserror::Error;

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

/// The progress of a body: true once it has been read to its end.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress(Arc<AtomicBool>);

impl Progress {
    /// Returns true if there is nothing left to be read.
    pub(super) fn is_done(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Upload {
    /// This body, and what tells how far it is.
    pub(super) fn of(body: Incoming, counter: Counter) -> (Self, Progress) {
        let progress = Progress::default();
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
                Poll::Pending => return Poll::Pending,
                Poll::Ready(frame) => frame,
            };
            self.silence.broken();
            if frame.is_none() || self.body.is_end_stream() {
                self.progress.0.store(true, Ordering::Relaxed);
            }
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
