//! The targets: one Deployment, a list of targets, or a file of them.

mod checks;
mod entry;
mod fields;
mod file;
mod known;
mod list;
mod read;
#[cfg(test)]
mod tests;

pub(super) use known::Known;
pub(super) use read::read;
