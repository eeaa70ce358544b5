//! JSON files that people write: read value by value, so that all faults are told at once,
//! each with its line.

mod fields;
mod file;
mod kind;
mod object;

#[cfg(feature = "gateway")]
pub(super) use fields::list;
pub(super) use fields::{
    MOST_REPLICAS, kind, kind_of, name, object, ready_timeout, replicas, span, switch, text, word,
};
pub(super) use file::content;
pub(super) use kind::{kind_named, kind_word};
pub(super) use object::{Object, Shape, before, entries, unknown};
