//! The reason why a name has no address, in words: the servers that were asked, and the
//! answer of each.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::IpAddr;

use thiserror::Error;

use super::message::{Family, LookupFault};
use crate::util::shown;

/// Clauses of one sentence; those beyond are counted.
const MAX_CLAUSES: usize = 4;

/// Names in one clause; those beyond are counted.
const MAX_NAMES: usize = 3;

/// A name was not resolved. `Display` is the reason, to stand behind "the name …
/// cannot be resolved: ".
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(transparent)]
pub struct Unresolved(pub(super) Why);

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Why {
    /// No server is asked for such a name
    /// (<https://www.rfc-editor.org/rfc/rfc6761#section-6.4>).
    #[error("by its ending it is the name of nothing")]
    Special,
    /// No message can hold it.
    #[error("it is no name that DNS can hold")]
    NoName,
    /// No server had an address.
    #[error(fmt = show)]
    Asked {
        /// Each name that was asked for; the last one asked for without a search
        /// domain is the name itself.
        tried: Vec<Tried>,
        /// `/etc/resolv.conf` names no server.
        names_no_server: bool,
    },
}

/// One name that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tried {
    pub(super) name: String,
    /// It is the name as it was given.
    pub(super) is_itself: bool,
    pub(super) said: Vec<(Family, Vec<Answered>)>,
}

/// The last word of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) server: IpAddr,
    pub(super) said: LookupFault,
}

/// One answer that a server gave to several questions.
struct Clause<'a> {
    server: IpAddr,
    said: LookupFault,
    /// Names, and the family where it is not both.
    names: Vec<(&'a Tried, Vec<Family>)>,
}

fn show(tried: &[Tried], names_no_server: &bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if *names_no_server {
        f.write_str("/etc/resolv.conf names no name server, and ")?;
    }
    let (mut verdicts, mut told): (Vec<_>, Vec<_>) = clauses(tried)
        .into_iter()
        .partition(|clause| matches!(clause.said, LookupFault::NoName | LookupFault::NoAddress));
    // That a name with a search domain behind it does not exist is nothing to
    // tell; of the name itself it is.
    verdicts.retain(|clause| clause.names.iter().any(|(name, _)| name.is_itself));
    told.append(&mut verdicts);
    for (number, clause) in told.iter().enumerate() {
        if number == MAX_CLAUSES {
            return write!(f, "; and {} more", told.len() - MAX_CLAUSES);
        }
        if number > 0 {
            f.write_str("; ")?;
        }
        clause.show(tried, f)?;
    }
    Ok(())
}

fn clauses(tried: &[Tried]) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = Vec::new();
    for name in tried {
        for (family, answers) in &name.said {
            for Answered { server, said } in answers {
                let known = clauses
                    .iter()
                    .position(|clause| clause.server == *server && clause.said.is_like(*said));
                let at = known.unwrap_or_else(|| {
                    clauses.push(Clause {
                        server: *server,
                        said: *said,
                        names: Vec::new(),
                    });
                    clauses.len() - 1
                });
                let Some(clause) = clauses.get_mut(at) else {
                    continue;
                };
                match clause.names.last_mut() {
                    Some((last, families)) if last.name == name.name => families.push(*family),
                    _ => clause.names.push((name, vec![*family])),
                }
            }
        }
    }
    clauses
}

impl LookupFault {
    fn is_like(self, other: Self) -> bool {
        match (self, other) {
            (Self::Silence(_), Self::Silence(_)) => true,
            (one, other) => one == other,
        }
    }
}

impl Clause<'_> {
    fn show(&self, tried: &[Tried], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self.server;
        match self.said {
            LookupFault::NoName => write!(f, "{server} knows no such name"),
            LookupFault::NoAddress => {
                write!(f, "{server} knows the name, and no address of it")?;
                let mut itself = self.names.iter().filter(|(tried, _)| tried.is_itself);
                itself.try_for_each(|(tried, families)| show_family(tried, families, f))
            }
            LookupFault::Error(code) => {
                write!(f, "{server} answered {}", named(code))?;
                self.show_names(tried, f)
            }
            LookupFault::NotResponsible => {
                write!(f, "{server} answered")?;
                self.show_names(tried, f)?;
                f.write_str(" that it is not responsible, and named nobody who is")
            }
            LookupFault::Malformed => {
                write!(f, "{server} sent an answer that cannot be read")?;
                self.show_names(tried, f)
            }
            LookupFault::Silence(millis) => {
                write!(f, "{server} did not answer")?;
                if self.is_about_all(tried) {
                    let seconds = (millis + 500) / 1000;
                    return write!(
                        f,
                        " within {seconds} s (/etc/resolv.conf names it as name server; network \
                         policies have to let UDP and TCP to its port 53 through)"
                    );
                }
                self.show_names(tried, f)
            }
            LookupFault::Unreachable(io::ErrorKind::ConnectionRefused) => {
                write!(f, "no name server listens at {server}, port 53")
            }
            LookupFault::Unreachable(kind) => {
                write!(f, "the name server {server} cannot be reached: {kind}")
            }
        }
    }

    /// Names the questions, unless they are all of them.
    fn show_names(&self, tried: &[Tried], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_about_all(tried) {
            return Ok(());
        }
        f.write_str(" to ")?;
        for (number, (tried, families)) in self.names.iter().take(MAX_NAMES).enumerate() {
            if number > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{}", shown(&tried.name))?;
            show_family(tried, families, f)?;
        }
        match self.names.len().saturating_sub(MAX_NAMES) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }

    fn is_about_all(&self, tried: &[Tried]) -> bool {
        self.names.len() == tried.len()
            && self
                .names
                .iter()
                .all(|(name, families)| families.len() == name.said.len())
    }
}

/// Names the family of a name that is meant, if not both.
fn show_family(tried: &Tried, families: &[Family], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match families {
        [family, ..] if families.len() < tried.said.len() => write!(f, " ({})", family.record()),
        _ => Ok(()),
    }
}

/// A code of an answer by its name.
fn named(code: u16) -> Cow<'static, str> {
    match code {
        1 => "FORMERR".into(),
        2 => "SERVFAIL".into(),
        4 => "NOTIMP".into(),
        5 => "REFUSED".into(),
        code => format!("with the error code {code}").into(),
    }
}
