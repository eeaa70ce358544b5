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
        let (turn, tx) = (self.turn, self.turn.tx);
        let body = answer.body.as_slice();
        match about {
            RequestContext::Upload {
                with_device_keys,
                fallback,
            } => turn.handle_upload(*with_device_keys, fallback.as_deref())?,
            // Taken in elsewhere, piece by piece; or there is nothing to it.
            RequestContext::Query(_) | RequestContext::Signal => {}
            RequestContext::OwnIdentity(step) => turn.handle_cross_signing_step(*step, body)?,
            RequestContext::Claim(asked) => turn.handle_claim(asked, body)?,
            RequestContext::Members(room, generation) => {
                turn.handle_members(room, *generation, body)?
            }
            RequestContext::Encryption(room) => {
                turn.handle_room_encryption(room, Some(body))?;
                return self.receive_undecrypted();
            }
            RequestContext::Join(room) => tx.invites().forget(room)?,
            RequestContext::Invites => {
                *judged = self.judge_invites(turn.handle_invites(answer)?)?;
            }
            RequestContext::Gap(room, token) => {
                let max_age = self.chat.policy.max_age.as_millis();
                let max_age = u64::try_from(max_age).unwrap_or(u64::MAX);
                turn.handle_backfill(room, token, answer, max_age)?;
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
        let (turn, tx) = (self.turn, self.turn.tx);
        match (about, fault) {
            (RequestContext::OwnIdentity(_), Fault::Unsendable(why)) => {
                turn.cross_signing_unsendable(why)?;
            }
            (
                RequestContext::OwnIdentity(step),
                Fault::Refused {
                    status,
                    errcode,
                    message,
                },
            ) => turn.cross_signing_refused(*step, *status, errcode, message)?,
            (RequestContext::Join(room), Fault::Unsendable(_)) => tx.invites().forget(room)?,
            // There is no such state: the room is not encrypted.
            (RequestContext::Encryption(room), Fault::Refused { .. }) => {
                turn.handle_room_encryption(room, None)?;
                return self.receive_undecrypted();
            }
            (RequestContext::Gap(room, _), Fault::Refused { .. }) => {
                turn.give_up_backfill(room)?;
                return self.receive_undecrypted();
            }
            (RequestContext::Gap(room, _), _) => turn.give_up_backfill(room)?,
            (RequestContext::Outbox(row, lane), _) => tx.outbox().give_up(*row, lane)?,
            // Never given up.
            _ => {}
        }
        Ok(MetricEvents::default())
    }
}
