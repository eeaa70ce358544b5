//! The client-server API: log in, sync, rooms, send. [`Homeserver`] speaks
//! HTTP; [`Engine`] takes answers into a store transaction and derives from the
//! store what to ask next, without IO of its own.

mod api;
mod clock;
mod content;
mod devices;
mod discovery;
mod discovery_fault;
mod engine;
mod gaps;
mod homeserver;
mod in_clear;
mod judge;
mod kept;
mod key_talk;
mod login;
mod own_faults;
mod own_identity;
mod own_steps;
mod receive;
mod recovery;
mod rooms;
mod sending;
mod start_over;
mod sync;
mod to_device;
mod tokens;
mod trust;
mod turn;
mod wants;

pub use api::{BuildError, Call};
pub use clock::{Age, ClocksDiffer};
pub use content::{InThread, TextMessage, text_message};
pub use devices::{OwnKeysDiffer, Queried};
pub use discovery::{Discovered, Versions, discover, versions};
pub use discovery_fault::{
    BaseUrlFault, DiscoveryError, DiscoveryFault, Hint, Source, VersionsFault,
};
pub use engine::{Commanders, Engine, Error, OwnKeys};
pub use gaps::GAP_DEADLINE_MS;
pub use homeserver::{Fault, Homeserver};
pub use in_clear::ClearWords;
pub use judge::{KEY_GRACE_MS, Message, What};
pub use kept::{Answer, Audience};
pub use login::{
    Flows, LoggedIn, LoginError, LoginInfo, flows_call, is_user, login_call, new_device_id,
    read_flows, read_login,
};
pub use own_steps::OwnStep;
pub use receive::{Invite, Received};
pub use sync::{SYNC_TIMEOUT, SyncBody, sync_call};
pub use tokens::{logout_call, read_refresh, read_whoami, refresh_call, whoami_call};
pub use trust::Authorship;
pub use turn::Turn;
pub use wants::{About, Want, WantKey, Wants, Whose};
