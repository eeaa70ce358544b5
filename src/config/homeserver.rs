//! Where the homeserver is.

use std::fmt;

use ruma::{OwnedServerName, ServerName};

use super::base_url::BaseUrl;
use super::fault::{Flaw, quoted};
use super::habits;

/// Where the homeserver is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Homeserver {
    /// There.
    Url(BaseUrl),
    /// Where the `.well-known` of this server name says, in lower case.
    Name(OwnedServerName),
}

impl Homeserver {
    pub(super) fn parse(text: &str) -> Result<Self, Flaw> {
        habits::homeserver(text)?;
        if text.contains("//") || text.contains('@') {
            return BaseUrl::parse(text).map(Self::Url);
        }
        ServerName::parse(text.to_ascii_lowercase())
            .map(Self::Name)
            .map_err(|_| {
                Flaw::new(
                    format!("is neither a URL nor a server name: {}", quoted(text)),
                    "write an absolute URL such as https://matrix.example.com, or the name that \
                     its users' ids end in, such as example.com",
                )
            })
    }
}

impl fmt::Display for Homeserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => url.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_as_it_is_and_a_name_is_to_be_looked_up() {
        for (given, kept) in [
            ("Example.com", "example.com"),
            ("example.com:8448", "example.com:8448"),
            ("10.0.0.1", "10.0.0.1"),
            ("[::1]:8448", "[::1]:8448"),
        ] {
            assert_eq!(
                Homeserver::parse(given),
                Ok(Homeserver::Name(ServerName::parse(kept).unwrap()))
            );
        }
        let url = Homeserver::parse("https://example.com/").unwrap();
        assert!(matches!(url, Homeserver::Url(_)));
        assert_eq!(url.to_string(), "https://example.com");
    }

    #[test]
    fn what_is_neither_is_refused() {
        for given in ["/matrix", "example.com/matrix", "exa mple.com", "a:b:c"] {
            let fault = Homeserver::parse(given).unwrap_err().of("V").to_string();
            let start = format!("V is neither a URL nor a server name: \"{given}\": ");
            assert!(fault.starts_with(&start), "{fault}");
        }
        assert!(Homeserver::parse("ftp://example.com").is_err());
        let flaw = Homeserver::parse("bot:hunter2@example.com").unwrap_err();
        assert!(!format!("{flaw:?}").contains("hunter2"));
    }
}
