//! Addresses that are written by habit where another one is meant: what they are,
//! and what to write instead. All of it can be told without asking anybody.

use http::Uri;
use ruma::UserId;

use super::fault::{Flaw, quoted};

/// The first segments of the paths that a homeserver answers itself.
const API: [&str; 4] = ["_matrix", "_synapse", "_dendrite", ".well-known"];

/// Web clients that many people use, and the site of links to rooms and users:
/// no homeserver is there.
const CLIENTS: [&str; 7] = [
    "app.element.io",
    "develop.element.io",
    "staging.element.io",
    "hydrogen.element.io",
    "app.cinny.in",
    "app.schildi.chat",
    "matrix.to",
];

const HOMESERVER_CURE: &str = "write the homeserver's own URL, such as \
    https://matrix.example.com, or the name that its users' ids end in, such as example.com";

/// What is written instead of the homeserver's URL, if it is something known.
pub(super) fn homeserver(text: &str) -> Result<(), Flaw> {
    if UserId::parse(text).is_ok() {
        return Err(Flaw::new(
            "is the id of a user",
            "write what follows its first colon, such as example.com, or the homeserver's URL",
        ));
    }
    // A fragment is for a program in a browser, and may hold a user's id.
    let (page, fragment) = text.split_once('#').unwrap_or((text, ""));
    let uri: Option<Uri> = page.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let is_client = CLIENTS
        .iter()
        .any(|client| host.eq_ignore_ascii_case(client));
    if (is_client || fragment.starts_with('/')) && !page.contains('@') {
        let what = format!(
            "is the address of a web client or of a link: {}",
            quoted(page)
        );
        return Err(Flaw::new(what, HOMESERVER_CURE));
    }
    match uri.and_then(|uri| segment(&uri, &API)) {
        Some(found) if !text.contains('@') => Err(Flaw::new(
            format!(
                "goes on to a part of the homeserver ({found}): {}",
                quoted(text)
            ),
            "leave out /_matrix, /_synapse or /.well-known, and all that follows",
        )),
        _ => Ok(()),
    }
}

/// What is written instead of Keycloak's URL, if it is something known. A login
/// page's address may name its realm.
pub(super) fn keycloak(text: &str, may_name_realm: bool) -> Result<(), Flaw> {
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

/// The first segment of the path that is one of these.
fn segment(uri: &Uri, known: &[&'static str]) -> Option<&'static str> {
    let of = |part: &str| known.iter().copied().find(|known| *known == part);
    uri.path().split('/').find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(read: Result<(), Flaw>) -> String {
        read.map_or_else(|flaw| flaw.of("V").to_string(), |()| String::new())
    }

    #[test]
    fn a_homeserver_is_none_of_these() {
        for (given, start) in [
            (
                "https://hs.example/_matrix",
                "goes on to a part of the homeserver (_matrix): \"https",
            ),
            (
                "https://hs.example/_matrix/",
                "goes on to a part of the homeserver (_matrix)",
            ),
            ("https://hs.example/_matrix/client/v3", "goes on to a part"),
            (
                "http://hs.example:8008/m/_matrix/client",
                "goes on to a part",
            ),
            (
                "https://hs.example/_synapse/admin",
                "goes on to a part of the homeserver (_synapse)",
            ),
            (
                "https://e.example/.well-known/matrix/client",
                "goes on to a part",
            ),
            (
                "https://app.element.io",
                "is the address of a web client or of a link: \"https",
            ),
            (
                "https://APP.element.io/#/room/!a:b",
                "is the address of a web client",
            ),
            (
                "https://matrix.to/#/@alice:example.com",
                "is the address of a web client",
            ),
            (
                "https://chat.example/#/home",
                "is the address of a web client",
            ),
            (
                "@bot:example.com",
                "is the id of a user: write what follows",
            ),
        ] {
            let told = told(homeserver(given));
            assert!(told.starts_with(&format!("V {start}")), "{given}: {told}");
        }
        for given in [
            "https://hs.example",
            "https://hs.example/matrix",
            "https://element.example",
            "http://[::1]:8008",
            "example.com",
            "https://_matrix.example",
            "https://bot:hunter2@hs.example/_matrix",
            "https://bot:hunter2@hs.example/#/x",
            "bot:hunter2@example.com",
        ] {
            assert_eq!(told(homeserver(given)), "", "{given}");
        }
    }

    #[test]
    fn keycloak_is_none_of_these() {
        let of = |given: &str, may_name_realm| told(keycloak(given, may_name_realm));
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
