//! The event stream that the waiting page follows: the phases of its target, and a last
//! event when it can be reached.
//!
//! Specification: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep};

use super::standing::Standing;
use crate::gateway::object::Object;
use crate::gateway::wake::{Phase, TargetHandle, View};
use crate::util::{Boxed, boxed, race};

/// The pause after which a comment keeps proxies from closing the stream.
const PING: Duration = Duration::from_secs(15);

/// Events of one stream; a browser opens the next one by itself.
const MAX_EVENTS: u32 = 200;

/// The progress of a target.
pub struct Events {
    handle: TargetHandle,
    left: u32,
    next: Option<Boxed<View>>,
    ping: Pin<Box<Sleep>>,
    /// The end of the gateway, or of the right to see this.
    over: Boxed<()>,
    _room: OwnedSemaphorePermit,
}

impl Events {
    /// None if too many are open.
    pub(super) fn of(standing: Standing) -> Option<Self> {
        let room = Arc::clone(&standing.context.streams);
        Some(Self {
            handle: standing.target.clone(),
            left: MAX_EVENTS,
            next: None,
            ping: Box::pin(sleep(PING)),
            _room: room.try_acquire_owned().ok()?,
            over: boxed(async move {
                let ended = standing.ended(Instant::now());
                race(standing.context.draining(), ended).await;
            }),
        })
    }

    /// The next piece of the stream.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.left == 0 || self.over.as_mut().poll(context).is_ready() {
            self.left = 0;
            return Poll::Ready(None);
        }
        let view = match &mut self.next {
            None => self.handle.view(),
            Some(next) => match next.as_mut().poll(context) {
                Poll::Ready(view) => view,
                Poll::Pending => {
                    ready!(self.ping.as_mut().poll(context));
                    self.left -= 1;
                    self.ping.as_mut().reset(Instant::now() + PING);
                    return Poll::Ready(Some(Bytes::from_static(b": waiting\n\n")));
                }
            },
        };
        self.left -= 1;
        if view.phase == Phase::Ready {
            self.left = 0;
            return Poll::Ready(Some(Bytes::from_static(b"event: ready\ndata: {}\n\n")));
        }
        let (handle, told) = (self.handle.clone(), view.clone());
        self.next = Some(boxed(async move { handle.changed_from(&told).await }));
        let mut told = Object::new();
        told.text("phase", view.phase.as_str());
        match &view.reason {
            Some(reason) => told.text("reason", reason),
            None => told.raw("reason", &"null"),
        }
        Poll::Ready(Some(Bytes::from(format!("data: {}\n\n", told.end()))))
    }
}
