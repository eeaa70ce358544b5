//! The gateway, as the chat knows it.

use ruma::OwnedRoomId;

use super::fault::Flaw;
use super::policy;
use super::reader::Reader;
use super::table::{ANNOUNCE_ROOM, GATEWAY_LEASES, TARGETS, TARGETS_FILE};
use crate::control::Leases;
use crate::util::SortedSet;

const LEASES_CURE: &str = "write NAMESPACE/PREFIX as the gateway has them (POD_NAMESPACE and \
    LEASE_PREFIX), such as openclaw/openclaw-gateway-";

/// The gateway that wakes targets and puts them to sleep, as the chat knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatGateway {
    /// Its Leases (`GATEWAY_LEASES`).
    pub leases: Leases,
    /// The room that is told what it does; None for none (`ANNOUNCE_ROOM`).
    pub announce_room: Option<OwnedRoomId>,
}

impl ChatGateway {
    /// Reads both settings. `rooms` are those that commands are taken from, where that is
    /// limited. None where there is a fault, `Some(None)` where there is no gateway.
    pub(super) fn read(
        r: &mut Reader<'_>,
        rooms: Option<&SortedSet<OwnedRoomId>>,
    ) -> Option<Option<Self>> {
        let parse = |text: &str| {
            let leases = Leases::parse(text);
            leases.map_err(|fault| Flaw::new(fault.to_string(), LEASES_CURE))
        };
        let leases = r.optional(&GATEWAY_LEASES, parse, Leases::to_string);
        let room = |text: &str| {
            let room = policy::room(text)?;
            match rooms.is_some_and(|rooms| !rooms.contains(&room)) {
                true => Err(Flaw::new(
                    "is not one of ALLOWED_ROOMS",
                    "name the room there, too",
                )),
                false => Ok(room),
            }
        };
        let announce_room = r.optional(&ANNOUNCE_ROOM, room, OwnedRoomId::to_string);
        let is_given = r.given_by(&GATEWAY_LEASES).is_some();
        let has_names = [&TARGETS, &TARGETS_FILE]
            .iter()
            .any(|setting| r.given_by(setting).is_some());
        if is_given && !has_names {
            let flaw = Flaw::new(
                "is set, and neither TARGETS nor TARGETS_FILE is",
                "name the targets that the gateway wakes in one of them",
            );
            r.fault(GATEWAY_LEASES.name, flaw);
        }
        if !is_given && r.given_by(&ANNOUNCE_ROOM).is_some() {
            let flaw = Flaw::new(
                "is set, and GATEWAY_LEASES is not",
                "set GATEWAY_LEASES too, or unset it",
            );
            r.fault(ANNOUNCE_ROOM.name, flaw);
        }
        let (leases, announce_room) = (leases?, announce_room?);
        Some(leases.map(|leases| Self {
            leases,
            announce_room,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::told;
    use super::*;

    fn read(given: &[(&str, &str)], rooms: &[&str]) -> Result<Option<ChatGateway>, String> {
        let env = |name: &str| {
            let given = given.iter().find(|(given, _)| *given == name);
            given.map(|(_, value)| (*value).into())
        };
        let rooms: SortedSet<OwnedRoomId> = rooms
            .iter()
            .map(|room| policy::room(room).unwrap())
            .collect();
        let mut r = Reader::new(&env);
        let read = ChatGateway::read(&mut r, (!rooms.is_empty()).then_some(&rooms));
        r.finish(read).map_err(|faults| told(&faults))
    }

    const TARGET: (&str, &str) = ("TARGETS", "worker");
    const LEASES: (&str, &str) = ("GATEWAY_LEASES", "claw/gateway-");

    #[test]
    fn a_gateway_is_named_by_its_leases_and_a_room_is_optional() {
        assert_eq!(read(&[], &[]), Ok(None));
        assert_eq!(read(&[TARGET], &["!ops:test"]), Ok(None));
        let gateway = read(&[TARGET, LEASES], &[]).unwrap().unwrap();
        assert_eq!(gateway.leases.to_string(), "claw/gateway-");
        assert_eq!(gateway.announce_room, None);
        let room = ("ANNOUNCE_ROOM", "!ops:test");
        for rooms in [&[][..], &["!ops:test", "!side:test"]] {
            let gateway = read(&[("TARGETS_FILE", "/targets"), LEASES, room], rooms);
            let announced = gateway.unwrap().unwrap().announce_room;
            assert_eq!(announced.unwrap(), "!ops:test");
        }
    }

    #[test]
    fn each_fault_has_its_cure() {
        for (given, fault) in [
            (
                &[LEASES][..],
                "GATEWAY_LEASES is set, and neither TARGETS nor TARGETS_FILE is: name the targets \
                 that the gateway wakes in one of them",
            ),
            (
                &[TARGET, ("GATEWAY_LEASES", "claw")],
                "GATEWAY_LEASES has no / between the gateway's namespace and the beginning of its \
                 Leases' names: write NAMESPACE/PREFIX as the gateway has them (POD_NAMESPACE and \
                 LEASE_PREFIX), such as openclaw/openclaw-gateway-",
            ),
            (
                &[TARGET, ("ANNOUNCE_ROOM", "!ops:test")],
                "ANNOUNCE_ROOM is set, and GATEWAY_LEASES is not: set GATEWAY_LEASES too, or unset \
                 it",
            ),
            (
                &[TARGET, LEASES, ("ANNOUNCE_ROOM", "!side:test")],
                "ANNOUNCE_ROOM is not one of ALLOWED_ROOMS: name the room there, too",
            ),
            (
                &[TARGET, LEASES, ("ANNOUNCE_ROOM", "#ops:test")],
                "ANNOUNCE_ROOM names \"#ops:test\", which is an alias: give the room's id \
                 instead, which begins with ! (in Element: Room settings, Advanced)",
            ),
        ] {
            assert_eq!(read(given, &["!ops:test"]), Err(fault.to_owned()));
        }
    }
}
