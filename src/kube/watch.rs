//! A workload that is followed: the API server tells each change of it where that is
//! granted, and is asked again and again where it is not.

use std::sync::Arc;
use std::time::Duration;

use log::debug;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::api::Api;
use super::call::Call;
use super::error::Error;
use super::object::MAX_KEPT;
use super::watch_events::{EVENT, Event, Events};
use super::watch_lines::{Lines, NoEvent};
use super::watch_stream::WatchStream;
use crate::control::progress::Observation;
use crate::control::{Kind, Workload};
use crate::json::Open;

/// The wait for the first event: what was just changed is changed again by its controller
/// at once. After that it is read.
const FIRST_EVENT: Duration = Duration::from_secs(1);

/// From one read to the next beside a watch: one that begins at a version that the API
/// server does not have yet is silent.
const READ_EVERY: Duration = Duration::from_secs(60);

/// A watch that ends sooner is not opened again.
const MIN_LIFE: Duration = Duration::from_secs(10);

/// A workload that is followed.
pub struct Watch {
    api: Api,
    workload: Workload,
    /// The version after which the first watch begins.
    version: Option<String>,
    source: Source,
    /// The workload as it was seen last.
    last: Option<Observation>,
    read_due: Instant,
}

enum Source {
    /// No watch was opened yet.
    New,
    /// The API server tells each change.
    Open(Box<Told>),
    /// It is asked, to the end.
    Asked,
}

/// A watch that is open.
struct Told {
    stream: WatchStream,
    events: Events,
    since: Instant,
    /// It began after a version, which may be too old.
    has_version: bool,
    place: OwnedSemaphorePermit,
}

impl Api {
    /// Follows a workload from its change to this version on, as a
    /// [`ScaleAnswer`](super::ScaleAnswer) has it, or from now on.
    pub fn watch(&self, workload: &Workload, version: &str) -> Watch {
        let is_version = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
        Watch {
            api: self.clone(),
            workload: workload.clone(),
            version: is_version.then(|| version.to_owned()),
            source: match workload.kind {
                // It is judged by its Scale, of which there is no watch.
                Kind::Other(_) => Source::Asked,
                Kind::Deployment | Kind::StatefulSet => Source::New,
            },
            last: None,
            read_due: Instant::now() + READ_EVERY,
        }
    }
}

impl Watch {
    /// The workload after its next change, or after this time. It is read only
    /// where it is not told, and once a minute.
    ///
    /// # Errors
    /// There is none, or the API server did not show it.
    pub async fn next(&mut self, wait: Duration) -> Result<Observation, Error> {
        let mut until = Instant::now() + wait;
        if let Source::New = self.source {
            self.begin().await;
        }
        if self.last.is_none() && matches!(self.source, Source::Open(_)) {
            until = until.max(Instant::now() + FIRST_EVENT);
        }
        loop {
            let Source::Open(told) = &mut self.source else {
                sleep_until(until).await;
                return self.read().await;
            };
            match timeout_at(until.min(self.read_due), told.next()).await {
                Ok(Ok(Some(Event::Seen(seen)))) => {
                    self.last = Some((*seen).clone());
                    return Ok(*seen);
                }
                Ok(Ok(Some(Event::Lost))) => {
                    self.source = Source::Asked;
                    return self.read().await;
                }
                Ok(Ok(Some(Event::Expired) | None)) => self.open_again().await,
                Ok(Err(fault)) => {
                    debug!("watch: {fault}");
                    self.source = Source::Asked;
                }
                Err(_) => {
                    return match &self.last {
                        Some(last) if Instant::now() < self.read_due => Ok(last.clone()),
                        _ => self.read().await,
                    };
                }
            }
        }
    }

    /// Reads the workload.
    ///
    /// # Errors
    /// There is none, or the API server did not show it.
    pub async fn read(&mut self) -> Result<Observation, Error> {
        self.read_due = Instant::now() + READ_EVERY;
        let seen = self.api.observe(&self.workload).await?;
        self.last = Some(seen.clone());
        Ok(seen)
    }

    /// Opens the first watch, if there is a place and it is granted.
    async fn begin(&mut self) {
        let Some(place) = self.api.api_client.slots.take_watch() else {
            return;
        };
        let rights = self.api.rights(&self.workload.namespace).await;
        let rights = rights.map(|rights| rights.on(&self.workload));
        match rights {
            Ok(rights) if rights.watch || rights.is_incomplete => self.open(place).await,
            _ => self.source = Source::Asked,
        }
    }

    /// Opens a watch that has ended once more, from now on: the version of the object may
    /// be too old although it is the newest.
    async fn open_again(&mut self) {
        if let Source::Open(told) = std::mem::replace(&mut self.source, Source::Asked)
            && (told.has_version || told.since.elapsed() >= MIN_LIFE)
        {
            self.open(told.place).await;
        }
    }

    async fn open(&mut self, place: OwnedSemaphorePermit) {
        let version = self.version.take();
        let call = Call::watch(&self.workload, version.as_deref());
        self.source = match self.api.api_client.open(&call).await {
            Err(failed) => {
                debug!("{}: {}", call.asked(), failed.error.detail());
                Source::Asked
            }
            Ok(stream) => Source::Open(Box::new(Told {
                stream: WatchStream::new(stream, lines()),
                events: Events::new(&self.workload.kind),
                since: Instant::now(),
                has_version: version.is_some(),
                place,
            })),
        };
    }
}

impl Told {
    /// The next event; None at the end of the body. May be dropped while it waits.
    async fn next(&mut self) -> Result<Option<Event>, String> {
        while let Some(line) = self.stream.next().await? {
            let event = self.events.event(&line);
            let event = event.map_err(|NoEvent| "no event of this workload".to_owned())?;
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }
}

/// The lines of a watch of a workload.
pub(super) fn lines() -> Lines {
    Lines::new(&EVENT, MAX_KEPT, Arc::new(|| Box::new(Open)))
}
