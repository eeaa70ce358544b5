//! The body of an answer that keeps its connection from being idle until it has left.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};

use super::listener::Slot;

/// A connection that is being answered, until this is dropped.
pub struct Busy(Arc<Slot>);

/// The body of an answer, and the connection that it leaves by.
pub struct Tracked<B> {
    body: B,
    _busy: Busy,
}

impl Busy {
    /// A request begins.
    pub fn new(slot: &Arc<Slot>) -> Self {
        slot.usage().busy();
        Self(Arc::clone(slot))
    }

    /// The body of its answer.
    pub fn answer<B>(self, body: B) -> Tracked<B> {
        Tracked { body, _busy: self }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.become_idle();
    }
}

impl<B: Body + Unpin> Body for Tracked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
