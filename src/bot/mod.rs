//! The process that serves the chat: sessions one after the other, the loop of each, the
//! jobs that outlive them, and the words of replies.

pub mod replies;
pub mod supervisor;

mod announced;
mod announcements;
mod announcer;
mod answers;
mod backlog;
mod chat;
mod denied;
mod due;
mod execute;
mod follow;
mod followed;
mod gateway;
mod handlers;
mod invites;
mod jobs;
mod lease_words;
mod log_once;
mod named;
mod outcome;
mod pending;
mod preflight;
mod receipts;
mod reply_fallback;
mod restart;
mod rollback;
mod schedules;
mod session;
mod session_loop;
mod signals;
mod storage;
#[cfg(test)]
mod tests;
mod timed;
mod timers;
mod traces;
mod words;

pub use chat::{Chat, Door};
pub use jobs::Jobs;
pub use reply_fallback::strip_reply_fallback;
pub use session::{Context, Session};
