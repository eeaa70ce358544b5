//! The words that people get. Those the Python program has too are the same to
//! the letter, since people and scripts know them.

use crate::control::Outcome;
use crate::crypto::WithheldCode;
use crate::util::{ClockDifference, name, unlinked};

/// Longest echo in bytes, lobster included. An event holds 64 KiB of
/// ciphertext, which escaping and Base64 can make eight times as long as its
/// text; an echo too long for an event would never leave the outbox.
const MAX_ECHO_BYTES: usize = 4096;

/// The answer to `help`.
pub const HELP: &str = "\
Clawdbot Operator commands:
  start / on  — Scale deployment to 1 replica
  stop / off  — Scale deployment to 0 replicas
  status      — Show deployment status
  help        — Show this message";

/// To somebody whose message could not be decrypted.
const UNDECRYPTABLE: &str = "I could not decrypt your message. This may happen after a \
    restart. Please send your command again.";

/// To somebody who wrote in plain text where messages are encrypted.
pub const PLAINTEXT_REFUSED: &str = "This room is encrypted, so I only take encrypted commands: \
    please send it again from a client with encryption on.";

/// To somebody whose message came from a device that is not in their list.
pub const UNKNOWN_DEVICE: &str = "Your message came from a device that is not in your account's \
    list, so I did not run it: please send it from one of your own sessions.";

/// To somebody whose message came after a newer one of the same device, under
/// another session.
pub const OLDER_SESSION: &str = "I ignored an older message of yours, because it reached me after \
    a newer one: please send it again if you still want it. If I say so every time, make your \
    client use a new key (in Element, write /discardsession in this room).";

/// To somebody whose client goes on with a session that is done with.
pub const SPENT_SESSION: &str = "Your message was encrypted with a key that your client should \
    have replaced by now, so I did not run it: please make your client use a new key (in Element, \
    write /discardsession in this room; elsewhere, let somebody leave the room and come back), and \
    send it again.";

/// To somebody whose message came from a session of theirs that was signed out.
pub const SIGNED_OUT_DEVICE: &str = "Your message came from a session that was signed out, so I \
    did not run your command: please log in anew on that device, verify the new session, and send \
    it again. If you did not sign it out, ask my operator, to whom \"openclaw-k8s-toggle-operator \
    identities list\" shows it.";

/// To somebody whose server could not be asked for their devices for too long.
pub const OUTDATED_LIST: &str = "I have not been able to ask your homeserver for your devices for \
    more than an hour, so I did not run your command: please send it again when your homeserver \
    can be reached, and tell its administrator if it stays so.";

/// To somebody who wrote in a room that the configuration leaves out.
pub const ROOM_REFUSED: &str = "I do not take commands in this room: please use one of the rooms \
    that my operator has named (ALLOWED_ROOMS).";

/// To somebody who wrote in a room without encryption where that is not enough.
pub const ENCRYPTION_REQUIRED: &str = "I only take commands in encrypted rooms: please switch on \
    encryption in this room's settings, or write to me in an encrypted one.";

/// To a room in which a gap of the timeline could not be read back to its end.
pub const MISSED: &str = "Some messages in this room did not reach me, so I did not run what they \
    may have asked for: please send your command again if I have not answered it.";

/// To somebody who was allowed to command when their command came, and is not
/// any more.
pub const NO_LONGER_ALLOWED: &str = "You may no longer give me commands, so I did not run it.";

/// To somebody who asks for more than can be done.
pub const TOO_MUCH: &str = "I have more commands than I can answer, so I take no more for now: \
    please wait for my answers, and send again what you still want.";

/// The commands, and under them what the bot can be known by.
pub fn help(fingerprints: &[String]) -> String {
    with_fingerprints(HELP, fingerprints)
}

/// A list of commands, with what the bot can be known by.
pub fn with_fingerprints(help: &str, fingerprints: &[String]) -> String {
    match fingerprints {
        [] => help.to_owned(),
        lines => format!("{help}\n\nKnow me by:\n  {}", lines.join("\n  ")),
    }
}

/// To somebody whose message could not be decrypted, with the reason that was
/// given for keeping the key back, if there was one.
///
/// That reason comes in clear, so it may be the word of whoever carries messages:
/// each cure is harmless, or worth doing, where the reason is a lie.
pub fn undecryptable(code: Option<WithheldCode>) -> String {
    let Some(code) = code else {
        return UNDECRYPTABLE.to_owned();
    };
    let (claim, cure) = match code {
        WithheldCode::Blacklisted => (
            "my session is blocked in it",
            "See in your client whether that is so. Before you unblock me, compare the \
             fingerprint it shows for my session with the one in my answer to \"help\" or in my \
             log; block me where they differ.",
        ),
        WithheldCode::Unverified => (
            "my session is not verified",
            "Compare the fingerprint it shows for my session with the one in my answer to \
             \"help\" or in my log, and verify me only if they are the same; then send it again.",
        ),
        WithheldCode::Unauthorised => (
            "I may not have it",
            "Ask my operator whether I may read this room.",
        ),
        WithheldCode::Unavailable => ("it has not got it itself", "Send your command again."),
        WithheldCode::NoOlm => (
            "it found no secure way to my session",
            "I open a new one: send your command again.",
        ),
    };
    format!(
        "I could not decrypt your message. A notice says that your client kept its key back \
         ({}: {claim}); it is not encrypted, so a server may have made it up. {cure}",
        code.as_str()
    )
}

/// To somebody whose device their own identity has not signed. That they sent
/// the message is what such a device cannot prove.
pub fn unverified_device(device: &str) -> String {
    let whose = match name(device) {
        Some(device) => format!("Your session {device}"),
        None => "One of your sessions".to_owned(),
    };
    format!(
        "{whose} is not verified by your own identity, so I did not run your command. If it is \
         yours, verify it from another of your sessions (in Element: Settings, Sessions, Verify \
         session), and send it again; if you do not know it, sign it out."
    )
}

/// To somebody whose identity is not the one that is pinned for them.
pub fn identity_changed(user: &str) -> String {
    format!(
        "Your cryptographic identity is not the one I know you by, so I take no commands from you. \
         If you have reset it yourself, ask my operator to pin the new one: in PINNED_IDENTITIES, \
         or by \"openclaw-k8s-toggle-operator identities forget {user}\"."
    )
}

/// The message itself behind a lobster; a very long one is cut at 4 KiB.
pub fn echo(body: &str) -> String {
    let mut echo = format!("🦞 {body}");
    if echo.len() > MAX_ECHO_BYTES {
        let cut = '…';
        echo.truncate(echo.floor_char_boundary(MAX_ECHO_BYTES - cut.len_utf8()));
        echo.push(cut);
    }
    echo
}

/// The answer to a command that was executed; `fingerprints` are what the bot can be
/// known by.
pub fn done(outcome: &Outcome, fingerprints: &[String]) -> String {
    match outcome {
        Outcome::Scaled { replicas } => {
            let state = if *replicas > 0 { "on" } else { "off" };
            format!("Deployment is now {state}  (replicas: {replicas})")
        }
        Outcome::Status {
            desired,
            ready,
            available,
        } => {
            let state = match (*desired > 0, *ready > 0) {
                (true, true) => "running",
                (true, false) => "starting",
                (false, _) => "off",
            };
            format!(
                "Deployment is {state}\n  \
                 Desired replicas : {desired}\n  \
                 Ready            : {ready}\n  \
                 Available        : {available}"
            )
        }
        Outcome::Help => help(fingerprints),
    }
}

/// The answer to a command that failed, told in a sentence.
pub fn failure(sentence: &str) -> String {
    format!("Error: {sentence}")
}

/// To a text that is no command, without its links and mentions. The caller
/// bounds it ([`crate::control::Unknown`]).
pub fn unknown(text: &str) -> String {
    format!("Unknown command: {}\n\n{HELP}", unlinked(text))
}

/// To a command that arrived this many seconds after it was sent, and so was
/// not run. Shown in the largest of seconds, minutes and hours that gives at
/// least two, rounded down.
pub fn too_late(command: &str, seconds: u64) -> String {
    let late = lasting(seconds);
    format!(
        "Your command \"{command}\" reached me {late} late, so I did not run it: please send it \
         again if you still want it."
    )
}

/// So many seconds, as people say it.
fn lasting(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

/// To a command of which the clocks do not tell how old it is.
pub fn clocks_differ(command: &str, apart: ClockDifference) -> String {
    format!(
        "I cannot tell how old your command \"{command}\" is, so I did not run it: my homeserver's \
         clock is {} my own. Please have both set (by NTP), and send it again.",
        self::apart(apart)
    )
}

/// By how much, and in which direction, a homeserver's clock is apart.
pub fn apart(apart: ClockDifference) -> String {
    let direction = match apart.server_is_ahead {
        true => "ahead of",
        false => "behind",
    };
    format!("{} {direction}", lasting(apart.ms / 1000))
}

/// To a command that was under way when the program ended, and is too old to be
/// run again: nobody knows whether it was done.
pub fn interrupted(command: &str) -> String {
    format!(
        "I was interrupted while running your command \"{command}\" and may or may not have \
         finished it: please write \"status\" to see."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_echo_repeats_the_message_as_it_is() {
        assert_eq!(echo("Start "), "🦞 Start ");
        assert_eq!(echo("a\nb"), "🦞 a\nb");
    }

    #[test]
    fn a_long_echo_is_cut_on_a_character() {
        let longest = "x".repeat(MAX_ECHO_BYTES - "🦞 ".len());
        assert_eq!(echo(&longest), format!("🦞 {longest}"));
        for extra in ["", "x", "xx", "xxx"] {
            let cut = echo(&format!("{extra}{}", "🦞".repeat(MAX_ECHO_BYTES)));
            assert!(cut.len() <= MAX_ECHO_BYTES && cut.len() > MAX_ECHO_BYTES - 4);
            assert!(cut.ends_with("🦞…"));
        }
    }

    fn status(desired: i32, ready: i32, available: i32) -> String {
        let status = Outcome::Status {
            desired,
            ready,
            available,
        };
        done(&status, &[])
    }

    #[test]
    fn scaling() {
        let scaled = |replicas| done(&Outcome::Scaled { replicas }, &[]);
        assert_eq!(scaled(1), "Deployment is now on  (replicas: 1)");
        assert_eq!(scaled(0), "Deployment is now off  (replicas: 0)");
    }

    #[test]
    fn the_three_states() {
        assert_eq!(
            status(1, 1, 1),
            "Deployment is running\n  Desired replicas : 1\n  Ready            : 1\n  \
             Available        : 1"
        );
        assert_eq!(
            status(2, 0, 0),
            "Deployment is starting\n  Desired replicas : 2\n  Ready            : 0\n  \
             Available        : 0"
        );
        assert_eq!(
            status(0, 1, 1),
            "Deployment is off\n  Desired replicas : 0\n  Ready            : 1\n  \
             Available        : 1"
        );
    }

    #[test]
    fn help_lists_the_commands() {
        assert_eq!(
            HELP,
            "Clawdbot Operator commands:\n  start / on  \u{2014} Scale deployment to 1 replica\n  \
             stop / off  \u{2014} Scale deployment to 0 replicas\n  status      \u{2014} Show \
             deployment status\n  help        \u{2014} Show this message"
        );
    }

    #[test]
    fn an_unknown_command_gets_the_help_too() {
        assert_eq!(
            unknown("Dance"),
            format!("Unknown command: Dance\n\n{HELP}")
        );
    }

    #[test]
    fn fixed_sentences() {
        assert_eq!(
            undecryptable(None),
            "I could not decrypt your message. This may happen after a restart. Please send your command again."
        );
        assert_eq!(
            PLAINTEXT_REFUSED,
            "This room is encrypted, so I only take encrypted commands: please send it again from a client with encryption on."
        );
    }

    /// A guard that is lowered once stays so; what asks for it may be a lie.
    #[test]
    fn nobody_is_told_to_lower_their_guard() {
        let mut all = vec![
            UNDECRYPTABLE.to_owned(),
            unverified_device("D"),
            identity_changed("@a:b"),
        ];
        all.extend([PLAINTEXT_REFUSED, UNKNOWN_DEVICE, ROOM_REFUSED, HELP].map(str::to_owned));
        all.extend([ENCRYPTION_REQUIRED, NO_LONGER_ALLOWED].map(str::to_owned));
        all.extend(WithheldCode::ALL.map(|code| undecryptable(Some(code))));
        for sentence in all {
            for lower in [
                "let your client",
                "unverified devices",
                "disable",
                "turn off",
            ] {
                assert!(!sentence.contains(lower), "{sentence}");
            }
            // To verify or to unblock somebody is advised to who has compared.
            let asks = ["verify me", "unblock", "Verify", "verify it"];
            if asks.iter().any(|ask| sentence.contains(ask)) {
                let is_safe = sentence.contains("ompare the fingerprint")
                    || sentence.contains("If it is yours");
                assert!(is_safe, "{sentence}");
            }
        }
    }

    #[test]
    fn lateness_in_a_fitting_unit() {
        assert_eq!(
            too_late("start", 119),
            "Your command \"start\" reached me 119 s late, so I did not run it: please send it again if you still want it."
        );
        for (seconds, shown) in [
            (120, " 2 min late"),
            (7199, " 119 min late"),
            (7200, " 2 h late"),
        ] {
            assert!(too_late("stop", seconds).contains(shown));
        }
    }

    #[test]
    fn clocks_that_are_apart_are_told_with_the_direction() {
        let apart = |ms, server_is_ahead| {
            clocks_differ(
                "start",
                ClockDifference {
                    ms,
                    server_is_ahead,
                },
            )
        };
        assert_eq!(
            apart(300_000, false),
            "I cannot tell how old your command \"start\" is, so I did not run it: my homeserver's clock is 5 min behind my own. Please have both set (by NTP), and send it again."
        );
        assert!(apart(119_900, true).contains("clock is 119 s ahead of my own."));
    }

    #[test]
    fn failures_begin_with_error() {
        assert_eq!(failure("it broke."), "Error: it broke.");
    }
}
