//! One target of the file.

use std::time::Duration;

use ruma::{OwnedRoomId, OwnedUserId};

use super::checks::Placed;
use super::fields::{self, CONFIRM, DATA, DETAILS};
use super::known::Known;
use super::list::READY_TIMEOUT;
use crate::config::document::{self, Object, Shape, entries};
use crate::config::fault::{Flaw, Flaws, quoted};
use crate::config::{cluster, values};
use crate::control::time::{Schedule, Zone};
use crate::control::{Kind, Namespace, StartCount, Target, Workload};
use crate::json::Located;
use crate::util::SortedSet;

/// All that can be said of a target.
pub(super) const KEYS: [&str; 19] = [
    "name",
    "namespace",
    "kind",
    "object",
    "start",
    "max",
    "users",
    "viewers",
    "rooms",
    "defaultIn",
    "for",
    "maxFor",
    "confirm",
    "data",
    "readyTimeout",
    "details",
    "schedule",
    "timeZone",
    "allowSelfHarm",
];

/// The cure for an empty list.
const NARROWS: &str = "leave the key out, which does not narrow anything";

static SHAPE: Shape = Shape {
    keys: &KEYS,
    unknown: "write keys of docs/targets.schema.json",
    missing: "say of each target its name in the chat, and the object that is scaled",
};

/// Reads the target number `number`, counted from 1. What is wrong with it is noted; then
/// what it is has gaps.
pub(super) fn target(
    value: Located<'_>,
    number: usize,
    namespace: &Namespace,
    known: &Known<'_>,
    flaws: &mut Flaws,
) -> Option<Placed> {
    let mut entry = begun(value, number, flaws)?;
    let name = entry.needed("name", document::name);
    let object = entry.needed("object", document::object);
    let kind = entry.read("kind", document::kind);
    let own_namespace = entry.read("namespace", |content| {
        cluster::namespace(&document::text(content)?)
    });
    let workload = || {
        Some(Workload {
            kind: kind?.unwrap_or(Kind::Deployment),
            namespace: own_namespace?.unwrap_or_else(|| namespace.clone()),
            name: object?,
        })
    };
    let workload = workload();
    let counts = entry.counts();
    let users = entry.users(known);
    let viewers = entry.viewers(known);
    let rooms = entry.rooms(known);
    let default_in = entry.default_in(rooms.as_ref(), known);
    let times = entry.times(known);
    let schedule = entry.schedule(known);
    let confirm = entry.read("confirm", |content| document::word(content, &CONFIRM));
    let data_is_disposable = entry.read("data", |content| document::word(content, &DATA));
    let ready_timeout = entry.read("readyTimeout", document::ready_timeout);
    let full_details = entry.read("details", |content| document::word(content, &DETAILS));
    let may_harm_itself = entry.read("allowSelfHarm", document::switch);
    let place = entry.place;
    let made = || {
        let (start, max) = counts?;
        let (default_for, max_for) = times?;
        Some(Target {
            name: name.clone()?,
            workload: workload.clone()?,
            start,
            max,
            users: users?,
            viewers: viewers?,
            rooms: rooms?,
            default_in: default_in.clone()?,
            default_for,
            max_for,
            schedule: schedule?,
            confirm: confirm?.unwrap_or(false),
            data_is_disposable: data_is_disposable?.unwrap_or(false),
            ready_timeout: ready_timeout?.unwrap_or(READY_TIMEOUT),
            full_details: full_details?.unwrap_or(false),
        })
    };
    let target = made();
    Some(Placed {
        place,
        name,
        workload,
        default_in: default_in.unwrap_or_default(),
        may_harm_itself: may_harm_itself.flatten().unwrap_or(false),
        target,
    })
}

/// The target's object, once it is known to be one.
fn begun<'a, 'f>(
    value: Located<'a>,
    number: usize,
    flaws: &'f mut Flaws,
) -> Option<Object<'a, 'f>> {
    let line = value.line();
    match entries(value) {
        Ok(fields) => {
            let named = fields.iter().find(|(key, _)| key == "name");
            let called = named
                .and_then(|(_, value)| document::text(value.content().ok()?).ok())
                .map_or_else(|| format!("target {number}"), |name| quoted(&name));
            Some(Object::new(fields, called, line, &SHAPE, flaws))
        }
        Err(problem) => {
            flaws.note(Flaw::new(
                format!("has a target number {number} (line {line}) that {problem}"),
                "write { \"name\": …, \"object\": … }",
            ));
            None
        }
    }
}

impl Object<'_, '_> {
    /// The number that a start gives, and the most.
    fn counts(&mut self) -> Option<(StartCount, i32)> {
        let start = self.read("start", fields::start);
        let max = self.read("max", document::replicas);
        let (start, max) = (start?.unwrap_or(StartCount::Replicas(1)), max?);
        let (StartCount::Replicas(count) | StartCount::Previous(count)) = start;
        let max = max.unwrap_or(count);
        if count > max {
            self.flaw(
                &format!(", whose start is {count} and more than its max of {max}"),
                "raise max, or lower start",
            );
            return None;
        }
        Some((start, max))
    }

    fn users(&mut self, known: &Known<'_>) -> Option<Option<SortedSet<OwnedUserId>>> {
        self.some("users", NARROWS, |text| {
            fields::user(text, &[known.users], "name the user in ALLOWED_USERS too")
        })
    }

    /// An empty list is one: then no viewer sees it.
    fn viewers(&mut self, known: &Known<'_>) -> Option<Option<SortedSet<OwnedUserId>>> {
        self.each("viewers", |text| {
            let lists = [known.users, known.viewers];
            fields::user(
                text,
                &lists,
                "name the user in VIEWERS or ALLOWED_USERS too",
            )
        })
    }

    fn rooms(&mut self, known: &Known<'_>) -> Option<Option<SortedSet<OwnedRoomId>>> {
        self.some("rooms", NARROWS, |text| fields::room(text, known.rooms))
    }

    /// The rooms in which it is the default, each of them a room in which it is there.
    fn default_in(
        &mut self,
        rooms: Option<&Option<SortedSet<OwnedRoomId>>>,
        known: &Known<'_>,
    ) -> Option<SortedSet<OwnedRoomId>> {
        let rooms = rooms.and_then(Option::as_ref);
        let found = self.each("defaultIn", |text| {
            let room = fields::room(text, known.rooms)?;
            if rooms.is_some_and(|rooms| !rooms.contains(&room)) {
                return Err(Flaw::new(
                    format!("names {}, which is none of its rooms", quoted(text)),
                    "name the room in the target's rooms too",
                ));
            }
            Ok(room)
        })?;
        Some(found.unwrap_or_default())
    }

    /// The times when it is to be up. A time zone that has no schedule is a slip.
    fn schedule(&mut self, known: &Known<'_>) -> Option<Option<(Schedule, Zone)>> {
        let zone = self.read("timeZone", |content| {
            values::zone(&document::text(content)?)
        });
        let rules = self.some("schedule", NARROWS, fields::rule)?;
        let zone = zone?;
        let Some(rules) = rules else {
            if zone.is_some() {
                self.flaw(
                    ", which has a timeZone and no schedule",
                    "give it a schedule, or leave the zone out: times in commands are those of TZ",
                );
                return None;
            }
            return Some(None);
        };
        let rules: Vec<String> = rules.into_iter().collect();
        let schedule = Schedule::parse(&rules).map_err(|fault| {
            self.flaw(&format!(", whose schedule {fault}"), "write fewer rules");
        });
        Some(Some((
            schedule.ok()?,
            zone.or_else(|| known.zone.cloned())?,
        )))
    }

    /// The time after which it is stopped by itself, and the longest.
    fn times(&mut self, known: &Known<'_>) -> Option<(Option<Duration>, Option<Duration>)> {
        let default_for = self.read("for", document::span);
        let max_for = self.read("maxFor", document::span);
        let (default_for, max_for) = (default_for?, max_for?.or(known.max_for));
        if default_for.is_some_and(|time| max_for.is_some_and(|most| time > most)) {
            self.flaw(
                ", whose for is longer than its maxFor, or than MAX_FOR",
                "lower for, or raise maxFor",
            );
            return None;
        }
        Some((default_for, max_for))
    }
}
