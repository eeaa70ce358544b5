//! Settings of a login through Keycloak's login page.

use std::rc::Rc;

use super::address::BaseUrl;
use super::keycloak::{realm, totp, url};
use super::reader::Reader;
use super::table::{KEYCLOAK_REALM, KEYCLOAK_URL, MATRIX_PASSWORD, SSO_IDP_ID};
use super::values::id;
use crate::auth::jwt::Totp;
use crate::util::Secret;

/// A login through an identity provider's page.
#[derive(Clone, Debug)]
pub struct Sso {
    /// The provider (`SSO_IDP_ID`).
    pub provider: String,
    /// The account's password there.
    pub password: Secret,
    /// The secret of one-time passwords (`KEYCLOAK_TOTP_SECRET`).
    pub totp: Option<Rc<Totp>>,
    /// The only server whose login page is told the password (`KEYCLOAK_URL`).
    pub url: Option<BaseUrl>,
    /// The realm that it has to be of (`KEYCLOAK_REALM`).
    pub realm: Option<String>,
}

impl Sso {
    pub(super) fn read(r: &mut Reader<'_>) -> Option<Self> {
        let password = r.needed_secret(&MATRIX_PASSWORD);
        let totp = totp(r);
        let parse = |text: &str| url(text, true);
        let url = r.optional(&KEYCLOAK_URL, parse, BaseUrl::to_string);
        let realm = r.optional(&KEYCLOAK_REALM, realm, String::clone);
        let provider = r.read(&SSO_IDP_ID, id, String::clone);
        Some(Self {
            provider: provider?,
            password: password?,
            totp: totp?,
            url: url?,
            realm: realm?,
        })
    }
}
