//! The images that a workload runs.

use serde_json::Value;

use super::api::Api;
use super::call::Call;
use super::error::Error;
use super::node::Node;
use super::operation::Operation;
use crate::control::Workload;
use crate::json::{Many, Shape};

/// Bytes kept of the answer.
const MAX_KEPT: usize = 8 * 1024;

const CONTAINERS: Many = Many {
    what: "container",
    item: Shape::Object(&[("image", Shape::Lenient(512))]),
    size: 640,
    count: 8,
};

const WORKLOAD: Shape = Shape::Object(&[(
    "spec",
    Shape::Object(&[(
        "template",
        Shape::Object(&[(
            "spec",
            Shape::Object(&[("containers", Shape::List(&CONTAINERS))]),
        )]),
    )]),
)]);

impl Api {
    /// Reads the images of a Deployment or StatefulSet, of its first eight containers.
    ///
    /// # Errors
    /// There is none, or the API server did not show it.
    pub async fn images(&self, of: &Workload) -> Result<Vec<String>, Error> {
        let call = Call::of(Operation::Observe, of, "", &WORKLOAD).keeping(MAX_KEPT);
        let answer = self.api_client.call(&call).await?;
        let read: Result<Value, _> = serde_json::from_slice(&answer.body);
        let read = self.understood(&call, &answer, read)?;
        let pod = Node::new(&read).at("spec").at("template").at("spec");
        let images = pod.at("containers").items();
        Ok(images.map(|one| one.at("image").raw().to_owned()).collect())
    }
}
