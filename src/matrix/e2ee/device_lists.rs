//! Device lists: kept current by `/keys/query`.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#tracking-the-device-list-for-a-user>,
//! <https://spec.matrix.org/v1.11/client-server-api/#post_matrixclientv3keysquery>

use std::{collections::BTreeMap, time::Duration};

use log::{debug, info, warn};
use ruma::{OwnedUserId, UserId, api::client::keys::get_keys};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::engine::{DeviceOwner, Turn};
use super::error::Error;
use super::message::Message;
use super::request::{OutgoingRequest, RequestContext, RequestKey};
use super::time_budget::TimeBudget;
use crate::crypto::{
    Device, DeviceChange, Identity, KnownDevice, device_changes, identity_key_ids,
};
use crate::json::Sifted;
use crate::matrix::client::{Call, DeviceLists, item_kind};
use crate::store::{OutdatedUser, caps};
use crate::util::{gathered, shown};

/// A user whose server did not answer is asked again after this.
const QUERY_RETRY_MS: u64 = 60_000;

/// Users of one `/keys/query`: so many that their lists fit into the answer's
/// budget, as lists usually are.
const USERS_PER_QUERY: usize = 100;

/// The time that the homeserver should wait for other servers.
pub(super) const FEDERATION_TIMEOUT: Duration = Duration::from_secs(10);

/// An answer to a `/keys/query` that is being taken in.
#[derive(Clone, Copy)]
pub struct QueryAnswer<'a> {
    /// The users who were asked about, and their generations.
    pub asked: &'a [(OwnedUserId, i64)],
    /// The number of them that are done.
    pub done: usize,
    /// The part of the answer that was kept.
    pub answer: &'a Sifted,
}

impl QueryAnswer<'_> {
    /// There was no room for some devices.
    fn is_partial(&self) -> bool {
        let skipped = &self.answer.skipped;
        skipped.contains_key(item_kind::DEVICE) || skipped.contains_key(item_kind::USER)
    }
}

/// Something for each user, unparsed: one user's rubbish is nobody else's loss.
pub(super) type PerUser<'a> = BTreeMap<String, &'a RawValue>;

/// The devices in one user's part of an answer; none if it has no such part, or a
/// malformed one, which is not the same as an empty one: it says nothing.
pub(super) fn devices<'a>(
    answer: &PerUser<'a>,
    user: &UserId,
) -> Option<BTreeMap<String, &'a RawValue>> {
    let raw = answer.get(user.as_str())?;
    serde_json::from_slice(raw.get().as_bytes())
        .inspect_err(|_| {
            warn!(
                "what the homeserver says of the devices of {} is malformed",
                shown(user)
            );
        })
        .ok()
}

impl Turn<'_> {
    /// The requests for outdated device lists: one of the bot and of who may command, one
    /// of everybody else. The bot's own list is asked for (`ask_own`) only when its device
    /// can be there.
    pub(super) fn device_list_requests(
        &self,
        ask_own: bool,
        outgoing: &mut Vec<OutgoingRequest>,
    ) -> Result<(), Error> {
        let lists = self.tx.device_lists();
        let users = &self.engine.commanders.users;
        let mut outdated = Vec::new();
        let own = ask_own.then_some(&self.engine.user);
        for user in own.into_iter().chain(users) {
            outdated.extend(lists.outdated_of(user, self.now)?);
        }
        outgoing.extend(query(DeviceOwner::Commanders, outdated)?);
        let mut outdated = lists.outdated(self.now, USERS_PER_QUERY + users.len() + 1)?;
        outdated.retain(|found| self.engine.owner_of(&found.user) == DeviceOwner::Others);
        outgoing.extend(query(DeviceOwner::Others, outdated)?);
        Ok(())
    }

    /// Takes in whose devices have changed, and with whom no encrypted room is shared any
    /// more.
    pub(super) fn handle_device_changes(&self, changes: &DeviceLists) -> Result<(), Error> {
        let lists = self.tx.device_lists();
        for user in user_ids(&changes.changed) {
            lists.mark_outdated(user)?;
        }
        for user in user_ids(&changes.left) {
            // The server says that no encrypted room is shared any more. Where this
            // store disagrees it follows the user on, and asks afresh. So it does
            // for a commander whose server does not answer: for how long is not
            // counted anew because they left and came again.
            let is_waited_for = self.engine.is_commander(user) && lists.is_outdated(user)?;
            if user == self.engine.user
                || is_waited_for
                || self.tx.members().shares_encrypted_room(user)?
            {
                lists.mark_outdated(user)?;
            } else if lists.is_tracked(user)? {
                info!("the devices of {user} are no longer followed");
                lists.untrack(user)?;
            }
        }
        Ok(())
    }

    /// True if fewer users have to be asked for together, because the answer had no
    /// room for all devices: a missing one would be taken for signed out.
    pub fn must_split(&self, queried: &QueryAnswer<'_>) -> bool {
        let is_about_commanders = queried
            .asked
            .iter()
            .any(|(user, _)| self.engine.owner_of(user) == DeviceOwner::Commanders);
        queried.asked.len() > 1
            && (queried.answer.is_cut || (is_about_commanders && queried.is_partial()))
    }

    /// Takes in the answer to a `/keys/query`, user by user, until the budget is
    /// spent; returns how many users are done. After the last one what waited for the
    /// answer is classified.
    ///
    /// # Errors
    /// The store fails, the answer is malformed, or the server holds other keys for the
    /// bot's own device.
    pub fn handle_query(
        &self,
        queried: &QueryAnswer<'_>,
        budget: TimeBudget,
        messages: &mut Vec<Message>,
    ) -> Result<usize, Error> {
        let QueryAnswer {
            asked,
            done,
            answer,
        } = *queried;
        let body: Body<'_> =
            serde_json::from_slice(&answer.body).map_err(|_| Error::Malformed("device keys"))?;
        let is_partial = queried.is_partial();
        for (position, (user, generation)) in asked.iter().enumerate().skip(done) {
            if position > done && budget.is_spent() {
                return Ok(position);
            }
            if self.handle_user(user, &body, is_partial)? {
                self.tx.device_lists().mark_current(user, *generation)?;
            } else {
                self.postpone_query(user)?;
            }
        }
        self.classify_undecrypted(messages)?;
        Ok(asked.len())
    }

    /// Takes in one user's part of an answer. False if it does not say all of their
    /// devices.
    fn handle_user(&self, user: &UserId, body: &Body<'_>, is_partial: bool) -> Result<bool, Error> {
        let owner = self.engine.owner_of(user);
        let failed = body.failures.contains_key(user.server_name().as_str());
        let mut answer = match devices(&body.device_keys, user) {
            Some(answer) => answer,
            // Its keys are uploaded again.
            None if *user == self.engine.user && !failed => BTreeMap::new(),
            None => {
                // Nothing was said of them: that signs nobody out.
                warn!("the devices of {} cannot be asked for now", shown(user));
                return Ok(false);
            }
        };
        let mut known = self.tx.devices().known(user)?;
        if owner == DeviceOwner::Others {
            limit_devices(&mut answer, &known);
        }
        let [master, self_signing] = [&body.master_keys, &body.self_signing_keys]
            .map(|keys| keys.get(user.as_str()).copied());
        let keys: Vec<String> = [master, self_signing]
            .into_iter()
            .flatten()
            .flat_map(identity_key_ids)
            .collect();
        let identity = identity(user, master, self_signing);
        if *user == self.engine.user {
            let device_keys = answer.get(self.engine.device.as_str()).copied();
            self.check_own_keys(device_keys)?;
            self.compare_identity(identity.as_ref(), device_keys)?;
            // The bot's own account has no tombstones: nothing depends on its other
            // devices, and a homeserver that lost the keys of this one is given them
            // again.
            known.retain(|known| !known.deleted);
        } else if let Some(identity) = &identity {
            self.handle_identity(user, identity)?;
        }
        let mut changes = device_changes(user, &known, &answer, &keys, identity.as_ref());
        // From a server that failed, or where there was no room for all, it may
        // be a part of the list: what it has not got may be there all the same.
        // Nor is it known to be.
        let is_missing = |change: &DeviceChange| matches!(change, DeviceChange::Delete(id) if !answer.contains_key(id.as_str()));
        let may_be_part = failed || (is_partial && owner == DeviceOwner::Commanders);
        let in_part = may_be_part && changes.iter().any(is_missing);
        if in_part {
            changes.retain(|change| !is_missing(change));
        }
        self.apply_changes(user, &changes)?;
        Ok(!in_part)
    }

    /// Halves the number of users that are asked for together: the answer about these was
    /// too large, or did not come in time. One that is alone is put off, as if their server
    /// could not be reached.
    pub fn split_query(&self, asked: &[(OwnedUserId, i64)]) -> Result<(), Error> {
        for (user, _) in asked {
            match asked.len() {
                1 => {
                    warn!(
                        "the device list of {} is too large, or takes too long: put off",
                        shown(user)
                    );
                    self.postpone_query(user)?;
                }
                together => self.tx.device_lists().limit_query(user, together / 2)?,
            }
        }
        Ok(())
    }

    fn postpone_query(&self, user: &UserId) -> Result<(), Error> {
        let until = self.now.saturating_add(QUERY_RETRY_MS);
        Ok(self.tx.device_lists().postpone_query(user, until)?)
    }

    fn apply_changes(&self, user: &UserId, changes: &[DeviceChange]) -> Result<(), Error> {
        let whose = shown(user);
        for change in changes {
            match change {
                DeviceChange::Put(device) => debug!("{whose} has device {}", shown(&device.id)),
                DeviceChange::Delete(id) if self.engine.is_commander(user) => info!(
                    "device {} of {whose} is signed out: it commands nothing any more",
                    shown(id)
                ),
                DeviceChange::Delete(id) => debug!("{whose} no longer has device {}", shown(id)),
                DeviceChange::Refuse(id, fault) => {
                    warn!("device {} of {whose} is not believed: {fault}", shown(id));
                }
            }
            self.tx.devices().apply(user, change)?;
        }
        Ok(())
    }

    /// Fails unless the server holds this device's own keys, or none.
    fn check_own_keys(&self, device_keys: Option<&RawValue>) -> Result<(), Error> {
        let account = self.account()?;
        let (user, id) = (&self.engine.user, &self.engine.device);
        let Some(raw) = device_keys else {
            if account.device_keys_uploaded() {
                warn!("the homeserver has lost this device's keys: uploading them again");
                let mut account = self.take_account()?;
                account.device_keys_are_missing();
                self.save_account(account)?;
            }
            return Ok(());
        };
        let same = Device::parse(user, id, raw, None).is_ok_and(|device| {
            device.curve25519 == account.curve25519() && device.ed25519 == account.ed25519()
        });
        match same {
            true => Ok(()),
            false => Err(Error::OwnKeys(id.clone())),
        }
    }
}

/// An answer to a `/keys/query`.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    device_keys: PerUser<'a>,
    #[serde(borrow, default)]
    failures: BTreeMap<String, &'a RawValue>,
    #[serde(borrow, default)]
    master_keys: PerUser<'a>,
    #[serde(borrow, default)]
    self_signing_keys: PerUser<'a>,
}

/// Those of these names that are users.
fn user_ids(names: &[String]) -> impl Iterator<Item = &UserId> {
    let users = names.iter().map(|name| <&UserId>::try_from(name.as_str()));
    users.filter_map(Result::ok)
}

/// Asks for the first of these users' devices, as many together as each of them
/// allows.
fn query(
    whose: DeviceOwner,
    outdated: Vec<OutdatedUser>,
) -> Result<Option<OutgoingRequest>, Error> {
    let mut most = USERS_PER_QUERY;
    let mut users = Vec::new();
    for found in outdated {
        let allowed = found.together.unwrap_or(USERS_PER_QUERY).min(most);
        if users.len() >= allowed {
            break;
        }
        most = allowed;
        users.push((found.user, found.generation));
    }
    if users.is_empty() {
        return Ok(None);
    }
    let mut request = get_keys::v3::Request::new();
    request.timeout = Some(FEDERATION_TIMEOUT);
    request.device_keys = gathered(users.iter().map(|(user, _)| (user.clone(), Vec::new())));
    Ok(Some(OutgoingRequest {
        key: RequestKey::Query(whose),
        call: Call::new(request)?,
        about: RequestContext::Query(users),
    }))
}

/// Keeps of a long list the devices that are known and as many others as there is
/// room for.
fn limit_devices(answer: &mut BTreeMap<String, &RawValue>, known: &[KnownDevice]) {
    let mut room = usize::from(caps::STRANGER_DEVICES).saturating_sub(known.len());
    answer.retain(|id, _| {
        if known.iter().any(|known| known.device.id.as_str() == id) {
            return true;
        }
        let fits = room > 0;
        room = room.saturating_sub(1);
        fits
    });
}

/// The identity in one user's part of an answer, if there is a sound one.
fn identity(
    user: &UserId,
    master: Option<&RawValue>,
    self_signing: Option<&RawValue>,
) -> Option<Identity> {
    let identity = Identity::parse(user, master?, self_signing);
    identity
        .inspect_err(|fault| warn!("the identity of {} is not believed: {fault}", shown(user)))
        .ok()
}
