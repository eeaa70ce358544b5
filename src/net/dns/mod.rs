//! The addresses of a host's name, as a program with the GNU C library finds them
//! in the same pod, only sooner: `/etc/hosts`, then the name servers and search
//! domains of `/etc/resolv.conf`.
//!
//! The C library that this program is linked with, musl, gives up at the first
//! search domain whose server answers with anything but "no such name", and loses
//! the A answer with the AAAA answer. What it tells of that is one code.
//!
//! Not done: `nsswitch.conf`, mDNS, DNSSEC, EDNS, a cache. A name is resolved once
//! for each connection, and the name server of a cluster has a cache.

mod ask;
mod conf;
mod hosts;
mod message;
mod order;
mod resolver;
mod search;
mod unresolved;

#[cfg(test)]
mod tests;

pub(super) use resolver::Resolver;
pub use unresolved::Unresolved;
