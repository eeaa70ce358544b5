//! Requests as data: a key, a call, and the context in which the answer is taken in.

use log::warn;
use ruma::{OwnedRoomId, OwnedUserId};

use super::engine::DeviceOwner;
use crate::crypto::Device;
use crate::matrix::client::{Answer, BuildError, Call};

/// A request and the context of its answer.
pub struct OutgoingRequest {
    /// The key that tells requests of one kind apart.
    pub key: RequestKey,
    /// The request.
    pub call: Call,
    /// The context in which the answer is taken in.
    pub about: RequestContext,
}

/// All requests that are due now.
#[derive(Default)]
pub struct Outgoing {
    /// The requests.
    pub requests: Vec<OutgoingRequest>,
    /// More are due as soon as these are begun.
    pub has_more: bool,
    /// The time at which a reply stops waiting for others, by the bot's own clock, in
    /// milliseconds.
    pub patience_ends: Option<u64>,
}

/// Requests with the same key are never under way together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RequestKey {
    /// `/keys/upload`.
    Upload,
    /// `/keys/query`.
    Query(DeviceOwner),
    /// `/keys/claim`.
    Claim(DeviceOwner),
    /// The next step of cross-signing.
    OwnIdentity,
    /// `/rooms/{}/members`.
    Members(OwnedRoomId),
    /// `/rooms/{}/state/m.room.encryption`.
    Encryption(OwnedRoomId),
    /// `/rooms/{}/join`.
    Join(OwnedRoomId),
    /// `/sync` from the beginning, for the invites that stand.
    Invites,
    /// `/rooms/{}/messages`.
    Gap(OwnedRoomId),
    /// The head of a lane of the outbox.
    Lane(String),
    /// `/rooms/{}/receipt`.
    Receipt(OwnedRoomId),
    /// `/rooms/{}/typing`.
    Typing(OwnedRoomId),
}

/// The context in which the answer to a request is taken in.
pub enum RequestContext {
    /// Keys were uploaded.
    Upload {
        /// The identity of the device among them.
        with_device_keys: bool,
        /// The id of the fallback key among them.
        fallback: Option<String>,
    },
    /// These users' devices were asked for, at these generations.
    Query(Vec<(OwnedUserId, i64)>),
    /// These devices' one-time keys were asked for.
    Claim(Vec<Device>),
    /// A step towards the bot's own identity.
    OwnIdentity(CrossSigningStep),
    /// This room's members were asked for, at this generation.
    Members(OwnedRoomId, i64),
    /// This room's encryption was asked for.
    Encryption(OwnedRoomId),
    /// This room was to be joined.
    Join(OwnedRoomId),
    /// All invites that stand were asked for.
    Invites,
    /// The events before this position in this room's timeline were asked for.
    Gap(OwnedRoomId, String),
    /// This row of the outbox was sent, in this lane.
    Outbox(i64, String),
    /// Something was told that nobody waits for.
    Signal,
}

/// One request towards the identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrossSigningStep {
    /// `/keys/device_signing/upload`.
    Upload,
    /// `/keys/signatures/upload`.
    Sign,
    /// Account data of the secret storage.
    Recover,
}

impl RequestContext {
    /// The endpoint that was asked.
    pub fn answer(&self) -> Answer {
        match self {
            Self::Query(_) => Answer::Devices,
            Self::Claim(_) => Answer::OneTimeKeys,
            Self::Members(..) => Answer::Members,
            Self::Gap(..) => Answer::Messages,
            Self::Encryption(_) => Answer::RoomEncryption,
            Self::Invites => Answer::Invites,
            Self::OwnIdentity(CrossSigningStep::Sign) => Answer::Signatures,
            Self::OwnIdentity(CrossSigningStep::Recover) => Answer::AccountData,
            Self::OwnIdentity(CrossSigningStep::Upload)
            | Self::Upload { .. }
            | Self::Join(_)
            | Self::Signal => Answer::Nothing,
            Self::Outbox(..) => Answer::Sent,
        }
    }
}

impl OutgoingRequest {
    /// The request, if its call could be built: what cannot be asked for stops nothing
    /// else.
    pub(super) fn built(
        key: RequestKey,
        call: Result<Call, BuildError>,
        about: RequestContext,
    ) -> Option<Self> {
        let call = call
            .inspect_err(|fault| warn!("{key:?} is not asked for: {fault}"))
            .ok()?;
        Some(Self { key, call, about })
    }
}
