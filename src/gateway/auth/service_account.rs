//! Tokens of service accounts, which the API server knows
//! (<https://kubernetes.io/docs/reference/access-authn-authz/authentication/#service-account-tokens>).

use std::fmt;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::control::access::{Pod, ServiceAccountName};
use crate::kube::{self, Api, TokenReview};
use crate::util::Secret;

/// The most questions to the API server at once.
pub(super) const MAX_REVIEWS: usize = 5;

/// The longest time that a request waits for the answer, its turn included.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest name of a namespace or of an object.
const MAX_NAME_BYTES: usize = 253;

/// The prefix of the user name of a service account.
pub(super) const PREFIX: &str = "system:serviceaccount:";

/// Asks the API server whose token it is, a few at a time.
pub(super) struct Reviewer {
    server: Server,
    turns: Semaphore,
}

/// The one that a reviewer asks.
pub(super) enum Server {
    /// The API server.
    Api(Api),
    /// A test.
    #[cfg(test)]
    Test(TestServer),
}

#[cfg(test)]
pub(super) type TestServer = Box<dyn Fn(&str, &str) -> Option<TokenReview> + Send + Sync>;

/// The API server did not say whose token it is.
#[derive(Debug)]
pub(super) enum ReviewError {
    /// It gave another answer, or none.
    Server(kube::Error),
    /// It took too long, or too many others wait.
    Late,
}

impl fmt::Display for ReviewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(error) => error.detail().fmt(f),
            Self::Late => write!(f, "no answer within {} s", PATIENCE.as_secs()),
        }
    }
}

impl Reviewer {
    pub(super) fn new(server: Server) -> Self {
        Self {
            server,
            turns: Semaphore::new(MAX_REVIEWS),
        }
    }

    /// Asks about one token.
    ///
    /// # Errors
    /// There is no answer.
    pub(super) async fn review(
        &self,
        token: &Secret,
        audience: &str,
    ) -> Result<TokenReview, ReviewError> {
        let answer = timeout(PATIENCE, async {
            // It is never closed.
            let _turn = self.turns.acquire().await.map_err(|_| ReviewError::Late)?;
            self.server.ask(token, audience).await
        });
        answer.await.unwrap_or(Err(ReviewError::Late))
    }
}

impl Server {
    async fn ask(&self, token: &Secret, audience: &str) -> Result<TokenReview, ReviewError> {
        match self {
            Self::Api(api) => {
                let review = api.review_token(token, audience).await;
                review.map_err(ReviewError::Server)
            }
            #[cfg(test)]
            Self::Test(answer) => {
                // As long as a real one takes, about.
                tokio::time::sleep(Duration::from_millis(2)).await;
                answer(token.expose(), audience).ok_or(ReviewError::Late)
            }
        }
    }
}

/// Somebody whom the API server knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reviewed {
    /// The service account.
    pub(super) account: ServiceAccountName,
    /// The pod that the token is bound to.
    pub(super) pod: Option<Pod>,
}

/// Judges an answer of the API server about a token for `audience`, which has so many
/// audiences in all.
///
/// # Errors
/// It is not taken, for this reason.
pub(super) fn judge(
    review: &TokenReview,
    audience: &str,
    audiences: usize,
    allows_unbound: impl FnOnce(&ServiceAccountName) -> bool,
) -> Result<Reviewed, &'static str> {
    // It names audiences, and is for nobody here.
    let is_good = review.error.is_empty() && review.authenticated;
    require(is_good, "not accepted by the API server")?;
    // An API server that knows no audiences would take any token.
    let is_ours = review.audiences.iter().any(|of| of == audience);
    require(is_ours, "not accepted for this audience")?;
    // Whoever receives a token for two can use it at the other one.
    require(audiences == 1, "more than one audience")?;
    let account = account(&review.username).ok_or("no service account")?;
    let pod = match (&review.pod_name, &review.pod_uid) {
        (Some(name), Some(uid)) if !name.is_empty() && !uid.is_empty() => Some(Pod {
            name: name.clone(),
            uid: uid.clone(),
        }),
        (None, None) => None,
        _ => return Err("bound to half a pod"),
    };
    require(pod.is_some() || allows_unbound(&account), "bound to no pod")?;
    Ok(Reviewed { account, pod })
}

/// The service account of a user name.
fn account(username: &str) -> Option<ServiceAccountName> {
    let (namespace, name) = username.strip_prefix(PREFIX)?.split_once(':')?;
    let is_name = |text: &str| {
        let is_fit = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
        !text.is_empty() && text.len() <= MAX_NAME_BYTES && text.bytes().all(is_fit)
    };
    (is_name(namespace) && is_name(name)).then(|| ServiceAccountName {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    })
}

fn require(is_so: bool, otherwise: &'static str) -> Result<(), &'static str> {
    is_so.then_some(()).ok_or(otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> TokenReview {
        TokenReview {
            authenticated: true,
            audiences: vec!["openclaw-gateway".to_owned()],
            username: "system:serviceaccount:openclaw:worker".to_owned(),
            pod_name: Some("worker-1".to_owned()),
            pod_uid: Some("9e5c".to_owned()),
            ..TokenReview::default()
        }
    }

    fn judged(
        review: &TokenReview,
        audiences: usize,
        unbound: bool,
    ) -> Result<Reviewed, &'static str> {
        judge(review, "openclaw-gateway", audiences, |_| unbound)
    }

    #[test]
    fn a_token_of_a_pod_is_its_service_accounts() {
        let reviewed = judged(&good(), 1, false).unwrap();
        assert_eq!(reviewed.account.namespace, "openclaw");
        assert_eq!(reviewed.account.name, "worker");
        assert_eq!(reviewed.pod.map(|pod| pod.uid).as_deref(), Some("9e5c"));
        let mut unbound = good();
        (unbound.pod_name, unbound.pod_uid) = (None, None);
        assert_eq!(judged(&unbound, 1, true).unwrap().pod, None);
        assert_eq!(judged(&unbound, 1, false), Err("bound to no pod"));
    }

    #[test]
    fn each_thing_that_is_wrong_is_a_refusal() {
        type Change = fn(&mut TokenReview);
        let rejected = "not accepted by the API server";
        let audience = "not accepted for this audience";
        let cases: [(Change, &str); 14] = [
            (|review| review.authenticated = false, rejected),
            (
                |review| review.error = "token audiences [x]".to_owned(),
                rejected,
            ),
            (|review| review.audiences.clear(), audience),
            (
                |review| review.audiences = vec!["https://kubernetes".to_owned()],
                audience,
            ),
            (
                |review| review.audiences = vec!["openclaw-gateway2".to_owned()],
                audience,
            ),
            (|review| review.username.clear(), "no service account"),
            (
                |review| review.username = "admin".to_owned(),
                "no service account",
            ),
            (
                |review| review.username = "system:serviceaccount:a".to_owned(),
                "no service account",
            ),
            (
                |review| review.username = "system:serviceaccount:a:".to_owned(),
                "no service account",
            ),
            (
                |review| review.username = "system:serviceaccount::b".to_owned(),
                "no service account",
            ),
            (
                |review| review.username = "system:serviceaccount:a:b:c".to_owned(),
                "no service account",
            ),
            (
                |review| review.username = " system:serviceaccount:a:b".to_owned(),
                "no service account",
            ),
            (|review| review.pod_uid = None, "bound to half a pod"),
            (
                |review| review.pod_name = Some(String::new()),
                "bound to half a pod",
            ),
        ];
        for (change, reason) in cases {
            let mut review = good();
            change(&mut review);
            assert_eq!(judged(&review, 1, true), Err(reason), "{review:?}");
        }
        for audiences in [0, 2, 3] {
            assert_eq!(
                judged(&good(), audiences, true),
                Err("more than one audience")
            );
        }
    }
}
