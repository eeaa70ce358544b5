//! The answers to the engine's requests, taken into the store.

use super::{chat::Door, invites::Judged};
use crate::{
    json::Sifted,
    matrix::{
        client::Fault,
        e2ee::{Error, RequestContext},
    },
    telemetry::MetricEvents,
};

impl Door<'_> {
    /// Takes in an answer. The invites that it lists are judged, for the log.
    pub(super) fn take_in(
        self,
        about: &RequestContext,
        answer: &Sifted,
        judged: &mut Vec<Judged>,
    ) -> Result<MetricEvents, Error> {
        let (engine, tx, now) = (self.engine, self.tx, self.now);
        let body = answer.body.as_slice();
        match about {
            RequestContext::Upload {
                with_device_keys,
                fallback,
            } => engine.handle_upload(tx, *with_device_keys, fallback.as_deref())?,
            // Taken in elsewhere, piece by piece.
            RequestContext::Query(_) => {}
            RequestContext::OwnIdentity(step) => {
                engine.handle_cross_signing_step(tx, *step, body, now)?
            }
            RequestContext::Claim(asked) => engine.handle_claim(tx, asked, body, now)?,
            RequestContext::Members(room, generation) => {
                engine.handle_members(tx, room, *generation, body)?
            }
            RequestContext::Encryption(room) => {
                engine.handle_room_encryption(tx, room, Some(body))?;
                return self.receive_undecrypted();
            }
            RequestContext::Join(room) => tx.invites().forget(room)?,
            RequestContext::Invites => {
                *judged = self.judge_invites(engine.handle_invites(tx, answer)?)?;
            }
            RequestContext::Gap(room, token) => {
                let max_age = self.chat.policy.max_age.as_millis();
                let max_age = u64::try_from(max_age).unwrap_or(u64::MAX);
                engine.handle_backfill(tx, room, token, answer, max_age, now)?;
                return self.receive_undecrypted();
            }
            RequestContext::Outbox(row, _) => tx.outbox().finish(*row)?,
        }
        Ok(MetricEvents::default())
    }

    /// Takes in that a request cannot be sent, or was refused for good: its subject is
    /// given up, or stays as it is and is tried again.
    pub(super) fn give_up(
        self,
        about: &RequestContext,
        fault: &Fault,
    ) -> Result<MetricEvents, Error> {
        let (engine, tx) = (self.engine, self.tx);
        match (about, fault) {
            (RequestContext::OwnIdentity(_), Fault::Unsendable(why)) => {
                engine.cross_signing_unsendable(tx, why)?;
            }
            (
                RequestContext::OwnIdentity(step),
                Fault::Refused {
                    status,
                    errcode,
                    message,
                },
            ) => engine.cross_signing_refused(tx, *step, *status, errcode, message)?,
            (RequestContext::Join(room), Fault::Unsendable(_)) => tx.invites().forget(room)?,
            // There is no such state: the room is not encrypted.
            (RequestContext::Encryption(room), Fault::Refused { .. }) => {
                engine.handle_room_encryption(tx, room, None)?;
                return self.receive_undecrypted();
            }
            (RequestContext::Gap(room, _), Fault::Refused { .. }) => {
                engine.give_up_backfill(tx, room)?;
                return self.receive_undecrypted();
            }
            (RequestContext::Gap(room, _), _) => engine.give_up_backfill(tx, room)?,
            (RequestContext::Outbox(row, lane), _) => tx.outbox().give_up(*row, lane)?,
            // Never given up.
            _ => {}
        }
        Ok(MetricEvents::default())
    }
}
