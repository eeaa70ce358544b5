//! Waits for the first of two things.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// The first of two futures that was ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First<A, B> {
    /// The first argument, also where both were ready.
    Left(A),
    /// The second argument.
    Right(B),
}

/// Waits for the first of two futures, and drops the other.
pub async fn race<A, B>(
    left: impl Future<Output = A>,
    right: impl Future<Output = B>,
) -> First<A, B> {
    let mut left = pin!(left);
    let mut right = pin!(right);
    poll_fn(|context| {
        if let Poll::Ready(value) = left.as_mut().poll(context) {
            return Poll::Ready(First::Left(value));
        }
        right.as_mut().poll(context).map(First::Right)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;
    use crate::net::fake::run;

    #[test]
    fn the_first_is_taken() {
        run(async {
            assert_eq!(race(ready(1), ready(2)).await, First::Left(1));
            assert_eq!(race(pending::<i32>(), ready(2)).await, First::Right(2));
        });
    }
}
