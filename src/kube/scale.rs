//! The Scale of a workload, which is the same for every kind
//! (<https://kubernetes.io/docs/reference/kubernetes-api/autoscaling-resources/horizontal-pod-autoscaler-v1/#Scale>).

use serde_json::Value;

use super::node::Node;
use crate::control::progress::Observation;
use crate::json::Shape;

/// The longest selector that is kept, in bytes of JSON text.
const MAX_SELECTOR: usize = 2048;

/// The longest uid and the longest version, in bytes.
pub(super) const MAX_ID: usize = 64;

/// A number, or the name of a kind or version, in bytes of JSON text.
const VALUE: Shape = Shape::Scalar(64);

/// The parts of a Scale that are read.
pub(super) const SCALE: Shape = Shape::Object(&[
    ("apiVersion", VALUE),
    ("kind", VALUE),
    (
        "metadata",
        Shape::Object(&[
            ("uid", Shape::Lenient(MAX_ID + 2)),
            ("resourceVersion", Shape::Lenient(MAX_ID + 2)),
        ]),
    ),
    ("spec", Shape::Object(&[("replicas", VALUE)])),
    (
        "status",
        Shape::Object(&[
            ("replicas", VALUE),
            ("selector", Shape::Lenient(MAX_SELECTOR)),
        ]),
    ),
]);

/// The answer to a change of the number of replicas. No number is negative.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScaleAnswer {
    /// The uid of the workload itself, at most 64 bytes.
    pub uid: String,
    /// The version of the workload after the change, at most 64 bytes. A change that
    /// changed nothing shows the version from before.
    pub resource_version: String,
    /// The number of replicas that it should have now; an admission rule may have changed
    /// what was asked.
    pub replicas: i32,
    /// The number of pods that there were before the change.
    pub current: i32,
    /// The label selector of its pods, for [`Api::pods`](super::Api::pods), at most 2 KiB;
    /// empty if it has none.
    pub selector: String,
}

impl ScaleAnswer {
    /// Reads a Scale; an error says what is wrong with it.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(body).map_err(|fault| fault.to_string())?;
        let scale = Node::new(&value);
        if (scale.at("apiVersion").raw(), scale.at("kind").raw()) != ("autoscaling/v1", "Scale") {
            return Err("no Scale".to_owned());
        }
        let (metadata, status) = (scale.at("metadata"), scale.at("status"));
        Ok(Self {
            uid: metadata.at("uid").text(MAX_ID),
            resource_version: metadata.at("resourceVersion").text(MAX_ID),
            replicas: replicas(scale)?,
            current: status.at("replicas").count().unwrap_or_default(),
            selector: status.at("selector").raw().to_owned(),
        })
    }
}

/// All that can be seen of a workload whose kind is not known.
impl From<ScaleAnswer> for Observation {
    fn from(scale: ScaleAnswer) -> Self {
        Self {
            uid: scale.uid,
            is_scale_only: true,
            desired: scale.replicas,
            replicas: scale.current,
            ..Self::default()
        }
    }
}

/// `spec.replicas`. The API server leaves out a zero; what is no number must not pass for
/// one.
pub(super) fn replicas(object: Node<'_>) -> Result<i32, String> {
    let replicas = object.at("spec").at("replicas");
    match replicas.is_present() {
        true => replicas
            .count()
            .ok_or_else(|| "no number of replicas".to_owned()),
        false => Ok(0),
    }
}
