//! The requests of the bot's own identity, one after the other, and what their answers
//! change.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#post_matrixclientv3keysdevice_signingupload>,
//! <https://spec.matrix.org/v1.11/client-server-api/#post_matrixclientv3keyssignaturesupload>; MSC3967.

use log::{info, warn};
use ruma::{
    CanonicalJsonObject, UserId, api::client::config::get_global_account_data,
    events::GlobalAccountDataEventType,
};
use serde::{Deserialize, Serialize};

use super::messages::{CONSEQUENCE, NEEDS_PERSON, NO_STORAGE, NOT_KEPT};
use super::recovery::{self, DEFAULT_KEY, MASTER, SELF_SIGNING};
use super::state::{self, OwnKeys};
use crate::crypto::{Seed, signatures_upload};
use crate::matrix::client::{BuildError, Call};
use crate::matrix::e2ee::account::AccountCache;
use crate::matrix::e2ee::context::Context;
use crate::matrix::e2ee::error::Error;
use crate::matrix::e2ee::request::{CrossSigningStep, OutgoingRequest, RequestContext, RequestKey};
use crate::store::{CrossSigningState, Transaction};
use crate::util::{MAX_ID, MAX_UIA_SESSION, Secret, code, is_carried, words};

/// The longest words of a homeserver in the log, in characters.
const MAX_SAID: usize = 200;

/// The next request of the identity, if one is due.
pub(crate) fn request(
    context: &Context,
    accounts: &AccountCache,
    own_keys: &OwnKeys,
    tx: &Transaction<'_>,
) -> Result<Option<OutgoingRequest>, Error> {
    let mut own = tx.cross_signing().load()?;
    if own.state == CrossSigningState::Reset {
        warn!("the bot gets a new identity, as the operator asked");
        match &own_keys.seed {
            Some(seed) => tx.cross_signing().put_seed(seed)?,
            None => tx.cross_signing().put_seed(
                &Seed::generate()
                    .map_err(|error| Error::Build(BuildError::randomness(&error.to_string())))?,
            )?,
        }
        tx.cross_signing()
            .set_state(&CrossSigningState::Upload { uia_session: None })?;
        own = tx.cross_signing().load()?;
    }
    let (step, call) = match &own.state {
        CrossSigningState::Upload { uia_session } => {
            let Some(mine) = state::own_identity(own_keys, &own) else {
                return Ok(None);
            };
            let keys = mine.device_signing_upload(&context.user)?;
            let call = match (uia_session, &own_keys.password) {
                (Some(session), Some(password)) => {
                    authenticated_upload(&keys, &context.user, password, session)
                }
                _ => post("device_signing/upload", &keys)?,
            };
            (CrossSigningStep::Upload, call)
        }
        CrossSigningState::Sign => {
            let account = accounts.load(tx)?;
            // A master key whose private half is at hand is vouched for too.
            let master = state::own_identity(own_keys, &own)
                .filter(|mine| Some(mine.self_signing().public()) == account.cross_signed_by())
                .map(|mine| mine.master_key(&context.user))
                .transpose()?;
            let body = signatures_upload(&account, master.as_ref())?;
            (CrossSigningStep::Sign, post("signatures/upload", &body)?)
        }
        CrossSigningState::FindKeyId => (
            CrossSigningStep::Recover,
            account_data(context, DEFAULT_KEY)?,
        ),
        CrossSigningState::FindKey(id) if !is_carried(id, MAX_ID) => {
            state::stay_unsigned(tx, NO_STORAGE)?;
            return Ok(None);
        }
        CrossSigningState::FindKey(id) => (
            CrossSigningStep::Recover,
            account_data(context, &format!("m.secret_storage.key.{id}"))?,
        ),
        CrossSigningState::FindSecret(_) => (
            CrossSigningStep::Recover,
            account_data(context, SELF_SIGNING)?,
        ),
        CrossSigningState::FindMaster(_) => {
            (CrossSigningStep::Recover, account_data(context, MASTER)?)
        }
        CrossSigningState::Unknown
        | CrossSigningState::Recovered
        | CrossSigningState::Signed
        | CrossSigningState::Unsigned(_)
        | CrossSigningState::Reset => return Ok(None),
    };
    Ok(Some(OutgoingRequest {
        key: RequestKey::OwnIdentity,
        call,
        about: RequestContext::OwnIdentity(step),
    }))
}

fn account_data(context: &Context, kind: &str) -> Result<Call, Error> {
    Ok(Call::new(get_global_account_data::v3::Request::new(
        context.user.clone(),
        GlobalAccountDataEventType::from(kind),
    ))?)
}

/// Takes in the answer to the last step.
pub(crate) fn handle_step(
    context: &Context,
    accounts: &AccountCache,
    own_keys: &OwnKeys,
    tx: &Transaction<'_>,
    step: CrossSigningStep,
    body: &[u8],
    now: u64,
) -> Result<(), Error> {
    let own = tx.cross_signing().load()?;
    match (step, &own.state) {
        (CrossSigningStep::Upload, CrossSigningState::Upload { .. }) => {
            let Some(mine) = state::own_identity(own_keys, &own) else {
                return Ok(());
            };
            state::pin_own(context, tx, mine.master(), now)?;
            state::cross_sign(accounts, tx, mine.self_signing())?;
            Ok(tx.cross_signing().set_state(&CrossSigningState::Sign)?)
        }
        (CrossSigningStep::Sign, CrossSigningState::Sign) => {
            #[derive(Deserialize)]
            struct Body {
                #[serde(default)]
                failures: std::collections::BTreeMap<String, serde_json::Value>,
            }
            let body: Body =
                serde_json::from_slice(body).map_err(|_| Error::Malformed("signatures"))?;
            if body.failures.is_empty() {
                info!("the bot's device is signed by its identity");
                Ok(tx.cross_signing().set_state(&CrossSigningState::Signed)?)
            } else {
                state::stay_unsigned(tx, NOT_KEPT)
            }
        }
        (CrossSigningStep::Recover, state) => {
            recovery::handle_secret(context, own_keys, tx, state.clone(), body)
        }
        _ => Ok(()),
    }
}

/// Takes in that the server asks for the password again, or for something nobody here
/// has.
pub(crate) fn handle_challenge(
    own_keys: &OwnKeys,
    tx: &Transaction<'_>,
    session: Option<&str>,
    by_password: bool,
) -> Result<(), Error> {
    let CrossSigningState::Upload { uia_session } = tx.cross_signing().load()?.state else {
        return Ok(());
    };
    match session {
        Some(session)
            if by_password
                && uia_session.is_none()
                && own_keys.password.is_some()
                && is_carried(session, MAX_UIA_SESSION) =>
        {
            Ok(tx.cross_signing().set_state(&CrossSigningState::Upload {
                uia_session: Some(session.to_owned()),
            })?)
        }
        _ => state::stay_unsigned(tx, NEEDS_PERSON),
    }
}

/// Takes in that the last step cannot be sent, for this reason.
pub(crate) fn unsendable(tx: &Transaction<'_>, why: &str) -> Result<(), Error> {
    let why = format!("My device is not signed by my account's identity: {why}. {CONSEQUENCE}");
    state::stay_unsigned(tx, &why)
}

/// Takes in that the server refuses the last step for good.
pub(crate) fn refused(
    context: &Context,
    tx: &Transaction<'_>,
    step: CrossSigningStep,
    status: u16,
    errcode: &str,
    message: &str,
) -> Result<(), Error> {
    // Another 404 does not say that there is none.
    if matches!(step, CrossSigningStep::Recover) && status == 404 && errcode == "M_NOT_FOUND" {
        return match tx.cross_signing().load()?.state {
            CrossSigningState::FindMaster(_) => recovery::finish_recovery(context, tx),
            _ => state::stay_unsigned(tx, NO_STORAGE),
        };
    }
    // People are told by `status`: that the server said no, and not its words.
    warn!("the homeserver says: {}", words(message, MAX_SAID));
    state::stay_unsigned(
        tx,
        &format!(
            "My device is not signed by my account's identity: the homeserver refuses \
                 ({status} {}). {CONSEQUENCE}",
            code(errcode)
        ),
    )
}

/// The upload of the identity with the account's password, in a body that is
/// wiped.
///
/// Specification: <https://spec.matrix.org/v1.11/client-server-api/#password-based>
fn authenticated_upload(
    keys: &CanonicalJsonObject,
    user: &UserId,
    password: &Secret,
    session: &str,
) -> Call {
    #[derive(Serialize)]
    struct Body<'a> {
        #[serde(flatten)]
        keys: &'a CanonicalJsonObject,
        auth: Auth<'a>,
    }
    #[derive(Serialize)]
    struct Auth<'a> {
        #[serde(rename = "type")]
        kind: &'static str,
        identifier: Identifier<'a>,
        password: &'a str,
        session: &'a str,
    }
    #[derive(Serialize)]
    struct Identifier<'a> {
        #[serde(rename = "type")]
        kind: &'static str,
        user: &'a UserId,
    }
    let body = Body {
        keys,
        auth: Auth {
            kind: "m.login.password",
            identifier: Identifier {
                kind: "m.id.user",
                user,
            },
            password: password.expose(),
            session,
        },
    };
    Call::secret("/_matrix/client/v3/keys/device_signing/upload", &body)
}

fn post(endpoint: &str, body: &CanonicalJsonObject) -> Result<Call, Error> {
    let body = serde_json::to_vec(body).map_err(|_| Error::Account)?;
    Ok(Call::post(
        format!("/_matrix/client/v3/keys/{endpoint}"),
        body,
    ))
}
