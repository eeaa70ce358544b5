//! One logged-in session: its phases, its requests in flight, the refresh of its tokens,
//! and what the homeserver's refusals mean for it. It knows no command and no store.

mod end;
mod in_flight;
mod phase;
mod refresh;
mod refusal;
mod requests;

pub use end::SessionEnd;
pub use in_flight::InFlight;
pub use phase::{Phase, SyncState};
pub use refresh::{RefreshAction, TokenRefresh};
pub use refusal::{Refusal, refused, with_code};
pub use requests::{Finished, Requests};
