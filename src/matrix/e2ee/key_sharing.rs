//! Sharing of a room's outbound session with the devices of its members.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#sharing-keys-between-devices>

use log::{debug, warn};
use ruma::RoomId;
use serde::Serialize;
use serde_json::value::RawValue;

use super::engine::{DeviceOwner, Turn};
use super::error::Error;
use super::request::RequestKey;
use crate::crypto::{
    Account, Device, MEGOLM_ALGORITHM, OutboundGroupSession, Rotation, encrypt_to_device,
};
use crate::store::{Recipient, Sharing};
use crate::util::shown;

/// Devices that are given a key in one transaction, at about half a millisecond
/// each: a turn of the loop is to take less than 50 ms.
const DEVICES_PER_TRANSACTION: usize = 50;

/// Devices that are looked at for a claim in one transaction, behind those that have
/// a session. While a claim is under way none is looked for.
const CLAIMS_PER_TRANSACTION: usize = 250;

/// The devices that still lack the session.
#[derive(Default)]
pub(super) struct Lacking {
    /// Those whose one-time keys have to be claimed.
    pub(super) claims: Vec<Device>,
    /// There are others, to be served at once.
    pub(super) has_more: bool,
    /// Devices of allowed users are among them.
    pub(super) is_about_commanders: bool,
}

impl Turn<'_> {
    /// The room's session, or a new one when it is worn out, or of before the last
    /// start, or when somebody who has it should not read on.
    pub(super) fn outbound_group(
        &self,
        room: &RoomId,
        rotation: Rotation,
    ) -> Result<OutboundGroupSession, Error> {
        let (sessions, trust) = (self.tx.outbound_sessions(), self.engine.commanders.trust);
        if let Some(group) = sessions.find(room)?
            && !group.is_expired(rotation, self.now)
            && !self
                .tx
                .shares()
                .has_departed_recipient(room, &group.session_id(), trust)?
        {
            return Ok(group);
        }
        sessions.discard(room)?;
        debug!("a new Megolm session for {room}");
        let group = OutboundGroupSession::new(room.to_owned(), self.now);
        sessions.put(room, &group)?;
        Ok(group)
    }

    /// Gives a room's session to devices that lack it, some in each turn, those of
    /// allowed users first. Those without an Olm session that are worth a claim
    /// wait for it, while others are served; those that are not are told `m.no_olm`,
    /// once; those that may not have the session, `m.unverified`. `busy` tells which
    /// requests are under way.
    pub(super) fn share(
        &self,
        account: &Account,
        room: &RoomId,
        group: &OutboundGroupSession,
        busy: &dyn Fn(&RequestKey) -> bool,
    ) -> Result<Option<Lacking>, Error> {
        let owner = |found: &Recipient| self.engine.owner_of(&found.device.user);
        let is_commanders = |found: &Recipient| owner(found) == DeviceOwner::Commanders;
        let claims = match busy(&RequestKey::Claim(DeviceOwner::Others)) {
            true => 1,
            false => CLAIMS_PER_TRANSACTION,
        };
        let found = self.lacking(room, group, DEVICES_PER_TRANSACTION + claims)?;
        let (missing, mut unclaimed): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|recipient| !recipient.needs_claim);
        let (mut missing, others): (Vec<_>, Vec<_>) = missing.into_iter().partition(is_commanders);
        missing.extend(others);
        let mut is_about_commanders = unclaimed.iter().any(is_commanders);
        let later = missing.split_off(missing.len().min(DEVICES_PER_TRANSACTION));
        is_about_commanders |= later.iter().any(is_commanders);
        let broken = !missing.is_empty() && {
            let given_to_commanders = missing.iter().any(is_commanders);
            let broken = self.give(account, room, group, missing)?;
            is_about_commanders |= broken && given_to_commanders;
            broken
        };
        let has_more = !later.is_empty() || broken;
        if !has_more && unclaimed.is_empty() {
            return Ok(None);
        }
        unclaimed.retain(|found| !busy(&RequestKey::Claim(owner(found))));
        Ok(Some(Lacking {
            claims: unclaimed.into_iter().map(|found| found.device).collect(),
            has_more,
            is_about_commanders,
        }))
    }

    /// Devices that lack the session: at most `most` of many, but all of allowed
    /// users. Reading one costs a curve operation.
    fn lacking(
        &self,
        room: &RoomId,
        group: &OutboundGroupSession,
        most: usize,
    ) -> Result<Vec<Recipient>, Error> {
        let sharing = Sharing {
            room,
            session_id: &group.session_id(),
            own: &self.engine.user,
            trust: self.engine.commanders.trust,
            now: self.now,
        };
        let shares = self.tx.shares();
        let mut found = shares.devices_without(&sharing, None, most)?;
        if found.len() == most {
            found.retain(|recipient| {
                self.engine.owner_of(&recipient.device.user) == DeviceOwner::Others
            });
            for user in &self.engine.commanders.users {
                found.extend(shares.devices_without(&sharing, Some(user), most)?);
            }
        }
        Ok(found)
    }

    /// Queues the session, or that there will be none, for these devices. True
    /// when there were Olm sessions that nothing can be sent with: their devices
    /// need others.
    fn give(
        &self,
        account: &Account,
        room: &RoomId,
        group: &OutboundGroupSession,
        missing: Vec<Recipient>,
    ) -> Result<bool, Error> {
        let tx = self.tx;
        let session_id = group.session_id();
        let own_keys = account.device_keys()?;
        let room_key = group.room_key().map_err(|_| Error::Account)?;
        let no_olm = withheld(account, "m.no_olm", None)?;
        let unverified = withheld(account, "m.unverified", Some((room, &session_id)))?;
        let mut keys = Vec::new();
        let mut refusals = Vec::new();
        let mut broken = false;
        for Recipient {
            device,
            may_have_keys,
            ..
        } in missing
        {
            if !may_have_keys {
                debug!(
                    "{} {} is not given the key: its user's identity has not signed it",
                    shown(&device.user),
                    shown(&device.id)
                );
                tx.shares().put(&session_id, &device, None)?;
                refusals.push((device, unverified.clone()));
                continue;
            }
            let Some(mut session) = tx.olm_sessions().for_sending(&device)? else {
                if tx.olm_peers().mark_withheld(&device)? {
                    warn!(
                        "{} {} cannot be given the key: no Olm session",
                        device.user, device.id
                    );
                    refusals.push((device, no_olm.clone()));
                }
                continue;
            };
            let kind = "m.room_key";
            match encrypt_to_device(account, &own_keys, &mut session, &device, kind, &room_key) {
                Some(content) => {
                    let (user, key) = (&device.user, &device.curve25519);
                    tx.olm_sessions()
                        .put(user, key, &session, false, self.now)?;
                    tx.shares().put(&session_id, &device, Some(group.index()))?;
                    keys.push((device, content));
                }
                None => {
                    // Its other end made it so. Kept, it would be tried in every
                    // turn, and enough of them would leave no turn to others.
                    tx.olm_sessions()
                        .delete(&device.user, &device.curve25519, &session)?;
                    broken = true;
                }
            }
        }
        self.put_to_device(room.as_str(), "m.room.encrypted", keys)?;
        self.put_to_device(room.as_str(), "m.room_key.withheld", refusals)?;
        Ok(broken)
    }
}

/// `m.no_olm` names no session: it is about the device.
fn withheld(
    account: &Account,
    code: &str,
    session: Option<(&RoomId, &str)>,
) -> Result<Box<RawValue>, Error> {
    #[derive(Serialize)]
    struct Content<'a> {
        algorithm: &'a str,
        code: &'a str,
        reason: &'a str,
        sender_key: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        room_id: Option<&'a RoomId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        session_id: Option<&'a str>,
    }
    serde_json::value::to_raw_value(&Content {
        algorithm: MEGOLM_ALGORITHM,
        code,
        reason: match session {
            None => "Unable to establish a secure channel.",
            Some(_) => "This device is not verified by its owner.",
        },
        sender_key: account.curve25519().to_base64(),
        room_id: session.map(|(room, _)| room),
        session_id: session.map(|(_, session_id)| session_id),
    })
    .map_err(|_| Error::Account)
}
