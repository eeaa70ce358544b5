//! The client-server API over HTTP: discovery, login, tokens, sync, and the shape of
//! each answer. Knows no keys and no store.

mod answer;
mod api;
mod clock;
mod content;
mod discovery;
mod discovery_error;
mod homeserver;
mod html;
mod login;
mod relation;
mod sending;
mod sync;
mod tokens;

pub use answer::Answer;
pub use html::Html;
pub use login::{read_flows, read_login};
pub use sending::read_sent;
pub use sync::SyncBody;
pub use tokens::{read_refresh, read_whoami};

pub(crate) use answer::Audience;
pub(crate) use api::Call;
pub(crate) use discovery::{discover, versions};
pub(crate) use discovery_error::{DiscoveryError, DiscoveryFault, VersionsFault};
pub use homeserver::MAX_SMALL_BODY;
pub(crate) use homeserver::{Fault, Homeserver};
pub(crate) use login::{
    Flows, LoggedIn, LoginError, LoginInfo, flows_call, is_user, login_call, new_device_id,
};
pub(crate) use relation::{InThread, in_thread};
pub(crate) use sync::{SYNC_TIMEOUT, sync_call};
pub(crate) use tokens::{logout_call, refresh, whoami_call};

pub(in crate::matrix) use answer::item_kind;
pub(in crate::matrix) use api::BuildError;
pub(in crate::matrix) use content::{Said, mentions, said};
pub(in crate::matrix) use relation::{
    Relation, is_edit, relate, replace, reply_to, take_relation, thread_of,
};
pub(in crate::matrix) use sending::{receipt_call, typing_call};
pub(in crate::matrix) use sync::{
    DeviceLists, Event, InvitedRoom, JoinedRoom, encode, invites_call,
};
