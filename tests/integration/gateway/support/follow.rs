//! The pods of a workload: what a controller and a kubelet would do.

use std::time::Duration;

use serde_json::{Value, json};

use super::serving::Objects;
use super::store::collection;

/// What comes true after the number of replicas of a workload was changed.
#[derive(Clone)]
pub struct Follow {
    pub delay: Duration,
    pub namespace: String,
    pub service: String,
    pub addresses: Vec<String>,
    pub port: u16,
}

impl Follow {
    /// All its addresses are ready, or it has none.
    pub fn set(&self, objects: &mut Objects, are_ready: bool) {
        let addresses = self.addresses.iter().filter(|_| are_ready);
        let pods: Vec<(&str, bool)> = addresses.map(|one| (one.as_str(), true)).collect();
        set_endpoints(objects, &self.namespace, &self.service, self.port, &pods);
    }
}

/// Makes the slice of a Service what it is to be.
pub fn set_endpoints(
    objects: &mut Objects,
    namespace: &str,
    service: &str,
    port: u16,
    pods: &[(&str, bool)],
) {
    let endpoints: Vec<Value> = pods
        .iter()
        .map(|(address, ready)| {
            json!({
                "addresses": [address],
                "conditions": {"ready": ready, "serving": ready, "terminating": false},
            })
        })
        .collect();
    let object = json!({
        "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1", "addressType": "IPv4",
        "metadata": {
            "name": format!("{service}-x7k2p"), "namespace": namespace,
            "labels": {"kubernetes.io/service-name": service},
        },
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": endpoints,
    });
    let of = collection("endpointslices", namespace);
    objects.store.put(&of, object);
}
