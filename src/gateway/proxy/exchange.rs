//! A request to an app and the head of its answer: over a connection that is idle, or a new
//! one. It is repeated only where the app cannot have seen it, or where it may see it twice.
//!
//! Specification: <https://www.rfc-editor.org/rfc/rfc9110#section-9.2.2>.

use std::pin::pin;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::pool::{self, Leased, Upstream};
use super::upload::{Progress, Stage, Upload};

/// The time in which an app has to begin to answer, once it has the request.
const FIRST_BYTE: Duration = Duration::from_secs(300);

/// The time in which an app has to take more of a body.
const MAX_STALL: Duration = Duration::from_secs(60);

/// Reason why there is no answer.
pub(super) enum Failure {
    /// The app has seen nothing of the request, which is given back; it took no new
    /// connection.
    Unsent(Box<Request<Upload>>),
    /// The connection had been used before, and was closed instead of an answer.
    Stale(hyper::Error),
    /// The client broke its body off.
    Client,
    /// The answer was none, or not to the end of its head.
    Broken(hyper::Error),
    /// The app said nothing, or took nothing more of the body.
    Late,
}

/// Sends a request and waits for the head of its answer. `progress` is that of its body;
/// `is_fresh` is whether only a new connection will do.
///
/// # Errors
/// There is no answer.
pub(super) async fn exchange(
    to: &Upstream,
    mut message: Request<Upload>,
    progress: Option<&Progress>,
    is_fresh: bool,
) -> Result<(Response<Incoming>, Leased), Failure> {
    loop {
        let kept = if is_fresh {
            None
        } else {
            pool::take(to.endpoint)
        };
        let is_kept = kept.is_some();
        let mut leased = match kept {
            Some(leased) => leased,
            None => match Box::pin(pool::connect(to)).await {
                Ok(leased) => leased,
                Err(_) => return Err(Failure::Unsent(Box::new(message))),
            },
        };
        leased.allowance.renew();
        let sent = leased.sender.try_send_request(message);
        let mut error = match in_time(sent, progress).await {
            None => return Err(Failure::Late),
            Some(Ok(response)) => {
                leased.allowance.renew();
                return Ok((response, leased));
            }
            Some(Err(error)) => error,
        };
        let unsent = error.take_message();
        let error = error.into_error();
        match unsent {
            Some(unsent) if is_kept => message = unsent,
            Some(unsent) => return Err(Failure::Unsent(Box::new(unsent))),
            None if error.is_user() => return Err(Failure::Client),
            None if is_kept && !error.is_parse() => return Err(Failure::Stale(error)),
            None => return Err(Failure::Broken(error)),
        }
    }
}

/// Waits for the head of an answer; the time counts from the end of the request, and is that
/// of a stall before. None if it is over.
pub(super) async fn in_time<T>(
    sent: impl Future<Output = T>,
    progress: Option<&Progress>,
) -> Option<T> {
    let mut sent = pin!(sent);
    let begun = Instant::now();
    // It may have waited for an app before it went to this one.
    let limit = || match progress.map_or(Stage::Done(begun), Progress::stage) {
        Stage::Client => Instant::now() + MAX_STALL,
        Stage::App(since) => since.max(begun) + MAX_STALL,
        Stage::Done(since) => since.max(begun) + FIRST_BYTE,
    };
    loop {
        if let Ok(sent) = timeout_at(limit(), sent.as_mut()).await {
            return Some(sent);
        }
        if limit() <= Instant::now() {
            return None;
        }
    }
}
