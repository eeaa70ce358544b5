//! The body of an answer on its way to a client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

use super::comments::Comments;
use super::pool::{self, Leased};
use super::silence::Silence;
use super::standing::{Recheck, Standing};
use super::status::Events;
use super::upload::{BodyFault, released};
use super::usage::Usage;
use crate::gateway::listener::Passing;

/// The time in which an app has to send more of a body that has begun; event streams may
/// be silent for ever.
const MAX_SILENCE: Duration = Duration::from_secs(60);

/// The body of an answer.
pub enum Answer {
    /// All of it.
    Whole(Bytes),
    /// None, of which the head says that it has this length.
    Announced(u64),
    /// That of an app.
    Passed(Box<Passed>),
    /// The progress of a target.
    Events(Box<Events>),
}

/// A body that comes from an app.
pub struct Passed {
    body: Incoming,
    /// The connection that it comes by, until it has come.
    leased: Option<Leased>,
    usage: Usage,
    _passing: Arc<Passing>,
    silence: Silence,
    recheck: Recheck,
    /// There for an event stream.
    comments: Option<Comments>,
    takes_trailers: bool,
}

impl Answer {
    /// The body of an app's answer.
    pub(super) fn passed(
        body: Incoming,
        leased: Leased,
        (usage, passing): (Usage, Arc<Passing>),
        standing: Standing,
        is_event_stream: bool,
        takes_trailers: bool,
    ) -> Self {
        if body.is_end_stream() {
            pool::give_back(leased);
            return Self::Whole(Bytes::new());
        }
        Self::Passed(Box::new(Passed {
            body,
            leased: Some(leased),
            usage,
            _passing: passing,
            silence: Silence::new((!is_event_stream).then_some(MAX_SILENCE)),
            recheck: standing.rechecked(is_event_stream),
            comments: is_event_stream.then(Comments::default),
            takes_trailers,
        }))
    }
}

impl Passed {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        if self.recheck.is_over(context) {
            self.leased = None;
            return Poll::Ready(Some(Err(BodyFault::Refused)));
        }
        loop {
            let frame = match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending if self.silence.is_over(context) => {
                    self.leased = None;
                    return Poll::Ready(Some(Err(BodyFault::Silent)));
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(frame) => frame,
            };
            self.silence.broken();
            let is_last = self.body.is_end_stream();
            match &frame {
                Some(Err(_)) => self.leased = None,
                // Nothing comes after trailers, and nobody asks for it.
                Some(Ok(frame)) if !is_last && !frame.is_trailers() => {
                    if let Some(leased) = &self.leased {
                        leased.allowance.renew();
                    }
                }
                _ => {
                    if let Some(leased) = self.leased.take() {
                        pool::give_back(leased);
                    }
                }
            }
            return Poll::Ready(match frame {
                None => None,
                Some(Err(_)) => Some(Err(BodyFault::Broken)),
                Some(Ok(frame)) => {
                    let Some(data) = frame.data_ref() else {
                        if self.takes_trailers {
                            return Poll::Ready(Some(Ok(frame)));
                        }
                        continue;
                    };
                    let is_use = match &mut self.comments {
                        Some(comments) => comments.feed(data),
                        None => true,
                    };
                    if is_use {
                        self.usage.app_sent();
                    }
                    Some(Ok(frame.map_data(|data| released(&data))))
                }
            });
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Announced(_) => Poll::Ready(None),
            Self::Passed(passed) => passed.poll(context),
            Self::Events(events) => {
                let event = ready!(events.poll(context));
                Poll::Ready(event.map(|text| Ok(Frame::data(text))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Passed(passed) => passed.body.is_end_stream(),
            Self::Announced(_) | Self::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Announced(length) => SizeHint::with_exact(*length),
            Self::Passed(passed) => passed.body.size_hint(),
            Self::Events(_) => SizeHint::default(),
        }
    }
}
