//! One target of the file: an object of keys, each read by itself, so that all of its
//! faults are told at once.

use std::collections::BTreeSet;
use std::time::Duration;

use ruma::{OwnedRoomId, OwnedUserId};

use super::checks::Placed;
use super::fields::{self, CONFIRM, DATA, DETAILS};
use super::known::Known;
use super::list::READY_TIMEOUT;
use crate::config::fault::{Flaw, Flaws, quoted};
use crate::config::{cluster, values};
use crate::control::time::{Schedule, Zone};
use crate::control::{Kind, Namespace, StartCount, Target, Workload};
use crate::json::{Content, Located};
use crate::util::nearest;

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

/// A target that is being read.
struct Entry<'a, 'f> {
    /// Its name, or its number where it has none.
    called: String,
    /// That, and the line that it begins in.
    place: String,
    fields: Vec<(String, Located<'a>)>,
    flaws: &'f mut Flaws,
}

/// Reads the target number `number`, counted from 1. What is wrong with it is noted; then
/// what it is has gaps.
pub(super) fn target(
    value: Located<'_>,
    number: usize,
    namespace: &Namespace,
    known: &Known<'_>,
    flaws: &mut Flaws,
) -> Option<Placed> {
    let mut entry = Entry::of(value, number, flaws)?;
    let name = entry.needed("name", fields::name);
    let object = entry.needed("object", fields::object);
    let kind = entry.read("kind", fields::kind);
    let own_namespace = entry.read("namespace", |content| {
        cluster::namespace(&fields::text(content)?)
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
    let confirm = entry.read("confirm", |content| fields::word(content, &CONFIRM));
    let data_is_disposable = entry.read("data", |content| fields::word(content, &DATA));
    let ready_timeout = entry.read("readyTimeout", fields::ready_timeout);
    let full_details = entry.read("details", |content| fields::word(content, &DETAILS));
    let may_harm_itself = entry.read("allowSelfHarm", fields::switch);
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

impl<'a, 'f> Entry<'a, 'f> {
    /// Tells the keys that are known from the rest.
    fn of(value: Located<'a>, number: usize, flaws: &'f mut Flaws) -> Option<Self> {
        let line = value.line();
        let content = value.content();
        let Ok(Content::Map(fields)) = content else {
            let problem = match content {
                Ok(other) => format!("is {}", fields::kind_of(&other)),
                Err(_) => "has a key that is no text".to_owned(),
            };
            flaws.note(Flaw::new(
                format!("has a target number {number} (line {line}) that {problem}"),
                "write { \"name\": …, \"object\": … }",
            ));
            return None;
        };
        let named = fields.iter().find(|(key, _)| key == "name");
        let called = named
            .and_then(|(_, value)| fields::text(value.content().ok()?).ok())
            .map_or_else(|| format!("target {number}"), |name| quoted(&name));
        let mut entry = Self {
            place: format!("{called} (line {line})"),
            called,
            fields: Vec::new(),
            flaws,
        };
        let mut seen = BTreeSet::new();
        for (key, value) in fields {
            let line = value.line();
            if !KEYS.contains(&key.as_str()) {
                let problem = unknown(&key, line, &KEYS);
                entry.flaw(
                    &format!(", which {problem}"),
                    "write keys of docs/targets.schema.json",
                );
            } else if seen.insert(key.clone()) {
                entry.fields.push((key, value));
            } else {
                entry.flaw(
                    &format!(", which has {} a second time in line {line}", quoted(&key)),
                    "keep one of the two",
                );
            }
        }
        Some(entry)
    }

    /// Notes a flaw; `rest` follows what the target is called.
    fn flaw(&mut self, rest: &str, cure: &'static str) {
        let problem = format!("has {}{rest}", self.called);
        self.flaws.note(Flaw::new(problem, cure));
    }

    /// Notes the flaw of a value, as the rest of a sentence about it.
    fn flaw_of(&mut self, key: &str, line: usize, flaw: Flaw) {
        let part = format!("has {}, whose {key} in line {line}", self.called);
        self.flaws.note(flaw.within(&part));
    }

    fn take(&mut self, key: &str) -> Option<Located<'a>> {
        let found = self.fields.iter().find(|(known, _)| known == key)?;
        Some(found.1)
    }

    /// The value of a key: nothing where it had a flaw, else perhaps none.
    fn read<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(Content<'a>) -> Result<T, Flaw>,
    ) -> Option<Option<T>> {
        let Some(value) = self.take(key) else {
            return Some(None);
        };
        let content = value.content().map_err(|_| fields::no_text());
        match content.and_then(parse) {
            Ok(read) => Some(Some(read)),
            Err(flaw) => {
                self.flaw_of(key, value.line(), flaw);
                None
            }
        }
    }

    /// The value of a key that has to be there.
    fn needed<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(Content<'a>) -> Result<T, Flaw>,
    ) -> Option<T> {
        let read = self.read(key, parse)?;
        if read.is_none() {
            let problem = format!("has {}, which has no {key}", self.place);
            self.flaws.note(Flaw::new(
                problem,
                "say of each target its name in the chat, and the object that is scaled",
            ));
        }
        read
    }

    /// The texts of a list, each read by itself.
    fn each<T: Ord>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, Flaw>,
    ) -> Option<Option<BTreeSet<T>>> {
        let Some(items) = self.read(key, fields::list)? else {
            return Some(None);
        };
        let mut found = Some(BTreeSet::new());
        for item in items {
            let content = item.content().map_err(|_| fields::no_text());
            match content.and_then(fields::text).and_then(|text| parse(&text)) {
                Ok(read) => {
                    if let Some(found) = &mut found {
                        found.insert(read);
                    }
                }
                Err(flaw) => {
                    self.flaw_of(key, item.line(), flaw);
                    found = None;
                }
            }
        }
        found.map(Some)
    }

    /// As [`Entry::each`], for a list that may not be empty.
    fn some<T: Ord>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, Flaw>,
    ) -> Option<Option<BTreeSet<T>>> {
        let found = self.each(key, parse)?;
        if found.as_ref().is_some_and(BTreeSet::is_empty) {
            let line = self.take(key).map_or(0, |value| value.line());
            let flaw = Flaw::new(
                "is empty",
                "leave the key out, which does not narrow anything",
            );
            self.flaw_of(key, line, flaw);
            return None;
        }
        Some(found)
    }

    /// The number that a start gives, and the most.
    fn counts(&mut self) -> Option<(StartCount, i32)> {
        let start = self.read("start", fields::start);
        let max = self.read("max", fields::replicas);
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

    fn users(&mut self, known: &Known<'_>) -> Option<Option<BTreeSet<OwnedUserId>>> {
        self.some("users", |text| {
            fields::user(text, &[known.users], "name the user in ALLOWED_USERS too")
        })
    }

    /// An empty list is one: then no viewer sees it.
    fn viewers(&mut self, known: &Known<'_>) -> Option<Option<BTreeSet<OwnedUserId>>> {
        self.each("viewers", |text| {
            let lists = [known.users, known.viewers];
            fields::user(
                text,
                &lists,
                "name the user in VIEWERS or ALLOWED_USERS too",
            )
        })
    }

    fn rooms(&mut self, known: &Known<'_>) -> Option<Option<BTreeSet<OwnedRoomId>>> {
        self.some("rooms", |text| fields::room(text, known.rooms))
    }

    /// The rooms in which it is the default, each of them a room in which it is there.
    fn default_in(
        &mut self,
        rooms: Option<&Option<BTreeSet<OwnedRoomId>>>,
        known: &Known<'_>,
    ) -> Option<BTreeSet<OwnedRoomId>> {
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
        let zone = self.read("timeZone", |content| values::zone(&fields::text(content)?));
        let rules = self.some("schedule", fields::rule)?;
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
        let default_for = self.read("for", fields::span);
        let max_for = self.read("maxFor", fields::span);
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

/// A key that is none, and the one that may have been meant.
pub(super) fn unknown(key: &str, line: usize, known: &[&str]) -> String {
    let mut problem = format!("has an unknown key {} in line {line}", quoted(key));
    if let Some(meant) = nearest(key, known.iter().copied()) {
        problem.push_str(&format!(" (perhaps {meant})"));
    }
    problem
}
