//! Which rooms commands are taken from.

use std::collections::BTreeSet;

use ruma::{OwnedRoomId, RoomId, ServerName};

use super::fault::{Flaw, quoted};

/// Characters of a hash: 32 bytes in base64 without padding.
const HASH_LENGTH: usize = 43;

const CURE: &str = "write room ids separated by commas, such as !abc:example.com (in Element: \
    Room settings, Advanced)";

/// The rooms of a comma-separated list, empty items skipped; nothing, which
/// stands for every room, for an empty text only. Every item that is no room id
/// is a flaw of its own.
pub(super) fn allowed_rooms(text: &str) -> Result<Option<BTreeSet<OwnedRoomId>>, Vec<Flaw>> {
    if text.is_empty() {
        return Ok(None);
    }
    let mut rooms = BTreeSet::new();
    let mut flaws = Vec::new();
    for item in text.split(',').map(str::trim).filter(|i| !i.is_empty()) {
        match room_id(item) {
            Some(room) => {
                rooms.insert(room);
            }
            // An alias can be pointed at another room, so it names none.
            None if item.starts_with('#') => flaws.push(Flaw::new(
                format!("names {}, which is an alias", quoted(item)),
                "give the room's id instead, which begins with ! (in Element: Room settings, \
                 Advanced)",
            )),
            None => flaws.push(Flaw::new(
                format!("names {}, which is not a room id", quoted(item)),
                CURE,
            )),
        }
    }
    if rooms.is_empty() && flaws.is_empty() {
        flaws.push(Flaw::new("names no room", CURE));
    }
    if flaws.is_empty() {
        Ok(Some(rooms))
    } else {
        Err(flaws)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM";

    fn problems(text: &str) -> Vec<String> {
        let flaws = allowed_rooms(text).unwrap_err();
        flaws.into_iter().map(|flaw| flaw.of("V").problem).collect()
    }

    #[test]
    fn rooms_are_trimmed_and_counted_once() {
        let text = format!(" !b:x ,,!a:x:8448,!b:x,{HASH}, ");
        let rooms = allowed_rooms(&text).unwrap().unwrap();
        let rooms: Vec<_> = rooms.iter().map(|room| room.as_str()).collect();
        assert_eq!(rooms, [HASH, "!a:x:8448", "!b:x"]);
    }

    #[test]
    fn only_an_empty_text_stands_for_every_room() {
        assert_eq!(allowed_rooms(""), Ok(None));
        assert_eq!(problems(", ,"), ["names no room"]);
    }

    #[test]
    fn every_bad_room_is_a_flaw_of_its_own() {
        let short = HASH.get(..43).unwrap();
        for bad in [
            "ops:x", "@a:x", "!", "!:x", "!a:", "!a b:x", "!a:x y", "!ops", short,
        ] {
            assert_eq!(
                problems(&format!("!a:x,{bad}")),
                [format!("names \"{bad}\", which is not a room id")]
            );
        }
        assert_eq!(problems("a,b").len(), 2);
    }

    #[test]
    fn an_alias_is_told_from_an_id() {
        let flaws = allowed_rooms("#ops:example.com").unwrap_err();
        assert_eq!(
            flaws[0].clone().of("V").to_string(),
            "V names \"#ops:example.com\", which is an alias: give the room's id instead, which \
             begins with ! (in Element: Room settings, Advanced)"
        );
    }
}
