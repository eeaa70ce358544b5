//! Messages of the Domain Name System, without IO: the question for the
//! addresses of one name, and the parts of an answer that are kept.
//!
//! Specification: <https://www.rfc-editor.org/rfc/rfc1035#section-4> with section 3.1;
//! <https://www.rfc-editor.org/rfc/rfc3596> (AAAA). No EDNS: a
//! server that has more to say than fits cuts its answer and is asked by TCP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest name in bytes, its root included.
const MAX_NAME: usize = 255;

/// The longest label in bytes.
const MAX_LABEL: usize = 63;

/// Addresses that are kept of one answer; a connection tries no more of them in
/// the time that it has.
pub(super) const MAX_ADDRESSES: usize = 16;

/// Aliases that are followed within one answer.
const MAX_ALIASES: usize = 16;

const CLASS_IN: u16 = 1;
const TYPE_CNAME: u16 = 5;

const RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const AUTHORITATIVE: u16 = 0x0400;
const CUT: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const RECURSION_AVAILABLE: u16 = 0x0080;
const RCODE: u16 = 0x000f;

const NOERROR: u16 = 0;
const NXDOMAIN: u16 = 3;

/// The kind of addresses that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    /// A records.
    V4,
    /// AAAA records.
    V6,
}

impl Family {
    const fn code(self) -> u16 {
        match self {
            Self::V4 => 1,
            Self::V6 => 28,
        }
    }

    fn address(self, data: &[u8]) -> Option<IpAddr> {
        match self {
            Self::V4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into()),
            Self::V6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into()),
        }
    }

    /// The name of its record type.
    pub(super) const fn record(self) -> &'static str {
        match self {
            Self::V4 => "A",
            Self::V6 => "AAAA",
        }
    }
}

/// A name as messages have it, uncompressed and in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WireName(Vec<u8>);

impl WireName {
    /// Reads `matrix.example.org`, with or without a dot at its end. None where
    /// that is no name of a message: an empty label, or one that is too long.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let mut wire = Vec::with_capacity(text.len() + 2);
        for label in text.split('.') {
            let length = u8::try_from(label.len()).ok()?;
            if label.is_empty() || label.len() > MAX_LABEL {
                return None;
            }
            wire.push(length);
            wire.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        wire.push(0);
        (wire.len() <= MAX_NAME).then_some(Self(wire))
    }
}

/// The one question of a message.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// Tells its answer from others; chosen by chance, so that nobody who does
    /// not see the question can answer it.
    pub(super) id: u16,
    pub(super) name: WireName,
    pub(super) family: Family,
}

impl Question {
    /// The message that asks it, recursion desired.
    pub(super) fn message(&self) -> Vec<u8> {
        let mut message = Vec::with_capacity(self.name.0.len() + 16);
        for word in [self.id, RECURSION_DESIRED, 1, 0, 0, 0] {
            message.extend(word.to_be_bytes());
        }
        message.extend(&self.name.0);
        for word in [self.family.code(), CLASS_IN] {
            message.extend(word.to_be_bytes());
        }
        message
    }

    /// Reads a message that came in. None if it is no answer to this question,
    /// whoever it is from: another id, another question, no answer at all.
    ///
    /// `is_cut` says that it was longer than what was read of it.
    pub(super) fn read(&self, message: &[u8], is_cut: bool) -> Option<Reply> {
        let mut reader = Reader { message, at: 0 };
        let id = reader.word()?;
        let flags = reader.word()?;
        if id != self.id || flags & RESPONSE == 0 || flags & OPCODE != 0 {
            return None;
        }
        let questions = reader.word()?;
        let answers = reader.word()?;
        let authorities = reader.word()?;
        let additional = reader.word()?;
        let rcode = flags & RCODE;
        match questions {
            1 if reader.is_question(self)? => {}
            // A server that could not read the question does not repeat it.
            0 if rcode != NOERROR => {}
            _ => return None,
        }
        let is_cut = is_cut || flags & CUT != 0;
        let says = match rcode {
            // Points elsewhere, to nobody: a server that is not responsible and
            // does not ask others either. The C library asks the next one, too.
            NOERROR
                if answers == 0
                    && authorities == 0
                    && additional == 0
                    && flags & (AUTHORITATIVE | RECURSION_AVAILABLE | CUT) == 0 =>
            {
                Err(LookupFault::NotResponsible)
            }
            NOERROR => match self.addresses(&reader, answers, is_cut) {
                // What there is may be behind the cut.
                Some(found) if found.is_empty() && !is_cut => Err(LookupFault::NoAddress),
                Some(found) if !found.is_empty() => Ok(found),
                _ => Err(LookupFault::Malformed),
            },
            NXDOMAIN => Err(LookupFault::NoName),
            code => Err(LookupFault::Error(code)),
        };
        Some(Reply { says, is_cut })
    }

    /// The addresses of the name, or of what it is an alias of. None where the
    /// records cannot be read; of an answer that was cut, those before the cut.
    fn addresses(&self, start: &Reader<'_>, answers: u16, is_cut: bool) -> Option<Vec<IpAddr>> {
        let mut wanted = self.name.0.clone();
        for _ in 0..=MAX_ALIASES {
            let mut reader = start.clone();
            let mut found = Vec::new();
            let mut alias = None;
            for _ in 0..answers {
                let Some(record) = reader.record() else {
                    match is_cut {
                        true => break,
                        false => return None,
                    }
                };
                if record.class != CLASS_IN || record.owner != wanted {
                    continue;
                }
                if record.kind == self.family.code() {
                    let address = self.family.address(record.data)?;
                    if found.len() < MAX_ADDRESSES && !found.contains(&address) {
                        found.push(address);
                    }
                } else if record.kind == TYPE_CNAME {
                    alias = Some(record.from.clone().name()?);
                }
            }
            match alias {
                Some(target) if found.is_empty() => wanted = target,
                _ => return Some(found),
            }
        }
        // A ring of aliases, or more of them than anybody needs.
        None
    }
}

/// The parts of an answer that are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// At most 16 addresses, in the server's order.
    pub(super) says: Result<Vec<IpAddr>, LookupFault>,
    /// The server had more to say than the message holds.
    pub(super) is_cut: bool,
}

/// The outcome of a question to a server that is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LookupFault {
    /// NXDOMAIN: there is no such name.
    NoName,
    /// There is such a name, and it has no address of this family.
    NoAddress,
    /// Another code (<https://www.rfc-editor.org/rfc/rfc1035#section-4.1.1>): 2 is SERVFAIL.
    Error(u16),
    /// It knows nothing of the name, and asks nobody who does.
    NotResponsible,
    /// An answer to the question whose records cannot be read.
    Malformed,
    /// Nothing, for so many milliseconds.
    Silence(u128),
    /// There was no way to ask it.
    Unreachable(io::ErrorKind),
}

/// A record of an answer.
struct Record<'a> {
    owner: Vec<u8>,
    kind: u16,
    class: u16,
    data: &'a [u8],
    /// The message from where its data begins.
    from: Reader<'a>,
}

/// Reads a message from its beginning to its end; every read fails beyond it.
#[derive(Clone)]
struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.message.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn word(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// Reads a name, uncompressed and in lower case. A pointer leads to before where
    /// the name (or the piece that it ends) began: none can make a ring.
    fn name(&mut self) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        let mut piece = self.clone();
        let mut began = self.at;
        let mut end_here = None;
        loop {
            let length = piece.byte()?;
            match length {
                0 => break,
                1..=63 => {
                    let label = piece.take(usize::from(length))?;
                    if name.len() + 1 + label.len() >= MAX_NAME {
                        return None;
                    }
                    name.push(length);
                    name.extend(label.iter().map(u8::to_ascii_lowercase));
                }
                0xc0.. => {
                    let low = piece.byte()?;
                    let target = usize::from(u16::from_be_bytes([length & 0x3f, low]));
                    if target >= began {
                        return None;
                    }
                    end_here.get_or_insert(piece.at);
                    began = target;
                    piece.at = target;
                }
                _ => return None,
            }
        }
        name.push(0);
        self.at = end_here.unwrap_or(piece.at);
        Some(name)
    }

    fn is_question(&mut self, question: &Question) -> Option<bool> {
        let name = self.name()?;
        let (kind, class) = (self.word()?, self.word()?);
        Some(name == question.name.0 && kind == question.family.code() && class == CLASS_IN)
    }

    fn record(&mut self) -> Option<Record<'a>> {
        let owner = self.name()?;
        let (kind, class) = (self.word()?, self.word()?);
        let _seconds_to_live = self.take(4)?;
        let length = usize::from(self.word()?);
        Some(Record {
            owner,
            kind,
            class,
            from: self.clone(),
            data: self.take(length)?,
        })
    }
}
