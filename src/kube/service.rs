//! Services: their ports and their cluster IP
//! (<https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/>).

use std::net::IpAddr;

use serde_json::Value;

use super::about::Object;
use super::api::Api;
use super::call::Call;
use super::error::Error;
use super::node::Node;
use super::operation::Act;
use crate::control::{Namespace, ObjectName};
use crate::json::{Many, Shape};

const READ: Act = Act {
    verb: "get",
    resource: "services",
    word: "read",
    noun: "service",
    cure: "check the target's entry",
    is_write: false,
};

/// Bytes kept of a Service.
const MAX_KEPT: usize = 16 * 1024;

/// The application protocol of a port that speaks HTTP/2 without TLS
/// (<https://kubernetes.io/docs/concepts/services-networking/service/#application-protocol>).
const H2C: &str = "kubernetes.io/h2c";

/// A name of a port, a number, an address or a protocol, in bytes of JSON text.
const WORD: Shape = Shape::Lenient(320);

const PORTS: Many = Many {
    what: "port",
    item: Shape::Object(&[("name", WORD), ("port", WORD), ("appProtocol", WORD)]),
    size: 1024,
    count: 64,
};

const SERVICE: Shape = Shape::Object(&[
    ("kind", WORD),
    (
        "spec",
        Shape::Object(&[("clusterIP", WORD), ("ports", Shape::List(&PORTS))]),
    ),
]);

/// A Service as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Service {
    /// Its cluster IP; None if it is headless.
    pub cluster_ip: Option<IpAddr>,
    /// Its ports, at most 64.
    pub ports: Vec<ServicePort>,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServicePort {
    /// Its name; empty if it has none. EndpointSlices use the same name.
    pub name: String,
    /// Its number at the Service.
    pub port: u16,
    /// True if it is declared to speak HTTP/2 without TLS (`appProtocol`).
    pub is_http2: bool,
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
        let path = format!("/api/v1/namespaces/{namespace}/services/{name}");
        let object = Object::named(namespace, name);
        let call = Call::other(&READ, object, path, &SERVICE).keeping(MAX_KEPT);
        let answer = self.api_client.call(&call).await?;
        let service: Result<Value, _> = serde_json::from_slice(&answer.body);
        let service = self.understood(&call, &answer, service)?;
        let service = Node::new(&service);
        let read = match service.at("kind").raw() {
            "Service" => Ok(Service::read(service.at("spec"))),
            _ => Err("no Service"),
        };
        self.understood(&call, &answer, read)
    }
}

/// Returns true if a port of a Service or of its slices says that it speaks HTTP/2.
pub(super) fn is_http2(port: Node<'_>) -> bool {
    port.at("appProtocol").raw() == H2C
}

impl Service {
    fn read(spec: Node<'_>) -> Self {
        let ports = spec.at("ports").items().filter_map(|port| {
            Some(ServicePort {
                name: port.at("name").raw().to_owned(),
                port: port_number(port.at("port"))?,
                is_http2: is_http2(port),
            })
        });
        Self {
            cluster_ip: spec.at("clusterIP").raw().parse().ok(),
            ports: ports.collect(),
        }
    }
}

/// The number of a port; None for what is none.
pub(super) fn port_number(port: Node<'_>) -> Option<u16> {
    let number = u16::try_from(port.number()?).ok();
    number.filter(|&number| number > 0)
}
