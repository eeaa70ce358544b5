//! An API server on loopback over TLS, for a gateway and for tests that play the rest of the
//! cluster: controllers, other programs, people with kubectl.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::fields::{Owner, Replicas};
use super::follow::{Follow, set_endpoints};
use super::reviews::{Denied, Token};
use super::serving::{Place, verb};
use super::state::{Call, Mood, State};
use super::store::collection;
use super::watcher::Watcher;
use crate::support::apiserver::{TOKEN, certificates, failure};
use crate::support::faults::{Fault, matches};
use crate::support::monitor::Monitor;
use crate::support::redaction::hide;
use crate::support::wire::{Answer, Listener, Request, Response, http_date, serve};

/// The gateway's own namespace.
pub const GATEWAY: &str = "gateway";

/// The fake; closed with all its connections when dropped.
pub struct Cluster {
    shared: Arc<Monitor<State>>,
    listener: Listener,
    account: PathBuf,
}

impl Cluster {
    /// Starts one without objects, and writes a service account's files below `dir`.
    pub fn start(dir: &Path) -> Self {
        let shared = Arc::new(Monitor::<State>::default());
        let (tls, pki) = certificates();
        let account = dir.join("serviceaccount");
        std::fs::create_dir_all(&account).expect("a directory can be made");
        for (name, text) in [
            ("token", TOKEN),
            ("namespace", GATEWAY),
            ("ca.crt", &pki.ca),
        ] {
            std::fs::write(account.join(name), text).expect("a file can be written");
        }
        let serving = Arc::clone(&shared);
        let listener = Listener::start(move |stream| {
            if serving.lock().mood == Mood::Down {
                return;
            }
            let Ok(session) = ServerConnection::new(Arc::clone(&tls)) else {
                return;
            };
            let mut stream = StreamOwned::new(session, stream);
            if stream.conn.complete_io(&mut stream.sock).is_ok() {
                let _ = serve(stream, |request| answer(&serving, &request));
            }
        });
        Self {
            shared,
            listener,
            account,
        }
    }

    pub fn port(&self) -> u16 {
        self.listener.port
    }

    pub fn account_dir(&self) -> &Path {
        &self.account
    }

    pub fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        self.shared.with(f)
    }

    /// Waits until `f` finds something in the state.
    pub fn wait<T>(&self, what: &str, f: impl FnMut(&mut State) -> Option<T>) -> T {
        self.shared.wait(what, f)
    }

    pub fn fault(&self, pattern: &str, times: usize, fault: Fault) {
        self.with(|state| state.faults.add(pattern, times, fault));
    }

    pub fn clear_faults(&self) {
        self.with(|state| state.faults.clear());
    }

    /// From now on it is in this condition. One that is down drops all its connections.
    pub fn set(&self, mood: Mood) {
        self.with(|state| state.mood = mood);
        if mood == Mood::Down {
            self.listener.cut_all();
        }
    }

    /// Ends all watches as if their time was over.
    pub fn end_watches(&self) {
        self.with(|state| state.ended += 1);
    }

    /// Breaks all connections that are open now.
    pub fn cut(&self) {
        self.listener.cut_all();
    }

    /// The requests that match a pattern, such as `"PATCH /leases/"` or `"WATCH /leases"`.
    pub fn calls(&self, pattern: &str) -> Vec<Call> {
        self.with(|state| {
            let calls = state.calls.iter();
            let found = calls.filter(|call| matches(pattern, &call.method, &call.path));
            found.cloned().collect()
        })
    }

    /// Forgets the requests so far.
    pub fn forget_calls(&self) {
        self.with(|state| state.calls.clear());
    }

    pub fn log_tail(&self) -> String {
        self.with(|state| {
            let lines = state.calls.iter().map(|call| {
                let body = match call.path.ends_with("tokenreviews") {
                    true => Value::Null,
                    false => call.body.clone(),
                };
                format!("{} {} {body}", call.method, call.target)
            });
            lines.collect::<Vec<_>>().join("\n")
        })
    }

    /// Makes a token known, and notes that no output may show it.
    pub fn token(&self, text: &str, token: Token) {
        hide("a token of a service account", text);
        self.with(|state| state.objects.tokens.insert(text.to_owned(), token));
    }

    /// The number of times that a token was reviewed.
    pub fn reviews(&self, text: &str) -> usize {
        self.with(|state| match state.objects.tokens.get(text) {
            Some(token) => token.reviews,
            None => state.objects.unknown_tokens,
        })
    }

    /// A token is known no more, as after its pod is gone.
    pub fn revoke(&self, text: &str) {
        self.with(|state| state.objects.tokens.remove(text));
    }

    /// Takes a right away; what is empty stands for all.
    pub fn deny(&self, verb: &'static str, resource: &'static str, namespace: &'static str) {
        let denied = Denied {
            verb,
            resource,
            namespace,
        };
        self.with(|state| state.objects.denied.push(denied));
    }

    /// Makes a workload with so many replicas. Nobody owns its number.
    pub fn workload(&self, plural: &str, namespace: &str, name: &str, count: i64) {
        let kind = match plural {
            "statefulsets" => "StatefulSet",
            _ => "Deployment",
        };
        let object = json!({
            "kind": kind, "apiVersion": "apps/v1",
            "metadata": {"name": name, "namespace": namespace, "generation": 1},
            "spec": {"replicas": count, "selector": {"matchLabels": {"app": name}}},
            "status": {},
        });
        self.with(|state| {
            let collection = collection(plural, namespace);
            let replicas = Replicas {
                count,
                owners: Vec::new(),
            };
            let key = (collection.clone(), name.to_owned());
            state.objects.replicas.insert(key, replicas);
            state.objects.store.put(&collection, object);
        });
    }

    /// Makes these the owners of a workload's number of replicas, all by apply or all not.
    pub fn own(&self, plural: &str, namespace: &str, name: &str, managers: &[&str], applied: bool) {
        let owners = managers.iter().map(|manager| Owner {
            manager: (*manager).to_owned(),
            applied,
        });
        self.change(plural, namespace, name, |replicas| {
            replicas.owners = owners.collect();
        });
    }

    /// The number of replicas of a workload, and its owners.
    pub fn replicas(&self, plural: &str, namespace: &str, name: &str) -> Replicas {
        let key = (collection(plural, namespace), name.to_owned());
        self.with(|state| state.objects.replicas[&key].clone())
    }

    /// Somebody patches a workload's number of replicas, as kubectl or an autoscaler does.
    pub fn patch_replicas(
        &self,
        plural: &str,
        namespace: &str,
        name: &str,
        manager: &str,
        count: i64,
    ) {
        self.change(plural, namespace, name, |replicas| {
            replicas.update(manager, count);
        });
    }

    /// Somebody applies a workload's number of replicas with force, as GitOps does.
    pub fn apply_replicas(
        &self,
        plural: &str,
        namespace: &str,
        name: &str,
        manager: &str,
        count: i64,
    ) {
        self.change(plural, namespace, name, |replicas| {
            let _ = replicas.apply(manager, count, true);
        });
    }

    fn change(&self, plural: &str, namespace: &str, name: &str, f: impl FnOnce(&mut Replicas)) {
        let key = (collection(plural, namespace), name.to_owned());
        let before = self.with(|state| {
            let replicas = state.objects.replicas.get_mut(&key).expect("it is there");
            let before = replicas.count;
            f(replicas);
            state.objects.show(&key.0, &key.1);
            before
        });
        follow(&self.shared, &key, before);
    }

    /// Makes a Service with one port, of the name `http`.
    pub fn service(&self, namespace: &str, name: &str, cluster_ip: &str, port: u16) {
        let object = json!({
            "kind": "Service", "apiVersion": "v1",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"clusterIP": cluster_ip, "ports": [{"name": "http", "port": port}]},
        });
        self.put("services", namespace, object);
    }

    /// Makes a Lease as the chart does: without anything in it.
    pub fn lease(&self, name: &str) {
        let object = json!({
            "kind": "Lease", "apiVersion": "coordination.k8s.io/v1",
            "metadata": {"name": name, "namespace": GATEWAY}, "spec": {},
        });
        self.put("leases", GATEWAY, object);
    }

    /// A Lease as it is now.
    pub fn lease_now(&self, name: &str) -> Value {
        let of = collection("leases", GATEWAY);
        let found = self.with(|state| state.objects.store.get(&of, name).cloned());
        found.expect("there is such a Lease")
    }

    /// An annotation of a Lease, without the beginning that all of them have; empty if there
    /// is none.
    pub fn annotation(&self, lease: &str, name: &str) -> String {
        let annotations = &self.lease_now(lease)["metadata"]["annotations"];
        let value = &annotations[format!("openclaw-k8s-toggle-operator/{name}")];
        value.as_str().unwrap_or_default().to_owned()
    }

    /// Makes an object what it is to be, in place of one of the same name.
    pub fn put(&self, plural: &str, namespace: &str, object: Value) {
        let collection = collection(plural, namespace);
        self.with(|state| state.objects.store.put(&collection, object));
    }

    /// The endpoints of a Service: addresses, each ready or not, at this port of the name
    /// `http`. None at all is a slice without endpoints.
    pub fn endpoints(&self, namespace: &str, service: &str, port: u16, pods: &[(&str, bool)]) {
        self.with(|state| set_endpoints(&mut state.objects, namespace, service, port, pods));
    }

    /// What becomes of a workload's pods from now on: so long after its number rises from
    /// zero these addresses are ready at this port of its Service, and at once after it
    /// falls to zero none is.
    pub fn pods_follow(
        &self,
        (plural, namespace, name): (&str, &str, &str),
        service: &str,
        delay: Duration,
        addresses: &[&str],
        port: u16,
    ) {
        let key = (collection(plural, namespace), name.to_owned());
        let follow = Follow {
            delay,
            namespace: namespace.to_owned(),
            service: service.to_owned(),
            addresses: addresses.iter().map(|one| (*one).to_owned()).collect(),
            port,
        };
        self.with(|state| state.follows.insert(key, follow));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.with(|state| state.faults.close());
    }
}

fn answer(shared: &Arc<Monitor<State>>, request: &Request) -> Answer {
    let place = Place::of(request);
    let is_watch = place
        .as_ref()
        .is_some_and(|place| verb(request, place) == "watch");
    let method = match is_watch {
        true => "WATCH".to_owned(),
        false => request.method.clone(),
    };
    let (fault, mood) = shared.with(|state| {
        let path = request.path();
        let fault = state.faults.take(&method, &path);
        state.calls.push(Call {
            at: Instant::now(),
            method: method.clone(),
            path,
            target: request.target.clone(),
            content_type: request
                .header("content-type")
                .unwrap_or_default()
                .to_owned(),
            body: request.json(),
        });
        (fault, state.mood)
    });
    match mood {
        Mood::Well => {}
        Mood::Down => return Answer::Cut,
        Mood::Slow(time) => thread::sleep(time),
        Mood::Overloaded => {
            let text = "Too many requests, please try again later.\n";
            let response = Response::text(429, "text/plain", text);
            return Answer::Reply(response.header("Retry-After", "1"));
        }
    }
    let fault = match shared.before(fault) {
        Ok(fault) => fault,
        Err(answer) => return answer,
    };
    if request.bearer() != Some(TOKEN) {
        let body = failure(401, "Unauthorized", "Unauthorized");
        return Answer::Reply(Response::json(401, &body));
    }
    let key = place.as_ref().and_then(|place| {
        let is_scale = place.subresource.as_deref() == Some("scale");
        Some((
            place.collection.clone(),
            place.name.clone().filter(|_| is_scale)?,
        ))
    });
    let (response, delay, before) = shared.with(|state| {
        let count = |state: &State| {
            let known = key.as_ref().and_then(|key| state.objects.replicas.get(key));
            known.map_or(0, |known| known.count)
        };
        let before = count(state);
        let (response, delay) = state.objects.handle(request);
        (response, delay, before)
    });
    if let Some(key) = &key {
        follow(shared, key, before);
    }
    thread::sleep(delay);
    if let Some(place) = place.filter(|_| is_watch && response.status == 200) {
        return Watcher::begin(shared, request, &place);
    }
    let response = response.header("Date", &http_date(0));
    shared.after(fault).unwrap_or(Answer::Reply(response))
}

/// Lets the pods of a workload follow its number of replicas, which was `before`.
fn follow(shared: &Arc<Monitor<State>>, key: &(String, String), before: i64) {
    let count = |state: &State| state.objects.replicas.get(key).map_or(0, |one| one.count);
    let (now, follow) = shared.with(|state| (count(state), state.follows.get(key).cloned()));
    let Some(follow) = follow.filter(|_| (before > 0) != (now > 0)) else {
        return;
    };
    if now == 0 || follow.delay.is_zero() {
        return shared.with(|state| follow.set(&mut state.objects, now > 0));
    }
    let (shared, key) = (Arc::clone(shared), key.clone());
    thread::spawn(move || {
        thread::sleep(follow.delay);
        shared.with(|state| {
            let now = state.objects.replicas.get(&key).map_or(0, |one| one.count);
            if now > 0 {
                follow.set(&mut state.objects, true);
            }
        });
    });
}
