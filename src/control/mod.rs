//! The domain, without IO: what can be asked for, of what, by whom, and what came of
//! it. It knows neither Matrix nor HTTP nor SQL; every door (the chat, later HTTP)
//! asks the same [`Policy`] and turns the same [`Outcome`] into its own words.

mod age;
mod command;
mod outcome;
mod policy;
#[cfg(test)]
mod policy_table;
mod request;
mod target;

pub use age::Age;
pub use command::{Command, Unknown};
pub use outcome::Outcome;
pub use policy::{Decision, Denial, Policy};
pub use request::{Distrust, Proof, Request, Stage};
pub use target::{DeploymentName, Namespace, Target};
