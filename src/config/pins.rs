//! Whose identity is known beforehand, and whose devices are believed.

use std::collections::{BTreeMap, BTreeSet};

use ruma::OwnedUserId;
use vodozemac::Ed25519PublicKey;

use super::fault::{Flaw, quoted};
use super::user::user_id;
use crate::crypto::DeviceTrust;

/// What makes a device one of its user's own.
pub(super) fn device_trust(text: &str) -> Result<DeviceTrust, Flaw> {
    match text.to_ascii_lowercase().as_str() {
        "cross-signed" => Ok(DeviceTrust::CrossSigned),
        "tofu" => Ok(DeviceTrust::Tofu),
        _ => Err(Flaw::new(
            format!("is not a way to trust devices: {}", quoted(text)),
            "write cross-signed, or tofu for every device of an allowed user",
        )),
    }
}

/// The master keys of a comma-separated list of `user=key`; empty items are
/// skipped, and an empty text is no list. Every bad item is a flaw of its own.
///
/// `allowed` are the users who may give commands, where that is known: a pin
/// of anybody else would bind nobody, so it is a slip.
pub(super) fn pins(
    text: &str,
    allowed: Option<&BTreeSet<OwnedUserId>>,
) -> Result<BTreeMap<OwnedUserId, Ed25519PublicKey>, Vec<Flaw>> {
    let mut pins = BTreeMap::new();
    let mut flaws = Vec::new();
    for item in text.split(',').map(str::trim).filter(|i| !i.is_empty()) {
        match pin(item, allowed) {
            Ok((user, key)) => {
                let before = pins.insert(user.clone(), key);
                if before.is_some_and(|before| before != key) {
                    flaws.push(Flaw::new(
                        format!("gives {} two different keys", quoted(user.as_str())),
                        "keep the one that the user says is theirs",
                    ));
                }
            }
            Err(flaw) => flaws.push(flaw),
        }
    }
    if pins.is_empty() && flaws.is_empty() && !text.is_empty() {
        flaws.push(Flaw::new("names nobody", CURE));
    }
    if flaws.is_empty() {
        Ok(pins)
    } else {
        Err(flaws)
    }
}

const CURE: &str = "write full ids, each with = and the user's master key in base64, separated by \
    commas: @alice:example.com=<key>,@bob:example.com=<key>";

fn pin(
    item: &str,
    allowed: Option<&BTreeSet<OwnedUserId>>,
) -> Result<(OwnedUserId, Ed25519PublicKey), Flaw> {
    let (name, key) =
        halves(item).ok_or_else(|| Flaw::new(format!("has no = after {}", quoted(item)), CURE))?;
    let Some(user) = user_id(name) else {
        return Err(Flaw::new(
            format!("names {}, which is not a full Matrix id", quoted(name)),
            CURE,
        ));
    };
    // Not shown: it may be a private key, given by mistake.
    let key = public_key(key).ok_or_else(|| {
        Flaw::new(
            format!("gives {} what is not a master key", quoted(name)),
            "write the public part of the key, 43 characters of base64, as a client of the user \
             or the command \"identities list\" shows it",
        )
    })?;
    if allowed.is_some_and(|allowed| !allowed.contains(&user)) {
        return Err(Flaw::new(
            format!("names {}, who may give no commands", quoted(name)),
            "name the user in ALLOWED_USERS too, or take the pin away",
        ));
    }
    Ok((user, key))
}

/// What is before and after the first `=` that is not part of the user's name:
/// a localpart may hold one, a server's name may not, and a key may end in one.
fn halves(item: &str) -> Option<(&str, &str)> {
    let server = item.find(':').unwrap_or(0);
    let equals = item.get(server..)?.find('=')?.checked_add(server)?;
    let (name, key) = item.split_at_checked(equals)?;
    Some((name.trim_end(), key.strip_prefix('=')?))
}

/// A public key in base64, padded or not, perhaps in groups.
///
/// The length is looked at after decoding: vodozemac's own reader of keys
/// trusts the length of the text, and panics where the two do not match.
fn public_key(text: &str) -> Option<Ed25519PublicKey> {
    let text: String = text.split_whitespace().collect();
    let bytes = vodozemac::base64_decode(text).ok()?;
    Ed25519PublicKey::from_slice(bytes.as_slice().try_into().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use vodozemac::Ed25519Keypair;

    use super::*;

    fn key() -> Ed25519PublicKey {
        Ed25519Keypair::new().public_key()
    }

    fn problems(text: &str) -> Vec<String> {
        let allowed = BTreeSet::from([user_id("@a:x").unwrap(), user_id("@a=b:x").unwrap()]);
        let flaws = pins(text, Some(&allowed)).unwrap_err();
        flaws.into_iter().map(|flaw| flaw.of("V").problem).collect()
    }

    #[test]
    fn trust_in_devices() {
        assert_eq!(device_trust("Cross-Signed"), Ok(DeviceTrust::CrossSigned));
        assert_eq!(device_trust("TOFU"), Ok(DeviceTrust::Tofu));
        let fault = device_trust("all").unwrap_err().of("V").to_string();
        assert_eq!(
            fault,
            "V is not a way to trust devices: \"all\": write cross-signed, or tofu for every \
             device of an allowed user"
        );
    }

    #[test]
    fn keys_in_every_form_they_are_shown_in() {
        let key = key();
        let plain = key.to_base64();
        let groups: Vec<_> = plain.as_bytes().chunks(4).collect();
        let groups = String::from_utf8(groups.join(&b' ')).unwrap();
        for text in [
            format!("@a:x={plain}"),
            format!("@a:x={plain}="),
            format!(" @a:x = {plain} ,, @a:x={groups},"),
        ] {
            assert_eq!(
                pins(&text, None).unwrap(),
                BTreeMap::from([(user_id("@a:x").unwrap(), key)]),
                "{text}"
            );
        }
        assert_eq!(pins("", None), Ok(BTreeMap::new()));
    }

    #[test]
    fn several_users_one_with_an_equals_sign_in_the_name() {
        let (one, two) = (key(), key());
        let text = format!("@a:x:8448={},@a=b:x={}=", one.to_base64(), two.to_base64());
        let expected = BTreeMap::from([
            (user_id("@a:x:8448").unwrap(), one),
            (user_id("@a=b:x").unwrap(), two),
        ]);
        assert_eq!(pins(&text, None), Ok(expected));
    }

    #[test]
    fn every_bad_pin_is_a_flaw_of_its_own() {
        let good = key().to_base64();
        assert_eq!(
            problems(&format!("@a:x,b={good},@a:x={good},@a=b:x,@c:x={good}")),
            [
                "has no = after \"@a:x\"",
                "names \"b\", which is not a full Matrix id",
                "has no = after \"@a=b:x\"",
                "names \"@c:x\", who may give no commands",
            ]
        );
        assert_eq!(problems(","), ["names nobody"]);
    }

    #[test]
    fn what_is_no_key_is_refused_unseen() {
        let good = key().to_base64();
        for bad in [
            String::new(),
            "=".to_owned(),
            "hunter2".to_owned(),
            // Of the length of a key with and without padding, but not of 32
            // bytes.
            "A".repeat(44),
            format!("{}=", "A".repeat(42)),
            format!("{good}=="),
            good.replace(|c: char| c != '=', "-"),
            // Not a point of the curve.
            format!("Ag{}", "A".repeat(41)),
        ] {
            let [problem] = problems(&format!("@a:x={bad}")).try_into().unwrap();
            assert_eq!(problem, "gives \"@a:x\" what is not a master key", "{bad}");
        }
    }

    #[test]
    fn one_user_has_one_key() {
        let (one, two) = (key().to_base64(), key().to_base64());
        assert_eq!(
            problems(&format!("@a:x={one},@a:x={two}")),
            ["gives \"@a:x\" two different keys"]
        );
    }

    #[test]
    fn where_the_allowed_users_are_unknown_any_may_be_pinned() {
        assert!(pins(&format!("@c:x={}", key().to_base64()), None).is_ok());
    }
}
