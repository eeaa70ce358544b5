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
use super::recovery::{DEFAULT_KEY, MASTER, SELF_SIGNING};
use crate::crypto::{Seed, signatures_upload};
use crate::matrix::client::Call;
use crate::matrix::e2ee::engine::Turn;
use crate::matrix::e2ee::error::Error;
use crate::matrix::e2ee::request::{CrossSigningStep, OutgoingRequest, RequestContext, RequestKey};
use crate::store::CrossSigningState;
use crate::util::{MAX_ID, MAX_UIA_SESSION, Secret, code, is_carried, words};

/// The longest words of a homeserver in the log, in characters.
const MAX_SAID: usize = 200;

impl Turn<'_> {
    /// The next request of the identity, if one is due.
    pub(crate) fn cross_signing_request(&self) -> Result<Option<OutgoingRequest>, Error> {
        let (user, own_keys) = (&self.engine.user, &self.engine.own_keys);
        let mut own = self.tx.cross_signing().load()?;
        if own.state == CrossSigningState::Reset {
            warn!("the bot gets a new identity, as the operator asked");
            match &own_keys.seed {
                Some(seed) => self.tx.cross_signing().put_seed(seed)?,
                None => self.tx.cross_signing().put_seed(&Seed::generate()?)?,
            }
            self.go_on(CrossSigningState::Upload { uia_session: None })?;
            own = self.tx.cross_signing().load()?;
        }
        let (step, call) = match &own.state {
            CrossSigningState::Upload { uia_session } => {
                let Some(mine) = self.own_identity(&own) else {
                    return Ok(None);
                };
                let keys = mine.device_signing_upload(user)?;
                let call = match (uia_session, &own_keys.password) {
                    (Some(session), Some(password)) => {
                        authenticated_upload(&keys, user, password, session)
                    }
                    _ => post("device_signing/upload", &keys)?,
                };
                (CrossSigningStep::Upload, call)
            }
            CrossSigningState::Sign => {
                let account = self.account()?;
                // A master key whose private half is at hand is vouched for too.
                let master = self
                    .own_identity(&own)
                    .filter(|mine| Some(mine.self_signing().public()) == account.cross_signed_by())
                    .map(|mine| mine.master_key(user))
                    .transpose()?;
                let body = signatures_upload(&account, master.as_ref())?;
                (CrossSigningStep::Sign, post("signatures/upload", &body)?)
            }
            CrossSigningState::FindKey(id) if !is_carried(id, MAX_ID) => {
                self.stay_unsigned(NO_STORAGE)?;
                return Ok(None);
            }
            state => {
                let kind = match state {
                    CrossSigningState::FindKeyId => DEFAULT_KEY,
                    CrossSigningState::FindKey(id) => &format!("m.secret_storage.key.{id}"),
                    CrossSigningState::FindSecret(_) => SELF_SIGNING,
                    CrossSigningState::FindMaster(_) => MASTER,
                    _ => return Ok(None),
                };
                let request = get_global_account_data::v3::Request::new(
                    user.clone(),
                    GlobalAccountDataEventType::from(kind),
                );
                (CrossSigningStep::Recover, Call::new(request)?)
            }
        };
        Ok(Some(OutgoingRequest {
            key: RequestKey::OwnIdentity,
            call,
            about: RequestContext::OwnIdentity(step),
        }))
    }

    /// Takes in the answer to the last step.
    pub fn handle_cross_signing_step(
        &self,
        step: CrossSigningStep,
        body: &[u8],
    ) -> Result<(), Error> {
        let own = self.tx.cross_signing().load()?;
        match (step, &own.state) {
            (CrossSigningStep::Upload, CrossSigningState::Upload { .. }) => {
                let Some(mine) = self.own_identity(&own) else {
                    return Ok(());
                };
                self.pin_own(mine.master())?;
                self.cross_sign(mine.self_signing())?;
                self.go_on(CrossSigningState::Sign)
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
                    self.go_on(CrossSigningState::Signed)
                } else {
                    self.stay_unsigned(NOT_KEPT)
                }
            }
            (CrossSigningStep::Recover, state) => self.handle_secret(state, body),
            _ => Ok(()),
        }
    }

    /// Takes in that the server asks for the password again, or for something nobody here
    /// has.
    pub fn handle_cross_signing_challenge(
        &self,
        session: Option<&str>,
        by_password: bool,
    ) -> Result<(), Error> {
        let CrossSigningState::Upload { uia_session } = self.tx.cross_signing().load()?.state
        else {
            return Ok(());
        };
        match session {
            Some(session)
                if by_password
                    && uia_session.is_none()
                    && self.engine.own_keys.password.is_some()
                    && is_carried(session, MAX_UIA_SESSION) =>
            {
                let uia_session = Some(session.to_owned());
                self.go_on(CrossSigningState::Upload { uia_session })
            }
            _ => self.stay_unsigned(NEEDS_PERSON),
        }
    }

    /// Takes in that the last step cannot be sent, for this reason.
    pub fn cross_signing_unsendable(&self, why: &str) -> Result<(), Error> {
        self.stay_unsigned(&format!(
            "My device is not signed by my account's identity: {why}. {CONSEQUENCE}"
        ))
    }

    /// Takes in that the server refuses the last step for good.
    pub fn cross_signing_refused(
        &self,
        step: CrossSigningStep,
        status: u16,
        errcode: &str,
        message: &str,
    ) -> Result<(), Error> {
        // Another 404 does not say that there is none.
        if step == CrossSigningStep::Recover && status == 404 && errcode == "M_NOT_FOUND" {
            return match self.tx.cross_signing().load()?.state {
                CrossSigningState::FindMaster(_) => self.finish_recovery(),
                _ => self.stay_unsigned(NO_STORAGE),
            };
        }
        // People are told by `status`: that the server said no, and not its words.
        warn!("the homeserver says: {}", words(message, MAX_SAID));
        let code = code(errcode);
        self.cross_signing_unsendable(&format!("the homeserver refuses ({status} {code})"))
    }
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
