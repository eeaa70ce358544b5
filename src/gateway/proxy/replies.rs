//! The answers that are the gateway's own.
//!
//! Specifications: <https://www.rfc-editor.org/rfc/rfc9457> (problems),
//! <https://www.rfc-editor.org/rfc/rfc6750#section-3> (bearer tokens).

use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Bytes;

use super::answer::Answer;
use super::page;
use super::request::Fault;
use super::status::Events;
use super::visit::{wants_html, wants_json};
use crate::gateway::object::Object;
use crate::gateway::wake::Cold;
use crate::telemetry::Rejection;

/// The seconds after which somebody tries again who was held in vain, at least.
const AGAIN: u64 = 5;

/// The seconds by which those who try again are spread.
const SPREAD: u64 = 5;

/// The seconds after which a target that may not be woken is tried again.
const MUCH_LATER: u64 = 60;

const TEXT: &str = "text/plain; charset=utf-8";

/// An answer with this body.
pub(super) fn reply(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Answer> {
    let mut reply = Response::new(Answer::Whole(body));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

fn text(status: StatusCode, body: &'static str) -> Response<Answer> {
    reply(status, TEXT, Bytes::from_static(body.as_bytes()))
}

/// Nothing that may be seen is there.
pub(super) fn not_found() -> Response<Answer> {
    text(StatusCode::NOT_FOUND, "not found\n")
}

/// A credential is needed, whatever may be there.
pub(super) fn unauthorized() -> Response<Answer> {
    let mut reply = text(
        StatusCode::UNAUTHORIZED,
        "a bearer token is needed, and one that this gateway takes\n",
    );
    let bearer = HeaderValue::from_static("Bearer");
    reply.headers_mut().insert(WWW_AUTHENTICATE, bearer);
    reply
}

/// It is there and may not be reached.
pub(super) fn forbidden() -> Response<Answer> {
    text(StatusCode::FORBIDDEN, "your roles do not allow this\n")
}

/// The credential cannot be checked now.
pub(super) fn unchecked() -> Response<Answer> {
    let body = "the credential cannot be checked now\n";
    later(text(StatusCode::SERVICE_UNAVAILABLE, body), spread(AGAIN))
}

/// Too many credentials were tried from this address.
pub(super) fn too_many() -> Response<Answer> {
    let body = "too many credentials were tried from this address\n";
    later(text(StatusCode::TOO_MANY_REQUESTS, body), spread(AGAIN))
}

/// The request is not taken, and nothing more from this connection.
pub(super) fn fault(fault: Fault) -> Response<Answer> {
    let body = format!(
        "this request is not taken: {}\n",
        fault.rejection().as_str()
    );
    closing(reply(fault.status(), TEXT, body.into()))
}

/// The app answered in a way that is not passed on, or not to its end.
pub(super) fn bad_gateway() -> Response<Answer> {
    text(StatusCode::BAD_GATEWAY, "the app gave no proper answer\n")
}

/// The app did not answer.
pub(super) fn timed_out() -> Response<Answer> {
    text(
        StatusCode::GATEWAY_TIMEOUT,
        "the app gave no answer in time\n",
    )
}

/// The event stream of a target.
pub(super) fn events(events: Events) -> Response<Answer> {
    let mut reply = reply(StatusCode::OK, "text/event-stream", Bytes::new());
    let buffering = HeaderName::from_static("x-accel-buffering");
    let headers = reply.headers_mut();
    headers.insert(buffering, HeaderValue::from_static("no"));
    reply.map(|_| Answer::Events(Box::new(events)))
}

/// The page for somebody who waits for a target, with what they may see of its status.
pub(super) fn waiting(status: u16, cold: &Cold, may_see: bool) -> Response<Answer> {
    let (told, seconds) = sentence(cold, may_see);
    let (is_coming, seconds) = match cold {
        Cold::Starting(_) | Cold::TimedOut(_) | Cold::Full | Cold::Draining => {
            (true, page::REFRESH)
        }
        _ => (false, seconds),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let page = page::page(is_coming, may_see.then_some(told));
    let mut reply = reply(status, "text/html; charset=utf-8", page.into());
    let (name, policy) = page::policy();
    reply.headers_mut().insert(name, policy);
    later(reply, seconds)
}

/// The client broke its body off, or did not go on with it.
pub(super) fn broken_off() -> Response<Answer> {
    text(StatusCode::REQUEST_TIMEOUT, "the request did not go on\n")
}

/// The target is not reached for this reason. `may_see` is whether the caller may see its
/// status.
pub(super) fn cold(cold: &Cold, headers: &HeaderMap, may_see: bool) -> Response<Answer> {
    let (told, seconds) = sentence(cold, may_see);
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let reply = if wants_json(headers) && !wants_html(headers) {
        let mut problem = Object::new();
        problem.text("detail", told);
        problem.raw("status", &status.as_u16());
        problem.text("title", "Service Unavailable");
        problem.text("type", "about:blank");
        reply(status, "application/problem+json", problem.end().into())
    } else {
        reply(status, TEXT, format!("{told}\n").into())
    };
    later(reply, seconds)
}

/// The sentence about a target that is not reached, and the seconds until it is tried again.
pub(super) fn sentence(cold: &Cold, may_see: bool) -> (&str, u64) {
    match cold {
        Cold::Off => (
            "it is off, and this request does not wake it",
            spread(AGAIN),
        ),
        Cold::Starting(why) | Cold::TimedOut(why) => {
            let starting = "it is starting";
            let why = why.as_deref().unwrap_or(starting);
            (visible(why, may_see, starting), spread(AGAIN))
        }
        Cold::Failed(reason, after) => {
            let seconds = after.as_secs().max(1);
            (visible(reason, may_see, "it did not start"), seconds)
        }
        Cold::Refused(reason) => (
            visible(reason, may_see, "it may not be woken now"),
            MUCH_LATER,
        ),
        Cold::Full => ("there is no room for another request now", spread(AGAIN)),
        Cold::Draining => ("this replica of the gateway is about to end", 1),
        Cold::Unavailable => ("it cannot be woken now", spread(AGAIN)),
    }
}

fn visible<'a>(reason: &'a str, may_see: bool, other: &'a str) -> &'a str {
    if may_see { reason } else { other }
}

/// The reason in metrics.
pub(super) const fn rejection(cold: &Cold) -> Rejection {
    match cold {
        Cold::Off => Rejection::Off,
        Cold::Starting(_) => Rejection::Starting,
        Cold::Failed(..) => Rejection::Failed,
        Cold::Refused(_) => Rejection::Refused,
        Cold::Full => Rejection::Full,
        Cold::TimedOut(_) => Rejection::HoldTimeout,
        Cold::Draining => Rejection::Draining,
        Cold::Unavailable => Rejection::Unavailable,
    }
}

/// The answer after which the connection is closed.
pub(super) fn closing(mut reply: Response<Answer>) -> Response<Answer> {
    let close = HeaderValue::from_static("close");
    reply.headers_mut().insert(CONNECTION, close);
    reply
}

fn later(mut reply: Response<Answer>, seconds: u64) -> Response<Answer> {
    reply
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from(seconds));
    reply
}

/// These seconds, and a few more by chance: those who were refused together do not come
/// back together.
fn spread(seconds: u64) -> u64 {
    let by = getrandom::u32().map_or(0, u64::from) % (SPREAD + 1);
    seconds + by
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_reason_is_for_those_who_may_see_the_status() {
        let refused = Cold::Refused("switched off by a person".to_owned());
        assert_eq!(sentence(&refused, true), ("switched off by a person", 60));
        assert_eq!(sentence(&refused, false), ("it may not be woken now", 60));
        let failed = Cold::Failed("quota".to_owned(), Duration::from_secs(30));
        assert_eq!(sentence(&failed, false), ("it did not start", 30));
        for cold in [Cold::Starting, Cold::TimedOut] {
            let (plain, stuck) = (cold(None), cold(Some("no image".to_owned())));
            assert_eq!(sentence(&plain, true).0, "it is starting");
            assert_eq!(sentence(&stuck, true).0, "no image");
            assert_eq!(sentence(&stuck, false).0, "it is starting");
        }
    }

    #[test]
    fn who_is_turned_away_comes_back_at_different_times() {
        let headers = HeaderMap::new();
        for _ in 0..50 {
            let reply = cold(&Cold::Full, &headers, false);
            let after: u64 = reply.headers()[RETRY_AFTER]
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            assert!((5..=10).contains(&after));
            assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
        }
        let draining = cold(&Cold::Draining, &headers, false);
        assert_eq!(draining.headers()[RETRY_AFTER], "1");
    }

    #[test]
    fn a_program_that_wants_json_gets_a_problem() {
        let mut headers = HeaderMap::new();
        assert_eq!(
            cold(&Cold::Off, &headers, true).headers()[CONTENT_TYPE],
            TEXT
        );
        headers.insert(
            http::header::ACCEPT,
            HeaderValue::from_static("application/json"),
        );
        let reply = cold(&Cold::Off, &headers, true);
        let kind = &reply.headers()[CONTENT_TYPE];
        assert_eq!(kind, "application/problem+json");
    }

    #[test]
    fn faults_close_the_connection() {
        let reply = fault(Fault::Framing);
        assert_eq!(reply.headers()[CONNECTION], "close");
        assert_eq!(reply.status(), StatusCode::BAD_REQUEST);
        assert_eq!(
            fault(Fault::Expectation).status(),
            StatusCode::EXPECTATION_FAILED
        );
        assert_eq!(unauthorized().headers()[WWW_AUTHENTICATE], "Bearer");
        assert!(!forbidden().headers().contains_key(WWW_AUTHENTICATE));
    }
}
