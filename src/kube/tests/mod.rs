//! The API server's good and bad days: what the tests share.

mod account;
mod applying;
mod calls;
mod changes;
#[cfg(feature = "gateway")]
mod collections;
mod faults;
mod leases;
mod listing;
mod observing;
mod pods;
mod restarts;
#[cfg(feature = "gateway")]
mod reviews;
mod rights;
mod watching;

use std::cell::Cell;
use std::fs;
use std::time::{Duration, SystemTime};

use super::api::{DeploymentStatus, Scaled};
use super::error::Error;
use super::*;
use crate::control::{Kind, Namespace, ObjectName, ResourceType, Workload};
use crate::net::fake::{Authority, Fake, Reply, run};
use crate::util::Clock;
use crate::util::temp::TempDir;

const DEPLOYMENT: &str = r#"{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"bot"},
    "spec":{"replicas":2,"template":{"spec":{"containers":7}}},
    "status":{"replicas":2,"readyReplicas":1,"availableReplicas":1}}"#;

const SCALE: &str = r#"{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"bot"},
    "spec":{"replicas":1},"status":{"replicas":0,"selector":"app=bot"}}"#;

thread_local! {
    /// The time by the clock of the tests, in seconds since the Unix epoch.
    static NOW: Cell<u64> = const { Cell::new(NOON) };
}

/// 1970-01-01 12:03:05 UTC.
const NOON: u64 = 43_385;

fn clock() -> Clock {
    Clock::of(|| SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.get()))
}

/// A service account's directory.
struct Account(TempDir);

impl Account {
    fn new(token: &str, ca: &str) -> Self {
        let account = Self(TempDir::new());
        account.write("token", token);
        account.write("ca.crt", ca);
        account
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.path().join(file), text).unwrap();
    }

    fn load(&self, port: u16) -> Result<ServiceAccount, LoadError> {
        ServiceAccount::load("127.0.0.1", &port.to_string(), self.0.path(), clock())
    }

    fn api(&self, port: u16) -> Api {
        let mut api = Api::new(Credentials::InCluster(self.load(port).unwrap()));
        api.api_client.retry_wait = Duration::from_millis(1);
        api
    }
}

/// A cluster: its CA, its API server, our account and the client under test.
struct Cluster {
    authority: Authority,
    server: Fake,
    account: Account,
    api: Api,
}

impl Cluster {
    fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        let authority = Authority::new();
        let server = Fake::tls(authority.issue(), replies);
        let account = Account::new("first\n", &authority.pem());
        let api = account.api(server.port);
        Self {
            authority,
            server,
            account,
            api,
        }
    }

    async fn scale(&self) -> Result<Scaled, Error> {
        self.api.scale(&target(), 1, DryRun::No).await
    }

    fn tokens(&self) -> Vec<String> {
        let requests = self.server.requests();
        let tokens = requests.iter().map(|request| {
            let line = request
                .lines()
                .find_map(|line| line.strip_prefix("authorization: Bearer "));
            line.unwrap().to_owned()
        });
        tokens.collect()
    }
}

fn target() -> Workload {
    Workload {
        kind: Kind::Deployment,
        namespace: Namespace::parse("claw").unwrap(),
        name: ObjectName::parse("bot").unwrap(),
    }
}

fn database() -> Workload {
    Workload {
        kind: Kind::StatefulSet,
        name: ObjectName::parse("db").unwrap(),
        ..target()
    }
}

fn rollout() -> Workload {
    let resource = ResourceType {
        group: ObjectName::parse("argoproj.io").unwrap(),
        version: Namespace::parse("v1alpha1").unwrap(),
        plural: ObjectName::parse("rollouts").unwrap(),
    };
    Workload {
        kind: Kind::Other(resource),
        name: ObjectName::parse("web").unwrap(),
        ..target()
    }
}

fn status(code: u16, reason: &str, message: &str) -> Reply {
    let message = serde_json::to_string(message).unwrap();
    let body = format!(
        r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure",
            "message":{message},"reason":"{reason}","details":{{}},"code":{code}}}"#
    );
    Reply::with(code, "Content-Type: application/json\r\n", &body)
}

/// The sentence and the detail of a scale that is answered like this
/// every time.
fn faces(reply: Reply) -> (String, String) {
    run(async {
        let cluster = Cluster::new(vec![reply; 3]);
        let error = cluster.scale().await.unwrap_err();
        (error.sentence(&target()), error.detail().to_string())
    })
}

fn sentence(reply: Reply) -> String {
    faces(reply).0
}
