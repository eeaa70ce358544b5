//! The client-server API over HTTP: discovery, login, tokens, sync, and what is kept
//! of each answer. Knows no keys and no store.

pub(super) mod api;
pub(super) mod clock;
pub(super) mod content;
pub(super) mod discovery;
pub(super) mod discovery_fault;
pub(super) mod homeserver;
pub(super) mod kept;
pub(super) mod login;
pub(super) mod sync;
pub(super) mod tokens;

pub use api::{BuildError, Call};
pub use clock::{Age, ClocksDiffer};
pub use content::{InThread, TextMessage, text_message};
pub use discovery::{Discovered, Versions, discover, versions};
pub use discovery_fault::{
    BaseUrlFault, DiscoveryError, DiscoveryFault, Hint, Source, VersionsFault,
};
pub use homeserver::{Fault, Homeserver};
pub use kept::{Answer, Audience};
pub use login::{
    Flows, LoggedIn, LoginError, LoginInfo, flows_call, is_user, login_call, new_device_id,
    read_flows, read_login,
};
pub use sync::{SYNC_TIMEOUT, SyncBody, sync_call};
pub use tokens::{logout_call, read_refresh, read_whoami, refresh_call, whoami_call};
