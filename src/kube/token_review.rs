//! Asking the API server whose token this is
//! (<https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/>).

use serde::Serialize;
use serde_json::Value;

use super::about::Object;
use super::api::Api;
use super::call::Call;
use super::error::{Detail, Error};
use super::node::Node;
use super::object::{MAX_MESSAGE, MESSAGE};
use super::operation::Act;
use crate::json::{Many, Shape};
use crate::util::{Secret, wiped_json};

const ACT: Act = Act {
    verb: "create",
    resource: "tokenreviews",
    word: "review",
    noun: "tokens",
    cure: "check that this is a Kubernetes API server",
    is_write: false,
};

const PATH: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

/// The longest name that is kept, in bytes of JSON text: a service account's has at most
/// 337.
const NAME: Shape = Shape::Lenient(512);

/// One was asked for, so that more are a fault.
const AUDIENCES: Many = Many {
    what: "audience",
    item: NAME,
    size: 512,
    count: 4,
};

/// The values of something that has one; a second tells that it has not.
const VALUES: Many = Many {
    what: "value",
    item: NAME,
    size: 512,
    count: 2,
};

const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// The parts of a TokenReview that are read; the token, which it repeats, is not.
const REVIEW: Shape = Shape::Object(&[
    ("kind", Shape::Lenient(64)),
    (
        "status",
        Shape::Object(&[
            ("authenticated", Shape::Lenient(8)),
            ("audiences", Shape::List(&AUDIENCES)),
            ("error", MESSAGE),
            (
                "user",
                Shape::Object(&[
                    ("username", NAME),
                    (
                        "extra",
                        Shape::Object(&[
                            (POD_NAME, Shape::List(&VALUES)),
                            (POD_UID, Shape::List(&VALUES)),
                            (NODE_NAME, Shape::List(&VALUES)),
                            (CREDENTIAL_ID, Shape::List(&VALUES)),
                        ]),
                    ),
                ]),
            ),
        ]),
    ),
]);

/// The answer to whose token this is. All texts are as they were sent, at most 512 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenReview {
    /// `status.authenticated`.
    pub authenticated: bool,
    /// `status.audiences`.
    pub audiences: Vec<String>,
    /// `status.user.username`.
    pub username: String,
    /// `authentication.kubernetes.io/pod-name` of `status.user.extra`, if it has one value.
    pub pod_name: Option<String>,
    /// `…/pod-uid`, if it has one value.
    pub pod_uid: Option<String>,
    /// `…/node-name`, if it has one value.
    pub node_name: Option<String>,
    /// `…/credential-id`, if it has one value.
    pub credential_id: Option<String>,
    /// `status.error`: for the debug log only, since it names audiences.
    pub error: String,
}

/// The question.
#[derive(Serialize)]
struct Question<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    kind: &'static str,
    spec: Spec<'a>,
}

#[derive(Serialize)]
struct Spec<'a> {
    audiences: [&'a str; 1],
    token: &'a str,
}

impl Api {
    /// Asks whose token this is, for one audience, which must not be empty: that would mean
    /// the API server's own.
    ///
    /// # Errors
    /// The API server did not say.
    pub async fn review_token(&self, token: &Secret, audience: &str) -> Result<TokenReview, Error> {
        let question = wiped_json(&Question {
            api_version: "authentication.k8s.io/v1",
            kind: "TokenReview",
            spec: Spec {
                audiences: [audience],
                token: token.expose(),
            },
        });
        // It cannot fail: texts have a JSON form.
        let question = question.map_err(|fault| Error::Broken {
            identity: self.api_client.identity(),
            detail: Detail::new(&fault.to_string()),
        })?;
        let call =
            Call::other(&ACT, Object::default(), PATH.to_owned(), &REVIEW).confiding(question);
        let answer = self.api_client.call(&call).await?;
        let review: Result<Value, _> = serde_json::from_slice(&answer.body);
        let review = self.understood(&call, &answer, review)?;
        let review = Node::new(&review);
        let read = match review.at("kind").raw() {
            "TokenReview" => Ok(TokenReview::read(review.at("status"))),
            _ => Err("no TokenReview"),
        };
        self.understood(&call, &answer, read)
    }
}

impl TokenReview {
    fn read(status: Node<'_>) -> Self {
        let user = status.at("user");
        let one = |name: &str| {
            let mut values = user.at("extra").at(name).items().map(Node::raw);
            let value = values.next().filter(|value| !value.is_empty())?;
            values.next().is_none().then(|| value.to_owned())
        };
        Self {
            authenticated: status.at("authenticated").is_true(),
            audiences: status
                .at("audiences")
                .items()
                .map(|audience| audience.raw().to_owned())
                .collect(),
            username: user.at("username").raw().to_owned(),
            pod_name: one(POD_NAME),
            pod_uid: one(POD_UID),
            node_name: one(NODE_NAME),
            credential_id: one(CREDENTIAL_ID),
            error: status.at("error").text(MAX_MESSAGE),
        }
    }
}
