//! Matrix: [`client`] speaks the client-server API over HTTP; [`e2ee`] takes its answers
//! into a store transaction and derives from the store what to ask next, without IO.

pub mod client;
pub mod e2ee;
pub mod session;
