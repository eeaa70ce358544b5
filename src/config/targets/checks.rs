//! Checks of targets in view of each other, of the bot and of its homeserver.

use ruma::OwnedRoomId;

use crate::config::Homeserver;
use crate::config::cluster::service_of;
use crate::config::document::before;
use crate::config::fault::Flaw;
use crate::control::{Kind, Namespace, Target, TargetName, Workload};
use crate::util::{SortedMap, SortedSet};

/// The most targets there may be.
pub(super) const MAX_TARGETS: usize = 200;

/// A target, and where it was found. What is known of one that has faults is compared all
/// the same, so that all faults are told at once.
pub(super) struct Placed {
    /// Its name, and the line where there is one.
    pub(super) place: String,
    pub(super) name: Option<TargetName>,
    pub(super) workload: Option<Workload>,
    pub(super) default_in: SortedSet<OwnedRoomId>,
    /// True if it is known that the bot depends on it.
    pub(super) may_harm_itself: bool,
    /// All of it, if it has no fault of its own.
    pub(super) target: Option<Target>,
}

/// The objects that must not be switched off, where they are known.
pub(super) struct Vital<'a> {
    /// The Deployment that the bot runs as: its namespace and its name.
    pub(super) own: Option<(Namespace, String)>,
    /// The address of the homeserver.
    pub(super) homeserver: Option<&'a Homeserver>,
}

/// The flaw of so many targets, if they are too many. Those behind are not read.
pub(super) fn too_many(count: usize) -> Option<Flaw> {
    (count > MAX_TARGETS).then(|| {
        Flaw::new(
            format!("has {count} targets"),
            "name at most 200, and run a second bot for the rest",
        )
    })
}

/// The faults of targets that are right by themselves.
pub(super) fn flaws(placed: &[Placed], vital: &Vital<'_>) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    let mut seen = Seen::default();
    for one in placed {
        flaws.extend(seen.take(one));
        flaws.extend(harm(one, vital));
    }
    flaws
}

/// A thing that only one target may have, and the place of the one that has it.
#[derive(Default)]
struct Seen<'a> {
    names: SortedMap<&'a TargetName, &'a str>,
    workloads: SortedMap<&'a Workload, &'a str>,
    rooms: SortedMap<&'a OwnedRoomId, &'a str>,
}

impl<'a> Seen<'a> {
    /// A thing that one before this target has already.
    fn take(&mut self, placed: &'a Placed) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        let place = placed.place.as_str();
        let name = placed.name.as_ref();
        if let Some(first) = name.and_then(|name| before(&mut self.names, name, place)) {
            flaws.push(Flaw::new(
                format!("has {place}, whose name is that of {first}"),
                "give each target a name of its own",
            ));
        }
        if let Some(workload) = &placed.workload
            && let Some(first) = before(&mut self.workloads, workload, place)
        {
            flaws.push(Flaw::new(
                format!("has {place}, whose object is that of {first}: {workload}"),
                "keep one of the two, since what is asked of one would undo the other",
            ));
        }
        for room in &placed.default_in {
            if let Some(first) = before(&mut self.rooms, room, place) {
                flaws.push(Flaw::new(
                    format!("has {place}, which is the default in {room}, as {first} is"),
                    "let each room have one default",
                ));
            }
        }
        flaws
    }
}

/// The reason why to stop this target would be to stop the bot.
fn harm(placed: &Placed, vital: &Vital<'_>) -> Option<Flaw> {
    let place = &placed.place;
    let workload = placed.workload.as_ref()?;
    if vital.own.as_ref().is_some_and(|own| is_own(workload, own)) {
        return Some(Flaw::new(
            format!("has {place}, whose object is the bot's own Deployment: {workload}"),
            "leave it out: a bot that stopped itself could not start itself again",
        ));
    }
    let Homeserver::Url(url) = vital.homeserver? else {
        return None;
    };
    let (name, namespace) = service_of(url.as_str())?;
    let is_homeserver = workload.name.as_str() == name && workload.namespace.as_str() == namespace;
    (is_homeserver && !placed.may_harm_itself).then(|| {
        Flaw::new(
            format!("has {place}, whose object is what MATRIX_HOMESERVER leads to: {workload}"),
            "leave it out, since without its homeserver the bot hears no start; or, where that is \
             known and meant, say \"allowSelfHarm\": true of it in TARGETS_FILE",
        )
    })
}

fn is_own(workload: &Workload, (namespace, name): &(Namespace, String)) -> bool {
    workload.kind == Kind::Deployment
        && workload.namespace == *namespace
        && workload.name.as_str() == name
}
