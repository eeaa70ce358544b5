//! The client-server API over HTTP: discovery, login, tokens, sync, and the shape of
//! each answer. Knows no keys and no store.

mod answer;
mod api;
mod clock;
mod content;
mod discovery;
mod discovery_error;
mod homeserver;
mod login;
mod sync;
mod tokens;

pub use answer::{Answer, Audience};
pub use api::{BuildError, Call};
pub use content::{InThread, in_thread};
pub use discovery::{Discovered, Versions, discover, versions};
pub use discovery_error::{
    BaseUrlFault, BaseUrlOrigin, DiscoveryError, DiscoveryFault, Hint, VersionsFault,
};
pub use homeserver::{Fault, Homeserver};
pub use login::{
    Flows, LoggedIn, LoginError, LoginInfo, flows_call, is_user, login_call, new_device_id,
    read_flows, read_login,
};
pub use sync::{SYNC_TIMEOUT, SyncBody, sync_call};
pub use tokens::{logout_call, read_refresh, read_whoami, refresh_call, whoami_call};

pub(in crate::matrix) use answer::item_kind;
pub(in crate::matrix) use content::{
    cleartext_relation_is_plain, relate, take_relation, text_message, thread_of,
};
pub(in crate::matrix) use sync::{
    DeviceLists, Event, InvitedRoom, JoinedRoom, encode, invites_call,
};
