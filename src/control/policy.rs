//! The decision about a request: a pure function of the request, the configuration and
//! the time.

use std::sync::Arc;
use std::time::Duration;

use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};

use super::access::{Action, Actions, Permissions};
use super::{
    Command, Distrust, Grammar, GrammarFault, Kind, Proof, Request, Scope, Stage, Target,
    TargetName, Targets, Unknown, time::Zone,
};
use crate::util::{ClockDifference, SortedSet};

/// The actions of somebody who may look at a target.
const LOOK: [Action; 2] = [Action::List, Action::Status];

/// The actions of somebody who may switch it, beside those.
const SWITCH: [Action; 3] = [Action::Start, Action::Stop, Action::Scale];

/// The rules for who may ask for something in a room, where and how.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The users who may (`ALLOWED_USERS`).
    pub users: SortedSet<OwnedUserId>,
    /// The users who may look and change nothing (`VIEWERS`).
    pub viewers: SortedSet<OwnedUserId>,
    /// The only rooms where they may; `None` for any room (`ALLOWED_ROOMS`).
    pub rooms: Option<SortedSet<OwnedRoomId>>,
    /// True if requests must be encrypted (`REQUIRE_ENCRYPTION`).
    pub require_encryption: bool,
    /// The age from which a command is not executed (`COMMAND_MAX_AGE`).
    pub max_age: Duration,
    /// All that can be switched.
    pub targets: Targets,
    /// The zone in which times of day are meant (`TZ`).
    pub zone: Zone,
    /// The longest time that anything may be asked to run for (`MAX_FOR`).
    pub max_for: Option<Duration>,
    /// True if a gateway wakes targets and puts them to sleep (`GATEWAY_LEASES`).
    pub has_gateway: bool,
}

/// The decision about a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing, and nobody is told: the principal may not ask for anything.
    Ignore,
    /// It is not executed, and the principal is told why.
    Deny(Denial),
    /// It is executed.
    Execute(Command),
    /// It is executed once its principal has confirmed it.
    Ask(Command),
}

/// Reason why a request is not executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// The configuration leaves the room out.
    RoomNotAllowed,
    /// The room is not encrypted, and the configuration asks for that.
    EncryptionRequired,
    /// It is not proven that the principal wrote it, or that it is new.
    Unproven(Distrust),
    /// The text is no command.
    UnknownCommand(Unknown),
    /// The text is no command of the grammar in which targets have names.
    NotUnderstood(GrammarFault),
    /// It is older than [`Policy::max_age`].
    TooLate {
        /// The command that was asked for.
        command: Command,
        /// Its age.
        age: Duration,
    },
    /// It may be older than [`Policy::max_age`]: the clocks are too far apart to tell.
    ClocksDiffer {
        /// The command that was asked for.
        command: Command,
        /// Its age, if the homeserver's clock is right.
        age: Duration,
        /// The difference between the clocks.
        difference: ClockDifference,
    },
    /// An earlier process may have executed it, and it is too old to be executed again.
    Interrupted {
        /// The command that was asked for.
        command: Command,
        /// Its age.
        age: Duration,
    },
    /// The principal, the room or the device was allowed when the request came, and is
    /// no longer.
    NoLongerAllowed,
}

impl Denial {
    /// A word for it, for the audit log.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::RoomNotAllowed => "room not allowed",
            Self::EncryptionRequired => "encryption required",
            Self::Unproven(_) => "unproven",
            Self::UnknownCommand(_) => "unknown command",
            Self::NotUnderstood(GrammarFault::NoSuchTarget { .. }) => "no such target",
            Self::NotUnderstood(GrammarFault::MayOnlyLook { .. }) => "may only look",
            Self::NotUnderstood(GrammarFault::NoGateway { .. }) => "no gateway",
            Self::NotUnderstood(_) => "not understood",
            Self::TooLate { .. } => "too late",
            Self::ClocksDiffer { .. } => "clocks differ",
            Self::Interrupted { .. } => "interrupted",
            Self::NoLongerAllowed => "no longer allowed",
        }
    }

    /// Returns true if only the age of the request speaks against it.
    pub const fn is_about_time(&self) -> bool {
        matches!(
            self,
            Self::TooLate { .. } | Self::ClocksDiffer { .. } | Self::Interrupted { .. }
        )
    }
}

impl Policy {
    /// Returns true if this user may change something.
    pub fn allows(&self, user: &UserId) -> bool {
        self.users.contains(user)
    }

    /// Returns true if this user may ask for anything.
    pub fn hears(&self, user: &UserId) -> bool {
        self.allows(user) || self.viewers.contains(user)
    }

    /// The targets that this user sees in this room; none where targets have no names.
    pub fn scope<'a>(&'a self, user: &UserId, room: &'a RoomId) -> Scope<'a> {
        let targets = self.named_targets();
        let given = targets.iter().map(|target| {
            let actions = self.actions(user, room, target);
            (target.name.clone(), actions)
        });
        let permissions = Permissions::by_name(Arc::new(given.collect()));
        Scope::new(room, targets, permissions)
    }

    fn named_targets(&self) -> &[Target] {
        match &self.targets {
            Targets::Reference(_) => &[],
            Targets::Named(targets) => targets,
        }
    }

    /// The rights that this user has on a target in this room.
    fn actions(&self, user: &UserId, room: &RoomId, target: &Target) -> Actions {
        let is_listed = |users: &SortedSet<OwnedUserId>| users.contains(user);
        let may_switch = self.allows(user) && target.users.as_ref().is_none_or(is_listed);
        let may_look = match &target.viewers {
            Some(listed) => listed.contains(user) && self.hears(user),
            None => self.viewers.contains(user),
        };
        match target.is_in(room) {
            true if may_switch => LOOK.into_iter().chain(SWITCH).collect(),
            true if may_look => LOOK.into_iter().collect(),
            _ => Actions::NONE,
        }
    }

    /// Returns true if the principal has to confirm a command: what loses data, what is
    /// about several targets, and what the configuration says.
    pub fn must_confirm(&self, command: &Command) -> bool {
        let Targets::Named(targets) = &self.targets else {
            return false;
        };
        let is_risky = |name: &TargetName| {
            let target = targets.iter().find(|target| target.name == *name);
            target.is_some_and(|target| {
                let loses_data =
                    target.data_is_disposable && target.workload.kind == Kind::StatefulSet;
                target.confirm || loses_data
            })
        };
        match command {
            // What interrupts is asked back when it is known that it does.
            Command::Restart { target, .. } => targets
                .iter()
                .any(|known| known.name == *target && known.confirm),
            Command::Stop { targets, .. } => targets.len() > 1 || targets.iter().any(is_risky),
            Command::Scale { target, .. } => is_risky(target),
            _ => false,
        }
    }

    /// Returns true if requests are taken from this room.
    pub fn allows_room(&self, room: &RoomId) -> bool {
        let listed = self.rooms.as_ref();
        listed.is_none_or(|rooms| rooms.contains(room))
    }

    /// Decides about a request at `now`, by this process's own clock in milliseconds.
    ///
    /// A request is decided on twice: when it is received, and when its turn has come.
    /// The process may have been away in between, and started again with another
    /// configuration.
    pub fn decide(&self, request: &Request<'_>, now: u64) -> Decision {
        let accepted = match request.stage {
            Stage::Received if !self.hears(request.principal) => return Decision::Ignore,
            Stage::Received => self.accept(request, now),
            Stage::Due { interrupted } => self.accept_again(request, interrupted, now),
        };
        match accepted {
            Err(denial) => Decision::Deny(denial),
            Ok(command) if request.stage == Stage::Received && self.must_confirm(&command) => {
                Decision::Ask(command)
            }
            Ok(command) => Decision::Execute(command),
        }
    }

    fn accept(&self, request: &Request<'_>, now: u64) -> Result<Command, Denial> {
        if !self.allows_room(request.room) {
            return Err(Denial::RoomNotAllowed);
        }
        match request.proof {
            Proof::Missing(distrust) => return Err(Denial::Unproven(distrust)),
            Proof::Unencrypted if self.require_encryption => {
                return Err(Denial::EncryptionRequired);
            }
            Proof::Unencrypted | Proof::Encrypted => {}
        }
        if Duration::from_millis(request.overdue_ms) >= self.max_age {
            return Err(Denial::Unproven(Distrust::ExpiredSession));
        }
        self.command_in_time(request, now)
    }

    fn accept_again(
        &self,
        request: &Request<'_>,
        interrupted: bool,
        now: u64,
    ) -> Result<Command, Denial> {
        let in_time = self.command_in_time(request, now);
        let command = in_time.map_err(|denial| match denial {
            Denial::TooLate { command, age } if interrupted => Denial::Interrupted { command, age },
            denial => denial,
        })?;
        let is_allowed = self.hears(request.principal)
            && self.allows_room(request.room)
            && self.is_still_there(request, &command);
        match request.proof {
            _ if !is_allowed => Err(Denial::NoLongerAllowed),
            Proof::Encrypted => Ok(command),
            Proof::Unencrypted if !self.require_encryption => Ok(command),
            Proof::Missing(distrust @ Distrust::OutdatedDeviceList) => {
                Err(Denial::Unproven(distrust))
            }
            Proof::Unencrypted | Proof::Missing(_) => Err(Denial::NoLongerAllowed),
        }
    }

    /// The command of a request, unless it is too old at `now`. The age is the one it was
    /// received with and the time that it has waited since.
    fn command_in_time(&self, request: &Request<'_>, now: u64) -> Result<Command, Denial> {
        let command = self.command(request)?;
        let received_ms = request.age.ms.max(request.overdue_ms);
        let waited = now.saturating_sub(request.received_at);
        let age = Duration::from_millis(received_ms.saturating_add(waited));
        let limit_ms = u64::try_from(self.max_age.as_millis()).unwrap_or(u64::MAX);
        if received_ms >= limit_ms
            && let Some(difference) = request.age.is_doubtful(limit_ms)
        {
            return Err(Denial::ClocksDiffer {
                command,
                age,
                difference,
            });
        }
        // What was scaled to none for a restart is scaled back, however late.
        match age < self.max_age || command.is_half_done() {
            true => Ok(command),
            false => Err(Denial::TooLate { command, age }),
        }
    }

    /// Reads the text of a request: what a person wrote, or what the journal has.
    fn command(&self, request: &Request<'_>) -> Result<Command, Denial> {
        match (&self.targets, request.stage) {
            (Targets::Reference(_), _) => {
                Command::parse_reference(request.text).map_err(Denial::UnknownCommand)
            }
            (Targets::Named(_), Stage::Received) => {
                let scope = self.scope(request.principal, request.room);
                let grammar = Grammar {
                    scope: &scope,
                    wall_ms: request.wall_ms,
                    zone: &self.zone,
                    max_for: self.max_for,
                    has_gateway: self.has_gateway,
                };
                grammar.parse(request.text).map_err(Denial::NotUnderstood)
            }
            (Targets::Named(_), Stage::Due { .. }) => {
                Command::decode(request.text).ok_or(Denial::NoLongerAllowed)
            }
        }
    }

    /// Returns true if what a journalled command is about is still there for its principal.
    fn is_still_there(&self, request: &Request<'_>, command: &Command) -> bool {
        if matches!(self.targets, Targets::Reference(_)) {
            return self.allows(request.principal);
        }
        let scope = self.scope(request.principal, request.room);
        let action = command.verb().action().unwrap_or(Action::List);
        let mut targets = command.targets().iter();
        targets.all(|name| scope.may(action, name))
    }
}
