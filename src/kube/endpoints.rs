//! EndpointSlices: which pods of a Service can be reached
//! (<https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/>).

use std::net::IpAddr;

/// An EndpointSlice as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndpointSlice {
    /// Its name.
    pub name: String,
    /// The Service that it belongs to (`kubernetes.io/service-name`).
    pub service: String,
    /// Its ports.
    pub ports: Vec<SlicePort>,
    /// Its endpoints.
    pub endpoints: Vec<SliceEndpoint>,
}

/// A port of an EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SlicePort {
    /// Its name; empty if it has none.
    pub name: String,
    /// Its number at the pods.
    pub port: u16,
}

/// An endpoint of an EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SliceEndpoint {
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// `conditions.ready`, which is true where it is left out.
    pub ready: bool,
    /// `conditions.terminating`.
    pub terminating: bool,
}
