//! The requests that are due, derived from the store alone: after a crash the same come
//! out again.

use http::Method;

use super::engine::{Engine, Turn};
use super::error::Error;
use super::one_time_keys::upload;
use super::request::{Outgoing, OutgoingRequest, RequestContext, RequestKey};
use crate::matrix::client::Call;
use crate::store::{self, Transaction};

impl Turn<'_> {
    /// Prepares what can be sent, and returns all requests that are due, but for those
    /// that would follow something `busy` and for [`Engine::outbox_requests`]. The
    /// caller commits before it sends any of it, and leaves out what is already under
    /// way. Nothing is encrypted for rooms before a first sync was taken in (`synced`).
    ///
    /// # Errors
    /// The store fails, or a request cannot be built.
    pub fn outgoing(
        &self,
        synced: bool,
        busy: &dyn Fn(&RequestKey) -> bool,
    ) -> Result<Outgoing, Error> {
        let mut outgoing = Outgoing::default();
        self.tx.device_lists().date_outdated(self.own_now)?;
        self.withdraw_in_clear(busy)?;
        let claims = match synced {
            true => self.prepare_replies(busy, &mut outgoing)?,
            false => Vec::new(),
        };
        let requests = &mut outgoing.requests;
        let account = self.account()?;
        requests.extend(upload(&account)?);
        self.device_list_requests(account.device_keys_uploaded(), requests)?;
        self.claim_requests(claims, requests)?;
        self.room_requests(requests)?;
        self.invite_requests(synced, requests)?;
        requests.extend(self.gap_requests()?);
        requests.extend(self.cross_signing_request()?);
        Ok(outgoing)
    }
}

impl Engine {
    /// The heads of the outbox's lanes, but for those that are `busy`: a request that is
    /// under way, or cannot be now, need not be in memory. Before a first sync was taken
    /// in (`synced`) nothing leaves in clear. Reads only.
    ///
    /// # Errors
    /// The store fails.
    pub fn outbox_requests(
        &self,
        tx: &Transaction<'_>,
        synced: bool,
        busy: &dyn Fn(&RequestKey) -> bool,
    ) -> Result<Vec<OutgoingRequest>, store::Error> {
        let mut requests = Vec::new();
        for (id, lane) in tx.outbox().heads()? {
            let key = RequestKey::Lane(lane);
            if !busy(&key)
                && let Some(row) = tx.outbox().find(id)?
                && self.may_be_sent(tx, &row, synced)?
            {
                requests.push(OutgoingRequest {
                    key,
                    call: Call {
                        method: Method::PUT,
                        path: row.path,
                        body: row.body,
                    },
                    about: RequestContext::Outbox(row.id, row.lane),
                });
            }
        }
        Ok(requests)
    }
}
