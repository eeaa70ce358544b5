//! A name server on port 53 of one loopback address, by UDP and TCP, that answers
//! each question in the mood that it is told. It knows no more of the protocol
//! than it needs: the question is repeated as it came.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

pub const A: u16 = 1;
pub const AAAA: u16 = 28;

/// The answer to one question.
#[derive(Clone, Debug)]
pub enum Mood {
    /// These addresses; those of the other family are left out.
    Addresses(Vec<&'static str>),
    /// Sixty IPv4 addresses; but for the sixteenth, nobody listens there.
    Sixty,
    /// The name has no such address.
    Empty,
    /// The same, without a word about whether anybody else was asked.
    Bare,
    /// An error.
    Code(u8),
    Silence,
    /// After so many milliseconds.
    Late(u64, Box<Mood>),
    /// By UDP only this much; by TCP the rest.
    Cut(Box<Mood>, Box<Mood>),
    /// An answer that ends in the middle of a record.
    Garbled,
    /// Aliases one after the other, and the addresses of the last one.
    Alias(Vec<&'static str>, Vec<&'static str>),
    /// Lies first: another id, another question, no answer, from elsewhere.
    AmongLies(Box<Mood>),
    /// The error without the question.
    Mute(u8),
    /// The question in other letters.
    Shouted(Box<Mood>),
}

type Rules = dyn Fn(&str, u16) -> Mood + Send + Sync;

/// Starts one that answers until the process ends; by TCP only if `tcp`.
pub fn start(at: IpAddr, tcp: bool, rules: impl Fn(&str, u16) -> Mood + Send + Sync + 'static) {
    let rules: Arc<Rules> = Arc::new(rules);
    let socket = Arc::new(UdpSocket::bind((at, 53)).expect("port 53 is free here"));
    if tcp {
        let listener = TcpListener::bind((at, 53)).expect("port 53 is free here");
        let rules = Arc::clone(&rules);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let rules = Arc::clone(&rules);
                let stream = stream.expect("somebody came");
                thread::spawn(move || talk(stream, &rules));
            }
        });
    }
    thread::spawn(move || {
        let mut query = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut query).expect("a question comes");
            let (query, rules) = (query[..length].to_vec(), Arc::clone(&rules));
            let socket = Arc::clone(&socket);
            thread::spawn(move || {
                if let Mood::AmongLies(_) = asked(&query, &rules) {
                    let other = UdpSocket::bind((at, 0)).expect("another port is free");
                    let lie = message(&query, 0, &[("127.0.0.99", None)], &query[12..]);
                    let _ = other.send_to(&lie, from);
                }
                for answer in answers(&query, &rules, false) {
                    let _ = socket.send_to(&answer, from);
                }
            });
        }
    });
}

/// One question after the other by TCP, until the client has had enough.
fn talk(mut stream: TcpStream, rules: &Arc<Rules>) -> Option<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length).ok()?;
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut query).ok()?;
        for answer in answers(&query, rules, true) {
            let length = u16::try_from(answer.len()).ok()?;
            stream.write_all(&length.to_be_bytes()).ok()?;
            stream.write_all(&answer).ok()?;
        }
    }
}

fn asked(query: &[u8], rules: &Arc<Rules>) -> Mood {
    let (name, kind) = question(query);
    rules(&name, kind)
}

/// The messages that answer a query, one after the other.
fn answers(query: &[u8], rules: &Arc<Rules>, tcp: bool) -> Vec<Vec<u8>> {
    in_mood(query, &asked(query, rules), tcp)
}

fn in_mood(query: &[u8], mood: &Mood, tcp: bool) -> Vec<Vec<u8>> {
    let (_, kind) = question(query);
    let section = &query[12..];
    let fits = |address: &&&str| address.contains(':') == (kind == AAAA);
    let plain = |addresses: &[&'static str]| {
        let records: Vec<_> = addresses
            .iter()
            .filter(fits)
            .map(|to| (*to, None))
            .collect();
        message(query, 0, &records, section)
    };
    match mood {
        Mood::Addresses(addresses) => vec![plain(addresses)],
        Mood::Sixty => {
            let address = |at| match at {
                16 => "127.0.0.1".to_owned(),
                at => format!("127.0.0.{}", 100 + at),
            };
            let all: Vec<_> = (1..=60).map(address).collect();
            let records: Vec<_> = all.iter().map(|to| (to.as_str(), None)).collect();
            vec![message(query, 0, &records, section)]
        }
        Mood::Empty => vec![plain(&[])],
        Mood::Bare => {
            let mut bare = plain(&[]);
            bare[3] = 0;
            vec![bare]
        }
        Mood::Code(code) => vec![message(query, *code, &[], section)],
        Mood::Silence => Vec::new(),
        Mood::Late(millis, mood) => {
            thread::sleep(Duration::from_millis(*millis));
            in_mood(query, mood, tcp)
        }
        Mood::Cut(_, whole) if tcp => in_mood(query, whole, tcp),
        Mood::Cut(part, _) => {
            let mut cut = in_mood(query, part, tcp).remove(0);
            cut[2] |= 2;
            vec![cut]
        }
        Mood::Garbled => {
            let mut whole = plain(&["127.0.0.1", "::1"]);
            whole.truncate(whole.len() - 2);
            vec![whole]
        }
        Mood::Alias(names, addresses) => {
            let mut records: Vec<_> = names.iter().map(|to| ("", Some(*to))).collect();
            records.extend(addresses.iter().filter(fits).map(|to| (*to, None)));
            vec![message(query, 0, &records, section)]
        }
        Mood::AmongLies(mood) => {
            let mut other_id = plain(&["127.0.0.99", "::99"]);
            other_id[0] ^= 1;
            let mut other_name = plain(&["127.0.0.99", "::99"]);
            other_name[13] ^= 1;
            let mut lies = vec![
                other_id,
                other_name,
                query.to_vec(),
                b"x".to_vec(),
                vec![0xff; 600],
            ];
            lies.extend(in_mood(query, mood, tcp));
            lies
        }
        Mood::Mute(code) => {
            let mut mute = message(query, *code, &[], &[]);
            mute[5] = 0;
            vec![mute]
        }
        Mood::Shouted(mood) => {
            let mut query = query.to_vec();
            let end = query.len() - 4;
            query[12..end].make_ascii_uppercase();
            in_mood(&query, mood, tcp)
        }
    }
}

/// The name and the type of a query's question, in lower case.
fn question(query: &[u8]) -> (String, u16) {
    let mut labels = Vec::new();
    let mut at = 12;
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_ascii_lowercase());
        at = end;
    }
    (
        labels.join("."),
        u16::from_be_bytes([query[at + 1], query[at + 2]]),
    )
}

/// An answer with these records: an address of the name so far, or an alias of it,
/// which is the name from then on. In an authority section is who says so.
fn message(query: &[u8], code: u8, records: &[(&str, Option<&str>)], section: &[u8]) -> Vec<u8> {
    let count = u16::try_from(records.len())
        .expect("not so many")
        .to_be_bytes();
    let mut out = vec![
        query[0],
        query[1],
        0x81,
        0x80 | code,
        0,
        1,
        count[0],
        count[1],
        0,
        0,
        0,
        0,
    ];
    out.extend(section);
    // The question's name, by a pointer.
    let mut owner = vec![0xc0, 12];
    for (address, alias) in records {
        out.extend(&owner);
        let data = match (alias, address.parse()) {
            (Some(alias), _) => wire(alias),
            (None, Ok(IpAddr::V4(address))) => address.octets().to_vec(),
            (None, Ok(IpAddr::V6(address))) => address.octets().to_vec(),
            (None, Err(_)) => panic!("no address: {address}"),
        };
        let kind = match (alias, address.contains(':')) {
            (Some(_), _) => 5,
            (None, true) => 28,
            (None, false) => 1,
        };
        out.extend([0, kind, 0, 1, 0, 0, 0, 5]);
        out.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
        out.extend(&data);
        if let Some(alias) = alias {
            owner = wire(&alias.to_ascii_uppercase());
        }
    }
    out
}

fn wire(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.') {
        out.push(u8::try_from(label.len()).expect("short"));
        out.extend(label.bytes());
    }
    out.push(0);
    out
}
