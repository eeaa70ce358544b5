//! Messages that are not executed: the words for it, the metric, and the log of what came.

use log::{info, warn};

use super::{replies, words};
use crate::{
    control::{Denial, Distrust, GrammarFault, Verb},
    crypto::WithheldCode,
    matrix::e2ee::{Message, MessageKind},
    store::JournalEntry,
    telemetry::{CommandOutcome, MetricEvent},
    util::shown,
};

/// The answer to a request that is denied. `kind` is the message it came as; None for
/// one from the journal.
pub(super) fn denial_words(
    denial: &Denial,
    entry: &JournalEntry,
    kind: Option<&MessageKind>,
) -> String {
    match denial {
        Denial::RoomNotAllowed => replies::ROOM_REFUSED.to_owned(),
        Denial::EncryptionRequired => replies::ENCRYPTION_REQUIRED.to_owned(),
        Denial::Unproven(distrust) => unproven(*distrust, entry, kind),
        Denial::UnknownCommand(text) => replies::unknown(text.as_str()),
        Denial::NotUnderstood(fault) => words::not_understood(fault),
        Denial::TooLate { command, age } => replies::too_late(&command.in_words(), age.as_secs()),
        Denial::ClocksDiffer {
            command,
            difference,
            ..
        } => replies::clocks_differ(&command.in_words(), *difference),
        Denial::Interrupted { command, .. } => replies::interrupted(&command.in_words()),
        Denial::NoLongerAllowed => replies::NO_LONGER_ALLOWED.to_owned(),
    }
}

fn unproven(distrust: Distrust, entry: &JournalEntry, kind: Option<&MessageKind>) -> String {
    match (distrust, kind) {
        (Distrust::UnencryptedInEncryptedRoom, _) => replies::PLAINTEXT_REFUSED.to_owned(),
        (Distrust::Undecryptable, Some(MessageKind::Undecryptable(code))) => {
            replies::undecryptable(*code)
        }
        (Distrust::Undecryptable, _) => replies::undecryptable(None),
        (Distrust::UnknownDevice, _) => replies::UNKNOWN_DEVICE.to_owned(),
        (Distrust::SignedOutDevice, _) => replies::SIGNED_OUT_DEVICE.to_owned(),
        (Distrust::UnverifiedDevice, Some(MessageKind::UnverifiedDevice(device))) => {
            replies::unverified_device(device.as_str())
        }
        (Distrust::UnverifiedDevice, _) => replies::unverified_device(""),
        (Distrust::OutdatedDeviceList, _) => replies::OUTDATED_LIST.to_owned(),
        (Distrust::IdentityChanged, _) => replies::identity_changed(entry.sender.as_str()),
        (Distrust::OlderSession, _) => replies::OLDER_SESSION.to_owned(),
        (Distrust::ExpiredSession, _) => replies::SPENT_SESSION.to_owned(),
    }
}

/// Logs a denial that the receipt does not tell.
pub(super) fn log_denial(denial: &Denial, entry: &JournalEntry) {
    let (payload, sender) = (&entry.payload, &entry.sender);
    match denial {
        Denial::TooLate { age, .. } | Denial::Interrupted { age, .. } => {
            warn!(
                "{payload:?} of {sender} is {} s old: not run",
                age.as_secs()
            );
        }
        Denial::ClocksDiffer {
            age, difference, ..
        } => warn!(
            "{payload:?} of {sender} is {} s old, if the homeserver's clock is right, which is {}: \
             not run; set both clocks by NTP",
            age.as_secs(),
            replies::apart(*difference)
        ),
        Denial::RoomNotAllowed
        | Denial::EncryptionRequired
        | Denial::Unproven(_)
        | Denial::UnknownCommand(_)
        | Denial::NotUnderstood(_)
        | Denial::NoLongerAllowed => {}
    }
}

/// The metric for a request of this text that is denied; the text is empty where it could
/// not be read.
pub(super) fn denied(denial: &Denial, text: &str) -> MetricEvent {
    let outcome = match denial {
        Denial::UnknownCommand(_) | Denial::NotUnderstood(GrammarFault::NoCommand { .. }) => {
            CommandOutcome::Unknown
        }
        denial if denial.is_about_time() => CommandOutcome::Late,
        _ => CommandOutcome::Refused,
    };
    let verb = text.split_whitespace().next().and_then(Verb::of_word);
    let verb = match denial {
        Denial::UnknownCommand(_) => None,
        _ => verb,
    };
    MetricEvent::Command(verb, outcome)
}

/// Logs who asked for what where; never the text.
pub(super) fn log_receipt(message: &Message, command: &str) {
    let (event_id, room) = (shown(&message.event_id), shown(&message.room));
    let sender = &message.sender;
    let fault = match &message.kind {
        MessageKind::Text { device, .. } => {
            let how = match device {
                Some(_) => "encrypted",
                None => "in clear",
            };
            let what = match command {
                "" => "a message that is no command",
                command => command,
            };
            info!("{sender} in {room}: {what} ({how}, {event_id})");
            return;
        }
        MessageKind::TooLong { .. } => "too long to be a command",
        MessageKind::Edited { .. } => "an edit of an earlier message",
        MessageKind::InClear => "in clear in an encrypted room",
        MessageKind::Undecryptable(code) => {
            let why = code.map_or("its key has not come", WithheldCode::as_str);
            &format!("cannot be decrypted, {why}")
        }
        MessageKind::UnverifiedDevice(device) => &format!(
            "from {}, which their identity has not signed",
            shown(device)
        ),
        MessageKind::IdentityChanged => "their identity is not the pinned one",
        MessageKind::UnknownDevice => "from a device that is not in their list",
        MessageKind::OlderSession => "under an older session than one before",
        MessageKind::SpentSession => "under a session that is done with",
        MessageKind::SignedOutDevice(device) => {
            &format!("from {}, which was signed out", shown(device))
        }
        MessageKind::OutdatedList => "their devices could not be asked for, for too long",
    };
    warn!("{sender} in {room}: {fault} ({event_id})");
}
