//! One request on its way to the app and back.

use std::error::Error;
use std::sync::Arc;

use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response, StatusCode};
use hyper::body::{Body, Bytes, Incoming};
use hyper::upgrade::{OnUpgrade, on};
use tokio::time::{Duration, Instant, sleep};

use super::admission::{Admitted, One, Refused, origin};
use super::answer::Answer;
use super::cold::Waiting;
use super::exchange::{Failure, exchange};
use super::head::{self, Onward};
use super::pool::{self, Leased, Upstream};
use super::replies;
use super::request::check;
use super::trouble;
use super::upgrade::{self, Switching};
use super::upload::{Progress, Upload};
use super::usage::Usage;
use super::visitor::Visitor;
use super::who;
use crate::control::access::Action;
use crate::gateway::listener::Passing;
use crate::gateway::wake::{Cold, Endpoint};
use crate::telemetry::Rejection;
use crate::util::{First, race};

/// The pause before a connection is tried again that an app did not take.
const AGAIN: Duration = Duration::from_millis(50);

/// Answers one request.
pub(super) async fn answer(visitor: &Visitor, request: Request<Incoming>) -> Response<Answer> {
    let (mut parts, body) = request.into_parts();
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let has_body = !body.is_end_stream();
    let checked = match check(&parts, has_body, visitor.socket.has_conflict()) {
        Ok(checked) => checked,
        Err(fault) => {
            visitor.context.metrics.rejected(fault.rejection());
            visitor.socket.leave_unread();
            return replies::fault(fault);
        }
    };
    let one = One {
        visitor,
        parts: &parts,
        checked: &checked,
        origin: origin(visitor, &parts.headers),
    };
    let body = has_body.then_some(body);
    let answer = match one.serve(body, upgrade).await {
        Ok(answer) => answer,
        Err(refused) => {
            // hyper reads little of a body that nobody asked for, and closes.
            if has_body {
                visitor.socket.leave_unread();
            }
            *refused
        }
    };
    if checked.is_chunked {
        // Where the next head begins after chunks is not looked for.
        visitor.socket.leave_unread();
        return replies::closing(answer);
    }
    answer
}

impl One<'_> {
    /// Passes an admitted request on, once its target can be reached and there is room.
    ///
    /// # Errors
    /// The answer instead of the app's.
    pub(super) async fn forward(
        &self,
        admitted: &Admitted<'_>,
        body: Option<Incoming>,
        upgrade: Option<OnUpgrade>,
    ) -> Result<Response<Answer>, Refused> {
        let deadline = Instant::now() + admitted.backend.hold;
        let to = self.upstream(admitted, deadline).await?;
        let usage = Usage::of(admitted.handle, admitted.as_use);
        // What is not passed on costs little, so that it can wait.
        let waiting = self.visitor.slot.pass_until(deadline);
        let First::Left(Some(passing)) = race(waiting, self.visitor.socket.left()).await else {
            return Err(self.full(Rejection::Connections));
        };
        let passing = Arc::new(passing);
        self.visitor.socket.passes(&passing);
        let (upload, progress) = match body {
            Some(body) => {
                self.visitor.socket.passes_body();
                let (upload, progress) = Upload::of(body, usage.counter());
                (upload, Some(progress))
            }
            None => (Upload::None, None),
        };
        let sending = self.send(admitted, to, upload, progress.as_ref(), deadline);
        let sent = match &progress {
            None => sending.await?,
            // hyper does not see a client leave whose body it is not reading.
            Some(progress) => match race(sending, self.visitor.socket.left()).await {
                First::Left(Err(refused)) if !progress.is_done() => {
                    // Closing while some of it is unread would take the answer away, too.
                    self.visitor.socket.leave_unread();
                    return Err(Box::new(replies::closing(*refused)));
                }
                First::Left(sent) => sent?,
                First::Right(()) => return Err(Box::new(replies::bad_gateway())),
            },
        };
        let (response, leased) = sent;
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS {
            let answer = self.switch(admitted, response, usage, upgrade);
            let answer = answer.unwrap_or_else(|| {
                self.unreachable(admitted, "it switched to a protocol that was not asked for");
                replies::bad_gateway()
            });
            self.count(admitted, answer.status());
            return Ok(answer);
        }
        self.count(admitted, status);
        // An error is no use, and neither is its body.
        let usage = match status.as_u16() < 400 {
            true => {
                usage.answered();
                usage
            }
            false => Usage::none(),
        };
        let answer = self.passed(admitted, response, leased, (usage, passing));
        if progress.is_some_and(|progress| !progress.is_done()) {
            self.visitor.socket.leave_unread();
            return Ok(replies::closing(answer));
        }
        Ok(answer)
    }

    async fn reach(&self, admitted: &Admitted<'_>, deadline: Instant) -> Result<Endpoint, Refused> {
        let waiting = Waiting {
            visitor: self.visitor,
            parts: self.parts,
            session: &admitted.session,
            request: &self.origin.id,
            handle: admitted.handle,
            target: admitted.target,
            backend: admitted.backend,
            as_use: admitted.as_use,
            has_token: admitted.is_ours,
            deadline,
        };
        Box::pin(waiting.wait()).await
    }

    /// The head of the request to the app.
    fn head(&self, admitted: &Admitted<'_>) -> Request<()> {
        let identity = match admitted.backend.identity_headers {
            true => who::identity(&admitted.session),
            false => None,
        };
        let onward = Onward {
            peer: &self.visitor.address,
            is_encrypted: self.visitor.socket.channel.is_encrypted(),
            is_trusted: self.visitor.is_trusted,
            host: admitted.backend.upstream_host.as_deref(),
            is_ours: admitted.is_ours,
            identity: identity.as_ref(),
        };
        head::request(self.parts, self.checked, &onward)
    }

    async fn send(
        &self,
        admitted: &Admitted<'_>,
        mut to: Upstream,
        upload: Upload,
        progress: Option<&Progress>,
        deadline: Instant,
    ) -> Result<(Response<Incoming>, Leased), Refused> {
        let is_safe = matches!(self.parts.method, Method::GET | Method::HEAD);
        let mut may_repeat = is_safe && progress.is_none();
        let mut message = self.head(admitted).map(|()| upload);
        let mut is_fresh = false;
        loop {
            match exchange(&to, message, progress, is_fresh).await {
                Ok(sent) => return Ok(sent),
                Err(Failure::Unsent(unsent)) => {
                    message = *unsent;
                    pool::forget(to.endpoint);
                    admitted.handle.failed(to.endpoint);
                    to = self.another(admitted, to.endpoint, deadline).await?;
                }
                Err(Failure::Stale(_)) if may_repeat => {
                    pool::forget(to.endpoint);
                    (may_repeat, is_fresh) = (false, true);
                    message = self.head(admitted).map(|()| Upload::None);
                }
                Err(failure) => return Err(self.failed(admitted, &failure)),
            }
        }
    }

    /// The endpoint to send to, once there is one.
    async fn upstream(
        &self,
        admitted: &Admitted<'_>,
        deadline: Instant,
    ) -> Result<Upstream, Refused> {
        // Before the look: a stop in between is one too many, not one that is missed.
        let mark = admitted.handle.mark();
        if let Some(endpoint) = admitted.handle.ready() {
            return Ok(Upstream { endpoint, mark });
        }
        let endpoint = self.reach(admitted, deadline).await?;
        let mark = admitted.handle.mark();
        Ok(Upstream { endpoint, mark })
    }

    /// The endpoint that comes after one that takes no connection.
    async fn another(
        &self,
        admitted: &Admitted<'_>,
        failed: Endpoint,
        deadline: Instant,
    ) -> Result<Upstream, Refused> {
        let mark = admitted.handle.mark();
        if let Some(endpoint) = admitted.handle.ready()
            && endpoint != failed
        {
            return Ok(Upstream { endpoint, mark });
        }
        if Instant::now() >= deadline {
            let may_see = false;
            self.unreachable(admitted, "it takes no connection");
            return Err(Box::new(replies::cold(
                &Cold::TimedOut(None),
                &self.parts.headers,
                may_see,
            )));
        }
        sleep(AGAIN).await;
        self.upstream(admitted, deadline).await
    }

    /// The answer to a request that its app did not answer.
    fn failed(&self, admitted: &Admitted<'_>, failure: &Failure) -> Refused {
        let answer = match failure {
            Failure::Client => {
                let answer = replies::closing(replies::broken_off());
                self.count(admitted, answer.status());
                return Box::new(answer);
            }
            Failure::Late => {
                self.unreachable(admitted, "it did not answer, or read the request, in time");
                replies::timed_out()
            }
            Failure::Stale(error) | Failure::Broken(error) => {
                let cause = error.source().map(|cause| format!(": {cause}"));
                let reason = format!("{error}{}", cause.unwrap_or_default());
                self.unreachable(admitted, &reason);
                replies::bad_gateway()
            }
            Failure::Unsent(_) => replies::bad_gateway(),
        };
        self.count(admitted, answer.status());
        Box::new(answer)
    }

    /// The app gave no answer, for this reason.
    fn unreachable(&self, admitted: &Admitted<'_>, reason: &str) {
        trouble::tell(&admitted.target.name, reason);
        let metrics = &self.visitor.context.metrics;
        metrics.rejected(Rejection::Unreachable);
    }

    fn count(&self, admitted: &Admitted<'_>, status: StatusCode) {
        let metrics = &self.visitor.context.metrics;
        metrics.request(admitted.target.name.as_str(), status.as_u16());
    }

    /// The answer of the app, as the client gets it.
    fn passed(
        &self,
        admitted: &Admitted<'_>,
        response: Response<Incoming>,
        leased: Leased,
        with: (Usage, Arc<Passing>),
    ) -> Response<Answer> {
        let (mut parts, body) = response.into_parts();
        let is_bare = self.parts.method == Method::HEAD || parts.status == StatusCode::NOT_MODIFIED;
        let has_length = is_bare || body.size_hint().exact().is_some();
        let takes_trailers = self.checked.takes_trailers;
        head::answer(&mut parts.headers, parts.status, has_length, takes_trailers);
        let length = parts.headers.get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let is_stream = head::is_event_stream(&parts.headers);
        let standing = self.standing(&admitted.session, admitted.handle, Action::Connect);
        let mut body = Answer::passed(body, leased, with, standing, is_stream, takes_trailers);
        if parts.status == StatusCode::NOT_MODIFIED
            && let Some(length) = length
        {
            body = Answer::Announced(length);
        }
        let mut answer = Response::new(body);
        *answer.status_mut() = parts.status;
        *answer.headers_mut() = parts.headers;
        answer
    }

    /// The answer that makes a WebSocket of two connections; None if the app's is none
    /// that was asked for.
    fn switch(
        &self,
        admitted: &Admitted<'_>,
        mut response: Response<Incoming>,
        usage: Usage,
        client: Option<OnUpgrade>,
    ) -> Option<Response<Answer>> {
        let is_switched = self.checked.is_websocket
            && upgrade::is_switched(&self.parts.headers, response.headers());
        let client = client.filter(|_| is_switched)?;
        usage.answered();
        self.visitor.switch(Switching {
            client,
            app: on(&mut response),
            usage,
            standing: self.standing(&admitted.session, admitted.handle, Action::Connect),
        });
        let (mut parts, _) = response.into_parts();
        head::answer(&mut parts.headers, parts.status, false, false);
        let mut answer = Response::new(Answer::Whole(Bytes::new()));
        *answer.status_mut() = parts.status;
        *answer.headers_mut() = parts.headers;
        upgrade::switch(&mut answer);
        Some(answer)
    }
}
