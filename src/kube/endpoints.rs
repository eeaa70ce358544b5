//! EndpointSlices: which pods of a Service can be reached
//! (<https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/>).

use std::net::IpAddr;
use std::sync::Arc;

use super::collection::{Collection, LIST_METADATA};
use super::node::Node;
use super::object::{MESSAGE, WORD};
use super::operation::Act;
use super::scale::MAX_ID;
use super::service::{is_http2, port_number};
use crate::control::Namespace;
use crate::json::{Admission, Gate, Many, Shape};

const LIST: Act = Act {
    verb: "list",
    resource: "endpointslices",
    word: "list",
    noun: "the endpoint slices",
    cure: "check the target's entry",
    is_write: false,
};

const WATCH: Act = Act {
    verb: "watch",
    resource: "endpointslices",
    word: "watch",
    noun: "the endpoint slices",
    cure: "check the target's entry",
    is_write: false,
};

/// The most endpoints kept of a slice that can be reached: of 1,000 these will do.
const MAX_READY: usize = 32;

/// The most endpoints kept of a slice that cannot: they only tell that something starts.
const MAX_UNREADY: usize = 8;

/// The slices of a page of a list. Each may be 400 KB.
const MAX_PAGE: usize = 40;

/// Bytes kept of a page, and of one slice.
const MAX_KEPT: usize = 256 * 1024;
const MAX_SLICE: usize = 12 * 1024;

/// An endpoint has one address: others have no meaning.
const ADDRESSES: Many = Many {
    what: "address",
    item: Shape::Lenient(48),
    size: 48,
    count: 1,
};

const ENDPOINTS: Many = Many {
    what: "endpoint",
    item: Shape::Object(&[
        ("addresses", Shape::List(&ADDRESSES)),
        (
            "conditions",
            Shape::Object(&[
                ("ready", Shape::Lenient(8)),
                ("terminating", Shape::Lenient(8)),
            ]),
        ),
    ]),
    size: 256,
    count: MAX_READY + MAX_UNREADY,
};

const PORTS: Many = Many {
    what: "port",
    item: Shape::Object(&[
        ("name", WORD),
        ("port", WORD),
        // Longer ones are none that is looked for.
        ("appProtocol", Shape::Lenient(24)),
    ]),
    size: 256,
    count: 16,
};

/// The parts of a slice that are read; the last three are a Status's.
const SLICE: Shape = Shape::Object(&[
    (
        "metadata",
        Shape::Object(&[
            ("name", Shape::Lenient(256)),
            ("resourceVersion", Shape::Lenient(MAX_ID + 2)),
            (
                "labels",
                Shape::Object(&[("kubernetes.io/service-name", Shape::Lenient(256))]),
            ),
        ]),
    ),
    ("ports", Shape::List(&PORTS)),
    ("endpoints", Shape::List(&ENDPOINTS)),
    ("code", WORD),
    ("reason", WORD),
    ("message", MESSAGE),
]);

const SLICES: Many = Many {
    what: "slice",
    item: SLICE,
    size: MAX_SLICE,
    count: MAX_PAGE,
};

const LIST_SHAPE: Shape =
    Shape::Object(&[("metadata", LIST_METADATA), ("items", Shape::List(&SLICES))]);

const EVENT_SHAPE: Shape = Shape::Object(&[("type", WORD), ("object", SLICE)]);

/// An EndpointSlice as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndpointSlice {
    /// Its name.
    pub name: String,
    /// The Service that it belongs to (`kubernetes.io/service-name`).
    pub service: String,
    /// Its ports, at most 16.
    pub ports: Vec<SlicePort>,
    /// Its endpoints: at most 32 that can be reached, and 8 others.
    pub endpoints: Vec<SliceEndpoint>,
}

/// A port of an EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SlicePort {
    /// Its name; empty if it has none.
    pub name: String,
    /// Its number at the pods.
    pub port: u16,
    /// True if it is declared to speak HTTP/2 without TLS (`appProtocol`).
    pub is_http2: bool,
}

/// An endpoint of an EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SliceEndpoint {
    /// Its address; more than one has no meaning, and none is a host name.
    pub addresses: Vec<IpAddr>,
    /// `conditions.ready`, which is true where it is left out.
    pub ready: bool,
    /// `conditions.terminating`.
    pub terminating: bool,
}

impl EndpointSlice {
    /// Reads a slice; None if it has no name.
    pub(super) fn read(slice: Node<'_>) -> Option<Self> {
        let metadata = slice.at("metadata");
        let name = metadata.at("name").raw();
        let service = metadata.at("labels").at("kubernetes.io/service-name");
        let ports = slice.at("ports").items().filter_map(|port| {
            Some(SlicePort {
                name: port.at("name").raw().to_owned(),
                port: port_number(port.at("port"))?,
                is_http2: is_http2(port),
            })
        });
        (!name.is_empty()).then(|| Self {
            name: name.to_owned(),
            service: service.raw().to_owned(),
            ports: ports.collect(),
            endpoints: slice.at("endpoints").items().map(endpoint).collect(),
        })
    }

    /// The slices of a namespace.
    pub(super) fn collection(namespace: &Namespace) -> Collection {
        Collection {
            path: format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"),
            namespace: namespace.clone(),
            prefix: String::new(),
            list: &LIST,
            watch: &WATCH,
            list_shape: &LIST_SHAPE,
            event_shape: &EVENT_SHAPE,
            item: SLICES.what,
            page: MAX_PAGE,
            kept: MAX_KEPT,
            gates: Arc::new(|| Box::new(Reachable::default())),
        }
    }
}

fn endpoint(endpoint: Node<'_>) -> SliceEndpoint {
    let addresses = endpoint.at("addresses").items();
    let (ready, terminating) = (
        endpoint.at("conditions").at("ready"),
        endpoint.at("conditions").at("terminating"),
    );
    SliceEndpoint {
        addresses: addresses
            .filter_map(|address| address.raw().parse().ok())
            .collect(),
        ready: !ready.is_present() || ready.is_true(),
        terminating: terminating.is_true(),
    }
}

/// Lets in so many endpoints of each slice, so that those that cannot be reached do not take
/// the places of those that can.
#[derive(Default)]
struct Reachable {
    ready: usize,
    unready: usize,
}

impl Gate for Reachable {
    fn admit(&mut self, what: &'static str, _: &[u8], item: &[u8]) -> Admission {
        if what == SLICES.what {
            *self = Self::default();
        }
        if what != ENDPOINTS.what {
            return Admission::Keep;
        }
        let has = |text: &[u8]| item.windows(text.len()).any(|part| part == text);
        let (count, most) = match has(b"\"ready\":false") || has(b"\"terminating\":true") {
            true => (&mut self.unready, MAX_UNREADY),
            false => (&mut self.ready, MAX_READY),
        };
        if *count >= most {
            return Admission::Irrelevant;
        }
        *count += 1;
        Admission::Keep
    }
}
