//! The requests that are due, derived from the store alone: after a crash the same come
//! out again.

use http::Method;

use super::engine::Engine;
use super::error::Error;
use super::replies::{Preparation, Unprepared};
use super::request::{Outgoing, OutgoingRequest, RequestContext, RequestKey};
use super::{backfill, cross_signing, device_lists, olm_sessions, one_time_keys, room_state};
use crate::matrix::client::Call;
use crate::store::{self, InClear, OutboxRow, Transaction};

impl Engine {
    /// Prepares what can be sent, and returns all requests that are due, but for those
    /// that would follow something `busy` and for [`Engine::outbox_requests`]. The
    /// caller commits before it sends any of it, and leaves out what is already under
    /// way. Nothing is encrypted for rooms before a first sync was taken in (`synced`).
    ///
    /// # Errors
    /// The store fails, or a request cannot be built.
    pub fn outgoing(
        &self,
        tx: &Transaction<'_>,
        synced: bool,
        now: u64,
        busy: &dyn Fn(&RequestKey) -> bool,
    ) -> Result<Outgoing, Error> {
        let (context, accounts) = (&self.context, &self.accounts);
        tx.device_lists().date_outdated(context.own_now())?;
        self.plaintext.withdraw(tx, busy)?;
        let preparation = Preparation {
            context,
            accounts,
            plaintext: self.plaintext,
            tx,
            now,
            busy,
        };
        let Unprepared {
            claims,
            has_more,
            patience_ends,
        } = match synced {
            true => preparation.run()?,
            false => Unprepared::default(),
        };
        let account = accounts.load(tx)?;
        let mut requests = Vec::new();
        requests.extend(one_time_keys::upload(&account)?);
        let ask_own = account.device_keys_uploaded();
        device_lists::requests(context, tx, now, ask_own, &mut requests)?;
        requests.extend(olm_sessions::claim_requests(context, tx, claims)?);
        room_state::requests(tx, &mut requests)?;
        self.invites.requests(tx, synced, &mut requests)?;
        requests.extend(backfill::requests(context, tx)?);
        requests.extend(cross_signing::request(
            context,
            accounts,
            &self.own_keys,
            tx,
        )?);
        Ok(Outgoing {
            requests,
            has_more,
            patience_ends,
        })
    }

    /// The heads of the outbox's lanes, but for those that are `busy`: a request that is
    /// under way, or cannot be now, need not be in memory. Nothing leaves in clear
    /// before a first sync was taken in (`synced`): it may tell that the room is
    /// encrypted. Reads only.
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
            if !busy(&RequestKey::Lane(lane))
                && let Some(row) = tx.outbox().find(id)?
                && (row.in_clear == InClear::No
                    || (synced && self.plaintext.may_be_sent(tx, &row)?))
            {
                requests.push(send(row));
            }
        }
        Ok(requests)
    }
}

fn send(row: OutboxRow) -> OutgoingRequest {
    OutgoingRequest {
        key: RequestKey::Lane(row.lane.clone()),
        call: Call {
            method: Method::PUT,
            path: row.path,
            body: row.body,
        },
        about: RequestContext::Outbox(row.id, row.lane),
    }
}
