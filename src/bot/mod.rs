//! Who may do what, where, and in which words it is answered; and the loop that
//! joins the homeserver, the store and the cluster.

pub mod command;
pub mod replies;

mod answers;
mod backlog;
mod end;
mod in_flight;
mod invites;
mod operator;
mod outcome;
mod policy;
mod renewal;
mod rollback;
mod said;
mod starts;
pub mod supervisor;
mod takes;
#[cfg(test)]
mod tests;
mod work;

pub use end::SessionEnd;
pub use invites::Verdict;
pub use operator::{Operator, SessionContext};
pub use policy::Policy;
