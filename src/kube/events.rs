//! The warnings about an object
//! (<https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/>).

use percent_encoding::utf8_percent_encode;
use serde_json::Value;

use super::api::Api;
use super::call::Call;
use super::error::Error;
use super::node::Node;
use super::object::{MAX_MESSAGE, MAX_WORD, MESSAGE, WORD};
use super::operation::Operation;
use super::pods::{QUERY, milliseconds};
use crate::control::Workload;
use crate::control::progress::EventView;
use crate::json::{Many, Shape};
use crate::util::sorted_by;

/// The most events that are asked for.
const MAX_EVENTS: usize = 50;

/// The most events that are told of.
const MAX_TOLD: usize = 8;

/// Bytes kept of a list of events.
const MAX_KEPT: usize = 32 * 1024;

const EVENTS: Many = Many {
    what: "event",
    item: Shape::Object(&[
        ("reason", WORD),
        ("message", MESSAGE),
        ("count", WORD),
        ("lastTimestamp", WORD),
        ("eventTime", WORD),
        ("series", Shape::Object(&[("count", WORD)])),
    ]),
    size: 3072,
    count: MAX_EVENTS,
};

const EVENT_LIST: Shape = Shape::Object(&[("items", Shape::List(&EVENTS))]);

impl Api {
    /// Reads the warnings about the object with this uid, at most 8, the newest first: a
    /// workload of `target`'s namespace or one of its pods. They live for an hour or so,
    /// so that a missing one proves nothing.
    ///
    /// # Errors
    /// The API server did not show them.
    pub async fn warnings(&self, target: &Workload, uid: &str) -> Result<Vec<EventView>, Error> {
        let selector = format!("involvedObject.uid={uid},type=Warning");
        let path = format!(
            "/api/v1/namespaces/{}/events?fieldSelector={}&limit={MAX_EVENTS}",
            target.namespace,
            utf8_percent_encode(&selector, QUERY)
        );
        let (kind, namespace) = (&target.kind, &target.namespace);
        let call =
            Call::get(Operation::Events, kind, namespace, path, &EVENT_LIST).keeping(MAX_KEPT);
        let answer = self.api_client.call(&call).await?;
        let list: Result<Value, _> = serde_json::from_slice(&answer.body);
        let list = self.understood(&call, &answer, list)?;
        let events: Vec<(u64, EventView)> =
            Node::new(&list).at("items").items().map(event).collect();
        let events = sorted_by(events, |(one, _), (other, _)| other.cmp(one));
        let events = events.into_iter().take(MAX_TOLD).map(|(_, event)| event);
        Ok(events.collect())
    }
}

/// An event and its time. Those that controllers of the newer kind write have their count
/// in a series.
fn event(event: Node<'_>) -> (u64, EventView) {
    let counts = [event.at("count"), event.at("series").at("count")];
    let count = counts.into_iter().filter_map(Node::count).max();
    let times = [event.at("lastTimestamp"), event.at("eventTime")];
    let at = times.into_iter().map(milliseconds).max();
    let view = EventView {
        reason: event.at("reason").text(MAX_WORD),
        message: event.at("message").text(MAX_MESSAGE),
        count: count.unwrap_or_default().max(1),
    };
    (at.unwrap_or_default(), view)
}
