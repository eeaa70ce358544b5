//! The course of a collection that is followed: a list, page by page, then a watch from its
//! version on, again and again. It knows nothing of the kind of the objects.

use std::pin::Pin;
use std::time::Duration;

use log::{debug, warn};
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::api::Api;
use super::api_client::{Answer, Failed};
use super::call::WATCH_SECONDS;
use super::collection::{Collection, Event, Page, event, page};
use super::node::Node;
use super::watch_stream::WatchStream;
use crate::net::{Backoff, Remedy, Stream};

/// The time after which a watch is opened again that the API server should have ended: who
/// was there is there no more. A bookmark comes about once a minute.
const MAX_LIFE: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 90);

/// A watch that ends sooner is not opened again at once, and a list that is out of date
/// sooner is not read again at once.
const MIN_LIFE: Duration = Duration::from_secs(10);

/// The longest wait before the next attempt, whatever the API server asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A call that is under way. It goes on where it was when its caller is dropped.
type Asking<T> = Pin<Box<dyn Future<Output = Result<T, Failed>> + Send>>;

/// A part of what is seen of a collection.
pub(super) enum Found {
    /// A page of the list, with its items. With the last one, what is not in it is not
    /// there.
    Page {
        list: Value,
        is_first: bool,
        is_last: bool,
    },
    /// An event, with its object.
    Event { line: Value, is_gone: bool },
    /// It is not seen any more, for this reason.
    Lost(String),
}

/// Follows a collection.
pub(super) struct Follower {
    /// With places of its own, since a call must not wait for what is done to workloads.
    api: Api,
    collection: Collection,
    state: State,
    backoff: Backoff,
    pub(super) longest_wait: Duration,
    /// True from the first failure to the next complete list.
    is_lost: bool,
    /// The time of the last complete list.
    listed: Option<Instant>,
}

enum State {
    /// It is listed at this time.
    Due(Instant),
    /// A page is being asked for.
    Listing {
        asking: Asking<Answer>,
        is_first: bool,
    },
    /// It is watched from this version on, from this time on.
    Listed { version: String, at: Instant },
    /// The watch from this version on is being asked for.
    Opening {
        asking: Asking<Stream>,
        version: String,
    },
    /// Changes are told.
    Open(Box<Open>),
}

struct Open {
    stream: WatchStream,
    /// The version that was told last.
    version: String,
    since: Instant,
}

impl Follower {
    pub(super) fn new(api: &Api, collection: Collection) -> Self {
        Self {
            api: api.beside(),
            collection,
            state: State::Due(Instant::now()),
            backoff: Backoff::default(),
            longest_wait: LONGEST_WAIT,
            is_lost: false,
            listed: None,
        }
    }

    /// True for an object that is wanted.
    pub(super) fn wants(&self, object: Node<'_>) -> bool {
        self.collection.wants(object)
    }

    /// The next part. May be dropped while it waits: nothing is lost by that.
    pub(super) async fn next(&mut self) -> Found {
        loop {
            let found = match &mut self.state {
                State::Due(at) => {
                    sleep_until(*at).await;
                    self.list(None);
                    None
                }
                State::Listing { asking, is_first } => {
                    let (answer, is_first) = (asking.await, *is_first);
                    self.listed(answer, is_first)
                }
                State::Listed { at, .. } => {
                    sleep_until(*at).await;
                    self.open();
                    None
                }
                State::Opening { asking, .. } => {
                    let stream = asking.await;
                    self.opened(stream)
                }
                State::Open(open) => {
                    let line = timeout_at(open.since + MAX_LIFE, open.stream.next()).await;
                    self.told(line.unwrap_or(Ok(None)))
                }
            };
            if let Some(found) = found {
                return found;
            }
        }
    }

    /// Asks for a page.
    fn list(&mut self, token: Option<&str>) {
        let (api, call) = (self.api.clone(), self.collection.page(token));
        self.state = State::Listing {
            asking: Box::pin(async move { api.api_client.call(&call).await }),
            is_first: token.is_none(),
        };
    }

    /// Takes in a page.
    fn listed(&mut self, answer: Result<Answer, Failed>, is_first: bool) -> Option<Found> {
        let answer = match answer {
            Ok(answer) => answer,
            // The token of the next page is too old.
            Err(failed) if failed.status == Some(410) && !is_first => {
                self.list(None);
                return None;
            }
            Err(failed) => return self.failed(&failed),
        };
        let list: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let is_last = match page(Node::new(&list)) {
            Ok(Page::Continued(token)) => {
                self.list(Some(&token));
                false
            }
            Ok(Page::Last(version)) => {
                self.listed = Some(Instant::now());
                self.is_lost = false;
                self.watch(version, Duration::ZERO);
                true
            }
            Err(fault) => return self.lost(fault.to_owned(), None),
        };
        if let Some(count) = answer.skipped.get(self.collection.item) {
            let asked = self.collection.page(None).asked();
            warn!("{asked}: there is no room for {count} of a page");
        }
        Some(Found::Page {
            list,
            is_first,
            is_last,
        })
    }

    /// Asks for the watch from a version on, after this time.
    fn watch(&mut self, version: String, wait: Duration) {
        let at = Instant::now() + wait;
        self.state = State::Listed { version, at };
    }

    /// Asks for the watch.
    fn open(&mut self) {
        let State::Listed { version, .. } = &mut self.state else {
            return;
        };
        let version = std::mem::take(version);
        let (api, call) = (self.api.clone(), self.collection.watch(&version));
        let asking: Asking<Stream> = Box::pin(async move { api.api_client.open(&call).await });
        self.state = State::Opening { asking, version };
    }

    /// Takes in the beginning of the watch.
    fn opened(&mut self, stream: Result<Stream, Failed>) -> Option<Found> {
        let State::Opening { version, .. } = &mut self.state else {
            return None;
        };
        match stream {
            Ok(stream) => {
                self.state = State::Open(Box::new(Open {
                    stream: WatchStream::new(stream, self.collection.lines()),
                    version: std::mem::take(version),
                    since: Instant::now(),
                }));
                None
            }
            Err(failed) if failed.status == Some(410) => {
                self.list_again();
                None
            }
            Err(failed) => self.failed(&failed),
        }
    }

    /// Takes in a line of the watch, or its end.
    fn told(&mut self, line: Result<Option<Value>, String>) -> Option<Found> {
        let State::Open(open) = &mut self.state else {
            return None;
        };
        let line = match line {
            Ok(Some(line)) => line,
            Ok(None) => {
                let (version, since) = (std::mem::take(&mut open.version), open.since);
                let wait = match since.elapsed() < MIN_LIFE {
                    true => self.wait(None),
                    false => {
                        self.backoff.succeed();
                        Duration::ZERO
                    }
                };
                self.watch(version, wait);
                return None;
            }
            Err(fault) => return self.lost(fault, None),
        };
        let (version, is_gone) = match event(&line) {
            Some(Event::Set(version)) => (version, Some(false)),
            Some(Event::Gone(version)) => (version, Some(true)),
            Some(Event::Bookmark(version)) => (version, None),
            Some(Event::Expired) => {
                self.list_again();
                return None;
            }
            Some(Event::Failed(reason)) => return self.lost(reason, None),
            None => return self.lost("what came is no event".to_owned(), None),
        };
        open.version = version;
        self.backoff.succeed();
        Some(Found::Event {
            is_gone: is_gone?,
            line,
        })
    }

    /// Lists again, since the version is too old: at once, unless that has just been done.
    fn list_again(&mut self) {
        let is_recent = self.listed.is_some_and(|at| at.elapsed() < MIN_LIFE);
        let wait = match is_recent {
            true => self.wait(None),
            false => Duration::ZERO,
        };
        self.state = State::Due(Instant::now() + wait);
    }

    /// Notes that a call has failed.
    fn failed(&mut self, failed: &Failed) -> Option<Found> {
        let error = &failed.error;
        debug!("{}", error.detail());
        self.lost(error.sentence_without_target(), error.retry_after())
    }

    /// The wait before the next attempt.
    fn wait(&mut self, asked: Option<Duration>) -> Duration {
        self.backoff.fail_soon(asked).min(self.longest_wait)
    }

    /// Lists again after a while. Returns the reason the first time.
    fn lost(&mut self, reason: String, asked: Option<Duration>) -> Option<Found> {
        let wait = self.wait(asked);
        self.state = State::Due(Instant::now() + wait);
        let is_new = !std::mem::replace(&mut self.is_lost, true);
        is_new.then_some(Found::Lost(reason))
    }
}
