//! The limit of calls under way at once: few, so that the API server is not crowded and
//! the bot's memory stays bounded, and not all of them in one namespace, where a webhook
//! that hangs holds each for ten seconds.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::control::Namespace;
use crate::util::SortedMap;

/// Calls at once.
const MAX_CALLS: usize = 4;

/// Calls at once in one namespace.
const MAX_CALLS_A_NAMESPACE: usize = 3;

/// Watches at once. Each keeps a connection of its own, which is mostly the memory of TLS.
const MAX_WATCHES: usize = 8;

/// The places for calls and for watches. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    all: Arc<Semaphore>,
    watches: Arc<Semaphore>,
    /// One for each namespace that has a target.
    namespaces: Arc<Mutex<SortedMap<Namespace, Arc<Semaphore>>>>,
}

/// A place for one call, until it is dropped; None where there is no limit.
pub(super) struct Slot {
    _all: Option<OwnedSemaphorePermit>,
    _namespace: Option<OwnedSemaphorePermit>,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(MAX_CALLS)),
            watches: Arc::new(Semaphore::new(MAX_WATCHES)),
            namespaces: Arc::default(),
        }
    }

    /// A place for a watch, until it is dropped; None where none is left.
    pub(super) fn take_watch(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.watches).try_acquire_owned().ok()
    }

    /// Waits for a place for a call in this namespace, or in none; who asks first gets it
    /// first.
    pub(super) async fn take(&self, namespace: Option<&Namespace>) -> Slot {
        // Neither is ever closed.
        let of_namespace = match namespace.map(|namespace| self.of(namespace)) {
            Some(of_namespace) => of_namespace.acquire_owned().await.ok(),
            None => None,
        };
        let all = Arc::clone(&self.all).acquire_owned().await.ok();
        Slot {
            _all: all,
            _namespace: of_namespace,
        }
    }

    fn of(&self, namespace: &Namespace) -> Arc<Semaphore> {
        let mut namespaces = self
            .namespaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Semaphore::new(MAX_CALLS_A_NAMESPACE));
        Arc::clone(namespaces.or_insert_with(namespace.clone(), new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::fake::run;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn is_taken<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut context = Context::from_waker(Waker::noop());
        match pin!(future).poll(&mut context) {
            std::task::Poll::Ready(slot) => Some(slot),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn one_namespace_does_not_take_all_the_places() {
        run(async {
            let slots = Slots::new();
            let (one, two) = (
                Namespace::parse("one").unwrap(),
                Namespace::parse("two").unwrap(),
            );
            let held: Vec<Slot> = (0..3)
                .map_while(|_| is_taken(slots.take(Some(&one))))
                .collect();
            assert_eq!(held.len(), 3);
            assert!(is_taken(slots.take(Some(&one))).is_none());
            let other = is_taken(slots.clone().take(Some(&two)));
            assert!(other.is_some());
            assert!(is_taken(slots.take(Some(&two))).is_none());
            assert!(is_taken(slots.take(None)).is_none());
            drop(held);
            assert!(is_taken(slots.take(Some(&two))).is_some());
            assert!(is_taken(slots.take(None)).is_some());
        });
    }
}
