//! The repositories of a transaction.

use super::{tables::*, transaction::Transaction};

/// The repositories: one a table, or a group of tables that change together.
impl Transaction<'_> {
    /// Users whose device lists are followed, and how current each list is.
    pub fn device_lists(&self) -> DeviceLists<'_> {
        DeviceLists(self)
    }

    /// Other users' devices, and the tombstones of those that were signed out.
    pub fn devices(&self) -> Devices<'_> {
        Devices(self)
    }

    /// Users' cross-signing identities and their pins.
    pub fn identities(&self) -> Identities<'_> {
        Identities(self)
    }

    /// Megolm sessions that others have shared.
    pub fn inbound_sessions(&self) -> InboundGroupSessions<'_> {
        InboundGroupSessions(self)
    }

    /// The bot's own Megolm sessions, one a room.
    pub fn outbound_sessions(&self) -> OutboundGroupSessions<'_> {
        OutboundGroupSessions(self)
    }

    /// Devices that were given a Megolm session of the bot's, or were told that they will not get it.
    pub fn shares(&self) -> Shares<'_> {
        Shares(self)
    }

    /// Megolm sessions whose owners said that they would not share them.
    pub fn withheld_keys(&self) -> WithheldKeys<'_> {
        WithheldKeys(self)
    }

    /// Olm sessions with others' devices.
    pub fn olm_sessions(&self) -> OlmSessions<'_> {
        OlmSessions(self)
    }

    /// One-time key claims, `m.no_olm` messages and new sessions that are due, by device.
    pub fn olm_peers(&self) -> OlmPeers<'_> {
        OlmPeers(self)
    }

    /// Hashes of the pre-key messages that were decrypted.
    pub fn seen_olm_messages(&self) -> SeenOlmMessages<'_> {
        SeenOlmMessages(self)
    }

    /// Rooms and their encryption.
    pub fn rooms(&self) -> Rooms<'_> {
        Rooms(self)
    }

    /// Rooms' members.
    pub fn members(&self) -> Members<'_> {
        Members(self)
    }

    /// Invites that stand.
    pub fn invites(&self) -> Invites<'_> {
        Invites(self)
    }

    /// Gaps in rooms' timelines.
    pub fn gaps(&self) -> Gaps<'_> {
        Gaps(self)
    }

    /// Events that cannot be classified yet.
    pub fn undecrypted(&self) -> UndecryptedEvents<'_> {
        UndecryptedEvents(self)
    }

    /// Commands from their receipt to their answer.
    pub fn journal(&self) -> Journal<'_> {
        Journal(self)
    }

    /// The newest commands of each target.
    pub fn history(&self) -> History<'_> {
        History(self)
    }

    /// The number of replicas that each target had before it was lowered.
    pub fn previous_replicas(&self) -> PreviousReplicas<'_> {
        PreviousReplicas(self)
    }

    /// Times at which targets are to be stopped.
    pub fn timers(&self) -> Timers<'_> {
        Timers(self)
    }

    /// Changes that were made and are followed until they have come about.
    pub fn followed(&self) -> Followed<'_> {
        Followed(self)
    }

    /// Up to which time the schedule of each target was acted on.
    pub fn schedules(&self) -> Schedules<'_> {
        Schedules(self)
    }

    /// Messages that have to reach a room.
    pub fn replies(&self) -> Replies<'_> {
        Replies(self)
    }

    /// Messages of the bot's that can be edited.
    pub fn anchors(&self) -> Anchors<'_> {
        Anchors(self)
    }

    /// Requests that are sent until the server takes them.
    pub fn outbox(&self) -> Outbox<'_> {
        Outbox(self)
    }

    /// The bot's session on the homeserver.
    pub fn session(&self) -> SessionRow<'_> {
        SessionRow(self)
    }

    /// The Olm account of the device.
    pub fn account(&self) -> AccountRow<'_> {
        AccountRow(self)
    }

    /// The bot's own cross-signing keys.
    pub fn cross_signing(&self) -> CrossSigning<'_> {
        CrossSigning(self)
    }

    /// The bot's own clock.
    pub fn own_clock(&self) -> ClockRow<'_> {
        ClockRow(self)
    }
}
