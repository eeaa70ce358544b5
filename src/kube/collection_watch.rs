//! All objects of a kind in a namespace, and each change of them: a list, and a watch from
//! its version on, again and again.

use super::api::Api;
use super::endpoints::EndpointSlice;
use super::lease::Lease;
use crate::control::Namespace;

/// A change of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CollectionChange<T> {
    /// These are all there are now.
    All(Vec<T>),
    /// This one is new or has changed.
    Set(T),
    /// The one of this name is gone.
    Gone(String),
    /// What is known may be out of date from now on: the API server does not answer, for this
    /// reason. What follows is `All`.
    Lost(String),
}

/// A collection that is followed for ever.
pub struct CollectionWatch<T> {
    _api: Api,
    _item: std::marker::PhantomData<T>,
}

impl Api {
    /// Follows the EndpointSlices of a namespace.
    pub fn watch_endpoints(&self, namespace: &Namespace) -> CollectionWatch<EndpointSlice> {
        let _ = namespace;
        todo!()
    }

    /// Follows the Leases of a namespace.
    pub fn watch_leases(&self, namespace: &Namespace) -> CollectionWatch<Lease> {
        let _ = namespace;
        todo!()
    }
}

impl<T> CollectionWatch<T> {
    /// The next change. May be dropped while it waits: nothing is lost by that.
    pub async fn next(&mut self) -> CollectionChange<T> {
        todo!()
    }
}
