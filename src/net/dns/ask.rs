//! One question to one server, and the same question to one after the other.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::conf::Conf;
use super::message::{Family, LookupFault, Question, Reply, WireName};
use super::order::unspecified;
use super::search::Outcome;
use super::unresolved::Answered;
use crate::net::stream;
use crate::util::boxed;

/// The resolution of a name ends then; less than the shortest time that a request
/// has, 10 s.
pub(super) const LIMIT: Duration = Duration::from_secs(8);

/// After so long without an answer the next server is asked, or the same again.
/// An answer that comes later is still taken.
const NEXT: Duration = Duration::from_secs(1);

/// The time that a server which cut its answer has to send it whole, by TCP.
const FOR_THE_WHOLE: Duration = Duration::from_secs(2);

/// Datagrams that are passed over before a question is asked anew, from another
/// port: so many guesses has who does not see it, of 65,536 ids.
const MAX_STRANGE: usize = 100;

/// The largest datagram that is read whole, in bytes; without EDNS a server has
/// 512.
const MAX_DATAGRAM: usize = 4 * 1024;

/// The servers of one resolution.
#[derive(Debug)]
pub(super) struct Servers {
    conf: Conf,
    /// One flag a server: it was silent last, and is asked after the others.
    silent: Vec<AtomicBool>,
    /// The time at which the resolution began.
    pub(super) began: Instant,
    /// The server that is asked first.
    first: usize,
}

impl Servers {
    pub(super) fn new(conf: Conf) -> Self {
        let count = conf.servers.len().max(1);
        let first = match conf.rotates {
            true => usize::from(random().unwrap_or_default()) % count,
            false => 0,
        };
        Self {
            silent: conf.servers.iter().map(|_| AtomicBool::default()).collect(),
            conf,
            began: Instant::now(),
            first,
        }
    }

    /// The servers in the order in which a question goes to them.
    fn turns(&self) -> Vec<usize> {
        let count = self.conf.servers.len();
        let order = (0..count).map(|at| (self.first + at) % count);
        let (silent, others): (Vec<_>, Vec<_>) = order.partition(|at| self.is_silent(*at));
        [others, silent].concat().repeat(self.conf.attempts)
    }

    fn is_silent(&self, server: usize) -> bool {
        let flag = self.silent.get(server);
        flag.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    fn note(&self, server: Option<usize>, is_silent: bool) {
        if let Some(flag) = server.and_then(|server| self.silent.get(server)) {
            flag.store(is_silent, Ordering::Relaxed);
        }
    }

    /// Asks one server after the other until one knows the answer, or none is
    /// left, or the time is up.
    pub(super) async fn ask(&self, name: &WireName, family: Family) -> Outcome {
        let mut turns = self.turns().into_iter();
        let mut asking = JoinSet::new();
        let mut failures: Vec<Answered> = Vec::new();
        let mut newest = None;
        let mut due = Instant::now();
        let end = self.began + LIMIT;
        loop {
            if Instant::now() >= due
                && let Some(server) = turns.next()
                && let Some(address) = self.conf.servers.get(server).copied()
            {
                let (name, by_tcp) = (name.clone(), self.conf.by_tcp);
                asking.spawn(boxed(async move {
                    (server, put(address, name, family, by_tcp).await)
                }));
                newest = Some(server);
                due = Instant::now() + NEXT;
            }
            let is_last = turns.len() == 0;
            let until = if is_last { end } else { end.min(due) };
            let (server, reply) = match timeout_at(until, asking.join_next()).await {
                Ok(Some(Ok(answered))) => answered,
                // A task is neither cancelled nor does it panic.
                Ok(Some(Err(_))) => continue,
                Ok(None) if is_last => break,
                Ok(None) => {
                    due = Instant::now();
                    continue;
                }
                Err(_) if Instant::now() >= end => break,
                Err(_) => {
                    self.note(newest, true);
                    continue;
                }
            };
            let said = match reply {
                Ok(addresses) => {
                    self.note(Some(server), false);
                    return Ok(addresses);
                }
                Err(said) => said,
            };
            self.note(Some(server), matches!(said, LookupFault::Unreachable(_)));
            let Some(address) = self.conf.servers.get(server).map(SocketAddr::ip) else {
                continue;
            };
            let answered = Answered {
                server: address,
                said,
            };
            if matches!(said, LookupFault::NoName | LookupFault::NoAddress) {
                return Err(vec![answered]);
            }
            failures.retain(|failure| failure.server != address);
            failures.push(answered);
            if newest == Some(server) {
                due = Instant::now();
            }
        }
        Err(self.last_words(failures))
    }

    /// The last answer of each server, silence included.
    fn last_words(&self, mut said: Vec<Answered>) -> Vec<Answered> {
        let silence = LookupFault::Silence(self.began.elapsed().as_millis());
        for server in self.conf.servers.iter().map(SocketAddr::ip) {
            if !said.iter().any(|answered| answered.server == server) {
                said.push(Answered {
                    server,
                    said: silence,
                });
            }
        }
        said
    }
}

/// A number that nobody can guess.
fn random() -> io::Result<u16> {
    let [one, two, ..] = getrandom::u32()?.to_ne_bytes();
    Ok(u16::from_ne_bytes([one, two]))
}

/// Puts the question to a server, by a new socket and so from a new port: two
/// questions from one are what some routers lose one of.
async fn put(
    server: SocketAddr,
    name: WireName,
    family: Family,
    by_tcp: bool,
) -> Result<Vec<IpAddr>, LookupFault> {
    let question = Question {
        id: random().map_err(fault)?,
        name,
        family,
    };
    if by_tcp {
        return by_stream(server, &question).await.map_err(fault)?.says;
    }
    let reply = by_datagram(server, &question).await.map_err(fault)?;
    if reply.is_cut
        && let Ok(Ok(whole)) = timeout(FOR_THE_WHOLE, by_stream(server, &question)).await
    {
        // What came before the cut is better than nothing.
        return whole.says.or_else(|said| reply.says.map_err(|_| said));
    }
    reply.says
}

fn fault(error: io::Error) -> LookupFault {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => LookupFault::Malformed,
        kind => LookupFault::Unreachable(kind),
    }
}

/// Asks by UDP. The socket is connected: the kernel drops what others send, and
/// says when nobody listens. What is no answer to this question is passed over.
async fn by_datagram(server: SocketAddr, question: &Question) -> io::Result<Reply> {
    let socket = UdpSocket::bind((unspecified(server), 0)).await?;
    socket.connect(server).await?;
    socket.send(&question.message()).await?;
    for _ in 0..MAX_STRANGE {
        let ready = socket.ready(Interest::READABLE | Interest::ERROR).await?;
        if ready.is_error() {
            let error = socket.take_error()?;
            return Err(error.unwrap_or_else(|| io::ErrorKind::ConnectionRefused.into()));
        }
        if let Some(reply) = received(&socket, question)? {
            return Ok(reply);
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

fn received(socket: &UdpSocket, question: &Question) -> io::Result<Option<Reply>> {
    let mut message = [0; MAX_DATAGRAM];
    match socket.try_recv(&mut message) {
        Ok(length) => {
            let read = message.get(..length).unwrap_or_default();
            Ok(question.read(read, length == MAX_DATAGRAM))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asks by TCP: each message has its length, two bytes, in front (RFC 1035,
/// section 4.2.2).
async fn by_stream(server: SocketAddr, question: &Question) -> io::Result<Reply> {
    let stream = TcpStream::connect(server).await?;
    let message = question.message();
    let length = u16::try_from(message.len()).unwrap_or_default();
    let mut bytes = Vec::with_capacity(message.len() + 2);
    bytes.extend(length.to_be_bytes());
    bytes.extend(message);
    stream::write(&stream, &bytes).await?;
    let mut length = [0; 2];
    stream::read(&stream, &mut length).await?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream::read(&stream, &mut message).await?;
    question
        .read(&message, false)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}
