//! From a host's name to the addresses to connect to.

use std::fs::File;
use std::future::Future;
use std::io::{BufReader, Read};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::vec;

use hyper_util::client::legacy::connect::dns::Name;
use tokio::task::JoinSet;
use tokio::time::timeout_at;
use tower_service::Service;

use super::ask::Servers;
use super::conf::Conf;
use super::message::{Family, WireName};
use super::search::{Search, Step};
use super::unresolved::{Tried, Unresolved, Why};
use super::{hosts, order};
use crate::util::{boxed, shown};

/// Bytes that are read of `resolv.conf`.
const MAX_CONF: u64 = 64 * 1024;

/// Resolves names. The files are read each time: a kubelet changes them, and a
/// name is resolved once for each connection.
#[derive(Clone)]
pub(in crate::net) struct Resolver;

/// The addresses of a host, in the order in which they are to be tried, with
/// port 0: at least one, at most 32.
async fn resolve(host: &str) -> Result<Vec<SocketAddr>, Unresolved> {
    if let Ok(address) = host.parse() {
        return Ok(vec![SocketAddr::new(address, 0)]);
    }
    let local = File::open("/etc/hosts").map(BufReader::new);
    let local = local.map_or_else(|_| Vec::new(), |file| hosts::addresses(file, host));
    if !local.is_empty() {
        return Ok(order::sorted(local));
    }
    match hosts::special(host) {
        Some(none) if none.is_empty() => Err(Unresolved(Why::Special)),
        Some(own) => Ok(order::sorted(own)),
        None => Ok(order::sorted(look_up(conf(), host).await?)),
    }
}

/// The system's configuration.
fn conf() -> Conf {
    let text = read("/etc/resolv.conf");
    let own = read("/proc/sys/kernel/hostname");
    Conf::parse(&text, own.trim(), |interface| {
        let is_plain = !interface.contains('/') && !interface.starts_with('.');
        let number = read(&format!("/sys/class/net/{interface}/ifindex"));
        number.trim().parse().ok().filter(|_| is_plain)
    })
}

fn read(path: &str) -> String {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_CONF).read_to_end(&mut text));
    match read {
        Ok(_) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => String::new(),
    }
}

/// Asks the name servers.
async fn look_up(conf: Conf, host: &str) -> Result<Vec<IpAddr>, Unresolved> {
    let itself = host.strip_suffix('.').unwrap_or(host);
    // With a search domain behind it a name can be too long while it is not.
    let names: Vec<(String, WireName)> = conf
        .candidates(host)
        .into_iter()
        .filter_map(|name| WireName::parse(&name).map(|wire| (name, wire)))
        .collect();
    if names.is_empty() {
        return Err(Unresolved(Why::NoName));
    }
    let families: &[Family] = match conf.no_aaaa {
        true => &[Family::V4],
        false => &[Family::V4, Family::V6],
    };
    let names_no_server = conf.names_no_server;
    let patience = conf.timeout * u32::try_from(conf.attempts).unwrap_or(1);
    let servers = Arc::new(Servers::new(conf));
    let began = servers.began;
    let mut search = Search::new(names.len(), families, patience);
    let mut asking = JoinSet::new();
    loop {
        let wait = match search.step(began.elapsed()) {
            Step::Ask(numbers) => {
                for number in numbers {
                    let Some((_, name)) = names.get(number) else {
                        continue;
                    };
                    for family in families.iter().copied() {
                        let (servers, name) = (Arc::clone(&servers), name.clone());
                        asking.spawn(boxed(async move {
                            (number, family, servers.ask(&name, family).await)
                        }));
                    }
                }
                continue;
            }
            Step::Wait(until) => until,
            Step::Take(number) => {
                let addresses = search.into_addresses(number);
                let name = names.get(number).map_or(host, |(name, _)| name.as_str());
                log::debug!(
                    "{host} is {}, {} addresses, found in {} ms",
                    shown(name),
                    addresses.len(),
                    began.elapsed().as_millis()
                );
                return Ok(addresses);
            }
            Step::GiveUp => break,
        };
        let ended = match wait {
            Some(until) => timeout_at(began + until, asking.join_next()).await,
            None => Ok(asking.join_next().await),
        };
        match ended {
            Ok(Some(Ok((number, family, outcome)))) => {
                search.answered(number, family, outcome, began.elapsed());
            }
            // A task is neither cancelled nor does it panic.
            Ok(Some(Err(_))) | Err(_) => {}
            Ok(None) => break,
        }
    }
    let tried = names.into_iter().zip(search.into_failures());
    let tried = tried.map(|((name, _), said)| Tried {
        is_itself: name == itself,
        name,
        said,
    });
    Err(Unresolved(Why::Asked {
        tried: tried.collect(),
        names_no_server,
    }))
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = Unresolved;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Unresolved>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move { Ok(resolve(name.as_str()).await?.into_iter()) })
    }
}
