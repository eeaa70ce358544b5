//! The domain, without IO: what can be asked for, of what, by whom, and what came of
//! it. It knows neither Matrix nor HTTP nor SQL; every door (the chat, later HTTP)
//! asks the same [`Policy`] and turns the same [`Outcome`] into its own words.

#[cfg(feature = "gateway")]
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
pub use scope::{Scope, Seen};
pub use target::{NameFault, StartCount, Target, TargetName};
pub use targets::Targets;
pub use traces::Traces;
pub use unknown::Unknown;
pub use verb::Verb;
pub use workload::{Kind, ResourceType, Workload};
