//! The policy of commands: lists of users, of their identities and of rooms.

use ruma::{OwnedRoomId, OwnedUserId, RoomId, ServerName};
use vodozemac::Ed25519PublicKey;

use super::fault::{Flaw, Flaws, quoted};
use super::user::user_id;
use crate::crypto::DeviceTrust;
use crate::util::{SortedMap, SortedSet, gathered};

const USERS_CURE: &str = "write full ids separated by commas, such as \
    @alice:example.com,@bob:example.com";

const PINS_CURE: &str = "write full ids, each with = and the user's master key in base64, separated \
    by commas: @alice:example.com=<key>,@bob:example.com=<key>";

const ROOMS_CURE: &str = "write room ids separated by commas, such as !abc:example.com (in Element: \
    Room settings, Advanced)";

/// Characters of a hash: 32 bytes in base64 without padding.
const HASH_LENGTH: usize = 43;

/// Reads the items of a comma-separated list, empty ones skipped. Every bad item is a
/// flaw of its own, and so is a list without any: the rest of that sentence is `none`.
pub(super) fn each<T>(
    text: &str,
    none: &str,
    cure: &'static str,
    mut read: impl FnMut(&str) -> Result<T, Flaw>,
) -> Result<Vec<T>, Flaws> {
    let mut flaws = Flaws::default();
    let items = text.split(',').map(str::trim).filter(|i| !i.is_empty());
    let found: Vec<T> = items
        .filter_map(|item| read(item).map_err(|flaw| flaws.note(flaw)).ok())
        .collect();
    match (found.is_empty(), flaws.0.is_empty()) {
        (true, true) => Err(Flaw::new(none, cure).into()),
        (false, true) => Ok(found),
        (_, false) => Err(flaws),
    }
}

/// The users of a list, at least one.
pub(super) fn users(text: &str) -> Result<SortedSet<OwnedUserId>, Flaws> {
    let users = each(text, "names nobody", USERS_CURE, |item| {
        full_id(item, USERS_CURE)
    })?;
    Ok(gathered(users))
}

pub(super) fn full_id(text: &str, cure: &'static str) -> Result<OwnedUserId, Flaw> {
    user_id(text).ok_or_else(|| {
        let problem = format!("names {}, which is not a full Matrix id", quoted(text));
        Flaw::new(problem, cure)
    })
}

/// The rooms of a list, at least one.
pub(super) fn rooms(text: &str) -> Result<SortedSet<OwnedRoomId>, Flaws> {
    let rooms = each(text, "names no room", ROOMS_CURE, room)?;
    Ok(gathered(rooms))
}

/// The room of an id.
pub(super) fn room(text: &str) -> Result<OwnedRoomId, Flaw> {
    room_id(text).ok_or_else(|| no_room(text))
}

fn no_room(item: &str) -> Flaw {
    // An alias can be pointed at another room, so it names none.
    if item.starts_with('#') {
        return Flaw::new(
            format!("names {}, which is an alias", quoted(item)),
            "give the room's id instead, which begins with ! (in Element: Room settings, Advanced)",
        );
    }
    let problem = format!("names {}, which is not a room id", quoted(item));
    Flaw::new(problem, ROOMS_CURE)
}

/// A room id as servers make them: with a server's name, or, from [room
/// version 12] on, the hash of the room's first event.
///
/// The protocol's own check lets anything pass that begins with `!`, since a
/// client is to take ids as they come. In a configuration, half an id would be
/// a list entry that matches no room.
///
/// [room version 12]: https://spec.matrix.org/v1.19/rooms/v12/#room-ids
fn room_id(text: &str) -> Option<OwnedRoomId> {
    let id = RoomId::parse(text).ok()?;
    let rest = text.strip_prefix('!')?;
    let well_formed = match rest.split_once(':') {
        Some((name, server)) => {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_graphic())
                && ServerName::parse(server).is_ok()
        }
        None => {
            rest.len() == HASH_LENGTH
                && rest
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        }
    };
    well_formed.then_some(id)
}

/// The rule that makes a device one of its user's own.
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

/// The master keys of a list of `user=key`.
///
/// `allowed` are the users who may give commands, where that is known: a pin
/// of anybody else would bind nobody, so it is a slip.
pub(super) fn pins(
    text: &str,
    allowed: Option<&SortedSet<OwnedUserId>>,
) -> Result<SortedMap<OwnedUserId, Ed25519PublicKey>, Flaws> {
    let mut pins = SortedMap::new();
    each(text, "names nobody", PINS_CURE, |item| {
        let (user, key) = pin(item, allowed)?;
        match pins.insert(user.clone(), key) {
            Some(before) if before != key => Err(Flaw::new(
                format!("gives {} two different keys", quoted(user.as_str())),
                "keep the one that the user says is theirs",
            )),
            _ => Ok(()),
        }
    })?;
    Ok(pins)
}

fn pin(
    item: &str,
    allowed: Option<&SortedSet<OwnedUserId>>,
) -> Result<(OwnedUserId, Ed25519PublicKey), Flaw> {
    let (name, key) = halves(item)
        .ok_or_else(|| Flaw::new(format!("has no = after {}", quoted(item)), PINS_CURE))?;
    let user = full_id(name, PINS_CURE)?;
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

/// The two sides of the first `=` that is not part of the user's name: a localpart may hold one, a server's name may not, and a key may end in one.
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

    #[test]
    fn users_are_trimmed_and_counted_once() {
        let found = users(" @b:x ,,@a:x,@b:x, ").unwrap();
        let found: Vec<_> = found.iter().map(|user| user.as_str()).collect();
        assert_eq!(found, ["@a:x", "@b:x"]);
    }

    #[test]
    fn every_bad_user_is_a_flaw_of_its_own() {
        let flaws = users("@a:x,bob,@c,@d e:x").unwrap_err();
        let named: Vec<_> = flaws
            .0
            .into_iter()
            .map(|flaw| flaw.of("V").problem)
            .collect();
        assert_eq!(
            named,
            ["\"bob\"", "\"@c\"", "\"@d e:x\""]
                .map(|q| format!("names {q}, which is not a full Matrix id"))
        );
    }

    #[test]
    fn a_list_of_commas_names_nobody() {
        let flaws = users(", ,").unwrap_err();
        assert_eq!(flaws.0.len(), 1);
    }

    fn key() -> Ed25519PublicKey {
        Ed25519Keypair::new().public_key()
    }

    fn problems(text: &str) -> Vec<String> {
        let allowed = SortedSet::from([user_id("@a:x").unwrap(), user_id("@a=b:x").unwrap()]);
        let flaws = pins(text, Some(&allowed)).unwrap_err();
        flaws
            .0
            .into_iter()
            .map(|flaw| flaw.of("V").problem)
            .collect()
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
                SortedMap::from([(user_id("@a:x").unwrap(), key)]),
                "{text}"
            );
        }
    }

    #[test]
    fn several_users_one_with_an_equals_sign_in_the_name() {
        let (one, two) = (key(), key());
        let text = format!("@a:x:8448={},@a=b:x={}=", one.to_base64(), two.to_base64());
        let expected = SortedMap::from([
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

    const HASH: &str = "!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM";

    fn room_problems(text: &str) -> Vec<String> {
        let flaws = rooms(text).unwrap_err();
        flaws
            .0
            .into_iter()
            .map(|flaw| flaw.of("V").problem)
            .collect()
    }

    #[test]
    fn rooms_are_trimmed_and_counted_once() {
        let text = format!(" !b:x ,,!a:x:8448,!b:x,{HASH}, ");
        let found = rooms(&text).unwrap();
        let found: Vec<_> = found.iter().map(|room| room.as_str()).collect();
        assert_eq!(found, [HASH, "!a:x:8448", "!b:x"]);
    }

    #[test]
    fn a_list_of_commas_names_no_room() {
        assert_eq!(room_problems(", ,"), ["names no room"]);
    }

    #[test]
    fn every_bad_room_is_a_flaw_of_its_own() {
        let short = HASH.get(..43).unwrap();
        for bad in [
            "ops:x", "@a:x", "!", "!:x", "!a:", "!a b:x", "!a:x y", "!ops", short,
        ] {
            assert_eq!(
                room_problems(&format!("!a:x,{bad}")),
                [format!("names \"{bad}\", which is not a room id")]
            );
        }
        assert_eq!(room_problems("a,b").len(), 2);
    }

    #[test]
    fn an_alias_is_told_from_an_id() {
        let flaws = rooms("#ops:example.com").unwrap_err();
        assert_eq!(
            flaws.0[0].clone().of("V").to_string(),
            "V names \"#ops:example.com\", which is an alias: give the room's id instead, which \
             begins with ! (in Element: Room settings, Advanced)"
        );
    }
}
