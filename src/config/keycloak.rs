//! Settings of Keycloak, for its tokens and for its login page.

use std::rc::Rc;

use http::Uri;

use super::address::{BaseUrl, segment};
use super::fault::{Flaw, quoted};
use super::reader::{Reader, masked};
use super::table::KEYCLOAK_TOTP_SECRET;
#[cfg(feature = "keycloak")]
use super::{
    reader::text,
    table::{
        KEYCLOAK_CLIENT_ID, KEYCLOAK_CLIENT_SECRET, KEYCLOAK_ISSUER, KEYCLOAK_REALM, KEYCLOAK_URL,
        MATRIX_PASSWORD,
    },
};
use crate::auth::jwt::Totp;
#[cfg(feature = "keycloak")]
use crate::util::Secret;

/// A realm of Keycloak's, and what the bot is known by there.
#[cfg(feature = "keycloak")]
#[derive(Clone, Debug)]
pub struct Keycloak {
    /// Keycloak's base URL (`KEYCLOAK_URL`).
    pub url: BaseUrl,
    /// The realm's name (`KEYCLOAK_REALM`).
    pub realm: String,
    /// The client that the token is made for (`KEYCLOAK_CLIENT_ID`).
    pub client_id: String,
    /// The client's secret; a public client has none
    /// (`KEYCLOAK_CLIENT_SECRET`).
    pub client_secret: Option<Secret>,
    /// The account's password there (`MATRIX_PASSWORD`).
    pub password: Secret,
    /// The secret of one-time passwords (`KEYCLOAK_TOTP_SECRET`).
    pub totp: Option<Rc<Totp>>,
    /// The issuer that the homeserver expects, if not the one that Keycloak says
    /// it is (`KEYCLOAK_ISSUER`).
    pub issuer: Option<String>,
}

#[cfg(feature = "keycloak")]
impl Keycloak {
    pub(super) fn read(r: &mut Reader<'_>) -> Option<Self> {
        let password = r.needed_secret(&MATRIX_PASSWORD);
        let parse = |text: &str| url(text, false);
        let url = r.read(&KEYCLOAK_URL, parse, BaseUrl::to_string);
        let realm = r.read(&KEYCLOAK_REALM, realm, String::clone);
        let client_id = r.read(&KEYCLOAK_CLIENT_ID, client_id, String::clone);
        let client_secret = r.secret(&KEYCLOAK_CLIENT_SECRET);
        let totp = totp(r);
        let issuer = r.optional(&KEYCLOAK_ISSUER, text, String::clone);
        Some(Self {
            issuer: issuer?,
            url: url?,
            realm: realm?,
            client_id: client_id?,
            client_secret: client_secret?,
            password: password?,
            totp: totp?,
        })
    }
}

/// Keycloak's URL, which may name a realm only where it is that of a login page.
pub(super) fn url(text: &str, may_name_realm: bool) -> Result<BaseUrl, Flaw> {
    not_by_habit(text, may_name_realm)?;
    BaseUrl::parse(text)
}

/// Refuses what is often written instead of Keycloak's URL. A login page's address may
/// name its realm.
fn not_by_habit(text: &str, may_name_realm: bool) -> Result<(), Flaw> {
    let page = text.split('#').next().unwrap_or(text);
    let uri = page.parse::<Uri>().ok().filter(|_| !text.contains('@'));
    let found = uri.and_then(|uri| segment(&uri, &["realms", "admin"]));
    match found {
        Some("admin") => Err(Flaw::new(
            format!("is the address of Keycloak's console: {}", quoted(page)),
            "leave out /admin and all that follows",
        )),
        Some(_) if !may_name_realm => Err(Flaw::new(
            format!("goes on to a realm: {}", quoted(page)),
            "leave out /realms and all that follows; KEYCLOAK_REALM names the realm",
        )),
        _ => Ok(()),
    }
}

/// The secret of one-time passwords.
pub(super) fn totp(r: &mut Reader<'_>) -> Option<Option<Rc<Totp>>> {
    let parse = |text: &str| {
        Totp::parse(text).map(Rc::new).map_err(|fault| {
            Flaw::new(
                format!("is no secret of one-time passwords: {fault}"),
                "give the base32 text that Keycloak shows under \"Unable to scan?\", or the \
                 otpauth:// URI of the QR code",
            )
        })
    };
    r.optional(&KEYCLOAK_TOTP_SECRET, parse, masked)
}

/// A realm's name.
pub(super) fn realm(text: &str) -> Result<String, Flaw> {
    name(text, |c| c == '/' || c.is_control())
}

/// A client's id, which may be a URL.
#[cfg(feature = "keycloak")]
fn client_id(text: &str) -> Result<String, Flaw> {
    name(text, char::is_control)
}

fn name(text: &str, is_foreign: fn(char) -> bool) -> Result<String, Flaw> {
    match text.contains(is_foreign) {
        true => Err(Flaw::new(
            format!("is no name: {}", quoted(text)),
            "write the name alone, as Keycloak's console shows it",
        )),
        false => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(read: Result<(), Flaw>) -> String {
        read.map_or_else(|flaw| flaw.of("V").to_string(), |()| String::new())
    }

    #[test]
    fn keycloak_is_none_of_these() {
        let of = |given: &str, may_name_realm| told(not_by_habit(given, may_name_realm));
        for given in [
            "https://kc.example/realms/x",
            "https://kc.example/auth/realms/x/",
        ] {
            let start = "V goes on to a realm: \"https://kc.example/";
            assert!(of(given, false).starts_with(start), "{given}");
            assert_eq!(of(given, true), "");
        }
        for given in [
            "https://kc.example/admin",
            "https://kc.example/auth/admin/master/console/#/x/clients",
        ] {
            for may_name_realm in [true, false] {
                let told = of(given, may_name_realm);
                assert!(
                    told.starts_with("V is the address of Keycloak's console"),
                    "{told}"
                );
            }
        }
        for given in [
            "https://kc.example",
            "https://kc.example/auth",
            "https://u:p@kc/admin",
        ] {
            assert_eq!(of(given, false), "");
        }
    }
}
