//! Feeds a homeserver's answers to a login, and tokens and keys of Keycloak.

#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use openclaw_k8s_toggle_operator::auth::jwt::{Expected, Jwks, Totp, Unverified, check};
use openclaw_k8s_toggle_operator::matrix::client::{
    read_flows, read_login, read_refresh, read_whoami,
};
use openclaw_k8s_toggle_operator::util::Secret;
use openclaw_k8s_toggle_operator::util::Tokens;
use openclaw_k8s_toggle_operator_fuzz::{NOW, mode, target};

target!(|_world, data| {
    let (mode, data) = mode(data);
    match mode {
        // A key set and, behind the first line break, a token.
        b'k' => {
            let mut parts = data.splitn(2, |byte| *byte == b'\n');
            let keys = parts.next().unwrap_or_default();
            let token = String::from_utf8_lossy(parts.next().unwrap_or_default());
            examine(keys, &Secret::new(token.into_owned()));
        }
        b'o' => {
            if let Ok(totp) = Totp::parse(&String::from_utf8_lossy(data)) {
                let code = totp.code(UNIX_EPOCH + Duration::from_millis(NOW));
                assert!(code.text.expose().bytes().all(|byte| byte.is_ascii_digit()));
            }
        }
        _ => {
            let _ = read_flows(data);
            let _ = read_whoami(data);
            if let Ok(logged_in) = read_login(data.to_vec(), NOW) {
                usable(&logged_in.tokens);
                let _ = logged_in
                    .check("bot", "DEVICE".into())
                    .map_err(|e| e.to_string());
            }
            let last = Secret::new("last".to_owned());
            if let Some(tokens) = read_refresh(data.to_vec(), &last, NOW) {
                usable(&tokens);
            }
        }
    }
});

/// Whatever is kept can be sent.
fn usable(tokens: &Tokens) {
    for token in [Some(&tokens.access), tokens.refresh.as_ref()] {
        if let Some(token) = token {
            let text = token.expose();
            assert!(!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }
}

/// Nobody here has a key, so whatever is believed is a forgery.
fn examine(keys: &[u8], token: &Secret) {
    let now = UNIX_EPOCH + Duration::from_millis(NOW);
    if let Ok(unverified) = Unverified::decode(token) {
        let _ = (unverified.header(), unverified.claims());
    }
    let Ok(keys) = Jwks::parse(keys) else {
        return;
    };
    let expected = Expected {
        issuer: "https://keycloak.example.com/realms/matrix",
        audience: None,
        authorized_party: None,
        user_claim: "preferred_username",
        user: "bot",
    };
    let faults = check(token, &keys, &expected, now);
    assert!(!faults.is_empty());
    let _: Vec<String> = faults.iter().map(ToString::to_string).collect();
}
