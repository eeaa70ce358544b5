//! The decision about a request: a pure function of the request, the configuration and
//! the time.

use std::{collections::BTreeSet, time::Duration};

use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};

use super::{Command, Distrust, Proof, Request, Stage, Unknown};
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
        let accepted = match request.stage {
            Stage::Received if !self.allows(request.principal) => return Decision::Ignore,
            Stage::Received => self.accept(request, now),
            Stage::Due { interrupted } => self.accept_again(request, interrupted, now),
        };
        accepted.map_or_else(Decision::Deny, Decision::Execute)
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
        let is_allowed = self.allows(request.principal) && self.allows_room(request.room);
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
        let command = Command::parse(request.text).map_err(Denial::UnknownCommand)?;
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
        match age < self.max_age {
            true => Ok(command),
            false => Err(Denial::TooLate { command, age }),
        }
    }
}
