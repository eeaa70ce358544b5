//! Who may do what, where, and in which words it is answered; and the loop that
//! joins the homeserver, the store and the cluster.

pub mod command;
pub mod replies;

mod answers;
mod flight;
mod operator;
mod policy;
mod session;
mod starts;
mod takes;
#[cfg(test)]
mod tests;
mod work;

pub use operator::{End, Operator};
pub use policy::Policy;
pub use session::{Access, SessionError, log_in};
