//! The domain, without IO: what can be asked for, of what, by whom, and what came of
//! it. It knows neither Matrix nor HTTP nor SQL. Every door (the chat, the gateway's API and
//! its proxy) makes [`Permissions`](access::Permissions) of whom it has proven to ask, which
//! decide what may be done with a target; what happens is the same [`Outcome`] in all of
//! them, in the words of each.

pub mod access;
mod age;
mod challenge;
mod command;
mod flood;
mod grammar;
#[cfg(test)]
mod grammar_table;
mod journalled;
mod leases;
mod names;
mod outcome;
mod policy;
#[cfg(test)]
mod policy_table;
pub mod progress;
mod request;
mod scope;
mod target;
mod targets;
pub mod time;
mod traces;
mod unknown;
mod verb;
mod workload;

pub use age::Age;
pub use challenge::{Challenge, Challenges, Confirmed};
pub use command::{Command, RestartStep};
pub use flood::{Flood, Flow};
pub use grammar::{Grammar, GrammarFault};
pub use leases::{Leases, LeasesFault};
pub use names::{Namespace, ObjectName};
pub use outcome::Outcome;
pub use policy::{Decision, Denial, Policy};
pub use request::{Distrust, Proof, Request, Stage};
pub use scope::Scope;
pub use target::{NameFault, StartCount, Target, TargetName};
pub use targets::Targets;
pub use traces::Traces;
pub use unknown::Unknown;
pub use verb::Verb;
pub use workload::{Kind, ResourceType, Workload};
