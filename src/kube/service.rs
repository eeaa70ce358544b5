//! Services: their ports and their cluster IP
//! (<https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/>).

use std::net::IpAddr;

use super::api::Api;
use super::error::Error;
use crate::control::{Namespace, ObjectName};

/// A Service as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Service {
    /// Its cluster IP; None if it is headless.
    pub cluster_ip: Option<IpAddr>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// True if it names pods that are not ready.
    pub publishes_not_ready: bool,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServicePort {
    /// Its name; empty if it has none. EndpointSlices use the same name.
    pub name: String,
    /// Its number at the Service.
    pub port: u16,
    /// `appProtocol`; empty if there is none.
    pub app_protocol: String,
}

impl Api {
    /// Reads a Service.
    ///
    /// # Errors
    /// There is none, or the API server did not show it.
    pub async fn service(
        &self,
        namespace: &Namespace,
        name: &ObjectName,
    ) -> Result<Service, Error> {
        let _ = (namespace, name);
        todo!()
    }
}
