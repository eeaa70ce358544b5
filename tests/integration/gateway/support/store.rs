//! The objects of a cluster as JSON, each with a version, and the changes that watches tell.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The changes that are kept: who watches from before them is told that it is too late.
const KEPT: usize = 1000;

/// A change of an object.
#[derive(Clone, Debug)]
pub struct Change {
    /// The version that it made.
    pub version: u64,
    /// The path of the collection.
    pub collection: String,
    /// `ADDED`, `MODIFIED` or `DELETED`.
    pub kind: &'static str,
    pub object: Value,
}

/// All objects, by the path of their collection and their name.
pub struct Store {
    version: u64,
    objects: BTreeMap<(String, String), Value>,
    changes: Vec<Change>,
    /// The last version whose changes are forgotten.
    compacted: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            version: 100,
            objects: BTreeMap::new(),
            changes: Vec::new(),
            compacted: 0,
        }
    }
}

/// The path of a collection, such as `deployments`, in a namespace.
pub fn collection(plural: &str, namespace: &str) -> String {
    let group = match plural {
        "deployments" | "statefulsets" => "/apis/apps/v1",
        "endpointslices" => "/apis/discovery.k8s.io/v1",
        "leases" => "/apis/coordination.k8s.io/v1",
        _ => "/api/v1",
    };
    format!("{group}/namespaces/{namespace}/{plural}")
}

impl Store {
    /// The version of the newest change.
    pub const fn version(&self) -> u64 {
        self.version
    }

    pub fn get(&self, collection: &str, name: &str) -> Option<&Value> {
        self.objects.get(&(collection.to_owned(), name.to_owned()))
    }

    /// The objects of a collection by their names.
    pub fn list(&self, collection: &str) -> Vec<&Value> {
        let all = self.objects.iter();
        all.filter(|((of, _), _)| of == collection)
            .map(|(_, object)| object)
            .collect()
    }

    /// Makes an object what it is to be, with a version of its own; nothing happens where it
    /// is so already. Returns it as it is now.
    pub fn put(&mut self, collection: &str, mut object: Value) -> Value {
        let name = object["metadata"]["name"]
            .as_str()
            .expect("a name")
            .to_owned();
        let key = (collection.to_owned(), name.clone());
        let known = self.objects.get(&key);
        if let Some(known) = known {
            object["metadata"]["resourceVersion"] = known["metadata"]["resourceVersion"].clone();
            object["metadata"]["uid"] = known["metadata"]["uid"].clone();
            if *known == object {
                return object;
            }
        }
        let kind = match known {
            Some(_) => "MODIFIED",
            None => "ADDED",
        };
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(format!("uid-{name}-{}", self.version));
        }
        self.objects.insert(key, object.clone());
        self.tell(collection, kind, object.clone());
        object
    }

    pub fn delete(&mut self, collection: &str, name: &str) {
        let key = (collection.to_owned(), name.to_owned());
        if let Some(mut object) = self.objects.remove(&key) {
            self.version += 1;
            object["metadata"]["resourceVersion"] = json!(self.version.to_string());
            self.tell(collection, "DELETED", object);
        }
    }

    /// Something else happens in the cluster, so that bookmarks have something to say.
    pub fn touch(&mut self) {
        self.version += 1;
    }

    /// Forgets all changes so far, as an API server does after some minutes.
    pub fn compact(&mut self) {
        self.changes.clear();
        self.compacted = self.version;
    }

    /// The changes of a collection after a version; None if it is too old.
    pub fn after(&self, collection: &str, version: u64) -> Option<Vec<&Change>> {
        let changes = self.changes.iter();
        (version >= self.compacted).then(|| {
            changes
                .filter(|change| change.collection == collection && change.version > version)
                .collect()
        })
    }

    fn tell(&mut self, collection: &str, kind: &'static str, object: Value) {
        self.changes.push(Change {
            version: self.version,
            collection: collection.to_owned(),
            kind,
            object,
        });
        if self.changes.len() > KEPT {
            self.compacted = self.changes.remove(0).version;
        }
    }
}
