//! The rules of resolving names, on values.

mod conf;
mod message;
mod search;
mod sentences;
