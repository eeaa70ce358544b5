//! One question for all who want its answer at the same time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use super::session::{AuthFault, Digest, Session};
use crate::util::SortedMap;

/// The result of a question.
pub(super) type Answer = Result<Arc<Session>, AuthFault>;

/// The questions under way, each with somebody who waits for it: no more than requests.
#[derive(Default)]
pub(super) struct Flights(Mutex<SortedMap<Digest, Arc<OnceCell<Answer>>>>);

/// Takes the question away when the last one who waits for it goes.
struct Waiting<'a> {
    flights: &'a Flights,
    digest: Digest,
    cell: Arc<OnceCell<Answer>>,
}

impl Flights {
    /// The answer to the question about a token: asked by the first one, and by another who
    /// waits if the first one leaves.
    pub(super) async fn share(&self, digest: Digest, ask: impl Future<Output = Answer>) -> Answer {
        let cell = Arc::clone(self.locked().or_default(digest));
        let waiting = Waiting {
            flights: self,
            digest,
            cell,
        };
        waiting.cell.get_or_init(|| ask).await.clone()
    }

    fn locked(&self) -> MutexGuard<'_, SortedMap<Digest, Arc<OnceCell<Answer>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.locked().len()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut flights = self.flights.locked();
        // Whoever comes after an answer asks anew; the map and this one have the cell
        // otherwise.
        let is_last = Arc::strong_count(&self.cell) <= 2;
        let is_ours = |cell: &Arc<OnceCell<Answer>>| Arc::ptr_eq(cell, &self.cell);
        if (is_last || self.cell.initialized()) && flights.get(&self.digest).is_some_and(is_ours) {
            flights.remove(&self.digest);
        }
    }
}
