//! Ids of Matrix users: the bot's account, and those of people.

use std::fmt;

use ruma::{OwnedUserId, UserId};

use super::fault::{Flaw, quoted};

/// The account that the bot logs in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BotUser {
    /// Its localpart: the homeserver knows the rest.
    Localpart(String),
    /// Its full id.
    Full(OwnedUserId),
}

impl BotUser {
    /// As given, which is what the `user` of a login request takes.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Localpart(localpart) => localpart,
            Self::Full(id) => id.as_str(),
        }
    }

    /// The part before the server's name, without `@`.
    pub fn localpart(&self) -> &str {
        match self {
            Self::Localpart(localpart) => localpart,
            Self::Full(id) => id.localpart(),
        }
    }

    /// The full id, if the configuration has it.
    pub fn full(&self) -> Option<&UserId> {
        match self {
            Self::Localpart(_) => None,
            Self::Full(id) => Some(id),
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        const CURE: &str = "write a localpart, such as clawdbot-operator, or a full id, such as \
            @clawdbot-operator:example.com";
        let flaw = || Flaw::new(format!("is not an account: {}", quoted(text)), CURE);
        let read = if text.starts_with('@') {
            user_id(text).map(Self::Full)
        } else {
            // Any server will do, to judge the localpart.
            user_id(&format!("@{text}:localhost")).map(|_| Self::Localpart(text.to_owned()))
        };
        read.ok_or_else(flaw)
    }
}

impl fmt::Display for BotUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A user id that a server could have created, now or [in the past].
///
/// The protocol's own check lets any character but `:` and NUL pass, so that
/// ids which servers once let through stay usable. In a configuration such a
/// character (a space, most often) is a slip, and would be a list entry that
/// matches nobody.
///
/// [in the past]: https://spec.matrix.org/v1.19/appendices/#historical-user-ids
pub(crate) fn user_id(text: &str) -> Option<OwnedUserId> {
    let id = UserId::parse(text).ok()?;
    id.validate_historical().ok()?;
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bot_may_be_given_by_localpart_or_full_id() {
        let short = BotUser::parse("clawdbot-operator").unwrap();
        assert_eq!(short.localpart(), "clawdbot-operator");
        assert_eq!(short.full(), None);

        let full = BotUser::parse("@bot:example.com:8448").unwrap();
        assert_eq!(full.localpart(), "bot");
        assert_eq!(full.full().unwrap(), "@bot:example.com:8448");
        assert_eq!(full.to_string(), "@bot:example.com:8448");
    }

    #[test]
    fn half_an_id_is_no_account() {
        for text in ["@bot", "@:example.com", "bot:example.com", "a bot", "@b:"] {
            let fault = BotUser::parse(text).unwrap_err().of("V").to_string();
            assert!(
                fault.starts_with(&format!("V is not an account: \"{text}\": ")),
                "{fault}"
            );
        }
    }
}
