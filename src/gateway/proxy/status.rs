//! The event stream that the waiting page follows: the phases of its target, and a last
//! event when it can be reached.
//!
//! Specification: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::Bytes;
use serde_json::json;
use tokio::time::{Instant, Sleep, sleep};

use crate::gateway::wake::{Phase, TargetHandle, View};

/// The pause after which a comment keeps proxies from closing the stream.
const PING: Duration = Duration::from_secs(15);

/// Events of one stream; a browser opens the next one by itself.
const MAX_EVENTS: u32 = 200;

type Changed = Pin<Box<dyn Future<Output = View> + Send>>;

/// The progress of a target.
pub struct Events {
    handle: TargetHandle,
    left: u32,
    next: Option<Changed>,
    ping: Pin<Box<Sleep>>,
}

impl Events {
    pub(super) fn of(handle: TargetHandle) -> Self {
        Self {
            handle,
            left: MAX_EVENTS,
            next: None,
            ping: Box::pin(sleep(PING)),
        }
    }

    /// The next piece of the stream.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.left == 0 {
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
        let (handle, phase) = (self.handle.clone(), view.phase);
        self.next = Some(Box::pin(async move { handle.changed(phase).await }));
        let told = json!({"phase": word(phase), "reason": view.reason});
        Poll::Ready(Some(Bytes::from(format!("data: {told}\n\n"))))
    }
}

/// The word for a phase in pages and events.
pub(super) const fn word(phase: Phase) -> &'static str {
    match phase {
        Phase::Off => "off",
        Phase::Starting => "starting",
        Phase::Ready => "ready",
        Phase::Stopping => "stopping",
        Phase::Failed => "failed",
    }
}
