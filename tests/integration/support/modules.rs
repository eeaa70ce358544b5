//! The judges of the tokens of logins at a homeserver: synapse-token-authenticator
//! and Synapse's own `jwt_config`. Whatever is wrong, they say the same.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::{Value, json};

use super::keycloak::{CLIENT, Keycloak, REALM, now};
use super::tokens::{Verify, forbidden};
use super::wire::call;

/// Takes the tokens of a Keycloak whose claims are these; `user` is the claim
/// that names the user. The keys are fetched at each login.
pub fn of_keycloak(keycloak: &Keycloak, user: &'static str, claims: &[(&str, Value)]) -> Verify {
    let port = keycloak.port();
    let mut wanted = json!({"iss": format!("{}/realms/{REALM}", keycloak.url()), "azp": CLIENT});
    for (claim, value) in claims {
        wanted[*claim] = value.clone();
    }
    Box::new(move |login| {
        let keys = keys(port).unwrap_or_default();
        let is_signed = |header: &Value, message: &[u8], signature: &[u8]| {
            keys.iter().any(|key| {
                let [n, e] = ["n", "e"].map(|part| decoded(&key[part]).unwrap_or_default());
                let public = RsaPublicKeyComponents { n, e };
                key["use"] == "sig"
                    && key["kid"] == header["kid"]
                    && public
                        .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                        .is_ok()
            })
        };
        let claims = claims_of(login, is_signed).ok_or_else(forbidden)?;
        let is_wanted = |(name, value): (&String, &Value)| claims[name] == *value;
        let fits = wanted.as_object().into_iter().flatten().all(is_wanted);
        named(login, &claims[user])
            .filter(|_| fits)
            .ok_or_else(forbidden)
    })
}

/// Takes the tokens that were made with this secret (`algorithm: HS512`).
pub fn of_secret(secret: &str) -> Verify {
    let key = hmac::Key::new(hmac::HMAC_SHA512, secret.as_bytes());
    Box::new(move |login| {
        let is_signed = |header: &Value, message: &[u8], signature: &[u8]| {
            header["alg"] == "HS512" && hmac::verify(&key, message, signature).is_ok()
        };
        let claims = claims_of(login, is_signed).ok_or_else(forbidden)?;
        named(login, &claims["sub"]).ok_or_else(forbidden)
    })
}

/// The keys that the realm publishes now.
fn keys(port: u16) -> Option<Vec<Value>> {
    let path = format!("/realms/{REALM}/protocol/openid-connect/certs");
    match call(port, "GET", &path, None, None) {
        Ok((200, set)) => set["keys"].as_array().cloned(),
        _ => None,
    }
}

/// The claims of the login's token, if it is signed and its time has not passed.
fn claims_of(login: &Value, is_signed: impl Fn(&Value, &[u8], &[u8]) -> bool) -> Option<Value> {
    let (message, signature) = login["token"].as_str()?.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    let [header, claims] = [header, claims].map(|part| {
        let bytes = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
        serde_json::from_slice::<Value>(&bytes).unwrap_or_default()
    });
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let good =
        is_signed(&header, message.as_bytes(), &signature) && claims["exp"].as_i64()? > now();
    good.then_some(claims)
}

/// The user in the token, if it is also who wants to log in.
fn named(login: &Value, claim: &Value) -> Option<String> {
    let asked = &login["identifier"]["user"];
    let user = claim.as_str()?.to_owned();
    (asked.is_null() || asked == claim).then_some(user)
}

fn decoded(part: &Value) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part.as_str()?).ok()
}
