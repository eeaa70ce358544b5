//! All objects of a kind in a namespace, and each change of them: a list, and a watch from
//! its version on, again and again.

use super::api::Api;
#[cfg(feature = "gateway")]
use super::endpoints::EndpointSlice;
use super::follower::{Follower, Found};
use super::lease::Lease;
use super::node::Node;
use crate::control::Namespace;

/// The most objects of a collection; others are as good as absent.
const MAX_OBJECTS: usize = 1000;

/// A change of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CollectionChange<T> {
    /// These are all there are now, at most 1,000.
    All(Vec<T>),
    /// This one is new or has changed.
    Set(T),
    /// The one of this name is gone.
    Gone(String),
    /// What is known may be out of date from now on: the API server does not answer, for this
    /// reason, which is fit to be shown. What follows is `All`.
    Lost(String),
}

/// A collection that is followed for ever, over a connection of its own that takes no place
/// from calls. A failure is tried again after 1 s to 30 s.
pub struct CollectionWatch<T> {
    pub(super) follower: Follower,
    read: fn(Node<'_>) -> Option<T>,
    /// The objects of the pages that have come.
    listed: Vec<T>,
}

impl Api {
    /// Follows the EndpointSlices of a namespace.
    #[cfg(feature = "gateway")]
    pub fn watch_endpoints(&self, namespace: &Namespace) -> CollectionWatch<EndpointSlice> {
        CollectionWatch {
            follower: Follower::new(self, EndpointSlice::collection(namespace)),
            read: EndpointSlice::read,
            listed: Vec::new(),
        }
    }

    /// Follows the Leases of a namespace whose names begin with `prefix`.
    pub fn watch_leases(&self, namespace: &Namespace, prefix: &str) -> CollectionWatch<Lease> {
        CollectionWatch {
            follower: Follower::new(self, Lease::collection(namespace, prefix)),
            read: Lease::read,
            listed: Vec::new(),
        }
    }
}

impl<T> CollectionWatch<T> {
    /// The next change. May be dropped while it waits: nothing is lost by that.
    pub async fn next(&mut self) -> CollectionChange<T> {
        loop {
            match self.follower.next().await {
                Found::Lost(reason) => return CollectionChange::Lost(reason),
                Found::Page {
                    list,
                    is_first,
                    is_last,
                } => {
                    if is_first {
                        self.listed.clear();
                    }
                    let room = MAX_OBJECTS.saturating_sub(self.listed.len());
                    let items = Node::new(&list).at("items").items();
                    let wanted = items.filter(|item| self.follower.wants(*item));
                    self.listed.extend(wanted.filter_map(self.read).take(room));
                    if is_last {
                        return CollectionChange::All(std::mem::take(&mut self.listed));
                    }
                }
                Found::Event { line, is_gone } => {
                    let object = Node::new(&line).at("object");
                    if !self.follower.wants(object) {
                        continue;
                    }
                    if is_gone {
                        let name = object.at("metadata").at("name").raw();
                        return CollectionChange::Gone(name.to_owned());
                    }
                    if let Some(object) = (self.read)(object) {
                        return CollectionChange::Set(object);
                    }
                }
            }
        }
    }
}
