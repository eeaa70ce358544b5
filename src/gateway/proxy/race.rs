//! Two things of which the first one counts.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// The first of two that is done.
pub(super) enum First<A, B> {
    Left(A),
    Right(B),
}

/// Runs both until one is done; the other one is dropped. The first one goes first.
pub(super) async fn first<A, B>(
    left: impl Future<Output = A>,
    right: impl Future<Output = B>,
) -> First<A, B> {
    let (mut left, mut right) = (pin!(left), pin!(right));
    poll_fn(|context| {
        if let Poll::Ready(done) = left.as_mut().poll(context) {
            return Poll::Ready(First::Left(done));
        }
        right.as_mut().poll(context).map(First::Right)
    })
    .await
}
