//! The decision about a request: a pure function of the request, the configuration and
//! the time.

use std::{collections::BTreeSet, time::Duration};

use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};

use super::{Age, Command, Distrust, Proof, Request, Stage, Unknown};
use crate::util::ClockDifference;

/// The rules for who may ask for something, where and how.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The users who may (`ALLOWED_USERS`).
    pub users: BTreeSet<OwnedUserId>,
    /// The only rooms where they may; `None` for any room (`ALLOWED_ROOMS`).
    pub rooms: Option<BTreeSet<OwnedRoomId>>,
    /// True if requests must be encrypted (`REQUIRE_ENCRYPTION`).
    pub require_encryption: bool,
    /// The age from which a command is not executed (`COMMAND_MAX_AGE`).
    pub max_age: Duration,
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
    /// Returns true if only the age of the request speaks against it.
    pub const fn is_about_time(&self) -> bool {
        matches!(
            self,
            Self::TooLate { .. } | Self::ClocksDiffer { .. } | Self::Interrupted { .. }
        )
    }
}

impl Policy {
    /// Returns true if this user may ask for anything.
    pub fn allows(&self, user: &UserId) -> bool {
        self.users.contains(user)
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
        match request.stage {
            Stage::Received => self.decide_received(request, now),
            Stage::Due { interrupted } => self.decide_due(request, interrupted, now),
        }
    }

    fn decide_received(&self, request: &Request<'_>, now: u64) -> Decision {
        if !self.allows(request.principal) {
            return Decision::Ignore;
        }
        if !self.allows_room(request.room) {
            return Decision::Deny(Denial::RoomNotAllowed);
        }
        match request.proof {
            Proof::Missing(distrust) => return Decision::Deny(Denial::Unproven(distrust)),
            Proof::Unencrypted if self.require_encryption => {
                return Decision::Deny(Denial::EncryptionRequired);
            }
            Proof::Unencrypted | Proof::Encrypted => {}
        }
        if Duration::from_millis(request.overdue_ms) >= self.max_age {
            return Decision::Deny(Denial::Unproven(Distrust::ExpiredSession));
        }
        let command = match Command::parse(request.text) {
            Ok(command) => command,
            Err(unknown) => return Decision::Deny(Denial::UnknownCommand(unknown)),
        };
        match self.too_late(request, command, now) {
            Some(denial) => Decision::Deny(denial),
            None => Decision::Execute(command),
        }
    }

    fn decide_due(&self, request: &Request<'_>, interrupted: bool, now: u64) -> Decision {
        let command = match Command::parse(request.text) {
            Ok(command) => command,
            Err(unknown) => return Decision::Deny(Denial::UnknownCommand(unknown)),
        };
        if let Some(late) = self.too_late(request, command, now) {
            return Decision::Deny(match late {
                Denial::TooLate { command, age } if interrupted => {
                    Denial::Interrupted { command, age }
                }
                late => late,
            });
        }
        let is_allowed = self.allows(request.principal) && self.allows_room(request.room);
        match request.proof {
            Proof::Encrypted if is_allowed => Decision::Execute(command),
            Proof::Unencrypted if is_allowed && !self.require_encryption => {
                Decision::Execute(command)
            }
            Proof::Missing(distrust @ Distrust::OutdatedDeviceList) if is_allowed => {
                Decision::Deny(Denial::Unproven(distrust))
            }
            Proof::Encrypted | Proof::Unencrypted | Proof::Missing(_) => {
                Decision::Deny(Denial::NoLongerAllowed)
            }
        }
    }

    /// The denial of a command that is too old at `now`. The age is the one it was
    /// received with and the time that it has waited since.
    fn too_late(&self, request: &Request<'_>, command: Command, now: u64) -> Option<Denial> {
        let received = Age {
            ms: request.age.ms.max(request.overdue_ms),
            ..request.age
        };
        let waited = now.saturating_sub(request.received_at);
        let age = Duration::from_millis(received.ms.saturating_add(waited));
        let limit_ms = u64::try_from(self.max_age.as_millis()).unwrap_or(u64::MAX);
        if received.ms >= limit_ms
            && let Some(difference) = request.age.is_doubtful(limit_ms)
        {
            return Some(Denial::ClocksDiffer {
                command,
                age,
                difference,
            });
        }
        (age >= self.max_age).then_some(Denial::TooLate { command, age })
    }
}
